"""Run every suite and record the figures: `python benchmarks/run.py [--quick] [--prepare] [--only boxes]`.

Writes benchmarks/results/<date>-<machine>.json, whole runs in at most 15 minutes, quick ones in 2. Each suite is a
process of its own: one that fails, or outlasts its share of the time, is reported and the rest goes on.
`--prepare` makes the cached inputs and times nothing.
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
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Suite -> seconds of a run of 15 minutes. What ends early leaves its time to the others.
SHARES = {
    "startup": 60,
    "boxes": 190,
    "tiling": 300,
    "detection": 140,
    "archive": 130,
    "evaluation": 60,
    "memory": 130,
}
FULL_MINUTES, QUICK_MINUTES = 15.0, 2.0


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
    """Figures and inputs a run has written so far."""
    figures, inputs = [], {}
    if lines.exists():
        for text in lines.read_text(encoding="utf-8").splitlines():
            try:
                found = json.loads(text)
            except ValueError:
                continue  # the end of a suite that was stopped while it wrote
            if "line" in found:
                figures.append(found["line"])
            else:
                inputs[found["input"]["name"]] = found["input"]
    return figures, list(inputs.values())


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
    sys.path.insert(0, str(HERE.parent))
    from tilekit.bench.document import new_document
    from tilekit.bench.machine import energy_joules, machine_slug, today

    minutes = given.minutes or (QUICK_MINUTES if given.quick else FULL_MINUTES)
    environment = os.environ | {
        "TILEKIT_BENCH_QUICK": "1" if given.quick else "0",
        "TILEKIT_BENCH_SCALE": str(min(1.0, minutes / FULL_MINUTES) if not given.quick else 1.0),
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    if given.cache:
        environment["TILEKIT_BENCH_CACHE"] = str(Path(given.cache).resolve())
    print("inputs ...", flush=True)
    prepare(environment, given.quick)
    if given.prepare:
        return 0
    document = new_document("suites", quick=given.quick, minutes=minutes)
    slug = f"{today()}-{machine_slug()}" + ("-quick" if given.quick else "")
    out = Path(given.out) if given.out else HERE / "results" / f"{slug}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    energy, began = energy_joules(), time.perf_counter()
    chosen = given.only or list(SHARES)
    document["suites"] = []
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "lines.jsonl")
        for place, name in enumerate(chosen):
            left = minutes * 60 - (time.perf_counter() - began)
            ahead = sum(SHARES[other] for other in chosen[place:])
            seconds = max(5.0, left * SHARES[name] / ahead) if not given.only else max(5.0, left)
            print(f"\n== {name} ({place + 1} of {len(chosen)}), at most {seconds:.0f} s", flush=True)
            document["suites"].append(run_suite(name, lines, seconds, environment))
            print(f"== {name}: {document['suites'][-1]['state']}", flush=True)
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
