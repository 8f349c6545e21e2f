"""process_archive with a small job: exactly once, set aside, retried, resumed, refused."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from click.testing import CliRunner

from tests.archive.jobs import NoteJob
from tilekit.archive import ArchiveOptions, archive_status, merge_ledgers, process_archive, verify_archive
from tilekit.archive.locking import run_lock
from tilekit.archive.sources import LeftAside
from tilekit.cli import cli
from tilekit.errors import InvalidArgument, LedgerError, StorageNotFound, TilekitError

PAGE = simplejpeg.encode_jpeg(np.full((64, 64, 3), 200, np.uint8))


def scans(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PAGE)
    return folder


def notes(out: Path) -> dict[str, str]:
    return {str(p.relative_to(out)): p.read_text() for p in out.rglob("*.note")}


def test_every_page_once_and_a_rerun_skips_all(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "a.jpg", "deep/er/a.jpg", "b.jpeg", "notes.txt", ".hidden.jpg")
    events: list[dict[str, object]] = []
    first = process_archive(source, tmp_path / "out", NoteJob(), workers=2, on_event=events.append)
    assert first.ok
    assert (first.done, first.tiles, first.pixels) == (3, 3, 30)
    assert set(notes(tmp_path / "out")) == {"a.jpg.note", "deep/er/a.jpg.note", "b.jpeg.note"}
    assert sorted(str(e["event"]) for e in events) == ["done"] * 3
    log = [json.loads(line) for line in (tmp_path / "out/.tilekit/log.jsonl").read_text().splitlines()]
    assert log == events
    again = process_archive(source, tmp_path / "out", NoteJob(), workers=1)
    assert (again.done, again.skipped) == (0, 3)


def test_changed_input_and_changed_recipe_are_redone(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "a.jpg", "b.jpg")
    process_archive(source, tmp_path / "out", NoteJob(), ThreadPoolExecutor(1))
    (source / "a.jpg").write_bytes(PAGE + b"\0")
    changed = process_archive(source, tmp_path / "out", NoteJob(), ThreadPoolExecutor(1))
    assert (changed.done, changed.skipped) == (1, 1)
    other = process_archive(source, tmp_path / "out", NoteJob("other"), ThreadPoolExecutor(1))
    assert (other.done, other.skipped) == (2, 0)
    assert all(text.startswith("other") for text in notes(tmp_path / "out").values())


def test_failures_are_set_aside_with_their_reason(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "a.jpg", "corrupt.jpg", "bug.jpg", "changes.jpg")
    (source / "text.png").write_text("not a scan")
    out = tmp_path / "out"
    summary = process_archive(source, out, NoteJob(), ThreadPoolExecutor(2))
    assert not summary.ok
    assert (summary.done, summary.failed) == (1, 4)
    assert "is damaged" in summary.failures["corrupt.jpg"]
    assert "ZeroDivisionError" in summary.failures["bug.jpg"]
    assert "changed while it was read" in summary.failures["changes.jpg"]
    assert "text.png" in summary.failures["text.png"]
    assert set(notes(out)) == {"a.jpg.note"}
    again = process_archive(source, out, NoteJob(), ThreadPoolExecutor(2))
    assert (again.failed, again.set_aside, again.skipped) == (1, 3, 1)  # the one that changes is tried again
    retried = process_archive(
        source, out, NoteJob(), ThreadPoolExecutor(2), options=ArchiveOptions(retry_failed=True)
    )
    assert retried.failed == 4


def test_a_killed_worker_costs_one_retry(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "a.jpg", "kill-once.jpg", "kill-always.jpg", "z.jpg")
    summary = process_archive(source, tmp_path / "out", NoteJob(), workers=2)
    assert (summary.done, summary.failed, summary.retried) == (3, 1, 2)
    assert "died twice" in summary.failures["kill-always.jpg"]


def test_a_script_without_a_guard_is_told_and_records_nothing_as_failed(tmp_path: Path) -> None:
    """Every worker imports the script, and would begin the run again: no fault of any scan."""
    scans(tmp_path / "in", "a.jpg", "b.jpg", "c.jpg")
    script = tmp_path / "script.py"
    script.write_text(
        "import tilekit as tk\ntk.process_archive('in', 'out', tk.TileJob(tk.Tiling(32)), workers=2)\n"
    )
    run = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode
    said = run.stderr.strip().splitlines()[-1]
    assert "cannot start" in said
    assert '__name__ == "__main__"' in said
    assert archive_status(tmp_path / "out").failed == 0


def test_the_largest_of_a_batch_come_first(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    for name, more in (("b.jpg", 200), ("d.jpg", 100)):
        (source / name).write_bytes(PAGE + bytes(more))
    events: list[dict[str, object]] = []
    process_archive(source, tmp_path / "out", NoteJob(), ThreadPoolExecutor(1), on_event=events.append)
    assert [Path(str(event["source"])).name for event in events][:2] == ["b.jpg", "d.jpg"]


def test_files_left_aside_are_said_by_their_ending(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "a.jpg", "d/plan.SVG", "d/b.svg", "notes.txt", "d/README", ".hidden.svg")
    runner = CliRunner()
    command = ["archive", "run", str(source), str(tmp_path / "out"), "--tile", "32", "--overlap", "0"]
    said = runner.invoke(cli, [*command, "--workers", "1"])
    assert said.exit_code == 0, said.output
    assert "4 files left aside" in said.output
    assert "2 .svg, 1 .txt, 1 no ending" in said.output
    assert "--untrusted" in said.output
    summary = runner.invoke(cli, [*command, "--json"]).stdout.splitlines()[-1]
    assert json.loads(summary)["left_aside"] == {".svg": 2, ".txt": 1, "no ending": 1}
    dry = json.loads(runner.invoke(cli, [*command, "--dry-run", "--json"]).stdout)
    assert dry["left_aside"] == {".svg": 2, ".txt": 1, "no ending": 1}
    named = process_archive([source / "a.jpg"], tmp_path / "one", NoteJob(), ThreadPoolExecutor(1))
    assert named.left_aside == {}


def test_endings_left_aside_are_counted_in_bounded_memory() -> None:
    aside = LeftAside()
    for number in range(1000):
        aside.see(f"a.{number}")
    assert len(aside) <= 60
    assert aside.total() == 1000


def test_the_standard_pool_breaks_with_a_clear_sentence(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "kill-always.jpg")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool, pytest.raises(TilekitError, match="lost a worker"):
        process_archive(source, tmp_path / "out", NoteJob(), pool)


def test_a_page_too_big_for_its_share_runs_alone(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", *(f"{i}.jpg" for i in range(20)), "huge.jpg")
    summary = process_archive(
        source, tmp_path / "out", NoteJob(), ThreadPoolExecutor(4), options=ArchiveOptions(memory=10**6)
    )
    assert (summary.done, summary.failed) == (21, 0)


def test_max_failures_stops_the_run(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", *(f"corrupt{i}.jpg" for i in range(50)))
    summary = process_archive(
        source, tmp_path / "out", NoteJob(), ThreadPoolExecutor(1), options=ArchiveOptions(max_failures=3)
    )
    assert summary.stopped
    assert summary.failed < 10


def test_two_runs_on_one_output_refuse_each_other(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "a.jpg")
    out = tmp_path / "out"
    with run_lock(out / ".tilekit", None), pytest.raises(LedgerError, match="another run"):
        process_archive(source, out, NoteJob(), ThreadPoolExecutor(1))


def test_shards_share_the_work_and_merge(tmp_path: Path) -> None:
    names = [f"s{i}.jpg" for i in range(40)]
    source = scans(tmp_path / "in", *names)
    out = tmp_path / "out"
    parts = [
        process_archive(source, out, NoteJob(), ThreadPoolExecutor(1), shard=f"{i}/3").done for i in (1, 2, 3)
    ]
    assert sum(parts) == 40
    assert min(parts) > 0
    assert archive_status(out).ledgers == 3
    assert merge_ledgers(out) == 40
    whole = process_archive(source, out, NoteJob(), ThreadPoolExecutor(1))
    assert (whole.done, whole.skipped) == (0, 40)


@pytest.mark.parametrize("text", ["0/3", "4/3", "x", "1/", "-1/2"])
def test_nonsense_shards_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidArgument, match="shard"):
        process_archive(scans(tmp_path / "in", "a.jpg"), tmp_path / "out", NoteJob(), shard=text)


def test_verify_finds_what_is_missing_or_short(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "a.jpg", "b.jpg", "c.jpg")
    out = tmp_path / "out"
    process_archive(source, out, NoteJob(), ThreadPoolExecutor(1))
    assert verify_archive(out) == {}
    (out / "a.jpg.note").unlink()
    (out / "b.jpg.note").write_text("x")
    wrong = verify_archive(out, forget=True)
    assert set(wrong) == {"a.jpg", "b.jpg"}
    assert process_archive(source, out, NoteJob(), ThreadPoolExecutor(1)).done == 2
    assert verify_archive(out) == {}


def test_one_relative_path_from_two_inputs_is_told(tmp_path: Path) -> None:
    one = scans(tmp_path / "one/scans", "a.jpg")
    two = scans(tmp_path / "two/scans", "a.jpg")
    summary = process_archive([one, two], tmp_path / "out", NoteJob(), ThreadPoolExecutor(1))
    assert (summary.done, summary.failed) == (1, 1)
    assert "same relative path" in next(iter(summary.failures.values()))


def test_inputs_of_every_kind(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", "x/a.jpg", "x/b.jpg", "c.jpg")
    (tmp_path / "list.txt").write_text(f"# scans\nin/x/a.jpg\n\n{source / 'c.jpg'}\n")
    (tmp_path / "m.manifest").write_text('{"source-ref": "in/c.jpg"}\n')
    executor = ThreadPoolExecutor(1)
    assert process_archive(tmp_path / "list.txt", tmp_path / "o1", NoteJob(), executor).done == 2
    assert process_archive(tmp_path / "m.manifest", tmp_path / "o2", NoteJob(), executor).done == 1
    assert process_archive(str(source / "*" / "*.jpg"), tmp_path / "o3", NoteJob(), executor).done == 2
    assert set(notes(tmp_path / "o3")) == {"x/a.jpg.note", "x/b.jpg.note"}
    for missing in ("nowhere", str(tmp_path / "*.none")):
        with pytest.raises(StorageNotFound, match=r"nowhere|\*\.none"):
            process_archive(missing, tmp_path / "o4", NoteJob(), executor)


def test_a_source_that_two_inputs_name_counts_once(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", *(f"{number}.jpg" for number in range(7)))
    listed = tmp_path / "in" / "again.txt"
    listed.write_text("".join(f"{number}.jpg\n" for number in range(7)) * 2)
    first = process_archive(listed, tmp_path / "out", NoteJob(), ThreadPoolExecutor(1))
    assert (first.done, first.failed) == (7, 0)
    again = process_archive(listed, tmp_path / "out", NoteJob(), ThreadPoolExecutor(1))
    assert (again.done, again.skipped, again.failed) == (0, 7, 0)
    assert len(notes(tmp_path / "out")) == len(list(source.glob("*.jpg")))


def test_what_was_found_before_a_bad_line_is_done(tmp_path: Path) -> None:
    scans(tmp_path, "a.jpg", "b.jpg")
    manifest = tmp_path / "some.manifest"
    manifest.write_text('{"source-ref": "a.jpg"}\n{"source-ref": "b.jpg"}\nnonsense\n')
    with pytest.raises(TilekitError, match="line 3"):
        process_archive(manifest, tmp_path / "out", NoteJob(), ThreadPoolExecutor(1))
    assert archive_status(tmp_path / "out").done in (1, 2)  # one may have been in flight


def test_a_scan_that_changes_while_it_waits_for_its_turn_is_done_as_it_is(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", *(f"{number}.jpg" for number in range(20)))

    def grow(event: dict[str, object]) -> None:
        for path in source.glob("*.jpg"):
            if path.stat().st_size == len(PAGE) and not (tmp_path / "out" / f"{path.name}.note").exists():
                path.write_bytes(PAGE + b"\0")

    done = process_archive(source, tmp_path / "out", NoteJob(), ThreadPoolExecutor(1), on_event=grow)
    assert done.done + done.failed == 20
    assert done.done > 10  # looked at again when their turn came; few were in flight
