"""Fetching files from the Hugging Face Hub."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from zoo.checkpoints.entry import CheckpointError

T = TypeVar("T")
TRIES = 3  # of a request that the Hub could not answer
WAIT = 2.0  # seconds before the second try, doubled before the third


def asking(what: str, call: Callable[[], T], remedy: str = "") -> T:
    """The Hub's answer. It is asked again where it is out of order (5xx) or the connection breaks.

    Args:
        what: what goes wrong if no answer comes, for the message.
        call: asks it.
        remedy: is added to the message where the Hub refuses (401, 403).

    Raises:
        CheckpointError: no answer came. The message never holds the token.
    """
    from huggingface_hub import errors, get_token

    network: Any = getattr(errors, "HTTPError", OSError)  # httpx's, in versions that use it
    lasting = (errors.LocalEntryNotFoundError, errors.HFValidationError, UnicodeError)  # the same at every try
    for attempt in range(1, TRIES + 1):
        try:
            return call()
        except CheckpointError:
            raise
        except (network, errors.HFValidationError, OSError, RuntimeError, UnicodeError) as e:
            status = status_code(e)
            if isinstance(e, lasting) or attempt == TRIES or (status is not None and status < 500):
                text = str(e).replace(get_token() or "\0", "***").strip()
                raise CheckpointError(f"{what}: {text}{remedy if status in (401, 403) else ''}") from None
            time.sleep(WAIT * 2 ** (attempt - 1))
    raise AssertionError  # not reached


def status_code(error: BaseException) -> int | None:
    """The HTTP status that an error, or its cause, came with."""
    response = getattr(error.__cause__ or error, "response", None) or getattr(error, "response", None)
    return getattr(response, "status_code", None)


def fetch(repo: str, file: str, revision: str | None, local_files_only: bool) -> Path:
    """A file of a Hub repository, from the cache if it is there. The caller checks its content, against our own sha256.

    Args:
        repo: ``org/name``.
        file: its path in the repository.
        revision: a commit or a tag; None for the newest.
        local_files_only: from the cache or not at all.

    Raises:
        CheckpointError: the file cannot be had.
    """
    from huggingface_hub import hf_hub_download

    def get() -> Path:
        options: dict[str, Any] = {"local_files_only": local_files_only, "library_name": "strokezoo"}
        return Path(hf_hub_download(repo, file, revision=revision, **options))

    return asking(f"could not get {file} of {repo} from the Hub", get)


def forget(path: Path) -> None:
    """Take a bad file out of the cache, with the blob that it points to, so that the next load fetches it anew."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)
