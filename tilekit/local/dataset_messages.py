"""What a dataset's row says of itself in two answers: DescribeDataset and DescribeProjects."""

from __future__ import annotations

from typing import Any

_DONE = {
    "CREATE": "The dataset was successfully created",
    "UPDATE": "The dataset was successfully updated",
    "DELETE": "The dataset was successfully deleted",
}
_DOING = {"CREATE": "created", "UPDATE": "updated", "DELETE": "deleted"}
FROM_MANIFEST = "The dataset was successfully created from the manifest file."


def dataset_message(row: Any) -> str:
    """StatusMessage of a dataset: the reason of a failure, or what is done or being done."""
    if row["message"] and row["until"] is None:  # the outcome is told when its time has come
        return str(row["message"])
    phase, _, outcome = row["status"].partition("_")
    return f"The dataset is being {_DOING[phase]}." if outcome == "IN_PROGRESS" else f"{_DONE[phase]}."
