"""What travels with a model: how its tiles were cut, its labels, its manifests.

Kept as an object beside the training output, and the tiling also as a tag of the version, so that either
alone tells which tiles a model wants.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tilekit.errors import InvalidArgument, RecipeMismatch, StorageError, StorageNotFound
from tilekit.grid import Tiling
from tilekit.scales import Scales, as_scales, tiling_from_json
from tilekit.storage.s3 import S3Location, S3Store

TILING_TAG = "tilekit-tiling"
MANIFESTS_TAG = "tilekit-manifests"
_FILE = "tilekit-model.json"
_FORMAT = 1


@dataclass(frozen=True)
class ModelRecipe:
    """`tiling` (None: whole images; Scales where it was trained on several), `names` of the labels, `digest` of the manifests, `project_arn`.

    `decoys`: labels that teach what to ignore; they take part in merging and are dropped then.
    """

    tiling: Tiling | Scales | None = None
    names: tuple[str, ...] = ()
    digest: str = ""
    project_arn: str = ""
    decoys: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "format": _FORMAT,
            "tiling": self.tiling.to_json() if self.tiling is not None else None,
            "names": list(self.names),
            "manifests": self.digest,
            "project_arn": self.project_arn,
            "decoys": list(self.decoys),
        }

    @classmethod
    def from_json(cls, value: Any) -> ModelRecipe:
        """Read what `to_json` wrote; raises InvalidArgument on anything else."""
        if not isinstance(value, dict) or value.get("format") != _FORMAT:
            raise InvalidArgument("is not a model recipe of this version of tilekit")
        tiling = value.get("tiling")
        return cls(
            tiling_from_json(tiling) if tiling is not None else None,
            tuple(value.get("names", ())),
            str(value.get("manifests", "")),
            str(value.get("project_arn", "")),
            tuple(value.get("decoys", ())),
        )


def recipe_place(output: S3Location, version: str) -> S3Location:
    """Where the recipe of a version lies: beside its training output."""
    return output / version / _FILE


def write_recipe(store: S3Store, place: S3Location, recipe: ModelRecipe) -> None:
    """Keep a recipe in the bucket, unless it stands there already."""
    data = json.dumps(recipe.to_json(), ensure_ascii=False, indent=2).encode()
    try:
        if store.get(place) == data:
            return
    except StorageNotFound:
        pass
    store.put(place, data, content_type="application/json")


def read_recipe(store: S3Store, place: S3Location) -> ModelRecipe | None:
    """The recipe of a model, or None where there is none (a model trained without tilekit)."""
    try:
        text = store.get_text(place)
    except StorageNotFound:
        return None
    try:
        return ModelRecipe.from_json(json.loads(text))
    except ValueError as exc:
        raise StorageError(f"{place}: {exc}") from exc


def tiling_tag(tiling: Tiling | Scales | None) -> str:
    """A tiling in the letters a tag may have: `tile=1024:1024 overlap=128:128 edge=shift scale=1.0`; scales with
    slashes between them."""
    if tiling is None:
        return "whole"
    return " / ".join(_tag_of(one) for one in as_scales(tiling))


def _tag_of(tiling: Tiling) -> str:
    parts = []
    for key, value in tiling.to_json().items():
        if value is not None:
            text = ":".join(repr(item) for item in value) if isinstance(value, list) else str(value)
            parts.append(f"{key}={text}")
    return " ".join(parts)


def tiling_of_tag(text: str) -> Tiling | Scales | None:
    """Read what `tiling_tag` wrote; raises InvalidArgument on anything else."""
    if text == "whole":
        return None
    return tiling_from_json([_of_tag(part) for part in text.split(" / ")])


def _of_tag(text: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for part in text.split(" "):
        key, _, value = part.partition("=")
        if key == "edge" or (key in ("bands", "levels") and value.isalpha()):
            fields[key] = value
            continue
        try:
            numbers = [float(item) if "." in item or "e" in item else int(item) for item in value.split(":")]
        except ValueError as exc:
            raise InvalidArgument(f"tag {TILING_TAG}: {part!r} is not part of a tiling") from exc
        fields[key] = numbers if len(numbers) > 1 or key == "bands" else numbers[0]
    return fields


def check_tiling(
    trained: Tiling | Scales | None, given: Tiling | Scales | None, model: str, *, force: bool = False
) -> None:
    """Refuse tiles of another size or scale than the model's; the overlap may differ, and not all scales be used.

    Raises RecipeMismatch, unless `force`.
    """
    if force or trained == given:
        return
    if trained is not None and given is not None:
        known = [one.look for one in as_scales(trained)]
        if all(one.look in known for one in as_scales(given)):
            return
    raise RecipeMismatch(
        f"{model} was trained on {_words(trained)}, not on {_words(given)}; detect with the same tiling, or "
        "force it with force=True (--force) if you know that objects have the same size in pixels"
    )


def _words(tiling: Tiling | Scales | None) -> str:
    return "whole pages" if tiling is None else " and ".join(map(_word, as_scales(tiling)))


def _word(tiling: Tiling) -> str:
    if tiling.fit is not None:
        return f"whole pages of at most {tiling.fit} px"
    if tiling.division is not None:
        return f"parts of {tiling.division}"
    width, height = tiling.tile_size
    at = (
        f" at {tiling.dpi:g} dpi"
        if tiling.dpi
        else f" at scale {tiling.scale:g}"
        if tiling.scale != 1
        else ""
    )
    return f"tiles of {width} x {height} px{at}"
