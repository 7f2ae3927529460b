"""Writing files whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, suffix: str = "") -> Iterator[Path]:
    """A temporary path beside ``path``: the file written there takes the other's name once all of it is on the disk.

    Where the writing fails, or is interrupted, an older file stays as it was and the temporary one is removed.

    Args:
        path: the file to write or to replace.
        suffix: ending of the temporary path, for a writer that chooses its format by it.

    Raises:
        FileNotFoundError: if the folder of ``path`` does not exist.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to write {path.name} to")
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}{suffix}")
    try:
        yield part
        with part.open("r+b") as f:
            os.fsync(f.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def atomic_write(path: Path, data: bytes) -> None:
    """Write bytes to a file, whole or not at all (see :func:`replacing`)."""
    with replacing(path) as part:
        part.write_bytes(data)
