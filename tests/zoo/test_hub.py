"""Publishing to, and loading from, a Hub: the real client over HTTP on 127.0.0.1, and what can go wrong on the way."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import test_checkpoints
import torch
from huggingface_hub import ModelCard
from local_hub import LocalHub
from PIL import Image
from safetensors.torch import load as from_safetensors
from tiny_files import checkpoints, has_mypaint

import zoo
from renderers import Drawing
from zoo.checkpoints import catalogue, download, loading
from zoo.checkpoints.entry import CheckpointError
from zoo.cli import main as cli

ROOT = Path(__file__).parent.parent.parent
REPO = "me/tiny-drawer"


@pytest.fixture
def published(hub, zoo_list):
    assert cli.main(["publish", "tiny-drawer", "--to", "me"]) == 0
    hub.requests.clear()
    return hub


def assert_loads(hub):
    """The published model loads, and its weights are those that were published, to the last bit."""
    repo = hub.repos[REPO]
    published = from_safetensors(repo.commits[repo.refs["main"]]["tiny-drawer.safetensors"])
    state = zoo.load(REPO).state_dict()
    assert state.keys() == published.keys()
    assert all(torch.equal(value, published[name].float()) for name, value in state.items())


def cache():
    return Path(os.environ["HF_HOME"]) / "hub"


def test_publish(hub, zoo_list, capsys):
    """One commit with everything in it, a tag, and the commit's hash in checkpoints.yaml."""
    assert cli.main(["publish", "tiny-drawer", "--to", "me", "--private"]) == 0
    repo = hub.repos[REPO]
    commit = repo.refs["main"]
    assert capsys.readouterr().out.strip().endswith(f"{REPO}/tree/{commit}")
    assert repo.private
    assert repo.refs == {"main": commit, f"v{zoo.__version__}": commit}
    assert len(repo.commits) == 2  # the empty one, and this
    files = repo.commits[commit]
    assert set(files) == {
        "README.md",
        "config.json",
        "golden.json",
        "pictures.png",
        "drawing.gif",
        "tiny-drawer.safetensors",
    }
    assert catalogue.entry("tiny-drawer").weights["hub"] == {"repo": REPO, "revision": commit}
    config = json.loads(files["config.json"])  # in full: no list of test sets is needed to read it
    assert config["metrics"] == catalogue.entry("tiny-drawer").metrics
    assert config["metrics"][0]["data"] == {"class": "MNIST", "image_size": 16}
    for picture in ("pictures.png", "drawing.gif"):
        with Image.open(io.BytesIO(files[picture])) as image:
            image.seek(getattr(image, "n_frames", 1) - 1)
            assert len(set(image.convert("L").tobytes())) > 5  # something is drawn


def test_publishing_again_changes_nothing(published, zoo_list):
    before = dict(published.repos[REPO].refs)
    catalogue.write_entries({})
    assert cli.main(["publish", "tiny-drawer", "--to", "me"]) == 0
    assert published.repos[REPO].refs == before
    assert len(published.repos[REPO].commits) == 2
    assert published.asked("PUT") == published.asked("/commit/") == 0


def test_a_tag_never_moves(published, zoo_list, capsys):
    entry = catalogue.entry("tiny-drawer")
    catalogue.write_entries({"tiny-drawer": replace(entry, deviations=["none"])})
    assert cli.main(["publish", "tiny-drawer", "--to", "me"]) == 1
    assert "--tag" in capsys.readouterr().err
    assert len(published.repos[REPO].commits) == 2
    assert cli.main(["publish", "tiny-drawer", "--to", "me", "--tag", "v9"]) == 0
    assert published.asked("PUT") == 0  # the weights were there
    assert catalogue.entry("tiny-drawer").weights["hub"]["revision"] == published.repos[REPO].refs["v9"]


@pytest.mark.parametrize("at", ["POST /api/repos/create", "PUT /lfs/", "/lfs/objects/batch", "/commit/main", "/tag/"])
def test_publishing_may_be_interrupted_anywhere(hub, zoo_list, at, monkeypatch, capsys):
    """A failure at any request leaves nothing that is half there; the same command then finishes the work."""
    monkeypatch.setattr("zoo.checkpoints.download.TRIES", 1)
    hub.faults = [(at, 403)] * 8
    assert cli.main(["publish", "tiny-drawer", "--to", "me"]) == 1
    assert "could not publish me/tiny-drawer" in capsys.readouterr().err
    assert "hub" not in catalogue.entry("tiny-drawer").weights
    assert all(set(files) == set() or len(files) == 6 for repo in hub.repos.values() for files in repo.commits.values())
    hub.faults = []
    assert cli.main(["publish", "tiny-drawer", "--to", "me"]) == 0
    assert len(hub.repos[REPO].commits) == 2
    assert_loads(hub)


