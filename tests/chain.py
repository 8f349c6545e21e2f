"""What the tests of the whole chain share: labeled pages, the command line in this process, a local server's bucket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tilekit.aws import model, project, service, switching, workspace
from tilekit.aws.waiting import Polling
from tilekit.cli import cli
from tilekit.labels.label_set import LabelSet
from tilekit.labels.reading import write_labels
from tilekit.pages import PageKey
from tilekit.scans.encoding import encode_image
from tilekit.storage.s3 import S3Store, keyed_access
from tilekit.testing.scenes import SceneStyle, scene_page

SYMBOLS = ("solid_circle", "valve")
QUICK = Polling(0.05, 0.1, 0.05)
MODULES = (model, project, switching, workspace)


def write_pages(folder: Path, count: int, width: int, height: int, each: int = 10) -> Path:
    """`truth.manifest` and its pages `scans/p0.png` and on; the last page has no symbol."""
    (folder / "scans").mkdir(parents=True)
    pages, sizes = {}, {}
    for number in range(count):
        pixels, labels = scene_page(
            number,
            width,
            height,
            symbols=SYMBOLS,
            symbol_px=(24, 34),
            count=each if number < count - 1 else 0,
            style=SceneStyle(0.3),
        )
        key = PageKey(str(folder / "scans" / f"p{number}.png"))
        Path(key.source).write_bytes(encode_image(pixels, "png").data)
        pages[key], sizes[key] = labels, (width, height)
    path = folder / "truth.manifest"
    write_labels(LabelSet(pages, sizes=sizes), path)
    return path


def reach(patch: pytest.MonkeyPatch, url: str, bucket: str) -> S3Store:
    """Point everything of this process at a local server, without its waits, and make a bucket."""
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "COLUMNS": "200",
    }.items():
        patch.setenv(name, value)
    defaults = {**service.Service.__init__.__kwdefaults__, "rate": 1000.0}
    patch.setattr(service.Service.__init__, "__kwdefaults__", defaults)
    for module in MODULES:
        patch.setattr(module, "Polling", lambda: QUICK)
    store = S3Store(keyed_access(url))
    store.client.create_bucket(Bucket=bucket)
    return store


def run(*arguments: Any, code: int = 0) -> Result:
    """A command; its own errors come through."""
    result = CliRunner().invoke(cli, [str(item) for item in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output + result.stderr
    return result


def asked(*arguments: Any, code: int = 0) -> Any:
    """What a command says to machines."""
    return json.loads(run(*arguments, "--json", code=code).stdout)
