"""The recorded trainings that the expected recall rests on.

Those of docs/demo-results.md, and both sides of the generated worlds of docs/results.md (`benchmarks/worlds.py`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One side of a recorded training: `px` of the median object as trained on, mean `recall` over its labels."""

    what: str
    side: str
    px: float
    recall: float


DOCUMENTS = (
    RecordedRun("demo, seed 0", "whole", 4.0, 0.712),
    RecordedRun("demo, seed 1", "whole", 4.0, 0.621),
    RecordedRun("demo, seed 2", "whole", 4.0, 0.613),
    RecordedRun("sheets of a manual, four signs", "whole", 4.7, 0.555),
    RecordedRun("made pages in color, eight labels", "whole", 5.9, 0.588),
    RecordedRun("letter pages, four signs, one rare", "whole", 9.3, 0.781),
    RecordedRun("letter pages, three signs", "whole", 9.3, 0.966),
    RecordedRun("sheets of a manual, four signs", "tiles", 12.0, 0.962),
    RecordedRun("letter pages, four signs, one rare", "tiles", 12.0, 0.859),
    RecordedRun("letter pages, three signs", "tiles", 12.0, 0.983),
    RecordedRun("demo, seed 0", "tiles", 12.5, 0.950),
    RecordedRun("demo, seed 1", "tiles", 12.5, 0.942),
    RecordedRun("demo, seed 2", "tiles", 12.5, 0.975),
    RecordedRun("made pages in color, eight labels", "tiles", 32.0, 0.946),
)
"""Made and real documents, trained with 400 and 500 steps."""
WORLDS = (
    RecordedRun("world of 3 px, 5 boxes, look-alikes", "whole", 2.9, 0.365),
    RecordedRun("world of 3 px, 5 boxes, look-alikes", "tiles", 6.0, 0.812),
    RecordedRun("world of 4.6 px, 20 boxes, look-alikes", "whole", 4.4, 0.912),
    RecordedRun("world of 4.6 px, 20 boxes, look-alikes", "tiles", 8.7, 0.962),
    RecordedRun("world of 7.1 px, 60 boxes, look-alikes", "whole", 6.5, 0.994),
    RecordedRun("world of 7.1 px, 60 boxes, look-alikes", "tiles", 16.2, 1.000),
    RecordedRun("world of 10.8 px, 200 boxes, look-alikes", "whole", 9.8, 0.995),
    RecordedRun("world of 10.8 px, 200 boxes, look-alikes", "tiles", 19.5, 1.000),
    RecordedRun("world of 16.6 px, 5 boxes", "whole", 15.1, 1.000),
    RecordedRun("world of 16.6 px, 5 boxes", "tiles", 30.4, 1.000),
    RecordedRun("world of 25.4 px, 20 boxes", "whole", 23.1, 1.000),
    RecordedRun("world of 25.4 px, 20 boxes", "tiles", 39.3, 1.000),
    RecordedRun("world of 39 px, 19 boxes", "whole", 35.4, 0.987),
    RecordedRun("world of 39 px, 19 boxes", "tiles", 58.4, 1.000),
    RecordedRun("world of 60 px, 8 boxes", "whole", 52.3, 0.958),
    RecordedRun("world of 60 px, 8 boxes", "tiles", 52.5, 0.958),
    RecordedRun("world of 3 px, 20 boxes", "whole", 3.0, 0.881),
    RecordedRun("world of 3 px, 20 boxes", "tiles", 6.0, 0.988),
    RecordedRun("world of 4.6 px, 60 boxes", "whole", 4.2, 0.996),
    RecordedRun("world of 4.6 px, 60 boxes", "tiles", 10.6, 0.996),
    RecordedRun("world of 7.1 px, 200 boxes", "whole", 6.6, 0.995),
    RecordedRun("world of 7.1 px, 200 boxes", "tiles", 13.0, 0.999),
    RecordedRun("world of 10.8 px, 5 boxes", "whole", 9.6, 1.000),
    RecordedRun("world of 10.8 px, 5 boxes", "tiles", 19.2, 1.000),
    RecordedRun("world of 16.6 px, 20 boxes, look-alikes", "whole", 15.2, 0.994),
    RecordedRun("world of 16.6 px, 20 boxes, look-alikes", "tiles", 30.7, 0.994),
    RecordedRun("world of 25.4 px, 45 boxes, look-alikes", "whole", 23.5, 0.988),
    RecordedRun("world of 25.4 px, 45 boxes, look-alikes", "tiles", 38.7, 0.976),
    RecordedRun("world of 39 px, 19 boxes, look-alikes", "whole", 36.5, 0.977),
    RecordedRun("world of 39 px, 19 boxes, look-alikes", "tiles", 59.2, 1.000),
    RecordedRun("world of 60 px, 5 boxes, look-alikes", "whole", 54.0, 1.000),
    RecordedRun("world of 60 px, 5 boxes, look-alikes", "tiles", 54.0, 1.000),
    RecordedRun("world of 3 px, 60 boxes, look-alikes", "whole", 2.9, 0.938),
    RecordedRun("world of 3 px, 60 boxes, look-alikes", "tiles", 7.2, 0.994),
    RecordedRun("world of 4.6 px, 200 boxes, look-alikes", "whole", 4.3, 0.948),
    RecordedRun("world of 4.6 px, 200 boxes, look-alikes", "tiles", 8.6, 0.996),
    RecordedRun("world of 7.1 px, 5 boxes, look-alikes", "whole", 6.5, 0.719),
    RecordedRun("world of 7.1 px, 5 boxes, look-alikes", "tiles", 13.4, 0.979),
    RecordedRun("world of 10.8 px, 20 boxes, look-alikes", "whole", 10.0, 0.988),
    RecordedRun("world of 10.8 px, 20 boxes, look-alikes", "tiles", 19.8, 0.988),
    RecordedRun("world of 16.6 px, 60 boxes", "whole", 15.5, 1.000),
    RecordedRun("world of 16.6 px, 60 boxes", "tiles", 38.6, 1.000),
    RecordedRun("world of 25.4 px, 45 boxes", "whole", 23.8, 1.000),
    RecordedRun("world of 25.4 px, 45 boxes", "tiles", 39.6, 1.000),
    RecordedRun("world of 39 px, 5 boxes", "whole", 35.9, 1.000),
    RecordedRun("world of 39 px, 5 boxes", "tiles", 55.8, 1.000),
    RecordedRun("world of 60 px, 8 boxes", "whole", 52.5, 0.962),
    RecordedRun("world of 60 px, 8 boxes", "tiles", 53.7, 0.962),
    RecordedRun("world of 3 px, 200 boxes", "whole", 3.0, 0.958),
    RecordedRun("world of 3 px, 200 boxes", "tiles", 6.1, 0.994),
    RecordedRun("world of 4.6 px, 5 boxes", "whole", 4.5, 0.917),
    RecordedRun("world of 4.6 px, 5 boxes", "tiles", 8.8, 1.000),
    RecordedRun("world of 7.1 px, 20 boxes", "whole", 6.7, 0.994),
    RecordedRun("world of 7.1 px, 20 boxes", "tiles", 13.2, 1.000),
    RecordedRun("world of 10.8 px, 60 boxes", "whole", 10.2, 0.994),
    RecordedRun("world of 10.8 px, 60 boxes", "tiles", 25.3, 0.998),
    RecordedRun("world of 16.6 px, 105 boxes, look-alikes", "whole", 14.8, 0.996),
    RecordedRun("world of 16.6 px, 105 boxes, look-alikes", "tiles", 30.1, 1.000),
    RecordedRun("world of 25.4 px, 5 boxes, look-alikes", "whole", 22.4, 1.000),
    RecordedRun("world of 25.4 px, 5 boxes, look-alikes", "tiles", 37.5, 0.979),
    RecordedRun("world of 39 px, 19 boxes, look-alikes", "whole", 35.1, 1.000),
    RecordedRun("world of 39 px, 19 boxes, look-alikes", "tiles", 57.1, 0.988),
    RecordedRun("world of 60 px, 8 boxes, look-alikes", "whole", 53.3, 1.000),
    RecordedRun("world of 60 px, 8 boxes, look-alikes", "tiles", 53.7, 1.000),
)
"""Generated worlds of 10 pages, trained with 500 to 1,340 steps."""
PRETRAINED = (
    RecordedRun("world of 3 px, 5 boxes, look-alikes", "whole", 2.9, 0.698),
    RecordedRun("world of 3 px, 5 boxes, look-alikes", "tiles", 6.0, 0.917),
    RecordedRun("world of 7.1 px, 60 boxes, look-alikes", "whole", 6.4, 1.000),
    RecordedRun("world of 7.1 px, 60 boxes, look-alikes", "tiles", 15.7, 0.998),
    RecordedRun("world of 16.6 px, 5 boxes", "whole", 15.6, 1.000),
    RecordedRun("world of 16.6 px, 5 boxes", "tiles", 31.4, 1.000),
    RecordedRun("world of 25.4 px, 20 boxes", "whole", 23.8, 1.000),
    RecordedRun("world of 25.4 px, 20 boxes", "tiles", 39.8, 0.992),
    RecordedRun("world of 39 px, 19 boxes", "whole", 34.1, 1.000),
    RecordedRun("world of 39 px, 19 boxes", "tiles", 54.9, 0.974),
    RecordedRun("demo, sheets of 8,600 px, seed 0", "whole", 1.6, 0.499),
    RecordedRun("demo, sheets of 8,600 px, seed 0", "tiles", 11.0, 0.977),
)
"""Worlds and a demo trained to their plateau, from the weights that come with the package; those above began at nothing."""
RUNS = (*DOCUMENTS, *WORLDS, *PRETRAINED)
