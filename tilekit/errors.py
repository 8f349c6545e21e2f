"""Every error tilekit raises on purpose.

TilekitError
├── InvalidArgument       (ValueError)         a value passed in makes no sense
├── MissingExtra          (ImportError)        an optional package is needed
├── ScanError             (OSError)            a scan cannot be opened or decoded
│   ├── ScanNotFound      (FileNotFoundError)
│   ├── ScanUnsupported                        no reader for these bytes
│   ├── ScanCorrupt                            damaged, truncated or lying bytes
│   └── ScanTooLarge                           over the pixel limit a caller can raise
├── LabelError            (ValueError)         a label file or its content is wrong
├── StorageError          (OSError)            bytes cannot be read or written
│   ├── StorageNotFound   (FileNotFoundError)
│   ├── StorageDenied     (PermissionError)
│   ├── StorageFull
│   ├── StorageConflict                        somebody else wrote there meanwhile
│   └── StorageLost                            the place is out of reach for now
│       └── StorageLogin  (StorageDenied)      the login has ended, or there is none
├── LedgerError           (RuntimeError)       a ledger is in use or not ours
├── RecipeMismatch        (ValueError)         tiles of another size or scale than the model's
├── EvaluationError       (ValueError)         truth and predictions do not fit each other
├── DetectorError         (RuntimeError)       a detector failed on a tile
│   └── DetectorMistake                        what it gives is not what detectors give
└── ServiceError          (RuntimeError)       the cloud service said no
    ├── ServiceDenied     (PermissionError)    a right is missing
    ├── ServiceThrottled                       calls outran the allowed rate
    ├── ServiceLost                            no call comes through any more
    ├── QuotaExceeded                          a quota, named, is used up
    ├── ModelNotReady                          the model is not in the state the call needs
    └── TrainingFailed                         with the lines at fault

Each message is one sentence or a few: what, where, what to do.
"""

from __future__ import annotations

from typing import TypeVar

_Kind = TypeVar("_Kind")

# The name on the package index; `tilekit` alone belongs to somebody else there.
DISTRIBUTION = "tilekit-scans"


class TilekitError(Exception):
    """Root of everything tilekit raises on purpose."""


class InvalidArgument(TilekitError, ValueError):
    """A value passed in makes no sense; the message names argument and value."""


class MissingExtra(TilekitError, ImportError):
    """An optional package is needed; the message says which of our extras brings it."""

    def __init__(self, need: str, *extras: str) -> None:
        super().__init__(f"{need}: pip install '{DISTRIBUTION}[{','.join(extras)}]'" if extras else need)


class ScanError(TilekitError, OSError):
    """A scan cannot be opened or decoded; the message names file and page."""


class ScanNotFound(ScanError, FileNotFoundError):
    """There is no such scan."""


class ScanUnsupported(ScanError):
    """No reader knows these bytes, or the needed reader is switched off."""


class ScanCorrupt(ScanError):
    """The bytes are damaged, truncated, encrypted, or lie about themselves."""


class ScanTooLarge(ScanError):
    """The scan has more pixels than the limit, which a caller can raise."""


class LabelError(TilekitError, ValueError):
    """A label file or its content is wrong; the message names file, line and field."""


class StorageError(TilekitError, OSError):
    """Bytes cannot be read or written."""


class StorageNotFound(StorageError, FileNotFoundError):
    """There is no such file or object."""


class StorageDenied(StorageError, PermissionError):
    """The file system or the bucket refuses."""


class StorageFull(StorageError):
    """No space is left where the output goes."""


class StorageConflict(StorageError):
    """What was to be written on a condition was written by somebody else meanwhile."""


class StorageLost(StorageError):
    """The place is out of reach for now: a mount, a network, a login; once it is back, run again."""


class StorageLogin(StorageLost, StorageDenied):
    """The login has ended, or there is none that can be used."""


class LedgerError(TilekitError, RuntimeError):
    """A ledger is in use by another run, or is not one of ours."""


class RecipeMismatch(TilekitError, ValueError):
    """Tiles of another size or scale than the model was trained with."""


class EvaluationError(TilekitError, ValueError):
    """Truth and predictions do not fit each other."""


class DetectorError(TilekitError, RuntimeError):
    """A detector failed on a tile."""


class DetectorMistake(DetectorError):
    """What a detector gives is not what detectors give; the message names the likely mistake."""


class ServiceError(TilekitError, RuntimeError):
    """The cloud service said no. `code` and `operation` are the service's own words."""

    def __init__(self, message: str, *, code: str = "", operation: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.operation = operation


class ServiceDenied(ServiceError, PermissionError):
    """A right is missing; the message names the action."""


class ServiceThrottled(ServiceError):
    """Calls outran the allowed rate, longer than we were willing to wait."""


class ServiceLost(ServiceError):
    """No call has come through for longer than we were willing to wait; once the service answers, run again."""


class QuotaExceeded(ServiceError):
    """A quota is used up; the message names it."""


class ModelNotReady(ServiceError):
    """The model is not in the state the call needs."""


class TrainingFailed(ServiceError):
    """Training failed; the message carries the service's reason and the lines at fault."""


def checked_kind(given: object, kind: type[_Kind], name: str = "options") -> _Kind:
    """What was given as `options=`, where it is of just this kind; a wider one says more than is heeded."""
    if type(given) is not kind:
        raise InvalidArgument(f"{name}={given!r} must be {kind.__name__}")
    return given
