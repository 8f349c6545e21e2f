from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.local.test_network import square_pictures
from tilekit.boxes import iou
from tilekit.errors import InvalidArgument, ServiceError
from tilekit.local import ServerSettings
from tilekit.local.budget import LEAST_STEPS, MOST_STEPS, Budget, Caps
from tilekit.local.crops import Picture
from tilekit.local.descent import WEIGHT_DECAY, Descent
from tilekit.local.inference import MODEL_FILE, find, write_model
from tilekit.local.learning import LearningPlan, learn
from tilekit.local.network import CenterNetwork, Found, fused, load, start_from
from tilekit.local.pretraining import new_network
from tilekit.local.reviews import PATIENCE, PATIENCE_MISSED, Reviewer, hold_out, windows
from tilekit.testing.scenes import SceneStyle, scene_page


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def budget(caps: Caps, boxes: int = 100) -> tuple[Budget, Clock]:
    clock = Clock()
    made = Budget(caps, boxes, clock)
    made.begin()
    return made, clock


def work(made: Budget, clock: Clock, steps: int, seconds: float = 1.0, views: int = 10) -> None:
    for _ in range(steps):
        clock.now += seconds
        made.step(views)


def test_the_budget_is_views_of_a_box_whatever_a_batch_shows() -> None:
    for views in (5, 10, 40):
        made, clock = budget(Caps(views=30.0), boxes=12_000)
        work(made, clock, 50, views=views)
        assert made.most_steps() == min(30 * 12_000 / views, MOST_STEPS)
        assert ("views" if views == 40 else "steps") in made.first_cap()
    made, clock = budget(Caps(views=30.0), boxes=1)
    work(made, clock, 50)
    assert made.most_steps() == LEAST_STEPS


def test_minutes_end_it_at_the_pace_it_has() -> None:
    made, clock = budget(Caps(minutes=2.0))
    work(made, clock, 40, seconds=0.5)
    assert made.most_steps() == 40 + (120 - 20) / 0.5
    assert made.first_cap() == "2 minutes"
    assert made.seconds_for(made.most_steps() - made.steps) == pytest.approx(100)
    work(made, clock, 60, seconds=2.0)  # a machine that got busy
    assert made.most_steps() == made.steps


def test_a_clock_that_jumps_changes_little() -> None:
    made, clock = budget(Caps(minutes=10.0), boxes=10_000)
    work(made, clock, 30)
    clock.now += 3 * 3600  # the lid was closed
    made.step(10)
    clock.now -= 5 * 3600  # the clock was set back
    made.step(10)
    work(made, clock, 8)
    assert 38 <= made.seconds <= 40
    assert made.most_steps() > 450


def test_steps_asked_for_are_the_only_cap() -> None:
    made, clock = budget(Caps(steps=7), boxes=1)
    assert made.most_steps() == 7
    work(made, clock, 30, views=1000)
    assert (made.most_steps(), made.first_cap()) == (7, "7 steps")
    assert budget(Caps())[0].most_steps() == MOST_STEPS


@pytest.mark.parametrize(
    "wrong", [{"minutes": 0.0}, {"minutes": -1.0}, {"minutes": float("nan")}, {"steps": 0}]
)
def test_caps_of_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(wrong))):
        ServerSettings(**wrong)


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sets(st.integers(0, 3), max_size=3)), max_size=30),
    st.integers(0, 5),
)
def test_whole_pages_are_held_out_and_no_label_with_them(
    pictures: list[tuple[str, set[int]]], seed: int
) -> None:
    groups, labels = [page for page, _ in pictures], [some for _, some in pictures]
    taught, held = hold_out(groups, labels, np.random.default_rng(seed))
    assert sorted(taught + held) == list(range(len(pictures)))
    assert not {groups[place] for place in taught} & {groups[place] for place in held}
    assert set().union(*labels) == set().union(*(labels[place] for place in taught))
    assert len(set(groups)) >= 4 or not held


def test_windows_show_boxes_of_the_pictures() -> None:
    pictures = square_pictures(3, 4)
    cut = windows(pictures, np.random.default_rng(0), side=96)
    assert len(cut) == 12
    for window in cut:
        assert window.pixels.shape == (96, 96, 1)
        whole = (window.boxes >= 0).all(axis=1) & (window.boxes <= 96).all(axis=1)
        assert whole.any()
        for x0, y0, x1, y1 in window.boxes[whole].astype(int):
            assert (window.pixels[y0:y1, x0:x1] == 20).all()


def reviewer(scores: list[float], losses: list[float]) -> Reviewer:
    """A network that finds a share of the boxes, as told."""
    left = [list(scores), list(losses)]

    def find(network: CenterNetwork, pixels: np.ndarray) -> Found:
        share = left[0][0]
        boxes = picture.boxes[: round(share * len(picture.boxes))]
        return Found(boxes, np.ones(len(boxes)), np.zeros(len(boxes), np.int64))

    def loss(network: CenterNetwork, images: torch.Tensor, targets: object) -> float:
        left[0].pop(0)
        return left[1].pop(0)

    boxes = np.array([[10.0 * place, 10, 10 * place + 8, 18] for place in range(20)])
    picture = Picture(np.full((224, 224, 1), 255, np.uint8), boxes, np.zeros(20, np.int64))
    return Reviewer([picture], 1, find, loss)


