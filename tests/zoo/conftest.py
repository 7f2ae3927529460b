from __future__ import annotations

import shutil

import pytest
import torch

import zoo
from zoo.checkpoints import catalogue, loading, packing


@pytest.fixture
def zoo_list(tmp_path, monkeypatch):
    """A list of its own: a tiny untrained drawer and canvas, in temporary files."""
    (tmp_path / "list").mkdir()
    monkeypatch.setattr(catalogue, "WEIGHTS", tmp_path / "list")
    monkeypatch.setattr(catalogue, "list_path", lambda: tmp_path / "list" / "checkpoints.yaml")
    (tmp_path / "list" / "checkpoints.yaml").write_text("{}")
    catalogue.entries.cache_clear()
    torch.manual_seed(0)
    metric = {"dataset": "MNIST", "data": {"class": "MNIST", "image_size": 16}, "split": "test", "tolerance": 1e-4}
    canvas_metric = {
        "name": "test/mse",
        "dataset": "random strokes",
        "data": {"class": "Strokes", "renderer": "bezier", "image_size": 16, "val_steps": 1},
        "split": "test",
        "tolerance": 1e-4,
    }
    for name, model, metrics in (
        ("tiny-canvas", zoo.CanvasNetwork(width=4, layers=1), [canvas_metric]),
        (
            "tiny-drawer",
            zoo.CanvasDrawer(steps=2, image_size=16, painter="tiny-canvas"),
            [metric | {"name": "test/mse"}],
        ),
    ):
        data = packing.pack(model)
        (tmp_path / "list" / f"{name}.safetensors").write_bytes(data)
        catalogue.write_entries({name: loading.describe(model, name, data, metrics=metrics)})
    yield tmp_path / "list"
    catalogue.entries.cache_clear()
    shutil.rmtree(tmp_path / "list")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub of its own on 127.0.0.1 with an empty cache, for this process and its children."""
    import huggingface_hub.constants
    from local_hub import LocalHub

    hub = LocalHub(token="hf_secret")
    environment = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": "hf_secret",
        "HF_HUB_DISABLE_XET": "1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    constants = {"HF_HUB_CACHE": str(tmp_path / "hf" / "hub"), "HF_HUB_DISABLE_XET": True, "ENDPOINT": hub.url}
    constants["HUGGINGFACE_CO_URL_TEMPLATE"] = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in constants.items():  # read from the environment when it was imported
        monkeypatch.setattr(huggingface_hub.constants, name, value, raising=False)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    yield hub
    hub.shutdown()
    hub.server_close()