def test_publishing_waits_for_a_hub_that_recovers(hub, zoo_list, monkeypatch):
    monkeypatch.setattr("zoo.checkpoints.download.WAIT", 0)
    hub.faults = [("/refs", 503), ("/preupload/", 503), ("/tag/", 503)]
    assert cli.main(["publish", "tiny-drawer", "--to", "me"]) == 0
    assert len(hub.repos[REPO].commits) == 2


def test_dry_run_asks_nobody(hub, zoo_list, capsys):
    assert cli.main(["publish", "tiny-drawer", "--to", "me", "--dry-run"]) == 0
    assert "tiny-drawer.safetensors" in capsys.readouterr().out
    assert hub.requests == []
    assert "hub" not in catalogue.entry("tiny-drawer").weights


def test_the_card(published, zoo_list, tmp_path, monkeypatch):
    """Its metrics are a valid model-index, its how-to runs, its golden output is what the model draws."""
    files = published.repos[REPO].commits[published.repos[REPO].refs["main"]]
    text = files["README.md"].decode()
    assert ModelCard(text).data.eval_results is None  # nothing is measured yet
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", text, re.S)[1]
    exec(code, {})
    assert (tmp_path / "drawing.svg").stat().st_size > 0
    golden = json.loads(files["golden.json"])
    image = torch.tensor(golden["input"], dtype=torch.uint8)[None]
    assert zoo.load(REPO).draw(image) == Drawing.from_json(json.dumps(golden["output"]))


@pytest.mark.parametrize("name", checkpoints())
def test_the_card_of_every_checkpoint_states_its_figures(name, tmp_path, monkeypatch):
    from zoo.publishing.card import page

    monkeypatch.chdir(tmp_path)  # its how-to writes a file
    checkpoint = loading.find(name)
    if checkpoint.entry.renderer.startswith("mypaint") and not has_mypaint():
        return  # its pictures are MyPaint's
    files = page(checkpoint.entry, checkpoint.path.read_bytes(), f"me/{name}", "v1")
    card = ModelCard(files["README.md"].decode())
    results = {(r.dataset_name, r.metric_name): r.metric_value for r in card.data.eval_results or ()}
    assert results == {(m["dataset"], m["name"]): m["value"] for m in checkpoint.entry.metrics}
    assert card.data.model_name == name
    for text in [*checkpoint.entry.deviations, *checkpoint.entry.training.get("runs", ())]:
        assert text in card.text
    if "draw(" not in card.text:
        monkeypatch.chdir(tmp_path)  # its how-to saves a drawing
        exec(re.search(r"```python\n(.*?)```", card.text, re.S)[1].replace(f'"me/{name}"', repr(name)), {})


def test_an_exported_folder_is_published_too(hub, tmp_path):
    folder = loading.save(zoo.CanvasNetwork(width=4), tmp_path / "mine", licence="CC0", data={"licence": "my own"})
    config = json.loads((folder / "config.json").read_text())
    config["metrics"] = [
        {
            "name": "test/mse",
            "dataset": "mine",
            "split": "test",
            "value": 0.5,
            "n": 2,
            "data": {"class": "ImageFolder", "root": "/home/a"},
        }
    ]
    (folder / "config.json").write_text(json.dumps(config))
    assert cli.main(["publish", str(folder), "--to", "me"]) == 0
    repo = hub.repos["me/mine"]
    assert b"/home" not in b"".join(repo.commits[repo.refs["main"]].values())
    assert json.loads((folder / "config.json").read_text())["weights"]["hub"]["revision"] == repo.refs["main"]
    assert cli.main(["publish", str(folder), "--to", "me"]) == 0
    assert len(repo.commits) == 2
    state = zoo.load(folder).state_dict()
    assert all(torch.equal(v, state[k]) for k, v in zoo.load("me/mine").state_dict().items())


def test_what_cannot_be_published(hub, zoo_list, capsys):
    assert cli.main(["publish", "nothing", "--to", "me"]) == 1
    assert "neither a name of `zoo list` nor a folder" in capsys.readouterr().err
    assert cli.main(["publish", "tiny-drawer", "--to", "a/b"]) == 1
    assert "could not publish" in capsys.readouterr().err


# --- loading ---


