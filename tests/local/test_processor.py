"""Where a network learns, told by what torch says of the machine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tilekit.local.inference import find
from tilekit.local.network import CenterNetwork
from tilekit.local.processor import has_bfloat16, training_device


@pytest.mark.parametrize(("sees", "kind"), [(True, "cuda"), (False, "cpu")])
def test_a_graphics_processor_is_used_where_torch_sees_one(
    monkeypatch: pytest.MonkeyPatch, sees: bool, kind: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: sees)
    assert training_device().type == kind


def test_bfloat16_is_asked_of_the_device_that_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert not has_bfloat16(torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert has_bfloat16(torch.device("cuda"))


def test_images_follow_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    network = CenterNetwork(1, 1).eval()
    asked = []
    own = torch.Tensor.to
    monkeypatch.setattr(
        torch.Tensor, "to", lambda self, *args, **kw: asked.append(args) or own(self, *args, **kw)
    )
    find(network, np.full((64, 64, 1), 255, np.uint8))
    assert (network.device,) in asked
