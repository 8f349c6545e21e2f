from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.aws.building import TILING, line, make_dataset
from tilekit.aws.project import RekognitionProject
from tilekit.aws.training import Beside, Training, TrainingOptions, read_beside
from tilekit.errors import InvalidArgument, LabelError, ServiceError, StorageNotFound, TrainingFailed
from tilekit.storage.s3 import S3Store

MakeProject = Callable[..., RekognitionProject]


def test_train_gives_a_model_with_figures_and_recipe(
    make_project: MakeProject, dataset: tuple[Path, Path], notes: list[str]
) -> None:
    done: list[tuple[int, int]] = []
    model = make_project().train(
        *dataset, progress=lambda *now: done.append(now), options=TrainingOptions(tags={"team": "maps"})
    )
    assert model.version.startswith("v-")
    assert model.f1 is not None
    assert model.metrics is not None
    assert model.metrics.labels == ("arrow", "triangle")
    assert model.metrics.f1 == model.f1
    assert model.recipe.names == ("arrow", "triangle")
    assert model.tiling == TILING
    assert done[-1] == (9, 9)
    assert any("9 sent" in note for note in notes)
    assert any("6 of 6 lines arrived" in note for note in notes)


def test_a_rerun_does_nothing_twice(
    make_project: MakeProject, dataset: tuple[Path, Path], notes: list[str]
) -> None:
    first = make_project().train(*dataset)
    calls: list[str] = []
    project = make_project()
    project.service.client.meta.events.register(
        "before-call.rekognition", lambda model, **_: calls.append(model.name)
    )
    again = project.train(*dataset)
    assert again.arn == first.arn
    assert {name for name in calls if name.startswith("Create")} == set()


def test_begun_trainings_go_on_at_once_and_are_waited_for_in_any_order(
    make_project: MakeProject, dataset: tuple[Path, Path], notes: list[str]
) -> None:
    begun = [
        make_project(name=name).begin(*dataset, version=name, state=dataset[0].parent / name)
        for name in ("one", "two")
    ]
    assert not any("completed" in note for note in notes)
    models = [training.wait() for training in reversed(begun)]
    assert [model.version for model in models] == ["two", "one"]
    assert all(model.f1 is not None for model in models)


def test_another_training_on_the_same_data_sends_nothing(
    make_project: MakeProject, dataset: tuple[Path, Path], notes: list[str]
) -> None:
    first = make_project().train(*dataset, version="one")
    notes.clear()
    second = make_project().train(*dataset, version="two", state=dataset[0].parent / "fresh")
    assert first.arn != second.arn
    assert any("0 sent" in note and "9 there already" in note for note in notes)
    assert not any("making the train dataset" in note for note in notes)


def test_changed_data_replaces_our_datasets(
    make_project: MakeProject, dataset: tuple[Path, Path], notes: list[str]
) -> None:
    first = make_project().train(*dataset)
    text = dataset[0].read_text().splitlines()
    dataset[0].write_text("\n".join(text[:-1]) + "\n")
    notes.clear()
    second = make_project().train(*dataset)
    assert first.version != second.version
    assert any("removing the former train dataset" in note for note in notes)
    assert any("5 of 5 lines arrived" in note for note in notes)
    assert not any("former test" in note for note in notes)
    with pytest.raises(InvalidArgument, match="give another version="):
        make_project().train(*dataset, version=first.version)


def test_a_dataset_of_somebody_else_is_left_alone(
    make_project: MakeProject, dataset: tuple[Path, Path]
) -> None:
    project = make_project()
    arn = project.find_or_create()
    project.service.call("CreateDataset", ProjectArn=arn, DatasetType="TRAIN")
    with pytest.raises(ServiceError, match="tilekit did not make"):
        project.train(*dataset)
    assert project.train(*dataset, options=TrainingOptions(replace=True)).f1 is not None


def test_lines_the_service_drops_are_named(
    make_project: MakeProject, dataset: tuple[Path, Path], notes: list[str]
) -> None:
    lines = dataset[0].read_text().splitlines()
    dataset[0].write_text("\n".join([*lines, lines[2]]) + "\n")
    make_project().train(*dataset)
    assert any("6 of 7 lines arrived" in note for note in notes)
    assert any("train.manifest, line 7: the image stands in the manifest twice" in note for note in notes)