def test_load_in_every_way(published, zoo_list):
    commit = published.repos[REPO].refs["main"]
    state = zoo.load("tiny-drawer").state_dict()
    (zoo_list / "tiny-drawer.safetensors").unlink()  # now only the Hub has it
    for source in (REPO, f"{REPO}@{commit}", f"{REPO}@v{zoo.__version__}", "tiny-drawer"):
        assert all(torch.equal(v, state[k]) for k, v in zoo.load(source).state_dict().items())
    assert published.asked("GET /me/tiny-drawer/resolve") == 2  # config.json and the weights, once


@pytest.fixture
def on_hub_alone(hub, tmp_path, monkeypatch):
    """The zoo's own list, but the weights of these two checkpoints do not come with it: they are on the Hub."""
    folder = tmp_path / "weights"
    shutil.copytree(catalogue.WEIGHTS, folder)
    (tmp_path / "checkpoints.yaml").write_text(catalogue.list_path().read_text())
    monkeypatch.setattr(catalogue, "WEIGHTS", folder)
    monkeypatch.setattr(catalogue, "list_path", lambda: tmp_path / "checkpoints.yaml")
    catalogue.entries.cache_clear()
    names = ["canvas-bezier", "canvas-drawer-mnist"]
    for name in names:
        assert cli.main(["publish", name, "--to", "me"]) == 0
        (folder / f"{name}.safetensors").unlink()
    hub.requests.clear()
    yield names
    catalogue.entries.cache_clear()


def test_checkpoints_on_the_hub_alone(on_hub_alone, hub, capsys, tmp_path, monkeypatch):
    """What holds for every entry holds for them: loading, its golden file, its card, the lists."""
    capsys.readouterr()
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.endswith(" MB, on the Hub")] == on_hub_alone
    assert cli.main(["list", "--markdown"]) == 0
    assert capsys.readouterr().out.count("MB, on the Hub |") == 2
    assert cli.main(["show", "canvas-bezier"]) == 0
    assert hub.repos["me/canvas-bezier"].refs["main"] in capsys.readouterr().out
    assert hub.requests == []  # so far nothing was asked
    for name in on_hub_alone:
        test_checkpoints.test_entry_is_complete(name)
        test_checkpoints.test_weights_are_small_half_precision_or_less_and_only_what_inference_needs(name)
        test_checkpoints.test_loads_ready_to_use(name)
        test_checkpoints.test_golden(name)
        test_the_card_of_every_checkpoint_states_its_figures(name, tmp_path, monkeypatch)
        assert hub.asked(f"GET /me/{name}/resolve") == 1
    test_checkpoints.test_bundled_weights_are_listed_and_fit()
    marked = [p.values[0] for p in checkpoints() if not isinstance(p, str)]
    assert marked == on_hub_alone  # where tests are collected, they are marked as tests of the network


def test_a_checkpoint_on_the_hub_alone_is_measured(published, zoo_list, data_root, capsys):
    weights = zoo_list / "tiny-drawer.safetensors"
    weights.unlink()
    assert cli.main(["evaluate", "tiny-drawer", "--write"]) == 0
    assert catalogue.entry("tiny-drawer").metrics[0]["n"] == 24
    assert catalogue.entry("tiny-drawer").weights["hub"]["repo"] == REPO
    assert cli.main(["evaluate", "tiny-drawer"]) == 0
    assert not weights.exists()


