"""Moves one file: streams it, hashes it on the way, proves what was written, and only then lets it be seen."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from emulators.globus.roots import Draft

CHUNK = 1024 * 1024
ALGORITHMS = ("MD5", "SHA1", "SHA256", "SHA512", "ADLER32")


class ChecksumError(Exception):
    """What was written is not what was read."""


class ExternalChecksumError(Exception):
    """The file is not what the submission says it is: no retry can cure that."""


class SizeChangedError(Exception):
    """The source was written to while it was read."""


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class _Adler:
    def __init__(self) -> None:
        self._value = 1

    def update(self, data: bytes, /) -> None:
        self._value = zlib.adler32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


def digest(algorithm: str) -> Digest:
    if algorithm == "ADLER32":
        return _Adler()
    return hashlib.new(algorithm.lower(), usedforsecurity=False)


def checksum(file: BinaryIO, algorithm: str, on_chunk: Callable[[int], None]) -> str:
    """The checksum of an open file from its start."""
    hashed = digest(algorithm)
    file.seek(0)
    while chunk := file.read(CHUNK):
        hashed.update(chunk)
        on_chunk(len(chunk))
    return hashed.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    algorithm: str
    hashing: bool
    verify: bool
    external_checksum: str | None
    preserve_times: bool
    corrupt: bool


def copy(
    source: BinaryIO, draft: Draft, plan: CopyPlan, moved: Callable[[int], None], checked: Callable[[int], None]
) -> str | None:
    """Copy and commit; the checksum, if one was made. ``moved`` and ``checked`` hear of every chunk and may raise."""
    before = os.fstat(source.fileno())
    read = digest(plan.algorithm)
    corrupt = plan.corrupt
    while chunk := source.read(CHUNK):
        if plan.hashing:
            read.update(chunk)
        draft.file.write(bytes([chunk[0] ^ 0xFF]) + chunk[1:] if corrupt else chunk)
        corrupt = False
        moved(len(chunk))
    draft.file.flush()
    after = os.fstat(source.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise SizeChangedError
    found = read.hexdigest() if plan.hashing else None
    if plan.external_checksum is not None and plan.external_checksum.lower() != found:
        raise ExternalChecksumError
    if plan.verify and checksum(draft.file, plan.algorithm, checked) != found:
        raise ChecksumError
    draft.commit((before.st_atime_ns, before.st_mtime_ns) if plan.preserve_times else None)
    return found
