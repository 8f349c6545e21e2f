"""How often `compare`'s 95 % intervals hold the true difference: simulated pages, 2,000 repetitions a row.

Pages differ in how much is on them (negative binomial) and in how hard they are (beta); the second detector finds part
of what the first one misses. The truth is the difference over 200,000 pages. `python -m benchmarks.interval_coverage`
records the rows in results/interval-coverage.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from tilekit.evaluation import comparison
from tilekit.evaluation.intervals import interval

RECORD = Path(__file__).parent / "results" / "interval-coverage.json"
PAGES = (4, 5, 10, 20)
POPULATIONS = {
    "even pages": (5, 30, 4, 4),
    "uneven pages": (1, 30, 2, 2),
    "few marks a page": (1, 10, 1, 1),
    "most on few pages": (0.5, 60, 5, 1.5),
}


def pages(rng, count, population):
    """(2 sides, 1 training, pages, 1 label, 3): true positives, false positives, false negatives."""
    shape, mean, easy, hard = population
    there = rng.negative_binomial(shape, shape / (shape + mean), count) + 1
    first = rng.beta(easy, hard, count)
    second = 1 - (1 - first) * rng.beta(2, 3, count)
    out = np.zeros((2, 1, count, 1, 3))
    for side, recall in enumerate((first, second)):
        hits = rng.binomial(there, recall)
        wrong = rng.poisson(0.1 * there * rng.gamma(1, 1, count))
        out[side, 0, :, 0] = np.stack([hits, wrong, there - hits], axis=-1)
    return out


def difference(tables):
    one, two = (comparison._figures(table.sum(axis=1), 0)[0] for table in tables)
    return two - one


def covered(rng, population, count, repetitions, samples=400):
    """Shares of the intervals that hold the truth: shipped, and plain percentiles; and the mean width."""
    true = difference(pages(rng, 200_000, population))[0]
    ours = plain = width = 0.0
    for _ in range(repetitions):
        tables = list(pages(rng, count, population))
        drawn = [comparison._figures(part, 0) for part in comparison._drawn(tables, samples, rng)]
        spread = drawn[1][:, :1] - drawn[0][:, :1]
        left_out = comparison._left_out(tables[1], 0) - comparison._left_out(tables[0], 0)
        low, high = interval(difference(tables)[:1], spread, left_out[:, :1], np.zeros(1))
        ours += low[0] <= true <= high[0]
        width += high[0] - low[0]
        below, above = np.nanpercentile(spread, [2.5, 97.5])
        plain += below <= true <= above
    return ours / repetitions, plain / repetitions, width / repetitions


def main(repetitions=2000, seed=0):
    """Print each row as it is done, and record all of them where this was the whole run."""
    rows = []
    print("| pages of | pages | holds | plain percentiles | width |\n|---|---|---|---|---|")
    for place, (name, population) in enumerate(POPULATIONS.items()):
        for count in PAGES:
            rng = np.random.default_rng([seed, place, count])
            ours, plain, width = covered(rng, population, count, repetitions)
            print(
                f"| {name} | {count} | {100 * ours:.1f} % | {100 * plain:.1f} % | {width:.3f} |", flush=True
            )
            rows.append([name, count, repetitions, round(ours, 4), round(plain, 4), round(width, 4)])
    if repetitions >= 2000:
        RECORD.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(*(int(value) for value in sys.argv[1:]))
