"""The salts of commitments: one file of 32-byte places, each of which can be erased by itself.

An event names the place of its salt. Erasing overwrites the place with zeros: from then on nobody can try
guesses against the commitment, not even with the log in hand, and no byte of the log changes. (A disk that
writes elsewhere than it is told, or a backup, keeps the old place until it is overwritten or destroyed: keep
`salts` out of backups that outlive the personal information itself, Personal Information Protection Law
article 19.)
"""

from __future__ import annotations

import os
from pathlib import Path

from audit import files
from plans.errors import NotFound

SALT_BYTES = 32
ERASED = bytes(SALT_BYTES)


def add(path: Path, salts: list[bytes]) -> int:
    """Append salts durably and return the place of the first. The caller holds the log's lock.

    Raises:
        DiskFull, Unreachable: they cannot be written.
    """
    with files.writing(path):
        descriptor = files.open_file(path)
        try:
            # A torn salt belongs to an event that was never acknowledged: its place is used again.
            first = os.fstat(descriptor).st_size // SALT_BYTES
            files.write_at(descriptor, b"".join(salts), first * SALT_BYTES)
            os.fsync(descriptor)
            return first
        finally:
            os.close(descriptor)


def read(path: Path, place: int) -> bytes | None:
    """Return the salt at a place, or none if it was erased.

    Raises:
        NotFound: there is no such place.
    """
    try:
        with path.open("rb") as file:
            file.seek(place * SALT_BYTES)
            salt = file.read(SALT_BYTES)
    except FileNotFoundError:
        salt = b""
    if place < 0 or len(salt) != SALT_BYTES:
        raise NotFound("there is no such salt", f"place {place}")
    return None if salt == ERASED else salt


def erase(path: Path, place: int) -> None:
    """Overwrite the salt at a place, durably.

    Raises:
        NotFound: there is no such place.
        Unreachable: it cannot be written.
    """
    read(path, place)
    with files.writing(path):
        descriptor = files.open_file(path)
        try:
            files.write_at(descriptor, ERASED, place * SALT_BYTES)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
