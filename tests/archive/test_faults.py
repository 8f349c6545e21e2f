"""Whose fault it was: a scan's own is recorded, the place's ends the run."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tilekit.archive.faults import Watchman, place_fault
from tilekit.archive.summary import ArchiveSummary
from tilekit.errors import (
    MissingExtra,
    ModelNotReady,
    QuotaExceeded,
    ScanCorrupt,
    ServiceDenied,
    ServiceLost,
    ServiceThrottled,
    StorageDenied,
    StorageFull,
    StorageLost,
    StorageNotFound,
)


def fault(number: int) -> OSError:
    return OSError(number, os.strerror(number), "there")


@pytest.mark.parametrize("kind", [StorageFull, StorageLost])
@pytest.mark.parametrize("writing", [True, False])
def test_a_full_or_lost_place_is_at_fault_whatever_is_done(kind: type[Exception], writing: bool) -> None:
    assert place_fault(kind("x: why"), writing=writing) == "x: why"


@pytest.mark.parametrize(
    "kind",
    [StorageDenied, ServiceDenied, ServiceLost, QuotaExceeded, ModelNotReady, ServiceThrottled, MissingExtra],
)
def test_what_is_denied_is_the_places_fault_only_with_the_scan_open(kind: type[Exception]) -> None:
    assert place_fault(kind("x: why"), writing=True) == "x: why"
    assert place_fault(kind("x: why"), writing=False) == ""


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.EROFS]
)
def test_errors_of_the_system_are_the_places_fault(number: int) -> None:
    assert place_fault(fault(number), writing=False).startswith("there: ")
    nameless = place_fault(OSError(number, os.strerror(number)), writing=False)
    assert nameless.startswith("?: ")
    ours = ScanCorrupt("a.tif: cannot be read")
    ours.__cause__ = fault(number)
    assert place_fault(ours, writing=False) == "a.tif: cannot be read"


@pytest.mark.parametrize(
    "error", [fault(errno.EIO), fault(errno.ENOENT), ScanCorrupt("x"), StorageNotFound("x"), ValueError("x")]
)
def test_all_else_is_the_scans_own(error: Exception) -> None:
    assert place_fault(error, writing=True) == ""


def test_a_fault_is_found_below_others_and_a_circle_of_causes_ends() -> None:
    inner, middle, outer = StorageFull("disk: full"), ValueError("odd"), RuntimeError("broke")
    outer.__context__, middle.__cause__ = middle, inner
    assert place_fault(outer, writing=False) == "disk: full"
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert place_fault(one, writing=True) == ""


def test_a_place_that_is_as_it_was_is_left_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert Watchman([tmp_path], str(out)).fault() == ""  # not made yet
    out.mkdir()
    watchman = Watchman([tmp_path, "s3://bucket/in"], str(out))
    assert watchman.fault() == ""
    assert list(out.iterdir()) == []
    assert Watchman(["s3://bucket/in"], "s3://bucket/out").fault() == ""


def test_a_place_that_is_gone_or_full_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    watchman = Watchman([source], str(out))

    def full(self: Path, data: bytes) -> int:
        raise fault(errno.ENOSPC)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert watchman.fault().startswith(f"{out}: no space is left")
    source.rmdir()
    assert watchman.fault().startswith(f"{source}: is gone, or another disk is mounted there")
    assert Watchman([source], str(out)).fault() == ""  # it was not there when the run began


def test_a_summary_adds_up_and_names_the_first_hundred() -> None:
    one, other = (
        ArchiveSummary(done=1, tiles=5, stopped="full"),
        ArchiveSummary(done=2, failed=3, left_aside={".txt": 2}),
    )
    for number in range(60):
        one.fail(f"a{number}", "why")
        other.fail(f"b{number}", "why")
    other.drop({f"c{number}": "gone" for number in range(150)})
    one.add(other)
    assert (one.done, one.failed, one.tiles, one.stopped) == (3, 3, 5, "full")
    assert (len(one.failures), one.dropped, len(one.drops), one.left_aside) == (100, 150, 100, {".txt": 2})
    assert list(one.failures)[:61] == [*(f"a{number}" for number in range(60)), "b0"]
    again = ArchiveSummary()
    again.add(one)
    assert again == one
    assert not one.ok
    assert ArchiveSummary(done=5, skipped=3, retried=2, dropped=1).ok
    for wrong in ({"failed": 1}, {"set_aside": 1}, {"stopped": "x"}):
        assert not ArchiveSummary(**wrong).ok


def test_a_summary_as_json() -> None:
    told = ArchiveSummary(done=1, pixels=123_456_789_012, seconds=1.23456).to_json()
    assert (told["done"], told["megapixels"], told["seconds"]) == (1, 123_456.789, 1.235)
    assert told["failures"] == {}
