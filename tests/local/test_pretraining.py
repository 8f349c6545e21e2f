from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tilekit.local.network import CenterNetwork
from tilekit.local.pretraining import PRETRAINED, new_network, start_pretrained, write_pretrained


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("labels", [1, 7])
def test_a_new_network_knows_all_but_the_labels(bands: int, labels: int) -> None:
    torch.manual_seed(0)
    network, bare = new_network(bands, labels), CenterNetwork(bands, labels)
    assert network.state_dict().keys() == bare.state_dict().keys()
    for name, values in network.state_dict().items():
        assert values.shape == bare.state_dict()[name].shape
        assert values.isfinite().all()
        if name.endswith("0.weight") and values.ndim == 4:
            assert not torch.equal(values, bare.state_dict()[name]), f"{name} is as it was made"
    for head in (network.head[-1], network.large[-1]):
        assert all(torch.equal(head.weight[0], row) for row in head.weight[1:labels])


def test_gray_is_seen_alike_in_one_band_and_in_three() -> None:
    image = torch.rand(1, 1, 96, 128)
    gray, color = new_network(1, 2).eval(), new_network(3, 2).eval()
    with torch.inference_mode():
        for one, other in zip(gray(image), color(image.repeat(1, 3, 1, 1)), strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    torch.manual_seed(1)
    taught = CenterNetwork(1, 5)
    write_pretrained(taught, tmp_path / "some.npz")
    fresh = CenterNetwork(1, 2)
    start_pretrained(fresh, tmp_path / "some.npz")
    for name, values in fresh.state_dict().items():
        expected = taught.state_dict()[name]
        if name.startswith(("head.1.", "large.1.")):
            mean = expected[:5].mean(dim=0, keepdim=True)
            expected = torch.cat([mean, mean, expected[5:]])
        torch.testing.assert_close(values, expected, atol=2e-3, rtol=2e-3)


def test_the_weights_are_small_and_hold_no_objects() -> None:
    assert PRETRAINED.stat().st_size < 1_200_000
    with np.load(PRETRAINED, allow_pickle=False) as stored:
        assert all(np.isfinite(stored[name]).all() for name in stored.files)
