"""`tilekit plan`: which tiling suits labeled pages, what it costs, whether it pays."""

from __future__ import annotations

import shlex

import click

from tilekit.cli.hints import next_command, unused
from tilekit.cli.output import explain, json_option, print_json, print_table, say
from tilekit.cli.reading import Reading, reading_options


@click.command()
@click.argument("labels", metavar="LABELS")
@reading_options
@click.option("--budget", type=float, help="US$ that detection on 1,000 pages may cost.")
@click.option("--price", type=float, help="US$ per inference unit and hour.")
@click.option("--rate", type=float, help="Tiles a second of one inference unit.")
@click.option("--plot", metavar="FILE", help="Draw object sizes and costs (PNG, SVG or PDF).")
@json_option
def plan(
    labels: str,
    budget: float | None,
    price: float | None,
    rate: float | None,
    plot: str | None,
    as_json: bool,
    reading: Reading,
) -> None:
    """Recommend tile and overlap for the pages of LABELS, with the cost and the alternatives."""
    from tilekit.datasets.planning import recommend_tiling
    from tilekit.rekognition.pricing import PRICES, TPS_PER_UNIT

    found = recommend_tiling(
        reading.read_aloud(labels),
        budget=budget,
        price=PRICES.unit_hour if price is None else price,
        rate=TPS_PER_UNIT if rate is None else rate,
    )
    if plot:
        found.plot(plot)
    if as_json:
        print_json(found.to_json())
        return
    print_table(*found.table(), title=f"{found.pages} pages, {found.objects.count} objects")
    if len(found.at) > 1:
        print_table(
            *found.scale_table(), title="Scales, and the share of each label's objects that they show"
        )
    if found.needed:
        print_table(*found.overlap_table(), title=f"Overlaps at {found.chosen.tile} px tiles")
    say(str(found))
    explain(*found.table()[0], str(found))
    say(
        f"Costs: US$ {found.price:g} per unit-hour, {found.rate:g} tiles a second (--price, --rate; "
        f"defaults as of {found.prices_as_of}); starting and stopping the model not counted."
    )
    next_command("dataset", labels, unused("dataset/"), *shlex.split(found.how), *reading.words)
