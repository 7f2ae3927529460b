from __future__ import annotations

import shutil

import pytest
import torch

import zoo
from zoo import checkpoints


@pytest.fixture
def zoo_list(tmp_path, monkeypatch):
    """A list of its own: a tiny untrained drawer and canvas, in temporary files."""
    (tmp_path / "list").mkdir()
    monkeypatch.setattr(checkpoints, "WEIGHTS", tmp_path / "list")
    monkeypatch.setattr(checkpoints, "list_path", lambda: tmp_path / "list" / "checkpoints.yaml")
    (tmp_path / "list" / "checkpoints.yaml").write_text("{}")
    checkpoints.entries.cache_clear()
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
        ("tiny-drawer", zoo.CanvasDrawer(steps=2, image_size=16, painter="tiny-canvas"), [metric | {"name": "test/mse"}]),
    ):
        data = checkpoints.pack(model)
        (tmp_path / "list" / f"{name}.safetensors").write_bytes(data)
        checkpoints.write_entries({name: checkpoints.describe(model, name, data, metrics=metrics)})
    yield tmp_path / "list"
    checkpoints.entries.cache_clear()
    shutil.rmtree(tmp_path / "list")