def test_a_checkpoint_on_the_hub_alone_and_no_hub(published, zoo_list):
    (zoo_list / "tiny-drawer.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"could not get tiny-drawer\.safetensors of me/tiny-drawer"):
        zoo.load("tiny-drawer", local_files_only=True)
    assert published.requests == []


def test_a_pinned_revision_in_the_cache_asks_nothing(published, zoo_list, monkeypatch):
    commit = published.repos[REPO].refs["main"]
    zoo.load(REPO)
    published.requests.clear()
    zoo.load(f"{REPO}@{commit}")
    assert published.requests == []
    zoo.load(REPO, local_files_only=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    zoo.load(REPO)
    assert published.requests == []


def test_offline_without_a_cache(published, zoo_list, monkeypatch):
    with pytest.raises(CheckpointError, match=r"could not get config\.json of me/tiny-drawer"):
        zoo.load(REPO, local_files_only=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="could not get"):
        zoo.load(REPO)
    assert published.requests == []


def test_config_and_weights_are_of_one_commit(published, zoo_list):
    """Something else is published between the two requests: the older pair is loaded, not a mixture."""
    repo = published.repos[REPO]
    files = repo.commits[repo.refs["main"]]
    config = download.fetch(REPO, "config.json", None, False)
    repo.commit(files | {"tiny-drawer.safetensors": b"other"})
    assert loading.find(f"{REPO}@{config.parent.name}").path.read_bytes() == files["tiny-drawer.safetensors"]


@pytest.mark.parametrize("fault", ["flip", "short"])
def test_a_tampered_or_truncated_file(published, zoo_list, fault):
    """Its sum gives it away, it is taken out of the cache, and the next load is whole."""
    where = f"/{REPO}/resolve/{published.repos[REPO].refs['main']}/tiny-drawer.safetensors"
    published.faults = [(f"GET {where}", "flip")] if fault == "flip" else [(where, "short")] * 2  # HEAD and GET
    with pytest.raises(CheckpointError, match=r"is corrupt: its sha256|bytes, expected") as e:
        zoo.load(REPO)
    assert "load again" in str(e.value)
    assert_loads(published)


def test_a_config_that_is_damaged(published, zoo_list):
    published.repos[REPO].refs["bad"] = published.repos[REPO].commit({"config.json": b'{"name": "x'}, "other")
    with pytest.raises(CheckpointError, match="does not describe a checkpoint"):
        zoo.load(f"{REPO}@bad")
    assert not [p for p in cache().rglob("config.json") if p.is_file()]


def test_a_connection_cut_in_mid_file(published, zoo_list):
    published.faults = [
        (f"GET /{REPO}/resolve/{published.repos[REPO].refs['main']}/tiny-drawer.safetensors", "cut")
    ] * 2
    assert_loads(published)
    ranges = published.asked("tiny-drawer.safetensors")
    assert ranges >= 3  # it went on where it was cut


def test_503_and_then_recovery(published, zoo_list, monkeypatch):
    monkeypatch.setattr("zoo.checkpoints.download.WAIT", 0)
    commit = published.repos[REPO].refs["main"]
    published.faults = [
        ("config.json", 503),
        ("config.json", 503),
        (f"GET /{REPO}/resolve/{commit}/tiny-drawer.safetensors", 503),
    ]
    assert_loads(published)
    assert published.faults == []  # all three happened
    assert [r.status for r in published.requests].count(503) == 3


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("me/nobody", "(?s)could not get config.json of me/nobody.*404"),
        ("me/tiny-drawer@v77", "(?s)could not get config.json of me/tiny-drawer.*404"),
        ("me/tiny--drawer", "could not get config.json"),
    ],
)
def test_404(published, zoo_list, source, message):
    with pytest.raises(CheckpointError, match=message):
        zoo.load(source)


def test_401_says_how_to_log_in_and_never_the_token(published, zoo_list, monkeypatch, capsys, caplog):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(CheckpointError, match="401") as e:
        zoo.load(REPO)
    assert cli.main(["publish", "tiny-drawer", "--to", "me", "--tag", "v3"]) == 1
    shown = capsys.readouterr()
    assert "hf auth login" in shown.err
    assert "hf_wrong" not in str(e.value) + shown.err + shown.out + caplog.text


def test_a_token_that_is_no_header(hub, zoo_list, monkeypatch, capsys):
    """The client's own message would quote it."""
    monkeypatch.setenv("HF_TOKEN", "hf_sec\x01ret\x7f\u00e9")
    assert cli.main(["publish", "tiny-drawer", "--to", "me"]) == 1
    shown = capsys.readouterr().err
    assert "could not publish" in shown
    assert "hf_sec" not in shown


def test_the_token_goes_to_no_other_host(published, zoo_list):
    """Weights that the Hub keeps elsewhere are fetched there without it."""
    published.cdn = LocalHub()
    assert_loads(published)
    assert published.cdn.asked("/lfs/") >= 1
    assert {r.token for r in published.cdn.requests} == {None}
    assert {r.token for r in published.requests} == {"Bearer hf_secret"}
    published.cdn.shutdown()


def test_the_hub_is_away(published, zoo_list, monkeypatch):
    monkeypatch.setattr("zoo.checkpoints.download.TRIES", 1)
    zoo.load(REPO)
    nowhere = "http://127.0.0.1:9"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", nowhere)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", nowhere + "/{repo_id}/resolve/{revision}/{filename}"
    )
    assert_loads(published)  # from the cache
    with pytest.raises(CheckpointError, match=r"could not get config\.json of me/another"):
        zoo.load("me/another")


def test_several_processes_download_once(published, zoo_list):
    commit = published.repos[REPO].refs["main"]
    fetched = f"fetch({REPO!r}, 'tiny-drawer.safetensors', {commit!r}, False)"
    code = f"from zoo.checkpoints.download import fetch; print(len({fetched}.read_bytes()))"
    children = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(4)]
    sizes = {int(child.communicate(timeout=120)[0]) for child in children}
    assert sizes == {catalogue.entry("tiny-drawer").weights["bytes"]}
    assert published.asked(f"GET /{REPO}/resolve/{commit}/tiny-drawer.safetensors") == 1
