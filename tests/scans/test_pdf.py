from __future__ import annotations

import io

import numpy as np
import pypdfium2 as pdfium
import pytest
from PIL import Image

import tilekit as tk
from tilekit.errors import ScanCorrupt, ScanNotFound, ScanTooLarge
from tilekit.scans import strips

NOISE = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)


def pdf_of(*pictures: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    pictures[0].save(out, "PDF", save_all=True, append_images=pictures[1:], resolution=100.0, **options)
    return out.getvalue()


def drawing(width: float = 400, height: float = 300) -> bytes:
    """A page with a filled path in the lower left quarter, made by hand."""
    stream = b"1 0 0 rg 0 0 %d %d re f" % (width / 2, height / 2)
    body = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents 4 0 R/Resources<<>>>>" % (width, height),
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
    ]
    out, places = b"%PDF-1.4\n", []
    for number, item in enumerate(body, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, item)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return (
        out
        + b"xref\n0 5\n0000000000 65535 f \n%strailer\n<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"
        % (
            table,
            len(out),
        )
    )


def test_size_follows_dpi():
    with tk.open_scan(drawing()) as scan:
        assert (scan.width, scan.height, scan.bands, scan.dpi) == (833, 625, 3, 150)
    with tk.open_scan(drawing(), dpi=72) as scan:
        page = next(scan.bands_of_rows([300]))
    assert (page[150:, :200] == (255, 0, 0)).all()
    assert (page[:149] == 255).all()


@pytest.mark.parametrize("scale", [None, (301, 207)])
def test_strips_do_not_show(monkeypatch, scale):
    data = pdf_of(Image.fromarray(NOISE))
    with tk.open_scan(data, dpi=144) as scan:
        size = scale or (scan.width, scan.height)
        whole = next(scan.bands_of_rows([size[1]], scale=scale))
    monkeypatch.setattr(strips, "STRIP_PIXELS", 5000)
    with tk.open_scan(data, dpi=144) as scan:
        bands = list(scan.bands_of_rows([100, size[1] - 100], scale=scale))
        part = scan.read(17, 33, 180, 190, scale=scale)
        assert np.array_equal(np.concatenate(bands)[33:190, 17:180], part)
        assert np.abs(np.concatenate(bands).astype(int) - whole).mean() < 2


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_native_gives_the_scanned_image_itself(turn, tmp_path):
    gray = np.repeat(NOISE[:, :, :1] // 128 * 255, 3, 2)
    for picture, expected in [
        (Image.fromarray(gray[..., 0] > 0), gray[..., :1]),
        (Image.fromarray(NOISE), None),
        (Image.fromarray(NOISE[..., 0]), None),
    ]:
        data = pdf_of(picture)
        document = pdfium.PdfDocument(data)
        document[0].set_rotation(turn)
        document.save(tmp_path / "turned.pdf")
        document.close()
        with tk.open_scan(tmp_path / "turned.pdf", dpi="native") as scan:
            pixels = next(scan.bands_of_rows([scan.height]))
            assert (scan.dpi, scan.info.kind) == (100, "pdf")
        if expected is None:
            file = io.BytesIO()
            picture.save(file, "JPEG")
            expected = np.asarray(Image.open(file)).reshape(300, 200, -1)
        assert np.array_equal(pixels, np.rot90(expected, -turn // 90))


def test_native_of_a_drawing_is_rendered():
    with tk.open_scan(drawing(), dpi="native") as scan:
        assert scan.dpi == 150


def test_pages_come_in_order():
    pages = [Image.new("RGB", (50 + 10 * i, 40), (i * 50, 0, 0)) for i in range(4)]
    data = pdf_of(*pages)
    seen = [(scan.key.page, scan.width, scan.pages) for scan in tk.scan_pages(data, dpi=100)]
    assert seen == [(i, 50 + 10 * i, 4) for i in range(4)]
    with pytest.raises(ScanNotFound, match="4 page"):
        tk.open_scan(data, page=4)


def test_damage_is_told():
    data = drawing()
    with pytest.raises(ScanCorrupt, match="cut short"):
        tk.open_scan(data[:-40])
    with pytest.raises(ScanCorrupt, match=r"no pages|damaged"):
        tk.open_scan(b"%PDF-1.4 nothing here %%EOF")
    with pytest.raises(ScanCorrupt, match=r"page=1|damaged|no pages"):
        tk.open_scan(data.replace(b"/Type/Page/Parent", b"/Type/Pa__/Pa____"))
    with pytest.raises(ScanTooLarge, match="max_pixels"):
        tk.open_scan(data, dpi=1000, max_pixels=1000)


def test_an_encrypted_file_is_told():
    # The trailer points to an encryption dictionary whose password nobody knows.
    crypt = b"<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>" % (b"41" * 32, b"42" * 32)
    data = drawing().replace(b"/Size 5", b"/Encrypt %s/ID[<41><41>]/Size 5" % crypt)
    with pytest.raises(ScanCorrupt, match="encrypted"):
        tk.open_scan(data)
