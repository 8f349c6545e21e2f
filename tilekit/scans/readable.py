"""Which families of formats can be read here: by the installed libvips, and by the extras."""

from __future__ import annotations

from importlib.util import find_spec

_LOADERS = ("jpeg", "png", "tiff", "webp", "heif", "gif", "svg")
_MODULES = {"pdf": "pypdfium2", "slides": "openslide", "jpeg 2000": "glymur", "heic": "pillow_heif"}


def readable() -> dict[str, bool]:
    """Family -> whether it can be read."""
    import pyvips

    found = {name: bool(pyvips.type_find("VipsForeignLoad", f"{name}load")) for name in _LOADERS}
    return found | {name: find_spec(module) is not None for name, module in _MODULES.items()}
