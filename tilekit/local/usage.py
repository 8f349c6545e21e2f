"""The clock of billed hours: what the runs and trainings would have cost."""

from __future__ import annotations

import http.client
import json
import urllib.request

from tilekit.local.clock import billed_minutes
from tilekit.local.context import Backend, settle
from tilekit.rekognition.pricing import PRICES

USAGE_PATH = "/_tilekit/usage"
_BUFFER = 1 << 20


def usage_report(backend: Backend) -> bytes:
    """JSON with running models, unit minutes, training seconds, their price in US dollars, and the server's bucket.

    Wall time of this server, each run rounded up to whole minutes; prices as in AWS's sample cost
    tables (4 a unit-hour, 1 a training hour), which may have changed.
    """
    settle(backend)
    now = backend.clock.now()
    runs = backend.state.rows("SELECT * FROM runs")
    minutes = sum(row["units"] * billed_minutes((row["stopped"] or now) - row["started"]) for row in runs)
    trained = backend.state.row("SELECT COALESCE(SUM(billable), 0) AS seconds FROM versions")
    seconds = int(trained["seconds"]) if trained else 0
    running = [row["version"] for row in runs if row["stopped"] is None]
    dollars = minutes / 60 * PRICES.unit_hour + PRICES.training(seconds)
    report = {
        "running": running,
        "unit_minutes": minutes,
        "training_seconds": seconds,
        "us_dollars": round(dollars, 4),
        "bucket": backend.settings.bucket,
    }
    return json.dumps(report).encode()


def bucket_of(url: str) -> str | None:
    """The bucket of the local server at `url`; None where no local server answers there."""
    try:
        with urllib.request.urlopen(url.rstrip("/") + USAGE_PATH, timeout=5) as answer:
            found = json.loads(answer.read(_BUFFER)).get("bucket")
    except (OSError, ValueError, AttributeError, http.client.HTTPException):
        return None
    return found if isinstance(found, str) and found else None
