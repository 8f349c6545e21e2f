"""Our own words, explained where a person first meets them; docs/glossary.md has all of them at more length."""

from __future__ import annotations

import re

from tilekit.rekognition.limits import LIMITS

WORDS = {
    "cut": "an object that a tile border crosses, whole in no tile",
    "crowded": f"with more boxes than the service takes for one image ({LIMITS.max_boxes})",
    "sliver": "what a tile shows of an object where that is too little to teach it (--min-visible)",
    "decoy": "a label taught from false alarms, so that the model has a name for them; dropped after merging",
}


def explained(*texts: str) -> str | None:
    """One line for those of our words that stand in the texts; None where none does."""
    found = [
        f"{word}: {meaning}"
        for word, meaning in WORDS.items()
        if any(re.search(rf"\b{word}s?\b", text) for text in texts)
    ]
    return f"words: {'; '.join(found)} (docs/glossary.md)" if found else None
