"""Where a label's page is: source strings of label files to paths and back."""

from __future__ import annotations

import functools
import glob
import os
import posixpath
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote

from tilekit.errors import InvalidArgument
from tilekit.labels.entries import Wrong
from tilekit.pages import PageKey

PathLike = str | os.PathLike[str]
_UPLOADED = re.compile("^[0-9a-f]{8}-")  # what Label Studio puts before the names of uploaded files
_PLAIN = re.compile(r"[\w .,()&+=@~-]+(/[\w .,()&+=@~-]+)*")  # a relative path of nothing special


def is_url(text: str) -> bool:
    """Whether it has a scheme: `s3://…`, `https://…`."""
    return "://" in text


def is_windows(text: str) -> bool:
    """Whether it can only be a Windows path: a drive, a share, or backslashes and no slash."""
    path = PureWindowsPath(text)
    return bool(path.drive) or ("\\" in text and "/" not in text)


def base_name(text: str) -> str:
    """The last part of a path or URL, Windows paths included."""
    return PureWindowsPath(text).name if is_windows(text) else PurePosixPath(text).name


def is_there(path: PathLike) -> bool:
    """Whether a file is there; names that no file can have (too long, with a NUL) are not."""
    try:
        return os.path.isfile(path)
    except (OSError, ValueError):
        return False


def resolve(text: str, folder: PathLike, images: PathLike | None = None) -> PageKey:
    """The page a label file in `folder` means by `text` (`scan.tif`, `file.pdf#page=3`, `s3://…`).

    A relative path counts from the label file's folder. With `images`, the file is looked for there: under
    the same relative path where that exists, else under its bare name. URLs lose their query; names are tried as
    they stand, then with %20 and its kin undone. Raises Wrong for what names no file.
    """
    if images is None and _PLAIN.fullmatch(text) and "./" not in text and not text.endswith("."):
        start = _start(os.fspath(folder))
        if start is not None:
            return PageKey(start + text)
    if "\0" in text:
        raise Wrong(f"names the page {text!r}, which holds a NUL; no file has such a name")
    try:
        key = PageKey.parse(text)
    except InvalidArgument as exc:
        raise Wrong(str(exc)) from exc
    source = key.source
    if images is not None:
        return PageKey(_within(source, images), key.page)
    if is_url(source):
        return key
    if is_windows(source) and os.name != "nt":
        if PureWindowsPath(source).drive:
            return key
        source = source.replace("\\", "/")
    if is_url(os.fspath(folder)) and not os.path.isabs(source):
        scheme, place = os.fspath(folder).split("://", 1)
        return PageKey(f"{scheme}://{posixpath.normpath(posixpath.join(place, source))}", key.page)
    joined = os.path.normpath(os.path.join(folder, source))
    if not os.path.isabs(source) and not os.path.isabs(os.fspath(folder)):
        joined = os.path.relpath(joined)
    return PageKey(joined, key.page)


@functools.lru_cache(maxsize=64)
def _start(folder: str) -> str | None:
    """What a plain relative path follows in a local folder; None where that takes a closer look."""
    if is_url(folder) or os.name == "nt":
        return None
    inside = os.path.normpath(folder)
    if not os.path.isabs(inside) and inside.startswith(".."):
        return None  # relpath may shorten it
    return "" if inside == "." else inside.rstrip("/") + "/"


IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".jp2", ".heic", ".avif")


def image_of(folder: PathLike, stem: str) -> str | None:
    """The image of a stem in a folder, whatever its ending; None where there is none."""
    base = os.path.join(os.fspath(folder), stem)
    for suffix in IMAGE_SUFFIXES:
        for name in (base + suffix, base + suffix.upper()):
            if is_there(name):
                return os.path.normpath(name)
    return base if is_there(base) else None


def find_image(folder: PathLike, stem: str, beside: tuple[str, ...] = ()) -> str:
    """The image of a stem in a folder or one of `beside`; `<stem>.jpg` in the folder where it is in none."""
    if "\0" in stem:
        raise Wrong(f"names the page {stem!r}, which holds a NUL; no file has such a name")
    for place in (os.fspath(folder), *beside):
        found = image_of(place, stem)
        if found is not None:
            return found
    return os.path.normpath(os.path.join(os.fspath(folder), f"{stem}.jpg"))


def named_after(path: PathLike, images: PathLike | None) -> PageKey:
    """The image a label file is named after, beside it or in `images`."""
    file = Path(path)
    folder = Path(images) if images is not None else file.parent
    for name in (file.stem, Path(file.stem).stem):
        found = sorted(folder.glob(f"{glob.escape(name)}.*")) + (
            [folder / name] if (folder / name).is_file() else []
        )
        for place in found:
            if place.suffix.lower() not in (".geojson", ".json"):
                return PageKey(str(place))
    return PageKey(str(folder / file.stem))


def relative(key: PageKey, folder: PathLike) -> str:
    """The text a label file in `folder` writes for a page.

    URLs stay as they are, and so do absolute paths, but for those below an absolute `folder`: these become
    relative, so that labels and scans can be moved together.
    """
    source, base = key.source, os.fspath(folder)
    start = base.rstrip("/") + "/"
    if (
        os.path.isabs(base)
        and source.startswith(start)
        and _PLAIN.fullmatch(source, len(start))
        and "./" not in source
    ):
        return str(PageKey(source[len(start) :], key.page))
    if os.path.isabs(source) and os.path.isabs(base) and not is_url(source):
        inside = os.path.relpath(source, base)
        if not inside.startswith("..") and os.path.normpath(source) == source:
            return str(PageKey(Path(inside).as_posix(), key.page))
    if not is_url(source) and not os.path.isabs(source) and not (is_windows(source) and os.name != "nt"):
        source = Path(os.path.relpath(source, folder)).as_posix()
    return str(PageKey(source, key.page))


def _within(source: str, images: PathLike) -> str:
    folder = os.fspath(images)
    tail = source
    if is_url(source):
        tail = re.split("[?#]", source.split("://", 1)[1].split("/", 1)[-1], maxsplit=1)[0]
    if is_windows(tail):
        tail = PureWindowsPath(tail).as_posix()
    plain = unquote(tail)
    if is_url(folder):
        return f"{folder.rstrip('/')}/{base_name(plain if is_url(source) else tail)}"
    for text in dict.fromkeys((tail, plain)):
        found = _found(folder, [part for part in text.split("/") if part not in ("", "..", ".")])
        if found is not None:
            return found
    return os.path.normpath(os.path.join(folder, base_name(plain if is_url(source) else tail)))


def _found(folder: str, parts: list[str]) -> str | None:
    """The file in `folder` that path parts mean: all of them, or ever fewer; upload names also without their prefix."""
    for start in range(len(parts)):
        whole = os.path.normpath(os.path.join(folder, *parts[start:]))
        if is_there(whole):
            return whole
    if not parts:
        return None
    bare = os.path.join(folder, _UPLOADED.sub("", parts[-1]))
    return os.path.normpath(bare) if is_there(bare) else None
