"""Options that say how scans are opened reach the reader from every command."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

import tilekit as tk
from tilekit.cli import cli

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200"><rect width="45" height="50"/></svg>'
FINDS = """
import tilekit as tk
def nothing(pixels):
    return tk.Detections.empty(("mark",))
"""


def labels(path, folder, size):
    box = tk.Annotations(np.array([[1.0, 1.0, 40.0, 40.0]]), np.array([0]), ("mark",))
    key = tk.PageKey(str(path))
    tk.write_labels(tk.LabelSet({key: box}, sizes={key: size}), folder / "truth.manifest")
    return str(folder / "truth.manifest")


def said(*words):
    done = CliRunner().invoke(cli, [str(word) for word in words])
    return done.exit_code, f"{done.output}{done.exception or ''}"


@pytest.mark.parametrize("command", ["detect", "archive", "dataset"])
def test_untrusted(tmp_path, command, monkeypatch):
    (tmp_path / "scans").mkdir()
    page = tmp_path / "scans" / "a.svg"
    page.write_bytes(SVG)
    (tmp_path / "nothing_finder.py").write_text(FINDS)
    monkeypatch.syspath_prepend(str(tmp_path))
    model = ("--model", "nothing_finder:nothing", "--no-strict", "--tile", 128, "--out", tmp_path / "f.jsonl")
    words = {
        "detect": ("detect", page, *model),
        "archive": (
            "archive",
            "run",
            page,
            tmp_path / "out",
            "--tile",
            128,
            "--overlap",
            0,
            "--workers",
            1,
        ),
        "dataset": (
            "dataset",
            labels(page, tmp_path, (200, 200)),
            tmp_path / "set",
            "--tile",
            128,
            "--split",
            "1,0,0",
        ),
    }[command]
    code, text = said(*words)
    assert code != 0 or "--untrusted" in text or "untrusted=True" in text
    assert "trust where it is from" in " ".join(text.split())
    words = [
        tmp_path / "again" if word == tmp_path / "out" else word for word in words
    ]  # not what was set aside
    code, text = said(*words, "--untrusted")
    assert code == 0, text


@pytest.mark.parametrize("command", ["job", "report"])
def test_levels(tmp_path, command):
    page, value = tmp_path / "a.tif", np.random.default_rng(2).integers(0, 4096, (200, 200), np.uint16)
    tifffile.imwrite(page, value)
    if command == "job":
        job = ("--name", "job", "--label", "mark", "--s3", "s3://bucket/x", "--region", "eu-west-1")
        arns = ("--role", "arn:aws:iam::1:role/x", "--workteam", "arn:aws:sagemaker:eu-west-1:1:workteam/x")
        words = ("labels", "job", page, "--out", tmp_path / "job", *job, *arns, "--json")
    else:
        truth = labels(page, tmp_path, (200, 200))
        found = tk.PageDetections(tk.PageKey(str(page)), 200, 200, tk.Detections.empty(("mark",)))
        tk.write_predictions([found], tmp_path / "found.jsonl")
        words = ("report", tmp_path, "--truth", truth, "--detections", tmp_path / "found.jsonl", "--json")
    code, text = said(*words)
    assert code != 0
    assert "--levels" in text
    code, text = said(*words, "--levels", "0:4095")
    assert code == 0, text
    if command == "job":
        made = json.loads(text)
        picture = next(name for name in made["uploads"] if name.endswith(".jpg"))
        with tk.open_scan(picture) as scan:
            shown = next(scan.bands_of_rows([200])).astype(int)
        assert np.abs(shown[..., 0] - value / 4095 * 255).mean() < 8
