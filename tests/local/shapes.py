"""Requests by botocore's model of the service: for any shape a strategy of JSON values that fit it, or nearly."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import strategies as st

# Texts for patterns too long to draw from; the ARNs are of resources that are not there.
PLACE = "arn:aws:rekognition:us-east-1:123456789012"
TEXTS = {
    "ProjectArn": f"{PLACE}:project/none/1",
    "ProjectVersionArn": f"{PLACE}:project/none/version/none/1",
    "DatasetArn": f"{PLACE}:project/none/dataset/train/1",
    "ResourceArn": f"{PLACE}:project/none/1",
}


def values(shape: Any, name: str = "", depth: int = 0) -> st.SearchStrategy[Any]:
    """JSON values of a shape."""
    kind = shape.type_name
    if kind == "structure":
        required = {
            member: values(shape.members[member], member, depth + 1) for member in shape.required_members
        }
        more = [member for member in shape.members if member not in required]
        optional = (
            {} if depth > 3 else {member: values(shape.members[member], member, depth + 1) for member in more}
        )
        return st.fixed_dictionaries(required, optional=optional)
    if kind == "list":
        least = int(shape.metadata.get("min", 0))
        return st.lists(
            values(shape.member, name.removesuffix("s"), depth + 1), min_size=least, max_size=max(2, least)
        )
    if kind == "map":
        return st.dictionaries(
            values(shape.key, "", depth + 1), values(shape.value, "", depth + 1), max_size=2
        )
    return scalars(shape, name)


def scalars(shape: Any, name: str) -> st.SearchStrategy[Any]:
    kind, facts = shape.type_name, shape.metadata
    if kind == "boolean":
        return st.booleans()
    if kind in ("integer", "long"):
        low = int(facts.get("min", 0))
        return st.integers(low, max(low, min(int(facts.get("max", 50)), 1000)))
    if kind in ("float", "double"):
        return st.floats(float(facts.get("min", 0)), float(facts.get("max", 100)))
    if kind == "timestamp":
        return st.integers(0, 2_000_000_000)
    if kind == "blob":
        return st.binary(min_size=1, max_size=40).map(lambda data: base64.b64encode(data).decode())
    if shape.enum:
        return st.sampled_from(list(shape.enum))
    if name in TEXTS:
        return st.just(TEXTS[name])
    least = max(1, int(facts.get("min", 1)))
    plain = st.text("abcxyz019", min_size=least, max_size=max(least, 12))
    return (
        plain
        if not facts.get("pattern")
        else plain | st.from_regex(f"[a-z]{{{least},{least + 8}}}", fullmatch=True)
    )


def bent(value: Any) -> st.SearchStrategy[Any]:
    """The value with something of it replaced by something of another kind, or left out."""
    other = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just([]) | st.just({})
    if isinstance(value, dict) and value:

        def replaced(name: str) -> st.SearchStrategy[Any]:
            rest = {key: item for key, item in value.items() if key != name}
            return st.just(rest) | bent(value[name]).map(lambda item: {**rest, name: item})

        return other | st.sampled_from(sorted(value)).flatmap(replaced)
    return other
