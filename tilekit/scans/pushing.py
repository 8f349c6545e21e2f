"""Rows of a libvips image: one pass, top to bottom, decoded by a thread of its own.

Measured at 144 Mpx, CPU seconds: a JPEG is cheapest when libvips pushes rows to a target of ours
(0.60; pulled by regions 0.77), PNG and strips when regions of about a megabyte are pulled (0.50,
0.39; pushed 0.60, 0.50). Larger regions double the cost: fresh memory is mapped for each.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from tilekit.flow import Gate
from tilekit.scans.spans import Lender, Span, SpanFiller

Pixels = NDArray[np.uint8]
_PULL_BYTES = 1 << 20
_PULL_ROWS = 1024  # libvips waits forever for a region taller than it keeps of a sequential image
_LARGEST_LEARNED = (1 << 25) - (1 << 16)


def decode_spans(
    image: Any, spans: Sequence[Span], *, pull: bool = False, gate: Gate | None = None
) -> Iterator[Pixels]:
    """Rows `start` to `stop` of a uint8 libvips image for each span; both rise from span to span.

    `pull`: fetch regions instead of being pushed to; the pixels are the same. `gate`: held while
    decoding; whoever gives one must let go of every span by itself. Memory: two spans (one being
    filled or waiting, one with the caller; without a gate as many as the caller keeps, and one) and
    libvips' own buffers. Closing the iterator stops libvips. Where the last span ends with the image,
    damage found after it is raised too. Raises pyvips.Error where libvips fails.
    """
    keep_freed_memory()
    channel, lender = _Channel(gate), Lender(gate)
    sink = _Sink(channel, SpanFiller(spans, image.width, image.bands, lender))
    work = _pull if pull else _push
    thread = threading.Thread(
        target=_gated, args=(gate, work, image, sink, channel), name="tilekit-decode", daemon=True
    )
    thread.start()
    try:
        for _ in spans:
            yield channel.take()
        if spans and spans[-1][1] == image.height:
            channel.finish()
    finally:
        channel.stop()
        lender.close()
        thread.join()


def keep_freed_memory() -> None:
    """Let glibc's malloc use freed memory again instead of giving it back and asking for it anew.

    It learns from what is freed: one unused block of almost 32 MB, its limit, tells it that blocks of
    this size come and go (mallopt(3), M_MMAP_THRESHOLD). Without that every megabyte that libvips
    hands over is mapped and cleared afresh: 204,000 page faults at 144 Mpx, and a third of the time.
    """
    np.empty(_LARGEST_LEARNED, np.uint8)


def _gated(gate: Gate | None, work: Callable[..., None], *args: object) -> None:
    if gate is None:
        work(*args)
        return
    gate.enter(urgent=True)
    try:
        work(*args)
    finally:
        gate.leave()


def _push(image: Any, sink: _Sink, channel: _Channel) -> None:
    target = pyvips.TargetCustom()
    target.on_write(sink.write)
    try:
        image.rawsave_target(target)
        channel.end(None)
    except BaseException as exc:  # noqa: BLE001 - carried to the caller's thread and raised there
        channel.end(sink.error or exc)


def _pull(image: Any, sink: _Sink, channel: _Channel) -> None:
    try:
        region = pyvips.Region.new(image)
        rows = min(max(1, _PULL_BYTES // (image.width * image.bands)), _PULL_ROWS)
        for top in range(0, image.height, rows):
            data = region.fetch(0, top, image.width, min(rows, image.height - top))
            if sink.write(data) < 0:
                break
        channel.end(sink.error)
    except BaseException as exc:  # noqa: BLE001 - carried to the caller's thread and raised there
        channel.end(exc)


class _Sink:
    """Takes bytes as they come and gives whole spans to the channel."""

    def __init__(self, channel: _Channel, filler: SpanFiller) -> None:
        self.error: BaseException | None = None
        self._channel, self._filler = channel, filler

    def write(self, buffer: Any) -> int:
        """Called by libvips. An exception must not leave it, so -1 stops the run instead."""
        try:
            for pixels in self._filler.add(np.frombuffer(buffer, np.uint8)):
                if not self._channel.give(pixels):
                    return -1
        except BaseException as exc:  # noqa: BLE001 - crosses C; raised again in the caller's thread
            self.error = exc
            return -1
        return len(buffer)


class _Channel:
    """Hands spans over one by one, with an end that may be an error, and a way to stop."""

    def __init__(self, gate: Gate | None = None) -> None:
        self._gate = gate
        self._changed = threading.Condition()
        self._waiting: Pixels | None = None
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None

    def give(self, band: Pixels) -> bool:
        """Hand over a span; returns when it is taken. False: the taker has gone."""
        if self._gate is None:
            return self._give(band)
        self._gate.leave()
        try:
            return self._give(band)
        finally:
            self._gate.enter(urgent=True)

    def _give(self, band: Pixels) -> bool:
        with self._changed:
            self._waiting = None if self._stopped else band
            del band
            self._changed.notify_all()
            while self._waiting is not None and not self._stopped:
                self._changed.wait()
            return not self._stopped

    def end(self, error: BaseException | None) -> None:
        """No more spans will come."""
        with self._changed:
            self._error = error
            self._ended = True
            self._changed.notify_all()

    def take(self) -> Pixels:
        """The next span; raises the giver's error."""
        with self._changed:
            while self._waiting is None and not self._ended:
                self._changed.wait()
            band, self._waiting = self._waiting, None
            self._changed.notify_all()
            if band is None:
                raise self._error or EOFError("fewer rows than the image has")
            return band

    def finish(self) -> None:
        """Wait for the end; raises the giver's error, such as one found after the last row."""
        with self._changed:
            while not self._ended:
                self._changed.wait()
            if self._error is not None:
                raise self._error

    def stop(self) -> None:
        """Tell the giver that nobody takes any more."""
        with self._changed:
            self._stopped = True
            self._waiting = None
            self._changed.notify_all()
