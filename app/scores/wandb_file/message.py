"""A protobuf message by its field numbers, as far as wandb's records need it. No schema: what is not known is passed over."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_DOUBLE = struct.Struct("<d")
_KEY, _NESTED_KEY = 0x0A, 0x12  # fields 1 and 2, both with a length


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, value): a varint as int, what has a length as bytes, 4 and 8 bytes as they are.

    Raises ValueError or IndexError for what is no message.
    """
    at, end = 0, len(message)
    while at < end:
        key = message[at]
        at += 1
        if key & 0x80:
            key, at = _varint(message, at - 1)
        wire = key & 7
        if wire == 2:
            size = message[at]
            at += 1
            if size & 0x80:
                size, at = _varint(message, at - 1)
            stop = at + size
            if stop > end:
                raise ValueError("a field ends behind its message")
            value: int | bytes = message[at:stop]
            at = stop
        elif wire == 0:
            value = message[at]
            at += 1
            if value & 0x80:
                value, at = _varint(message, at - 1)
        elif wire in (1, 5):
            stop = at + (8 if wire == 1 else 4)
            value, at = message[at:stop], stop
        else:
            raise ValueError(f"wire type {wire}")
        yield key >> 3, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def signed(number: int) -> int:
    """An int32 or int64 field: negative numbers are written as 64 bits of two's complement."""
    return number - (1 << 64) if number >> 63 else number


def text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def moment_ms(timestamp: bytes) -> int:
    """A google.protobuf.Timestamp in milliseconds UTC."""
    parts = dict(fields(timestamp))
    return signed(parts.get(1, 0)) * 1000 + parts.get(2, 0) // 1_000_000


def item(message: bytes) -> tuple[tuple[str, ...], Any]:
    """A key with its value, of config, summary or history: ("loss",), 0.5. A nested key has several parts."""
    key, value = parted(message)
    return path_of(key), value_of(value)


def parted(message: bytes) -> tuple[bytes, bytes]:
    """An item's bytes that say its key, and those that say its value: the same few keys come again in every row."""
    at, end = 0, len(message)
    while at < end and message[at] in (_KEY, _NESTED_KEY):
        size, at = _varint(message, at + 1)
        at += size
    return message[:at], message[at:]


@lru_cache(maxsize=4_096)
def path_of(key: bytes) -> tuple[str, ...]:
    return tuple(text(part) for _, part in fields(key))


def value_of(value: bytes) -> Any:
    """wandb 0.31 writes values of the history as what they are, all others, as older versions do, as JSON.

    NaN and infinities, which JSON does not know, come as such or in quotes.
    """
    for number, raw in fields(value):
        if number == 6:
            return _DOUBLE.unpack(raw)[0]
        if number in (8, 16):
            return _json(raw)
        if number == 5:
            return (raw >> 1) ^ -(raw & 1)
        if number == 4:
            return bool(raw)
        if number == 7:
            return text(raw)
    return None


def _json(raw: bytes) -> Any:
    words = text(raw)  # json.loads takes bytes too, at twice the price
    try:
        return json.loads(words)
    except ValueError:
        return words
