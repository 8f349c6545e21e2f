"""The clock of billed hours: what the runs and trainings would have cost."""

from __future__ import annotations

import json

from tilekit.local.clock import billed_minutes
from tilekit.local.context import Service, settle
from tilekit.rekognition.pricing import PRICES

USAGE_PATH = "/_tilekit/usage"


def usage_report(service: Service) -> bytes:
    """JSON with running models, unit minutes, training seconds and their price in US dollars.

    Wall time of this server, each run rounded up to whole minutes; prices as in AWS's sample cost
    tables (4 a unit-hour, 1 a training hour), which may have changed.
    """
    settle(service)
    now = service.clock.now()
    runs = service.state.rows("SELECT * FROM runs")
    minutes = sum(row["units"] * billed_minutes((row["stopped"] or now) - row["started"]) for row in runs)
    trained = service.state.row("SELECT COALESCE(SUM(billable), 0) AS seconds FROM versions")
    seconds = int(trained["seconds"]) if trained else 0
    running = [row["version"] for row in runs if row["stopped"] is None]
    dollars = minutes / 60 * PRICES.unit_hour + PRICES.training(seconds)
    report = {
        "running": running,
        "unit_minutes": minutes,
        "training_seconds": seconds,
        "us_dollars": round(dollars, 4),
    }
    return json.dumps(report).encode()
