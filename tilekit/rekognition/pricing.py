"""What it costs. Prices are defaults to be checked on the AWS price page, and can be given.

US$ 4 per inference unit and hour, US$ 1 per training hour: AWS's own sample
(aws-samples/amazon-rekognition-custom-brand-detection, 2024). Billed by the minute while running,
used or not; a failed training is free.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tilekit.errors import InvalidArgument

AS_OF = "2026-11-23"
"""Date on which these figures were looked up."""
TPS_PER_UNIT = 5.0
"""Tiles a second one unit is planned with; AWS promises nothing, its 2019 text said up to 5."""


@dataclass(frozen=True, slots=True)
class Prices:
    """US$ per unit-hour of a running model, per hour of training, and per 1,000 S3 PUTs."""

    unit_hour: float = 4.0
    training_hour: float = 1.0
    thousand_puts: float = 0.005

    def running(self, seconds: float, units: int = 1) -> float:
        """Cost of a model that ran for `seconds` with `units`, by begun minutes."""
        if seconds < 0 or units < 0:
            raise InvalidArgument(f"seconds={seconds!r} and units={units!r} must not be negative")
        return math.ceil(seconds / 60) / 60 * units * self.unit_hour

    def training(self, seconds: float) -> float:
        """Cost of `seconds` billed for training."""
        return seconds / 3600 * self.training_hour

    def detection(self, tiles: int, units: int = 1, tps_per_unit: float = TPS_PER_UNIT) -> float:
        """Cost of the unit-time in which `tiles` go through (starting and stopping not counted)."""
        if units < 1 or tps_per_unit <= 0:
            raise InvalidArgument(f"units={units!r} and tps_per_unit={tps_per_unit!r} must be above 0")
        return self.running(tiles / (units * tps_per_unit), units)


PRICES = Prices()


def dollars(amount: float) -> str:
    """`US$ 1.25`."""
    return f"US$ {amount:,.2f}"


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def parse_duration(text: str) -> float:
    """Seconds of `90`, `90s`, `15m`, `2h`, `1h30m`, `1d`; raises InvalidArgument on anything else."""
    import re

    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    lowered = text.strip().lower().replace(" ", "")
    if re.fullmatch(r"\d+(\.\d+)?", lowered):
        return float(lowered)
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", lowered)
    if not parts or "".join(number + unit for number, unit in parts) != lowered:
        raise InvalidArgument(f"{text!r} is not a duration; write 90s, 15m, 2h or 1h30m")
    return sum(float(number) * units[unit] for number, unit in parts)
