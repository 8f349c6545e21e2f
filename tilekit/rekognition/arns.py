"""Names and ARNs of the service: their patterns, read and written.

Source: the API model of Rekognition (botocore, version 2016-06-27). The trailing digits of an ARN are its
creation time in epoch milliseconds. A project's ARN cannot be derived from a version's: the digits differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tilekit.errors import InvalidArgument

_HEAD = (
    r"arn:(?P<partition>[a-z0-9-]+):rekognition:(?P<region>[a-z0-9-]+):(?P<account>\d{12})"
    r":project/(?P<project>[a-zA-Z0-9_.\-]{1,255})"
)
_PROJECT = re.compile(_HEAD + r"/(?P<created>[0-9]+)")
_VERSION = re.compile(_HEAD + r"/version/(?P<version>[a-zA-Z0-9_.\-]{1,255})/(?P<created>[0-9]+)")
_DATASET = re.compile(_HEAD + r"/dataset/(train|test)/[0-9]+")
_NAME = re.compile(r"[a-zA-Z0-9_.\-]{1,255}")
_BUCKET = re.compile(r"[0-9A-Za-z.\-_]{3,255}")
_DESCRIPTION = re.compile(r"[a-zA-Z0-9\-_. ()':,;?]{1,255}")
_S3 = re.compile(r"s3://(?P<bucket>[0-9A-Za-z.\-_]{3,255})/(?P<key>.{1,1024})", re.DOTALL)


@dataclass(frozen=True)
class _OfProject:
    """What every ARN here begins with."""

    partition: str
    region: str
    account: str
    project: str

    @property
    def _head(self) -> str:
        return f"arn:{self.partition}:rekognition:{self.region}:{self.account}:project/{self.project}"


@dataclass(frozen=True)
class ProjectArn(_OfProject):
    """`arn:<partition>:rekognition:<region>:<account>:project/<project>/<created>`."""

    created: int

    def __str__(self) -> str:
        return f"{self._head}/{self.created}"


@dataclass(frozen=True)
class VersionArn(_OfProject):
    """`…:project/<project>/version/<version>/<created>`: a model."""

    version: str
    created: int

    def __str__(self) -> str:
        return f"{self._head}/version/{self.version}/{self.created}"


def parse_project_arn(text: str) -> ProjectArn:
    """Read a project's ARN; InvalidArgument says what it is instead."""
    found = _parsed(_PROJECT, text, "project", "")
    return ProjectArn(*_common(found), int(found["created"]))


def parse_version_arn(text: str) -> VersionArn:
    """Read a model version's ARN; InvalidArgument says what it is instead."""
    found = _parsed(_VERSION, text, "model", "/version/<version>")
    return VersionArn(*_common(found), found["version"], int(found["created"]))


def check_name(name: str, what: str = "name") -> str:
    """A project's or version's name: 1-255 letters, digits, `_`, `.`, `-`."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(f"{what}={name!r}: use 1 to 255 letters, digits, '_', '.' or '-'")
    return name


def check_bucket(bucket: str) -> str:
    """A bucket's name: 3-255 letters, digits, `.`, `-`, `_`."""
    if not _BUCKET.fullmatch(bucket):
        raise InvalidArgument(f"bucket={bucket!r}: use 3 to 255 letters, digits, '.', '-' or '_'")
    return bucket


def check_description(text: str) -> str:
    """A version's description: 1-255 letters, digits and `-_. ()':,;?`."""
    if not _DESCRIPTION.fullmatch(text):
        raise InvalidArgument(f"description={text!r}: use 1 to 255 letters, digits or -_. ()':,;?")
    return text


def check_tags(tags: dict[str, str]) -> dict[str, str]:
    """At most 200 tags; keys of 1-128 characters not starting `aws:`, values of at most 256."""
    if len(tags) > 200:
        raise InvalidArgument(f"tags= has {len(tags)} entries; the service takes 200")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or key.startswith("aws:"):
            raise InvalidArgument(f"tags= key {key!r}: use 1 to 128 characters, not starting 'aws:'")
        if len(value) > 256:
            raise InvalidArgument(f"tags= value of {key!r} has {len(value)} characters; 256 are allowed")
    return tags


def split_s3(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`; InvalidArgument where it is not of that form."""
    found = _S3.fullmatch(uri)
    if found is None:
        raise InvalidArgument(f"{uri!r} is not of the form s3://bucket/key")
    return found["bucket"], found["key"]


def _parsed(pattern: re.Pattern[str], text: str, kind: str, tail: str) -> re.Match[str]:
    found = pattern.fullmatch(text)
    if found is None:
        raise InvalidArgument(
            f"{text!r} is not a {kind} ARN{_instead(text)}; its form is "
            f"arn:aws:rekognition:<region>:<12 digits>:project/<name>{tail}/<digits>"
        )
    return found


def _common(found: re.Match[str]) -> tuple[str, str, str, str]:
    return found["partition"], found["region"], found["account"], found["project"]


def _instead(text: str) -> str:
    for pattern, kind in (
        (_PROJECT, "a project's"),
        (_VERSION, "a model version's"),
        (_DATASET, "a dataset's"),
    ):
        if pattern.fullmatch(text):
            return f" but {kind}"
    return ""