def test_a_failed_training_names_the_lines(
    make_project: MakeProject, dataset: tuple[Path, Path], store: S3Store
) -> None:
    project = make_project()
    training = Training(project, *dataset)
    sent = [item.source_ref for item in training.prepared()[0].sent()]
    fault = {"code": "ERROR_MISSING_CLASS_MAP_ID", "message": "m"}
    store.put(
        "s3://aws-tests/out/train.json",
        json.dumps({"source-ref": sent[1], "a-metadata": {"errors": [fault]}}).encode(),
    )
    figures = {"total_json_lines": 6, "valid_json_lines": 5, "invalid_json_lines": 1, "ignored_json_lines": 0}
    summary = {
        "statistics": {
            "training": {
                "use_case": "OBJECT_DETECTION",
                **figures,
                "error_json_line_indices": [1],
                "errors": [],
            },
            "testing": {
                "use_case": "OBJECT_DETECTION",
                **figures,
                "error_json_line_indices": [],
                "errors": [],
            },
        },
        "errors": [{"code": "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST", "message": "too many"}],
    }
    store.put("s3://aws-tests/out/manifest_summary.json", json.dumps(summary).encode())

    def place(name: str) -> dict[str, object]:
        return {"S3Object": {"Bucket": "aws-tests", "Name": f"out/{name}"}}

    description = {
        "Status": "TRAINING_FAILED",
        "StatusMessage": "The manifest file contains too many rows that are invalid",
        "ManifestSummary": place("manifest_summary.json"),
        "TrainingDataResult": {"Validation": {"Assets": [{"GroundTruthManifest": place("train.json")}]}},
    }
    text = str(training.failure(description))
    assert "too many rows that are invalid" in text
    assert "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST: too many" in text
    assert f"{dataset[0]}, line 2: ERROR_MISSING_CLASS_MAP_ID" in text
    assert "train: 5 valid, 1 invalid and 0 ignored of 6 lines" in text
    store.delete("s3://aws-tests/out/train.json")
    assert "could not be read" in str(training.failure(description))


def test_a_failed_model_is_tried_again_only_when_told(
    make_project: MakeProject, dataset: tuple[Path, Path], notes: list[str]
) -> None:
    """The labels of train and test do not overlap: the service finds out while training."""
    dataset[1].write_text(dataset[1].read_text().replace('"arrow"', '"x"').replace('"triangle"', '"y"'))
    for again in (False, False, True):
        with pytest.raises(TrainingFailed, match="bad: training failed: "):
            make_project().train(
                *dataset, version="bad", check=False, options=TrainingOptions(retry_failed=again)
            )
        assert any("removing the failed bad" in note for note in notes) is again


def test_a_manifest_the_service_refuses(make_project: MakeProject, dataset: tuple[Path, Path]) -> None:
    lines = dataset[0].read_text().splitlines()
    dataset[0].write_text(
        "\n".join(line.replace('"0": "arrow", "1": "triangle"', "") for line in lines) + "\n"
    )
    with pytest.raises(LabelError, match=r"train\.manifest: the service refused it as train dataset: .+"):
        make_project().train(*dataset, check=False)


def test_what_is_wrong_is_said_before_a_byte_is_sent(
    make_project: MakeProject, dataset: tuple[Path, Path]
) -> None:
    project = make_project()
    with pytest.raises(StorageNotFound, match=r"nowhere\.manifest"):
        project.train(dataset[0].parent / "nowhere.manifest", dataset[1], check=False)
    dataset[0].write_text(line("train/gone.jpg", [(1, 1, 5, 5)]) + "\n")
    with pytest.raises(StorageNotFound, match=r"line 1: source-ref 'train/gone.jpg'"):
        project.train(*dataset, check=False)
    dataset[0].write_text("{]\n")
    with pytest.raises(LabelError, match="line 1: is not JSON"):
        project.train(*dataset, check=False)
    dataset[0].write_text("")
    with pytest.raises(LabelError, match="is empty"):
        project.train(*dataset, check=False)
    with pytest.raises(InvalidArgument, match="version"):
        project.train(*dataset, version="a b")
    dataset[0].write_text("".join(line("train/page-0.jpg", [(-9, 1, 5, 5)]) + "\n" for _ in range(3)))
    with pytest.raises(LabelError, match="the service would refuse these manifests"):
        project.train(*dataset)
    assert project.arn() is None


