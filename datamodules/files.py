"""Data files: the folder that holds them, and downloads that are checked."""

from __future__ import annotations

import base64
import hashlib
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm


class DataError(RuntimeError):
    """A data file is missing, corrupt or not what it should be; the message names it and the remedy."""


def data_root(root: str | None = None) -> Path:
    """The folder that holds all data: the argument, or else $ZOO_DATA, or else strokezoo/data in the user's cache."""
    if root or os.environ.get("ZOO_DATA"):
        return Path(root or os.environ["ZOO_DATA"]).expanduser()
    return cache() / "data"


def cache() -> Path:
    """The zoo's folder in the user's cache directory."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "strokezoo"


def checksum(path: Path, algorithm: str) -> str:
    """A file's sum, in hexadecimal, by any algorithm of ``hashlib``."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, algorithm).hexdigest()


@dataclass(frozen=True)
class Remote:
    """One file to download.

    Args:
        urls: its addresses, tried in turn.
        bytes: its size.
        sum: its checksum, in hexadecimal.
        algorithm: of the checksum, by its name in ``hashlib``.
    """

    urls: tuple[str, ...]
    bytes: int
    sum: str
    algorithm: str = "sha256"


def google(url: str, timeout: float = 30) -> Remote:
    """A file of Google's public storage that has no published checksum: its size and md5 as the server states them.

    Args:
        url: its address.
        timeout: seconds to wait for an answer.

    Raises:
        DataError: the server does not answer, or states neither.
    """
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout) as reply:
            sums = dict(v.split("=", 1) for h in reply.headers.get_all("x-goog-hash") or () for v in h.split(","))
            return Remote((url,), int(reply.headers["Content-Length"]), base64.b64decode(sums["md5"]).hex(), "md5")
    except (OSError, urllib.error.URLError, KeyError, TypeError, ValueError) as e:
        raise DataError(f"could not download {url}: {e}. Try again later, or fetch it yourself.") from e


def download(remote: Remote, path: Path, timeout: float = 30) -> Path:
    """Fetch a file unless it is there. Resumes a partial one, then checks size and sum, then renames.

    Args:
        remote: what to fetch.
        path: where to put it; while partial, it has the ending .part.
        timeout: seconds to wait for an answer.

    Returns:
        ``path``.

    Raises:
        DataError: no address answers, or the content is wrong. A wrong file is deleted, a partial one kept for the next
            try.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    failures = []
    for url in remote.urls:
        try:
            fetch(url, part, remote.bytes, timeout)
        except (OSError, urllib.error.URLError) as e:
            failures.append(f"{url}: {e}")
            continue
        got, size = checksum(part, remote.algorithm), part.stat().st_size
        if (size, got) == (remote.bytes, remote.sum):
            return part.replace(path)
        part.unlink()
        failures.append(
            f"{url}: got {size} bytes with {remote.algorithm} {got}, expected {remote.bytes} bytes with {remote.sum}"
        )
    raise DataError(
        f"could not download {path.name}:\n  "
        + "\n  ".join(failures)
        + f"\nTry again later, or put the file at {path} yourself."
    )


def fetch(url: str, part: Path, size: int, timeout: float) -> None:
    """Append to ``part`` what it lacks of ``size`` bytes from ``url``; never more than ``size`` bytes in all."""
    have = part.stat().st_size if part.exists() else 0
    if have >= size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=timeout) as reply:
        if have and reply.status != 206:  # this server does not resume: start again
            have = 0
        with (
            part.open("ab" if have else "wb") as f,
            tqdm(total=size, initial=have, unit="B", unit_scale=True, desc=part.stem) as bar,
        ):
            while have < size and (block := reply.read(min(1 << 20, size - have))):
                have += f.write(block)
                bar.update(len(block))
    if have < size:
        raise OSError(f"the connection ended after {have} of {size} bytes")
