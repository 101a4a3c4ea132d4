"""The records of a .wandb file, whole ones only: of a file still being written, cut off or damaged too.

The file is a LevelDB log (checked with wandb 0.31): a header of 7 bytes (":W&B", 0xE1BE, version 0), then blocks of 32 KiB, the
first of which begins at byte 0. A block holds chunks: CRC-32 of type and content (4 bytes, little-endian), length (2), type (1),
content. Type 1 is a whole record, 2 its first part, 3 a middle one, 4 its last. What is left of a block that has no room for a
chunk's head is filled with zeros.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.contract import OnehourError

BLOCK = 32_768
FILE_HEAD = b":W&B\xe1\xbe\x00"
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4
_HEAD = struct.Struct("<IHB")
_CRC_OF_TYPE = [zlib.crc32(bytes([number])) for number in range(5)]


@dataclass
class Tail:
    """Where reading stands: `offset` is the first byte that is not read yet, behind a whole record.

    `damaged`: blocks that could not be read and were passed over; `is_cut_off`: the file ends inside a record.
    """

    path: Path
    offset: int = 0
    damaged: int = 0
    is_cut_off: bool = False

    def records(self) -> Iterator[bytes]:
        """What was written since. Raises OnehourError for a file of another kind, or one that cannot be read."""
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                self.is_cut_off = size < len(FILE_HEAD)
                if self.is_cut_off:
                    return
                if self.offset == 0:
                    self._skip_head(file.read(len(FILE_HEAD)))
                file.seek(self.offset)
                yield from self._chunks(file.read, size)
        except OSError as error:
            raise OnehourError(f"it cannot be read ({error.strerror})", where=str(self.path)) from None

    def _skip_head(self, head: bytes) -> None:
        if head[:6] != FILE_HEAD[:6]:
            raise OnehourError("this is no file that wandb wrote", where=str(self.path))
        if head != FILE_HEAD:
            raise OnehourError(
                f"wandb wrote it in version {head[6]} of its format, and version 0 is known", where=str(self.path)
            )
        self.offset = len(FILE_HEAD)

    def _chunks(self, read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
        begun: list[bytes] | None = None
        start = self.offset
        while start < size:
            block_end = start - start % BLOCK + BLOCK
            block = read(min(block_end, size) - start)
            at, end = 0, len(block)
            while True:
                if block_end - start - at < _HEAD.size:  # filled with zeros
                    at = end
                    break
                if at + _HEAD.size > end:
                    self.is_cut_off = at < end
                    break
                crc, length, kind = _HEAD.unpack_from(block, at)
                stop = at + _HEAD.size + length
                fits = WHOLE <= kind <= LAST and start + stop <= block_end
                if fits and stop > end:
                    self.is_cut_off = True
                    break
                if not fits or zlib.crc32(block[at + _HEAD.size : stop], _CRC_OF_TYPE[kind]) != crc:
                    if block_end >= size:  # the last block: torn while it was written
                        self.is_cut_off = True
                        return
                    self.damaged, begun, at = self.damaged + 1, None, end
                    break
                content, at = block[at + _HEAD.size : stop], stop
                if kind == WHOLE:
                    begun = None
                    self.offset = start + at
                    yield content
                elif kind == FIRST:
                    begun = [content]
                elif begun is not None:
                    begun.append(content)
                    if kind == LAST:
                        record, begun = b"".join(begun), None
                        self.offset = start + at
                        yield record
            start += end
            if begun is None and not self.is_cut_off:
                self.offset = min(start, size)
        self.is_cut_off = self.is_cut_off or begun is not None