def test_a_plateau_is_some_reviews_without_a_gain() -> None:
    network = CenterNetwork(1, 1)
    made = reviewer([0.2, 0.4, 0.4, 0.6, 0.6, 0.6, 0.6], [1.0, 0.9, 0.8, 0.79, 0.79, 0.79, 0.79])
    plateaus = []
    for step in range(7):
        made.review(network, step, 0.0)
        plateaus.append(made.plateau)
    assert plateaus == [False] * 5 + [True] * 2
    assert made.best_f1 == pytest.approx(2 * 12 / (12 + 20))
    assert PATIENCE == 2


def test_a_label_that_is_not_found_at_all_has_more_time() -> None:
    boxes = np.array([[10.0 * place, 10, 10 * place + 8, 18] for place in range(20)])
    labels = np.arange(20) % 2
    picture = Picture(np.full((224, 224, 1), 255, np.uint8), boxes, labels)
    seen = {"labels": 1}

    def find(network: CenterNetwork, pixels: np.ndarray) -> Found:
        kept = labels < seen["labels"]
        return Found(boxes[kept], np.ones(kept.sum()), labels[kept])

    network = CenterNetwork(1, 2)
    made = Reviewer([picture], 2, find, lambda *_: 1.0)
    plateaus = []
    for step in range(PATIENCE_MISSED + 1):
        made.review(network, step, 0.0)
        plateaus.append(made.plateau)
    assert plateaus == [False] * PATIENCE_MISSED + [True]
    assert made.missed == (1,)
    seen["labels"] = 2
    made.review(network, 99, 0.0)
    assert (made.missed, made.plateau) == ((), False)


