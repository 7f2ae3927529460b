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


def same(found: Any, data: bytes) -> bool:
    """Whether what the Hub says of a file (``RepoFile``) is true of these bytes."""
    if found.lfs is not None:
        return bool(found.lfs.sha256 == hashlib.sha256(data).hexdigest())
    return bool(
        found.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    )  # git's own


def upload(repo: str, files: dict[str, bytes], tag: str, private: bool = False) -> str:
    """Make the repository hold these files, in one commit with this tag. Returns the commit's hash.

    What is there already is not sent again, so it may be interrupted anywhere and run again. A tag never moves: CheckpointError where it
    stands on other files. The pictures follow from the weights, but may differ between machines: they are not compared.
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
    """Publish a checkpoint of checkpoints.yaml, or a folder written by ``zoo export``, as ``to/NAME``. Returns the address of the commit.

    The commit is written back to checkpoints.yaml, or to the folder's config.json. tag: the version, of this library if not given.
    dry_run: make and check all files, print the card and their sizes, ask nobody. Raises CheckpointError.
    """
    if source not in entries() and not Path(source).is_dir():
        raise CheckpointError(f"{source} is neither a name of `zoo list` nor a folder written by `zoo export`")
    found = find(source)
    repo, tag = f"{to}/{found.entry.name}", tag or f"v{zoo.__version__}"
    files = page(found.entry, verified(found.entry, found.path, found.remedy), repo, tag)
    if dry_run:
        sizes = "\n".join(f"{len(data):10,} bytes  {name}" for name, data in files.items())
        return f"{files['README.md'].decode()}\n{repo} {tag} would hold\n{sizes}"
    remedy = "\nLog in with a token that may write there: `hf auth login`, or set HF_TOKEN."
    commit = asking(f"could not publish {repo}", lambda: upload(repo, files, tag, private), remedy)
    hub = {"repo": repo, "revision": commit}
    if found.entry.weights.get("hub") != hub:
        write_entry(source, replace(found.entry, weights=found.entry.weights | {"hub": hub}))
    return f"https://huggingface.co/{repo}/tree/{commit}"
