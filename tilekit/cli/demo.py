"""`tilekit demo`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilekit.cli.hints import next_look
from tilekit.cli.output import json_option, print_json, print_table, say
from tilekit.cli.parameters import Overlap, caps_options, chosen_scales, scale_options
from tilekit.errors import MissingExtra

if TYPE_CHECKING:
    from tilekit.demo import DemoScale
    from tilekit.grid import Tiling
    from tilekit.scales import Scales

_COST = (
    "This trains {trainings} models on the real service (an hour and more each, US$ 1 an hour) and runs each of them "
    "(10 to 40 minutes with its start, US$ 4 an hour). Go on?"
)


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-out"),
    show_default=True,
    help="Folder for pages, tiles, detections and report.",
)
@click.option("--quick", is_flag=True, help="Fewer pages.")
@click.option("--repeats", default=1, show_default=True, help="Trainings of each side; more show the spread.")
@click.option("--seed", default=0, show_default=True, help="Other seeds give other pages and trainings.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Your own pages: a folder with train.manifest and test.manifest.",
)
@click.option("--tile", type=int, help="Side of a tile, px; by default what `tilekit plan` recommends.")
@click.option("--overlap", type=Overlap(), help="Overlap of tiles, px (128) or a ratio of the tile (0.125).")
@scale_options
@click.option(
    "--mixed", is_flag=True, help="Made pages also hold a large table each, to be found beside the symbols."
)
@caps_options
@click.option("--aws", is_flag=True, help="Train and detect on the real service. It costs money.")
@click.option("--bucket", help="Bucket for --aws.")
@click.option("--yes", is_flag=True, help="Do not ask before --aws spends money.")
@json_option
def demo(out: Path, data: Path | None, as_json: bool, **options: Any) -> None:
    """Whole pages against tiles: make pages, train both, find, judge, compare, report."""
    from tilekit.demo import run_demo

    aws = options["aws"]
    if aws != (options["bucket"] is not None):
        raise click.UsageError("--aws and --bucket go together")
    if options["mixed"] and data is not None:
        raise click.UsageError("--mixed is of made pages; --data takes your own")
    scale = _scale(options)
    if aws and not options["yes"]:
        click.confirm(_COST.format(trainings=2 * options["repeats"]), abort=True, err=True)
    _check_extras(aws)
    outcome = run_demo(
        out,
        scale=scale,
        seed=options["seed"],
        repeats=options["repeats"],
        data=data,
        bucket=options["bucket"],
        note=say,
        progress=_Shown(),
    )
    if as_json:
        print_json(outcome.to_json())
        return
    print_table(*outcome.table())
    click.echo()
    for sentence in outcome.words:
        click.echo(sentence)
    next_look(out / "report" / "index.html")


def _scale(options: Mapping[str, Any]) -> DemoScale:
    """How much is made, what may not be passed in training, and how pages are cut; None: as planned."""
    from tilekit.demo import FULL, MIXED_TABLE, QUICK
    from tilekit.grid import Tiling

    tile, overlap = options["tile"], options["overlap"]
    others = {"--tile": tile, "--overlap": overlap}
    scales = chosen_scales(options["scales"], options["at"], others, lambda: None)
    if scales is None and tile is None and overlap is not None:
        raise click.UsageError("--overlap goes with --tile")
    tiling: Tiling | Scales | None = scales[0] if scales is not None and len(scales) == 1 else scales
    usual = QUICK if options["quick"] else FULL
    return dataclasses.replace(
        usual,
        steps=options["steps"],
        minutes=options["minutes"],
        tiling=tiling if tile is None else Tiling(tile, overlap or 0),
        table_px=MIXED_TABLE if options["mixed"] else None,
    )


def _check_extras(aws: bool) -> None:
    """Told before pages are made, not one after the other between trainings."""
    needed = ["pypdfium2", "jinja2", "matplotlib", *([] if aws else ["torch", "moto", "werkzeug"])]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise MissingExtra(
            f"the demo needs {', '.join(missing)}", "pdf", "report", *([] if aws else ["local"])
        )


class _Shown:
    """Progress inside a step: a line at each quarter."""

    def __init__(self) -> None:
        self._last: tuple[str, int] = ("", -1)

    def __call__(self, step: str, done: int, total: int) -> None:
        quarter = 4 * done // total if total else 4
        if (step, quarter) != self._last:
            self._last = (step, quarter)
            say(f"  {step}: {done} of {total}")
