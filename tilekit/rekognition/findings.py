"""Finding: one thing the service would say of a line, or of a manifest."""

from __future__ import annotations

from dataclasses import dataclass

from tilekit.rekognition.codes import CODES, Code


@dataclass(frozen=True, slots=True)
class Finding:
    """A code and the particulars.

    `attribute`: the key of the line it is about (a label attribute or its `-metadata`), empty for the whole line.
    `index`: the annotation it is about, or -1.
    """

    code: str
    detail: str = ""
    attribute: str = ""
    index: int = -1

    @property
    def about(self) -> Code:
        """The code's level, message and fix."""
        return CODES[self.code]

    @property
    def message(self) -> str:
        """The service's message, then the particulars."""
        return (
            f"{self.about.message} {self.place}{self.detail}".rstrip() if self.detail else self.about.message
        )

    @property
    def place(self) -> str:
        """`bounding-box.annotations[3]: `, or empty for the whole line."""
        if not self.attribute:
            return ""
        return f"{self.attribute}.annotations[{self.index}]: " if self.index >= 0 else f"{self.attribute}: "