def test_the_plan_calls_nothing(dataset: tuple[Path, Path]) -> None:
    project = RekognitionProject("p", "bucket", endpoint_url="http://127.0.0.1:9")
    plan = project.plan(*dataset)
    assert plan.bytes > 9 * 1000
    assert plan.cost > 1
    assert [call.operation for call in plan.calls][-1] == "CreateProjectVersion"
    assert plan.version == project.plan(*dataset, state=dataset[0].parent / "x").version


def test_images_outside_the_folder_stay_apart(
    tmp_path: Path, make_project: MakeProject, store: S3Store
) -> None:
    make_dataset(tmp_path / "a", seed=1)
    make_dataset(tmp_path / "b", seed=2)
    for split in ("train", "test"):
        lines = [
            line(f"../{name}/{split}/page-0.jpg", [(1, 1, 9, 9)], ("arrow", "triangle")) for name in "ab"
        ]
        (tmp_path / "c").mkdir(exist_ok=True)
        (tmp_path / "c" / f"{split}.manifest").write_text("\n".join(lines) + "\n")
    project = make_project()
    model = project.train(tmp_path / "c" / "train.manifest", tmp_path / "c" / "test.manifest")
    assert model.tiling is None
    assert sum(1 for _ in store.list(project.root / "images/")) == 4


def test_what_lies_beside(tmp_path: Path) -> None:
    assert read_beside(tmp_path / "train.manifest") == Beside()
    (tmp_path / "tiling.json").write_text(json.dumps({"tiling": TILING.to_json(), "decoy": "not-a-symbol"}))
    assert read_beside(tmp_path / "train.manifest") == Beside(TILING, ("not-a-symbol",))
    (tmp_path / "tiling.json").write_text(json.dumps({"tiling": TILING.to_json(), "decoy": None}))
    assert read_beside(tmp_path / "train.manifest") == Beside(TILING)
    (tmp_path / "tiling.json").write_text("[]")
    with pytest.raises(InvalidArgument, match=r"tiling\.json"):
        read_beside(tmp_path / "train.manifest")


def test_manifests_in_a_bucket(
    make_project: MakeProject, dataset: tuple[Path, Path], store: S3Store, tmp_path: Path
) -> None:
    project = make_project()
    for path in dataset:
        lines = []
        for raw in path.read_text().splitlines():
            entry = json.loads(raw)
            place = f"s3://aws-tests/given/{entry['source-ref']}"
            store.upload(path.parent / entry["source-ref"], place)
            lines.append(json.dumps({**entry, "source-ref": place}))
        store.put(f"s3://aws-tests/given/{path.name}", ("\n".join(lines) + "\n").encode())
    value = {"tiling": TILING.to_json(), "decoy": "triangle"}
    store.put("s3://aws-tests/given/tiling.json", json.dumps(value).encode())
    where = "s3://aws-tests/given"
    model = project.train(f"{where}/train.manifest", f"{where}/test.manifest", state=tmp_path / "state")
    assert model.tiling == TILING
    assert model.detector().decoys == ("triangle",)
    assert not list(store.list(project.root / "images/"))


def test_models_copy_and_delete(
    make_project: MakeProject, dataset: tuple[Path, Path], notes: list[str]
) -> None:
    project = make_project("first-project")
    model = project.train(*dataset, version="one")
    other = make_project("second-project")
    copied = model.copy(other, "two")
    assert copied.project == "second-project"
    assert copied.version == "two"
    assert copied.tiling == TILING
    assert [item.version for item in other.models()] == ["two"]
    assert other.model("two").arn == copied.arn
    with pytest.raises(ServiceError, match="no model 'three'"):
        other.model("three")
    with pytest.raises(ServiceError, match="no model"):
        make_project("not-there").model("one")
    other.delete()
    assert other.arn() is None
    project.delete()
    assert list(project.models()) == []
