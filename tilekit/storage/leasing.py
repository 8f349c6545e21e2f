"""Lease: a lock by expiry, on any Place, for holders that other machines cannot see die."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from typing import TYPE_CHECKING, Any, Self

from tilekit.errors import LedgerError, StorageConflict, StorageError, StorageNotFound
from tilekit.storage.locking import me

if TYPE_CHECKING:
    from tilekit.storage.place import Place

LEASE_SECONDS = 300.0
TOUCHES = 5  # in the time of a lease


class Lease:
    """A small object that its holder rewrites every minute; one not touched for `seconds` has lapsed.

    Every write is conditional on the holder's last one, so a holder that was taken for dead finds out at its next
    touch: `lost` is then true, and what it would write under the lease must not be written. `lapsed`: it was taken
    over from a holder that died. Times compared are the place's own.
    """

    def __init__(self, place: Place, name: str, tag: str, seconds: float, note: dict[str, Any]) -> None:
        self.place, self.name, self.seconds = place, name, seconds
        self.lost = False
        self.lapsed = False
        self._tag, self._note = tag, note
        self._ended = threading.Event()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="tilekit-lease", daemon=True)
        self._thread.start()

    @classmethod
    def take(
        cls, place: Place, name: str, what: str = "", *, seconds: float = LEASE_SECONDS, **note: Any
    ) -> Self:
        """Take it where it is free or has lapsed; LedgerError, about `what`, where somebody holds it."""
        full = {**me(), "token": uuid.uuid4().hex, "seconds": seconds, **note}
        data = json.dumps(full).encode()
        try:
            return cls(place, name, place.put(name, data, if_absent=True), seconds, full)
        except StorageConflict:
            pass
        found = place.entry(name)
        holder = read_lease(place, name)
        if found is not None and place.now() - found.modified < float(holder.get("seconds", seconds)):
            raise LedgerError(
                f"{what or place / name} is held by process {holder.get('process', '?')} on "
                f"{holder.get('host', 'another machine')}; wait for it to end, or choose another place"
            )
        try:
            if found is None:
                return cls(place, name, place.put(name, data, if_absent=True), seconds, full)
            lease = cls(place, name, place.put(name, data, if_tag=found.tag), seconds, full)
            lease.lapsed = True
            return lease
        except (StorageConflict, StorageNotFound) as exc:
            raise LedgerError(f"{what or place / name} was just taken by somebody else") from exc

    def touch(self, **note: Any) -> bool:
        """Rewrite it; false, and `lost`, where it is somebody else's by now."""
        with self._turn:
            if self.lost or self._ended.is_set():
                return not self.lost
            self._note |= note | {"touch": uuid.uuid4().hex[:8]}
            try:
                self._tag = self.place.put(self.name, json.dumps(self._note).encode(), if_tag=self._tag)
            except (StorageConflict, StorageNotFound):
                self.lost = True
            return not self.lost

    def drop(self) -> None:
        """Give it back, unless it is somebody else's by now."""
        self._ended.set()
        self._thread.join(timeout=5)
        if self.lost:
            return
        found = self.place.entry(self.name)
        if found is not None and found.tag == self._tag:
            self.place.delete(self.name)

    def _keep(self) -> None:
        while not self._ended.wait(self.seconds / TOUCHES):
            with contextlib.suppress(StorageError):  # tried again at the next turn
                if not self.touch():
                    return


def read_lease(place: Place, name: str) -> dict[str, Any]:
    """What a lease says of its holder; empty where it is gone or unreadable."""
    try:
        value = json.loads(place.read(name))
    except (StorageNotFound, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