@pytest.mark.slow
def test_large_crops_among_small_ones_are_normalized_as_these(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the steps are of large crops; all others move the running means."""
    kept = []
    train_with = CenterNetwork.train_with

    def watched(network: CenterNetwork, *, norms_kept: bool) -> None:
        kept.append(norms_kept)
        train_with(network, norms_kept=norms_kept)

    monkeypatch.setattr(CenterNetwork, "train_with", watched)
    boxes = np.array([[20.0 * place, 5, 20 * place + 12, 17] for place in range(9)] + [[20.0, 30, 170, 180]])
    picture = Picture(np.full((200, 200, 1), 255, np.uint8), boxes, np.zeros(10, np.int64))
    learn(CenterNetwork(1, 1), [picture], ["page"], LearningPlan(0, Caps(steps=12)), lambda message: None)
    assert kept[:9] == [False] * 4 + [True] + [False] * 4


@pytest.mark.slow
def test_what_is_twenty_times_a_mark_is_found_beside_it() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    pictures = [sheet(seed) for seed in range(8)]
    network = new_network(1, 2)
    groups = [f"page {place}" for place in range(8)]
    learn(network, pictures, groups, LearningPlan(caps=Caps(steps=480)), lambda text: None)
    ready = fused(network)
    for picture in (sheet(seed) for seed in range(100, 106)):
        found = find(ready, picture.pixels)
        sure = found.scores >= 0.4
        for label in range(2):
            wanted = picture.boxes[picture.labels == label]
            given = found.boxes[sure & (found.labels == label)]
            assert abs(len(given) - len(wanted)) <= 1
            hits = iou(wanted, given).max(axis=1, initial=0) > 0.5
            assert hits.sum() >= 0.8 * len(wanted)


def sheet(seed: int) -> Picture:
    """A page of marks of 11 to 14 px and a table of 240 to 320."""
    style = SceneStyle(0.2, table_px=(240, 320))
    pixels, labels = scene_page(seed, 640, 480, symbols=("valve",), symbol_px=(11, 14), count=8, style=style)
    return Picture(pixels, labels.boxes, labels.class_ids)


def test_the_same_seed_trains_the_same_model() -> None:
    torch.set_num_threads(1)
    models = []
    for _ in range(2):
        torch.manual_seed(3)
        network = CenterNetwork(1, 1)
        learn(
            network, square_pictures(0, 3), ["a", "b", "c"], LearningPlan(3, Caps(steps=4)), lambda text: None
        )
        models.append(network.state_dict())
    for one, other in zip(models[0].values(), models[1].values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.timeout(600)
def test_it_stops_when_it_is_done_and_says_when_it_is_not() -> None:
    torch.set_num_threads(1)
    pictures = square_pictures(0, 6)
    said: list[str] = []
    short = learn(
        CenterNetwork(1, 1), pictures, list("abcdef"), LearningPlan(caps=Caps(steps=6)), said.append
    )
    assert (short.converged, short.ended_by, short.steps) == (False, "6 steps", 6)
    assert "Not converged" in short.sentence
    assert "--minutes" in short.sentence
    blank = [Picture(picture.pixels, picture.boxes[:0], picture.labels[:0]) for picture in pictures]
    for bad, words in (([], "decoded"), (blank, "box")):
        with pytest.raises(RuntimeError, match=words):
            learn(CenterNetwork(1, 1), bad, ["a"] * len(bad), LearningPlan(), said.append)


def test_one_image_is_trained_on_and_reviewed_on_itself() -> None:
    torch.set_num_threads(1)
    outcome = learn(
        CenterNetwork(1, 1), square_pictures(0, 1), ["a"], LearningPlan(caps=Caps(steps=2)), lambda text: None
    )
    assert outcome.held_out == 0


def test_a_warm_start_carries_labels_by_name(tmp_path: Path) -> None:
    path = tmp_path / MODEL_FILE
    torch.manual_seed(1)
    old = CenterNetwork(1, 2)
    write_model(path, old, ["a", "b"])
    new = CenterNetwork(1, 3)
    assert start_from(new, ["x", "b", "a"], path) is None
    for head in ("head", "large"):
        before, after = getattr(old, head)[-1], getattr(new, head)[-1]
        assert torch.equal(after.weight[1], before.weight[1])
        assert torch.equal(after.weight[2], before.weight[0])
        assert torch.equal(after.weight[3:], before.weight[2:])
        assert torch.equal(after.bias[3:], before.bias[2:])
    assert torch.equal(new.stem[1][0].weight, old.stem[1][0].weight)
    assert "gray" in (start_from(CenterNetwork(3, 2), ["a", "b"], path) or "")
    assert "read" in (start_from(new, ["a"], tmp_path / "none") or "")


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    path = tmp_path / MODEL_FILE
    write_model(path, CenterNetwork(1, 1), ["a"])
    assert load(path)[1] == ("a",)
    stored = torch.load(path, weights_only=True)
    torch.save({**stored, "network": stored["network"] - 1}, path)
    assert "another version" in (start_from(CenterNetwork(1, 1), ["a"], path) or "")
    with pytest.raises(ServiceError, match=r"model\.pt.*another version.*train it again"):
        load(path)


@pytest.mark.slow
def test_the_descent_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours = [
        torch.nn.Parameter(torch.randn(3, 4)),
        torch.nn.Parameter(torch.randn(5)),
        torch.nn.Parameter(torch.ones(2)),
    ]
    theirs = [torch.nn.Parameter(each.detach().clone()) for each in ours]
    descent = Descent.of(ours)
    optimizer = torch.optim.AdamW(theirs, weight_decay=WEIGHT_DECAY)
    for step in range(4):
        rate = 0.1 / (1 + step)
        optimizer.param_groups[0]["lr"] = rate
        for weights in (ours, theirs):
            (weights[0].pow(2).sum() + (weights[1] * step).sum()).backward()  # the third has no gradient
        descent.step(rate)
        optimizer.step()
        descent.forget()
        optimizer.zero_grad()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.slow
def test_a_training_does_not_load_torchs_compiler() -> None:
    program = (
        "import sys, torch; from tilekit.local.descent import Descent; w = torch.nn.Parameter(torch.ones(2)); "
        "d = Descent.of([w]); w.sum().backward(); torch.nn.utils.clip_grad_norm_([w], 5.0); d.step(0.1); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def mixed_picture() -> Picture:
    """Small boxes of one label, and one of another that is as long as half the picture."""
    boxes = [[20.0 * place, 10, 20 * place + 12, 22] for place in range(30)] + [[100.0, 100, 500, 330]]
    labels = np.array([0] * 30 + [1], np.int64)
    return Picture(np.full((700, 900, 1), 255, np.uint8), np.array(boxes), labels)


def test_a_rare_large_object_is_reviewed_whole() -> None:
    cut = windows([mixed_picture()], np.random.default_rng(0))
    sides = {window.pixels.shape[0] for window in cut}
    assert min(sides) == 256
    assert max(sides) == 640
    (large,) = (window for window in cut if window.pixels.shape[0] == 640)
    x0, y0, x1, y1 = large.boxes[-1]
    assert min(x0, y0) >= 0
    assert max(x1, y1) <= 640


def test_f1_counts_a_rare_label_as_much_as_a_common_one() -> None:
    picture = mixed_picture()

    def small_ones(network: CenterNetwork, pixels: np.ndarray) -> Found:
        return Found(picture.boxes[:-1], np.ones(30), np.zeros(30, np.int64))

    whole = Picture(np.full((1024, 1024, 1), 255, np.uint8), picture.boxes, picture.labels)
    made = Reviewer([whole], 2, small_ones, lambda *given: 1.0)
    assert made.review(CenterNetwork(1, 2), 40, 0.0).f1 == pytest.approx(0.5)


def test_a_falling_loss_is_no_reason_to_go_on_where_all_is_found() -> None:
    losses = [1.0, 0.9, 0.8, 0.7, 0.6]
    for share, plateau in ((1.0, True), (0.5, False)):
        made = reviewer([share] * 5, losses)
        for step in range(5):
            made.review(CenterNetwork(1, 1), step, 0.0)
        assert made.plateau is plateau
