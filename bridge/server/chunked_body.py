"""An incremental reader of chunked request bodies (RFC 9112, section 7.1) that reads each byte once.

gunicorn's own reader copies the rest of the body for every chunk: 300 kB in chunks of one byte kept a thread busy for
14 seconds.
"""

from __future__ import annotations

import re

SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[^\r\n]*)?\r\n")
MAX_LINE_BYTES = 1024
MAX_TRAILER_BYTES = 8192
MAX_CHUNKS = 10_000
MAX_FRAMING_BYTES = 256 * 1024  # sizes and extensions of all chunks, which the limit for the body does not count


class MalformedRequest(ValueError):
    """The request violates HTTP, or its length is ambiguous. The message is the reason."""


class ChunkedBody:
    """A chunked body as far as it has arrived. Offsets count from the body's first byte.

    `size`: bytes of content so far, including all of a chunk that is still arriving. `end`: the offset after the
    trailer, None until it has arrived.
    """

    def __init__(self) -> None:
        self.end: int | None = None
        self.size = 0
        self._pieces: list[tuple[int, int]] = []
        self._content = 0  # bytes of the chunks in `_pieces`
        self._next = 0  # offset of the next chunk's size line

    def parse(self, data: bytearray, body: int) -> None:
        """Parses what has arrived of a request whose body starts at `body`. Raises MalformedRequest."""
        while self.end is None and (found := self._size_line(data, body)):
            size, start = int(found[1], 16), found.end() - body
            if size == 0:
                self._skip_trailer(data, body, start - 2)
                return
            self.size = self._content + size
            if len(data) < body + start + size + 2:
                return
            if data[body + start + size : body + start + size + 2] != b"\r\n":
                raise MalformedRequest("a chunk is longer than its size")
            self._pieces.append((start, start + size))
            self._content, self._next = self.size, start + size + 2
            if len(self._pieces) > MAX_CHUNKS or self._next - self._content > MAX_FRAMING_BYTES:
                raise MalformedRequest("too many chunks or extensions")

    def content(self, data: bytearray, body: int) -> bytes:
        """The content of all chunks."""
        return b"".join(data[body + start : body + end] for start, end in self._pieces)

    def _size_line(self, data: bytearray, body: int) -> re.Match[bytes] | None:
        """The next chunk's size line; None if it is incomplete."""
        start = body + self._next
        found = SIZE_LINE.match(data, start)
        is_too_long = len(data) - start > MAX_LINE_BYTES
        if found is None and (is_too_long or data.find(b"\n", start, start + MAX_LINE_BYTES) >= 0):
            raise MalformedRequest("a chunk does not start with its size")
        return found

    def _skip_trailer(self, data: bytearray, body: int, start: int) -> None:
        """Ignores the trailer's fields, none of which the bridge uses."""
        end = data.find(b"\r\n\r\n", body + start)
        if end >= 0:
            self.end = end + 4 - body
        elif len(data) - body - start > MAX_TRAILER_BYTES:
            raise MalformedRequest("the trailer is too long")
