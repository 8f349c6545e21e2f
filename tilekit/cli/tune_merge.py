"""`tilekit tune-merge`: the merge policy that suits a detector, from labeled pages set aside."""

from __future__ import annotations

import click

from tilekit.cli.hints import detect_with
from tilekit.cli.output import json_option, print_json, print_table, say
from tilekit.cli.reading import Reading, reading_options
from tilekit.errors import InvalidArgument


@click.command()
@click.argument("truth")
@click.argument("tiles")
@click.option("--out", default="merge.json", show_default=True, metavar="FILE", help="The policy, as JSON.")
@click.option("--iou", type=float, default=0.5, show_default=True, help="Overlap that makes a hit.")
@reading_options
@json_option
def tune_merge(truth: str, tiles: str, out: str, iou: float, as_json: bool, reading: Reading) -> None:
    """Fit how tiles are merged to TILES (from `tilekit detect --keep-tiles`), against TRUTH (labels of the tune split)."""
    from tilekit.boxes.merging import MergePolicy
    from tilekit.detection.keeping import read_kept_tiles
    from tilekit.evaluation.merge_fitting import TunePage, fit_merge, measure_jitter, merged_counts
    from tilekit.labels.merge_policies import write_merge_policy

    labels = reading.read_aloud(truth)
    pages = [
        TunePage(found, grid, labels[key]) for key, found, grid in read_kept_tiles(tiles) if key in labels
    ]
    if not pages:
        raise InvalidArgument(f"no page of {tiles} is labeled in {truth}")
    jitters = [value for page in pages if (value := measure_jitter(page.found, page.grid)) is not None]
    policy = fit_merge(pages, iou=iou)
    before, after = merged_counts(pages, MergePolicy(), iou), merged_counts(pages, policy, iou)
    write_merge_policy(policy, out)
    jitter = sorted(jitters)[len(jitters) // 2] if jitters else None
    if as_json:
        counts = {
            name: {"f1": one.f1, "tp": one.tp, "fp": one.fp, "fn": one.fn}
            for name, one in (("default", before), ("fitted", after))
        }
        print_json({"out": out, "pages": len(pages), "jitter": jitter, "policy": policy.to_json(), **counts})
        return
    rows = [
        [name, one.tp, one.fp, one.fn, f"{one.f1 or 0:.4f}"]
        for name, one in (("default", before), ("fitted", after))
    ]
    print_table(["policy", "hits", "false alarms", "missed", "F1"], rows)
    say(
        "edges are off by "
        + ("an unknown amount: too few objects in two tiles" if jitter is None else f"{jitter:.2f} px")
    )
    say(f"{len(pages)} pages; wrote {out}")
    detect_with("SCANS", "MODEL", "--merge", out)
