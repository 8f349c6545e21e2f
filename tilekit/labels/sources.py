"""Where a label's page is: source strings of label files to paths and back."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path, PurePosixPath, PureWindowsPath

from tilekit.pages import PageKey

PathLike = str | os.PathLike[str]


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


def resolve(text: str, folder: PathLike, images: PathLike | None = None) -> PageKey:
    """The page a label file in `folder` means by `text` (`scan.tif`, `file.pdf#page=3`, `s3://…`).

    A relative path counts from the label file's folder. With `images`, the file is looked for there: under
    the same relative path where that exists, else under its bare name.
    """
    key = PageKey.parse(text)
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


def relative(key: PageKey, folder: PathLike) -> str:
    """The text a label file in `folder` writes for a page.

    URLs stay as they are, and so do absolute paths, but for those below an absolute `folder`: these become
    relative, so that labels and scans can be moved together.
    """
    source, base = key.source, os.fspath(folder)
    if os.path.isabs(source) and os.path.isabs(base) and not is_url(source):
        inside = os.path.relpath(source, base)
        if not inside.startswith("..") and os.path.normpath(source) == source:
            return str(PageKey(Path(inside).as_posix(), key.page))
    if not is_url(source) and not os.path.isabs(source) and not (is_windows(source) and os.name != "nt"):
        source = Path(os.path.relpath(source, folder)).as_posix()
    return str(PageKey(source, key.page))


def _within(source: str, images: PathLike) -> str:
    folder = os.fspath(images)
    if is_url(folder):
        return f"{folder.rstrip('/')}/{base_name(source)}"
    tail = source.split("://", 1)[1].split("/", 1)[-1] if is_url(source) else source
    if is_windows(tail):
        tail = PureWindowsPath(tail).as_posix()
    if not os.path.isabs(tail) and not PureWindowsPath(tail).drive:
        whole = os.path.normpath(os.path.join(folder, tail))
        if os.path.exists(whole):
            return whole
    return os.path.normpath(os.path.join(folder, base_name(source)))
