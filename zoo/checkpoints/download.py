"""Fetching files from the Hugging Face Hub."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from zoo.checkpoints.entry import CheckpointError

T = TypeVar("T")
TRIES, WAIT = (
    3,
    2.0,
)  # of a request that the Hub could not answer; seconds before the second try, doubled before the third


def asking(what: str, call: Callable[[], T], remedy: str = "") -> T:
    """The answer of the Hub, asked again where it is out of order (5xx) or the connection breaks.

    CheckpointError where it does not come; its text never holds the token.
    """
    from huggingface_hub import errors, get_token

    network: Any = getattr(errors, "HTTPError", OSError)  # httpx's, in versions that use it
    for attempt in range(1, TRIES + 1):
        try:
            return call()
        except CheckpointError:
            raise
        except (network, errors.HFValidationError, OSError, RuntimeError, UnicodeError) as e:
            status = getattr(
                getattr(e.__cause__ or e, "response", None) or getattr(e, "response", None), "status_code", None
            )
            lasting = isinstance(e, (errors.LocalEntryNotFoundError, errors.HFValidationError, UnicodeError))
            if lasting or attempt == TRIES or (status is not None and status < 500):
                text = str(e).replace(get_token() or "\0", "***").strip()
                raise CheckpointError(f"{what}: {text}{remedy if status in (401, 403) else ''}") from None
            time.sleep(WAIT * 2 ** (attempt - 1))
    raise AssertionError  # not reached


def fetch(repo: str, file: str, revision: str | None, local_files_only: bool) -> Path:
    """A file of a Hub repository, from the cache if it is there. Its content is checked by the caller, against our own sha256."""
    from huggingface_hub import hf_hub_download

    def get() -> Path:
        return Path(
            hf_hub_download(repo, file, revision=revision, local_files_only=local_files_only, library_name="strokezoo")
        )

    return asking(f"could not get {file} of {repo} from the Hub", get)


def forget(path: Path) -> None:
    """Take a bad file out of the cache, the blob with its name, so that the next load fetches it anew."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)
