"""Records tell the truth about now: what is gone is dropped by name, what changed is told, nothing stale passes."""

from __future__ import annotations

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from tests.archive.jobs import NoteJob
from tests.archive.test_processing import PAGE, notes, scans
from tilekit import Tiling
from tilekit.archive import ArchiveOptions, TileJob, archive_status, process_archive, verify_archive
from tilekit.archive.faults import Watchman, place_fault
from tilekit.archive.forecast import forecast
from tilekit.archive.jobs import discard_page
from tilekit.archive.sources import ScanFile, iter_sources
from tilekit.archive.working import Task
from tilekit.errors import InvalidArgument, ScanError, StorageDenied, StorageFull, StorageLogin, StorageLost
from tilekit.storage.local import part_path
from tilekit.tiles.index import read_index

ONE = ThreadPoolExecutor(1)
TILES = TileJob(Tiling(32))


def pages(path: Path, count: int) -> None:
    from PIL import Image

    images = [Image.new("L", (40, 30), 10 * number) for number in range(count)]
    images[0].save(path, save_all=True, append_images=images[1:])


def test_pages_that_a_file_lost_are_dropped_by_name(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    pages(source / "doc.tif", 3)
    out = tmp_path / "out"
    assert process_archive(source, out, TILES, ONE).done == 3
    pages(source / "doc.tif", 2)
    again = process_archive(source, out, TILES, ONE)
    assert (again.done, again.dropped) == (2, 1)
    assert list(again.drops) == ["doc.tif#page=3"]
    assert not (out / "doc.tif.p2").exists()
    assert (archive_status(out).done, verify_archive(out)) == (2, {})


def test_a_scan_that_is_gone_is_dropped_and_one_replaced_by_garbage_fails(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "a.jpg", "b.jpg", "c.jpg")
    out = tmp_path / "out"
    process_archive(source, out, TILES, ONE)
    (source / "a.jpg").unlink()
    (source / "b.jpg").write_bytes(b"garbage")
    assert set(verify_archive(out)) == {"a.jpg", "b.jpg"}
    again = process_archive(source, out, TILES, ONE)
    assert (again.failed, again.skipped, again.dropped) == (1, 1, 1)
    assert "a.jpg" in again.drops["a.jpg"]
    assert sorted(path.name for path in out.iterdir() if path.name != ".tilekit") == ["c.jpg.p0"]
    assert (archive_status(out).done, archive_status(out).failed) == (1, 1)
    assert verify_archive(out) == {}


def test_a_file_with_its_old_size_and_time_is_noticed(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "a.jpg")
    status = (source / "a.jpg").stat()
    process_archive(source, tmp_path / "out", TILES, ONE)
    other = bytearray(PAGE)
    other[len(PAGE) // 2] ^= 1
    (source / "a.jpg").write_bytes(bytes(other))
    os.utime(source / "a.jpg", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert verify_archive(tmp_path / "out") == {}  # by stat only
    assert set(verify_archive(tmp_path / "out", deep=True)) == {"a.jpg"}
    assert process_archive(source, tmp_path / "out", TILES, ONE).done == 1


def test_verify_by_one_listing_says_what_verify_by_the_index_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The roll only leaves out work: whatever is done to a page's folder, the same is wrong as without it."""
    source, out = scans(tmp_path / "in", "a.jpg", "b.jpg"), tmp_path / "out"
    process_archive(source, out, TILES, ONE)
    read: list[str] = []
    monkeypatch.setattr(
        "tilekit.archive.verifying.read_index", lambda folder: read.append(folder.name) or read_index(folder)
    )
    assert verify_archive(out) == {}
    assert read == []
    tiles = sorted((out / "a.jpg.p0").glob("*.jpg"))
    kept = tiles[0].read_bytes()
    for harm in (
        lambda: (out / "a.jpg.p0" / "Thumbs.db").write_bytes(b"no business of ours"),
        lambda: tiles[0].write_bytes(kept[:-1]),
        lambda: tiles[0].write_bytes(kept),
        lambda: tiles[1].unlink(),
        lambda: (out / "a.jpg.p0" / "tiling.json").unlink(),
        lambda: shutil.rmtree(out / "a.jpg.p0"),
    ):
        harm()
        quick = verify_archive(out)
        with monkeypatch.context() as patch:
            patch.setattr("tilekit.archive.verifying.roll_of", lambda _: "")
            assert verify_archive(out) == quick
        assert set(quick) <= {"a.jpg"}
    assert "missing" in quick["a.jpg"]


def test_deep_finds_a_tile_with_other_bytes(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "a.jpg")
    out = tmp_path / "out"
    process_archive(source, out, TILES, ONE)
    tile = next((out / "a.jpg.p0").glob("*.jpg"))
    data = bytearray(tile.read_bytes())
    data[-3] ^= 1
    tile.write_bytes(bytes(data))
    assert verify_archive(out) == {}
    assert "other bytes" in verify_archive(out, deep=True)["a.jpg"]


@pytest.mark.parametrize("source", ["in", "in/**/*.jpg", "in/."])
@pytest.mark.parametrize("linked", [False, True])
def test_results_below_the_input_are_no_input(tmp_path: Path, source: str, linked: bool) -> None:
    scans(tmp_path / "in", "a.jpg", "d/b.jpg")
    if linked:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "in" / "tiles").symlink_to(tmp_path / "elsewhere")
    out = tmp_path / "in" / "tiles"
    assert process_archive(tmp_path / source, out, TILES, ONE).done == 2
    again = process_archive(tmp_path / source, out, TILES, ONE)
    assert (again.done, again.skipped, again.left_aside) == (0, 2, {})
    assert forecast([str(tmp_path / source)], out, TILES).pages == 2


def test_tiles_into_the_folder_of_their_scans_are_refused(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "a.jpg")
    with pytest.raises(InvalidArgument, match="both input and output"):
        process_archive(source, tmp_path / "in" / ".", TILES, ONE)


def test_an_empty_mount_drops_nothing(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", *(f"{n}.jpg" for n in range(25)))
    out = tmp_path / "out"
    process_archive(source, out, NoteJob(), ONE)
    for path in source.iterdir():
        path.unlink()
    again = process_archive(source, out, NoteJob(), ONE)
    assert "nothing was dropped" in again.stopped
    assert not again.ok
    assert len(notes(out)) == 25
    forced = process_archive(source, out, NoteJob(), ONE, options=ArchiveOptions(drop=True))
    assert (forced.dropped, len(notes(out))) == (25, 0)


def test_another_runs_inputs_stay(tmp_path: Path) -> None:
    one, two = scans(tmp_path / "one", "a.jpg"), scans(tmp_path / "two", "b.jpg")
    process_archive(one, tmp_path / "out", NoteJob(), ONE)
    assert process_archive(two, tmp_path / "out", NoteJob(), ONE).dropped == 0
    assert archive_status(tmp_path / "out").done == 2


def test_discarding_page_1_leaves_page_10(tmp_path: Path) -> None:
    for name in ("plan.tif.p1", "plan.tif.p10"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.tar").write_bytes(b"")
        part_path(tmp_path / f"{name}.tar").write_bytes(b"")
    discard_page(Task(ScanFile("plan.tif", "plan.tif", ""), 1), str(tmp_path))
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == 3
    assert all("p10" in name for name in left)


def test_another_container_leaves_only_its_own(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "a.jpg")
    for container in ("folder", "tar", "zip", "folder"):
        job = TileJob(Tiling(32), container=container)  # type: ignore[arg-type]
        assert process_archive(source, tmp_path / "out", job, ONE).done == 1
        left = [path.name for path in (tmp_path / "out").iterdir() if path.name != ".tilekit"]
        assert left == ["a.jpg.p0" if container == "folder" else f"a.jpg.p0.{container}"]


class FullJob(NoteJob):
    """A disk that is full at the third page."""

    def run(self, task, scan, out):  # type: ignore[no-untyped-def]
        if (Path(out) / "full").exists() and task.source.relative == "c.jpg":
            raise StorageFull(f"{out}: no space is left on the disk")
        return super().run(task, scan, out)


def test_a_full_disk_ends_the_run_and_a_rerun_needs_no_flag(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", *(f"{name}.jpg" for name in "abcdef"))
    out = tmp_path / "out"
    out.mkdir()
    (out / "full").touch()
    stopped = process_archive(source, out, FullJob(), ONE)
    assert "no space" in stopped.stopped
    assert stopped.failed == archive_status(out).failed == 0
    (out / "full").unlink()
    again = process_archive(source, out, FullJob(), ONE)
    assert again.ok
    assert again.done + again.skipped == 6


@pytest.mark.parametrize(
    ("error", "writing", "place"),
    [
        (StorageFull("full"), False, True),
        (StorageLost("lost"), False, True),
        (StorageLogin("login"), False, True),
        (OSError(errno.ESTALE, "stale"), False, True),
        (OSError(errno.EROFS, "read-only"), True, True),
        (StorageDenied("denied"), True, True),
        (StorageDenied("denied"), False, False),
        (ScanError("damaged"), True, False),
        (OSError(errno.EIO, "one bad sector"), False, False),
        (ValueError("bug"), True, False),
    ],
)
def test_whose_fault(error: Exception, writing: bool, place: bool) -> None:
    wrapped = ScanError("cannot be read")
    wrapped.__cause__ = error
    assert bool(place_fault(error, writing=writing)) == place
    assert bool(place_fault(wrapped, writing=writing)) == place


def test_a_lost_mount_is_no_failure_of_its_scans(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "a.jpg")
    watchman = Watchman([source], str(tmp_path))
    assert watchman.fault() == ""
    shutil.rmtree(source)
    assert "is gone" in watchman.fault()


def test_links_that_lead_back_and_unreadable_folders_are_named(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "deep/a.jpg")
    (source / "deep" / "loop").symlink_to(source)
    (source / "self.jpg").symlink_to("self.jpg")
    found = list(iter_sources(source))
    assert {s.relative for s in found if not s.problem} <= {"deep/a.jpg", "self.jpg"}
    assert any("link back" in s.problem for s in found)
    summary = process_archive(source, tmp_path / "out", NoteJob(), ONE)
    assert summary.done == 1
    assert any("link back" in reason for reason in summary.failures.values())
    assert any("self.jpg" in reason for reason in summary.failures.values())


def test_identity_is_chosen(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "a.jpg")
    full = ArchiveOptions(identity="full")
    process_archive(source, tmp_path / "out", NoteJob(), ONE, options=full)
    os.utime(source / "a.jpg", (1, 1))
    assert process_archive(source, tmp_path / "out", NoteJob(), ONE, options=full).skipped == 1
    with pytest.raises(InvalidArgument, match="identity="):
        ArchiveOptions(identity="name")  # type: ignore[arg-type]


def test_a_tile_set_knows_what_it_was_cut_from(tmp_path: Path) -> None:
    from tilekit import tile_scan
    from tilekit.storage.identity import file_identity, is_unchanged

    scan = tmp_path / "a.jpg"
    scan.write_bytes(PAGE)
    page = tile_scan(str(scan), tmp_path / "tiles", Tiling(32)).index().page()
    assert page.identity == file_identity(scan)
    scan.write_bytes(simplejpeg.encode_jpeg(np.zeros((64, 64, 3), np.uint8)))
    assert not is_unchanged(str(scan), page.identity)


@pytest.mark.parametrize("path", ["READING", "REDUCTION", "ENCODING", "CUTTING"])
def test_what_an_older_version_of_a_pixel_path_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    from tilekit.scans import versions

    source = scans(tmp_path / "in", "a.jpg")
    assert process_archive(source, tmp_path / "out", NoteJob(), ONE).done == 1
    assert process_archive(source, tmp_path / "out", NoteJob(), ONE).skipped == 1
    monkeypatch.setattr(versions, path, getattr(versions, path) + 1)
    assert process_archive(source, tmp_path / "out", NoteJob(), ONE).done == 1


def test_a_tile_set_says_by_which_versions_its_pixels_were_made(tmp_path: Path) -> None:
    import json

    from tilekit import tile_scan
    from tilekit.scans.versions import pixel_versions

    source = scans(tmp_path / "in", "a.jpg")
    tile_scan(source / "a.jpg", tmp_path / "tiles", Tiling(32))
    assert json.loads((tmp_path / "tiles/tiling.json").read_text())["pixels"] == pixel_versions()
