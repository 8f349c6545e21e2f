"""The weights that every training starts from: `python benchmarks/pretrain.py --minutes 25`.

Writes tilekit/local/pretrained.npz (half precision, about 0.9 MB). The network learns to tell generated symbols
apart: the ones of tilekit.testing.symbols that the demo does not label, and glyphs of random strokes, at 2.5 to 60 px,
among text, lines and tables. The demo's own four are left out, so that the demo shows what can be learned from its
pages and not what was known before.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch

from tilekit.local.crops import CropPlan, CropSource, Picture
from tilekit.local.descent import Descent
from tilekit.local.losses import loss
from tilekit.local.network import CenterNetwork
from tilekit.local.pixels import shrink
from tilekit.local.pretraining import PRETRAINED, write_pretrained
from tilekit.testing.scenes import SceneStyle, scene_page
from tilekit.testing.symbols import DEMO_SYMBOLS, SYMBOLS, _lines, _solid

GLYPHS = 13
SIZES = ((2.5, 5.0, 64, 48), (5.0, 12.0, 96, 21), (12.0, 60.0, 192, 5))
"""px of the symbols of one kind of pages, side of the crops around them, crops in a batch."""
LARGE = CropPlan(512, 2, float("inf"), 87.0)
PAGES, WIDTH, HEIGHT = 60, 1280, 512
RATE = 4e-3


def glyphs(seed: int = 7) -> None:
    """Symbols of random strokes, and a few filled shapes, added to those that pages can show."""
    random = np.random.default_rng(seed)
    for number in range(GLYPHS):
        if number % 4 == 3:
            turns = np.sort(random.uniform(0, 2 * np.pi, random.integers(3, 6)))
            points = [(0.5 + 0.45 * math.cos(turn), 0.5 + 0.45 * math.sin(turn)) for turn in turns]
            SYMBOLS[f"glyph{number}"] = _solid(points)
            continue
        strokes = []
        for _ in range(int(random.integers(2, 5))):
            count = int(random.integers(2, 4))
            strokes.append([tuple(point) for point in random.uniform(0.05, 0.95, (count, 2)).tolist()])
        SYMBOLS[f"glyph{number}"] = _lines(*strokes)


def pictures(low: float, high: float, names: tuple[str, ...], seed: int) -> list[Picture]:
    """Pages whose symbols have `low` to `high` px once the page is shrunk to 1280 px."""
    random = np.random.default_rng([seed, int(10 * low)])
    made = []
    for number in range(PAGES):
        ratio = float(random.choice([2.0, 3.0, 4.0] if low < 5 else [1.0, 2.0] if low < 12 else [1.0]))
        size = float(np.exp(random.uniform(np.log(low), np.log(high))))
        table = (120.0 * ratio, 420.0 * ratio) if number % 2 and low >= 5 else None
        room = 0.25 * WIDTH * HEIGHT / (2.6 * size) ** 2
        pixels, labels = scene_page(
            int(random.integers(1 << 30)),
            int(WIDTH * ratio),
            int(HEIGHT * ratio),
            symbols=names,
            symbol_px=(0.85 * size * ratio, 1.15 * size * ratio),
            count=int(np.clip(room, 6, 90)),
            style=SceneStyle(float(random.uniform(0.3, 1.0)), look_alikes=(), table_px=table, noise=4.0),
        )
        made.append(Picture(shrink(pixels, WIDTH), labels.boxes / ratio, labels.class_ids))
    return made


def main() -> None:
    """Draw, learn, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=PRETRAINED)
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(given.threads)
    glyphs()
    names = tuple(name for name in SYMBOLS if name not in DEMO_SYMBOLS)
    random = np.random.default_rng(0)
    begun = time.monotonic()
    sources = [
        (CropSource(pictures(low, high, names, seed), len(names) + 1, random), CropPlan(side, count, 87.0))
        for seed, (low, high, side, count) in enumerate(SIZES)
    ]
    wide = CropPlan(192, 5, 87.0)
    turns: list[tuple[CropSource, CropPlan]] = []
    for number in range(8):
        source, plan = sources[(0, 1, 2, 0, 1, 2, 0, 1)[number]]
        turns.append((source, wide if number in (3, 4) else plan))
    turns.append((sources[2][0], LARGE))
    print(f"{len(names)} symbols, drawn in {time.monotonic() - begun:.0f} s", flush=True)
    network = CenterNetwork(1, len(names) + 1).to(memory_format=torch.channels_last)
    network.train()
    descent = Descent.of(network.parameters())
    begun, step, recent = time.monotonic(), 0, 0.0
    while (part := (time.monotonic() - begun) / (60 * given.minutes)) < 1.0:
        source, plan = turns[step % len(turns)]
        images, targets = source.batch(plan)
        value = loss(network(images), targets, network.labels)
        descent.forget()
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        descent.step(RATE * min(1.0, (step + 1) / 40) * (0.004 + 0.996 * (1 + math.cos(math.pi * part)) / 2))
        step += 1
        recent = 0.98 * recent + 0.02 * float(value.detach())
        if step % 100 == 0:
            print(
                f"step {step}, loss {recent / (1 - 0.98 ** min(step, 400)):.3f}, {100 * part:.0f} %",
                flush=True,
            )
            if step % 1000 == 0:
                write_pretrained(network, given.out)
    write_pretrained(network, given.out)


if __name__ == "__main__":
    main()
