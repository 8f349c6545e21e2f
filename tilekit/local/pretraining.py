"""Weights that a training starts from, as they come with the package: `benchmarks/pretrain.py` made them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tilekit.local.network import LAST, CenterNetwork
from tilekit.storage.local import atomic_path

PRETRAINED = Path(__file__).with_name("pretrained.npz")
_FIRST = "stem.0.0.weight"


def write_pretrained(network: CenterNetwork, path: Path = PRETRAINED) -> None:
    """Keep what any training can use: all weights in half precision, the labels' own as one mean row each level."""
    kept = {}
    for name, values in network.state_dict().items():
        array = values.detach().cpu().numpy()
        if name.startswith(LAST):
            mean = array[: network.labels].mean(axis=0, keepdims=True)
            array = np.concatenate([mean, array[network.labels :]])
        kept[name] = array.astype(np.float16) if array.dtype == np.float32 else array
    with atomic_path(path) as part, open(part, "wb") as file:
        np.savez_compressed(file, **kept)


def new_network(bands: int, labels: int) -> CenterNetwork:
    """A network that knows what small marks look like, and none of the labels."""
    network = CenterNetwork(bands, labels)
    start_pretrained(network)
    return network


def start_pretrained(network: CenterNetwork, path: Path = PRETRAINED) -> None:
    """Give a new network the weights that come with the package; color is looked at as gray to begin with."""
    mine = network.state_dict()
    with np.load(path) as stored:
        for name in stored.files:
            values = torch.from_numpy(stored[name].astype(mine[name].numpy().dtype))
            if name == _FIRST and network.bands == 3:
                values = values.repeat(1, 3, 1, 1) / 3
            if name.startswith(LAST):
                values = torch.cat([values[:1].repeat(network.labels, *[1] * (values.ndim - 1)), values[1:]])
            mine[name] = values
    network.load_state_dict(mine)
