"""How the points of a curve lie in the journal: float32, and of epochs that count up one by one only the first."""

from __future__ import annotations

from array import array
from collections.abc import Sequence


def points_blob(values: Sequence[float]) -> bytes:
    return array("f", values).tobytes()


def epochs_blob(epochs: Sequence[float]) -> bytes:
    """The first alone where each of the others is one more than the one before, as almost always; else all of them."""
    every = array("f", epochs)
    return (every[:1] if every == _counted_up(every[:1], len(every)) else every).tobytes()


def points_of(blob: bytes) -> tuple[float, ...]:
    return tuple(_floats(blob))


def epochs_of(blob: bytes, count: int) -> tuple[float, ...]:
    """The epochs of `count` points."""
    kept = _floats(blob)
    return tuple(_counted_up(kept, count) if len(kept) < count else kept)


def _counted_up(first: array[float], count: int) -> array[float]:
    return array("f", (first[0] + number for number in range(count))) if first else first


def _floats(blob: bytes) -> array[float]:
    read = array("f")
    read.frombytes(blob)
    return read
