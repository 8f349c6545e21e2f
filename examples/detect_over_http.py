"""Ask a model on a server of Triton or KServe: python detect_over_http.py [http://host:8000 model scan.tif]

Its input IMAGE is a tile, its output BOXES rows of x0, y0, x1, y1, score, class id. Without arguments a server is played.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

import numpy as np

import tilekit as tk
from tilekit.testing.scans import write_scan

LENGTH = "Inference-Header-Content-Length"


def remote(address: str, model: str):
    def detect(pixels):
        data = pixels.tobytes()
        given = {"name": "IMAGE", "shape": pixels.shape, "datatype": "UINT8"}
        given["parameters"] = {"binary_data_size": len(data)}
        head = json.dumps({"inputs": [given]}).encode()
        request = Request(f"{address}/v2/models/{model}/infer", head + data, {LENGTH: str(len(head))})
        (boxes,) = json.load(urlopen(request, timeout=30))["outputs"]
        return np.reshape(boxes["data"], boxes["shape"])

    return tk.CallableDetector(detect, names=("dark",), workers=4)


class Player(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        size = int(self.headers[LENGTH])
        pixels = np.frombuffer(body[size:], np.uint8).reshape(json.loads(body[:size])["inputs"][0]["shape"])
        y, x = map(int, np.unravel_index(pixels.mean(axis=2).argmin(), pixels.shape[:2]))
        box = {"name": "BOXES", "shape": [1, 6], "datatype": "FP32", "data": [x, y, x + 1, y + 1, 0.9, 0]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"outputs": [box]}).encode())

    def log_message(self, *said): ...


def main(address: str = "", model: str = "play", path: str = "scan.jpg") -> None:
    if not address:
        write_scan(path, 1000, 700)
        server = ThreadingHTTPServer(("127.0.0.1", 0), Player)
        address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
    with tk.open_scan(path) as scan:
        found = tk.detect_tiles(scan, remote(address, model), tk.Tiling(512, 64))
    print(f"{len(found)} found: {found.counts}")


if __name__ == "__main__":
    main(*sys.argv[1:])
