"""Publishing a checkpoint to the Hugging Face Hub."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import zoo
from zoo.checkpoints.catalogue import entries, write_entry
from zoo.checkpoints.download import asking
from zoo.checkpoints.entry import CheckpointError
from zoo.checkpoints.loading import find, verified
from zoo.publishing.card import page


def same(there: Any, data: bytes) -> bool:
    """Whether a file of the Hub (a ``RepoFile``) holds these bytes, by the sum that the Hub states."""
    if there.lfs is not None:
        return bool(there.lfs.sha256 == hashlib.sha256(data).hexdigest())
    git_blob = b"blob %d\0" % len(data) + data
    return bool(there.blob_id == hashlib.sha1(git_blob, usedforsecurity=False).hexdigest())


def upload(repo: str, files: dict[str, bytes], tag: str, private: bool = False) -> str:
    """Make a repository hold these files, in one commit with this tag.

    What is there already is not sent again, so it may be interrupted anywhere and run again. A tag never moves. The
    pictures follow from the weights, but may differ between machines: they are not compared.

    Args:
        repo: ``org/name``; it is made if it is not there.
        files: their content by name.
        tag: the version.
        private: only for those who may read the organisation's private models, where the repository is made.

    Returns:
        The commit's hash.

    Raises:
        CheckpointError: the tag stands on other files.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(library_name="strokezoo")
    api.create_repo(repo, private=private, exist_ok=True)
    tags = {t.name: t.target_commit for t in api.list_repo_refs(repo).tags}
    compared = [f for f in files if f == "README.md" or f.endswith((".safetensors", "config.json"))]
    if tag in tags:
        there = {i.path: i for i in api.get_paths_info(repo, compared, revision=tag)}
        differ = [f for f in compared if f not in there or not same(there[f], files[f])]
        if differ:
            raise CheckpointError(
                f"{repo} has a version {tag} with another {', '.join(differ)}. Publish under a new one: --tag"
            )
        return tags[tag]
    operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=data) for name, data in files.items()]
    commit = api.create_commit(repo, operations, commit_message=f"{repo.split('/')[-1]} {tag}").oid
    api.create_tag(repo, tag=tag, revision=commit, exist_ok=True)
    return str(commit)


def publish(source: str, to: str, private: bool = False, dry_run: bool = False, tag: str | None = None) -> str:
    """Publish a checkpoint as ``to/NAME``, and write the commit back to its entry.

    Args:
        source: a name of checkpoints.yaml, or a folder written by ``zoo export``.
        to: the user or organisation.
        private: only for those who may read its private models.
        dry_run: make and check all files, and ask nobody.
        tag: the version; None for that of this library.

    Returns:
        The address of the commit; with ``dry_run`` the card and the files' sizes.

    Raises:
        CheckpointError: there is no such checkpoint, its weights are bad, or the Hub refuses.
    """
    if source not in entries() and not Path(source).is_dir():
        raise CheckpointError(f"{source} is neither a name of `zoo list` nor a folder written by `zoo export`")
    checkpoint = find(source)
    entry = checkpoint.entry
    repo, tag = f"{to}/{entry.name}", tag or f"v{zoo.__version__}"
    files = page(entry, verified(checkpoint), repo, tag)
    if dry_run:
        sizes = "\n".join(f"{len(data):10,} bytes  {name}" for name, data in files.items())
        return f"{files['README.md'].decode()}\n{repo} {tag} would hold\n{sizes}"
    remedy = "\nLog in with a token that may write there: `hf auth login`, or set HF_TOKEN."
    commit = asking(f"could not publish {repo}", lambda: upload(repo, files, tag, private), remedy)
    hub = {"repo": repo, "revision": commit}
    if entry.weights.get("hub") != hub:
        write_entry(source, replace(entry, weights=entry.weights | {"hub": hub}))
    return f"https://huggingface.co/{repo}/tree/{commit}"
