"""Run every suite and record the figures: `python benchmarks/run.py [--quick] [--prepare] [--only boxes]`.

Writes benchmarks/results/<date>-<machine>.json, whole runs in at most 20 minutes, quick ones in 2. The suites are
gone through in passes: in the first, everything gets one round; further passes add rounds while they fit the time,
so that the rounds of one figure lie minutes apart. Each suite is a process of its own: one that fails, or outlasts
its share, is reported and the rest goes on. `--prepare` makes the cached inputs and times nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:
    sys.path.insert(0, str(HERE.parent))

# Suite -> seconds its first pass takes on two cores: its share of the time until everything had one round.
SHARES = {
    "startup": 15,
    "boxes": 80,
    "tiling": 190,
    "cutting": 45,
    "encoding": 15,
    "detection": 110,
    "labels": 60,
    "service": 80,
    "evaluation": 45,
    "archive": 90,
    "memory": 90,
}
ONE_SHOT = ("memory",)  # figures that do not vary: the first pass has them all
FULL_MINUTES, QUICK_MINUTES = 19.5, 1.9
MOST_PASSES = 6


def run_suite(name: str, lines: Path, seconds: float, environment: dict[str, str]) -> dict[str, object]:
    """One suite by pytest; killed with all it started when its time is up."""
    command = [
        sys.executable, "-m", "pytest", str(HERE / "targets" / f"test_{name}.py"), "-q", "-s",
        "--rootdir", str(HERE.parent), "-o", "addopts=", "-p", "no:cacheprovider", "--timeout=0", "-W", "ignore",
    ]  # fmt: skip
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=HERE.parent,
        env=environment | {"TILEKIT_BENCH_LINES": str(lines)},
        start_new_session=True,
    )
    try:
        code: int | None = process.wait(seconds)
    except subprocess.TimeoutExpired:
        code = None
    except KeyboardInterrupt:
        end(process)
        raise
    if code is None:
        end(process)
    said = {0: "ok", None: f"stopped after {seconds:.0f} s"}.get(code, f"failed (code {code})")
    return {"suite": name, "seconds": round(time.perf_counter() - start, 1), "state": said}


def end(process: subprocess.Popen[bytes]) -> None:
    """The suite and whatever it started; they are a process group of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def gather(lines: Path) -> tuple[list[dict], list[dict]]:
    """Figures and inputs a run has written so far; the rounds of all passes are put together."""
    from benchmarks.figures import joined

    found, inputs = [], {}
    if lines.exists():
        for text in lines.read_text(encoding="utf-8").splitlines():
            try:
                told = json.loads(text)
            except ValueError:
                continue  # the end of a suite that was stopped while it wrote
            if "line" in told:
                found.append(told["line"])
            else:
                inputs[told["input"]["name"]] = told["input"]
    return joined(found), list(inputs.values())


def schedule(
    chosen: list[str], total: float, states: dict[str, dict], passes: int = MOST_PASSES
) -> Iterator[tuple[str, int, float]]:
    """Suite, number of the pass, seconds it may take; `states` is what came of those before.

    The first pass shares the time by `SHARES`; a suite goes again while what it last took is left.
    """
    began = time.perf_counter()
    for number in range(passes):
        going = False
        for place, name in enumerate(chosen):
            left = total - (time.perf_counter() - began)
            if number == 0:
                going = True
                yield name, 0, max(5.0, left * SHARES[name] / sum(SHARES[other] for other in chosen[place:]))
            elif name not in ONE_SHOT and states[name]["state"] == "ok" and states[name]["last"] < left:
                going = True
                yield name, number, left
        if not going:
            return


def note_state(states: dict[str, dict], name: str, told: dict) -> None:
    """A suite's passes so far: how many, how long in all and the last, and what went wrong first."""
    before = states.get(name, {"suite": name, "passes": 0, "seconds": 0.0, "state": "ok"})
    states[name] = before | {
        "passes": before["passes"] + 1,
        "seconds": round(before["seconds"] + told["seconds"], 1),
        "last": told["seconds"],
        "state": told["state"] if before["state"] == "ok" else before["state"],
    }


def prepare(environment: dict[str, str], quick: bool) -> None:
    """Make what is cached, so that a timed run only times."""
    code = "from benchmarks.prepare import prepare; prepare()"
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE.parent, env=environment, check=False)
    if done.returncode:
        print("some inputs could not be made; their suites will say so", file=sys.stderr)


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--quick", action="store_true", help="small sizes, at most 2 minutes; for trying it out"
    )
    options.add_argument(
        "--only", action="append", choices=list(SHARES), help="run just this suite; may be repeated"
    )
    options.add_argument(
        "--minutes", type=float, help=f"time for all (default {FULL_MINUTES:g}, quick {QUICK_MINUTES:g})"
    )
    options.add_argument("--cache", help="where made scans are kept (default ~/.cache/tilekit-bench)")
    options.add_argument("--out", help="the result file (default benchmarks/results/<date>-<machine>.json)")
    options.add_argument("--prepare", action="store_true", help="only make the inputs")
    given = options.parse_args()
    from benchmarks.peers import PACKAGES
    from tilekit.bench.document import new_document
    from tilekit.bench.machine import energy_joules, machine_slug, today

    minutes = given.minutes or (QUICK_MINUTES if given.quick else FULL_MINUTES)
    environment = os.environ | {
        "TILEKIT_BENCH_QUICK": "1" if given.quick else "0",
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    if given.cache:
        environment["TILEKIT_BENCH_CACHE"] = str(Path(given.cache).resolve())
    print("inputs ...", flush=True)
    prepare(environment, given.quick)
    if given.prepare:
        return 0
    document = new_document("suites", PACKAGES, quick=given.quick, minutes=minutes)
    slug = f"{today()}-{machine_slug()}" + ("-quick" if given.quick else "")
    out = Path(given.out) if given.out else HERE / "results" / f"{slug}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    energy, began = energy_joules(), time.perf_counter()
    chosen, passes = given.only or list(SHARES), 1 if given.quick else MOST_PASSES
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "lines.jsonl")
        environment["TILEKIT_BENCH_STATE"] = folder
        states: dict[str, dict] = {}
        for name, number, seconds in schedule(chosen, minutes * 60, states, passes):
            print(f"\n== {name}, pass {number + 1}, at most {seconds:.0f} s", flush=True)
            told = run_suite(name, lines, seconds, environment | {"TILEKIT_BENCH_PASS": str(number)})
            print(f"== {name}: {told['state']} after {told['seconds']:.0f} s", flush=True)
            note_state(states, name, told)
            document["suites"] = list(states.values())
            document["lines"], document["inputs"] = gather(lines)
            document["seconds"] = round(time.perf_counter() - began, 1)
            out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    after = energy_joules()
    document["energy_joules"] = None if energy is None or after is None else round(after - energy, 1)
    out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    from benchmarks.table import summary

    print(f"\n{summary(document)}\nwritten: {out}\nnext: python benchmarks/table.py {out}")
    return 0 if all(suite["state"] == "ok" for suite in document["suites"]) else 1


if __name__ == "__main__":
    sys.exit(main())
