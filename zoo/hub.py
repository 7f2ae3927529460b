"""Fetching checkpoints from the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from zoo.checkpoints import CheckpointError


def fetch(repo: str, file: str, revision: str | None, local_files_only: bool) -> Path:
    """A file of a Hub repository, from the cache if it is there. Its content is checked by the caller, against our own sha256."""
    from huggingface_hub import errors, hf_hub_download

    try:
        return Path(hf_hub_download(repo, file, revision=revision, local_files_only=local_files_only, library_name="strokezoo"))
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, errors.HFValidationError, OSError) as e:
        raise CheckpointError(f"could not get {file} of {repo} from the Hub: {e}") from e
