"""A request body in chunks (RFC 9112, section 7.1), read as it comes: each byte is looked at once.

gunicorn's own reader copies what is left of the body for every chunk, so a request of 300 kB in chunks of one byte
kept a thread busy for 14 seconds.
"""

from __future__ import annotations

import re

SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[^\r\n]*)?\r\n")
LONGEST_LINE = 1024
LONGEST_TRAILER = 8192
MOST_CHUNKS = 10_000


class Malformed(ValueError):
    """These are no chunks. The message says why."""


class Chunks:
    """The chunks of a body as far as they have come. Positions count from the body's first byte."""

    def __init__(self) -> None:
        self.end: int | None = None  # behind the last chunk and its trailer
        self._pieces: list[tuple[int, int]] = []
        self._at = 0  # where the next chunk's size stands

    def read_on(self, data: bytearray, body: int) -> None:
        """Reads what is here of a request whose body begins at `body`. Raises `Malformed`."""
        while self.end is None and (found := self._size(data, body)):
            size, begin = int(found[1], 16), found.end() - body
            if size == 0:
                self._read_trailer(data, body, begin - 2)
                return
            if len(data) < body + begin + size + 2:
                return
            if data[body + begin + size : body + begin + size + 2] != b"\r\n":
                raise Malformed("a chunk is not of the size that it says")
            self._pieces.append((begin, begin + size))
            self._at = begin + size + 2
            if len(self._pieces) > MOST_CHUNKS:
                raise Malformed("there are too many chunks")

    def joined(self, data: bytearray, body: int) -> bytes:
        """What the chunks hold."""
        return b"".join(data[body + begin : body + end] for begin, end in self._pieces)

    def _size(self, data: bytearray, body: int) -> re.Match[bytes] | None:
        """The line that begins the next chunk; None: it is not all here."""
        begin = body + self._at
        found = SIZE.match(data, begin)
        if found is None and (data.find(b"\n", begin, begin + LONGEST_LINE) >= 0 or len(data) - begin > LONGEST_LINE):
            raise Malformed("a chunk does not begin with its size")
        return found

    def _read_trailer(self, data: bytearray, body: int, begin: int) -> None:
        """Passes over the fields behind the last chunk: nobody has a use for them."""
        end = data.find(b"\r\n\r\n", body + begin)
        if end >= 0:
            self.end = end + 4 - body
        elif len(data) - body - begin > LONGEST_TRAILER:
            raise Malformed("the trailer is too long")
