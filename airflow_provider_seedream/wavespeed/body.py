"""The body of an answer, read piece by piece and bounded, on the wire and unpacked."""

from __future__ import annotations

import zlib

PIECE = 65_536
"""Bytes that are unpacked at once, so that no piece holds an event loop for long."""

_PACKED = frozenset({"gzip", "x-gzip", "deflate"})


class UnfitBodyError(Exception):
    """A body that is not read on: too large, or packed in a way that was not asked for.

    :param too_large: which of the two.
    """

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


class Body:
    """Collects a body. Nothing packed is asked for, but a gateway may pack it all the same.

    :param most: bytes on the wire, and again unpacked.
    :param encoding: the header ``Content-Encoding``.
    :raises UnfitBodyError: for an encoding that nobody knows here.
    """

    __slots__ = ("_encoding", "_left", "_most", "_pieces", "_unpacker", "_wire")

    def __init__(self, most: int, encoding: str | None) -> None:
        self._most = self._left = most
        self._wire = 0
        self._pieces: list[bytes] = []
        self._unpacker: zlib._Decompress | None = None
        self._encoding = (encoding or "identity").strip().lower()
        if self._encoding in _PACKED:
            self._unpacker = zlib.decompressobj(wbits=47)  # gzip or zlib, whichever it says it is
        elif self._encoding not in ("identity", ""):
            raise UnfitBodyError(f"it is packed as {self._encoding[:40]!r}, which was not asked for")

    def take(self, piece: bytes) -> None:
        """Take the next piece from the wire.

        :raises UnfitBodyError: as soon as the body is known to be too large, or not packed as it says.
        """
        self._wire += len(piece)
        if self._wire > self._most:
            raise self._too_large()
        if self._unpacker is None:
            self._pieces.append(piece)
            return
        while piece:
            self._keep(self._unpacked(piece))
            piece = self._unpacker.unconsumed_tail

    def whole(self) -> bytes:
        """All of it.

        :raises UnfitBodyError: if the end is missing.
        """
        if self._unpacker is not None and self._wire and not self._unpacker.eof:
            raise UnfitBodyError("it is packed, and its end is missing")
        return b"".join(self._pieces)

    def _unpacked(self, piece: bytes) -> bytes:
        unpacker = self._unpacker
        assert unpacker is not None  # noqa: S101 - only asked where there is one
        try:
            return unpacker.decompress(piece, PIECE)
        except zlib.error:
            # The older reading of "deflate": without zlib's header.
            if self._encoding != "deflate" or self._pieces:
                raise UnfitBodyError(f"it says it is packed as {self._encoding!r}, and is not") from None
        self._encoding = "raw deflate"
        self._unpacker = zlib.decompressobj(wbits=-15)
        return self._unpacked(piece)

    def _keep(self, unpacked: bytes) -> None:
        self._left -= len(unpacked)
        if self._left < 0:
            raise self._too_large()
        self._pieces.append(unpacked)

    def _too_large(self) -> UnfitBodyError:
        return UnfitBodyError(f"it is larger than {self._most / 2**20:g} MiB", too_large=True)
