"""Strokes painted once and stored."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from tiny_files import has_mypaint

import datamodules
import renderers
from datamodules import stored
from datamodules.files import DataError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "SHARD", 16)
    stored.make("qbc", 40, tmp_path / "s", size=16, processes=1)
    return tmp_path / "s"


def batches(module, name="train"):
    module.setup()
    return [module.on_after_batch_transfer(b, 0) for b in module.loader(name)]


@pytest.mark.parametrize("renderer", ["qbc", "bezier-width", "rectangle", "pen"])
def test_what_is_stored_is_what_the_renderer_paints(tmp_path, monkeypatch, renderer):
    monkeypatch.setattr(stored, "SHARD", 16)
    stored.make(renderer, 40, tmp_path / "s", size=24, processes=1)
    data = datamodules.StoredStrokes("s", root=str(tmp_path), batch_size=8)
    found = batches(data)
    assert [len(b["action"]) for b in found] == [8] * 4
    assert (data.count("train"), data.count("val"), data.count("test")) == (36, 2, 2)
    exact = renderers.get(renderer)
    for b in found:
        exact.actions.check(b["action"])
        assert b["ink"].shape == (8, 1, 24, 24)
        if "red" in exact.actions:
            exact.background = (1.0, 1.0, 1.0)
            b["next"] = stored.painted(exact, exact.blank(8, 24), b["action"], b["ink"][:, 0])
        real = exact.render(b["action"][:, None], 24)
        assert (real - b["next"]).abs().max() < 0.6 / stored.LEVELS


def test_taking_the_ink_of_strokes_leaves_their_renderer_as_it_was():
    renderer = renderers.get("rectangle")
    strokes = renderer.actions.random(4, generator=torch.Generator().manual_seed(0))
    before = renderer.render(strokes[:, None], 16)
    ink = stored.inks(renderer, strokes, 16)
    assert renderer.background == (0.0, 0.0, 0.0)
    assert torch.equal(renderer.render(strokes[:, None], 16), before)
    black_paper = stored.painted(renderer, renderer.blank(4, 16), strokes, ink)
    assert (black_paper - before).abs().max() < 1e-5


class TwoColours(type(renderers.get("rectangle"))):
    """On the left, red and blue change places."""

    def paint(self, canvas, action):
        left, right = super().paint(canvas, action).chunk(2, -1)
        return torch.cat([left.flip(1), right], -1)


def test_strokes_of_several_colours_are_refused():
    renderer = renderers.get("rectangle")
    stored.check_colour(renderer, 32)
    renderer.__class__ = TwoColours
    with pytest.raises(ValueError, match="changes the colour of its paint along a stroke"):
        stored.check_colour(renderer, 32)


def test_batches_follow_from_the_seed_and_parts_do_not_meet(folder):
    a, b = (datamodules.StoredStrokes(str(folder), batch_size=4) for _ in range(2))
    rows = []
    for module in (a, b):
        module.setup()
        rows.append(torch.cat([batch[0] for batch in module.loader("train")]))
    assert torch.equal(*rows)
    parts = [{tuple(r.tolist()) for r in torch.cat([b[0] for b in a.loader(n)])} for n in ("train", "val", "test")]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 40


def test_a_broken_off_run_goes_on(folder):
    index = (folder / "strokes.json").read_text()
    kept = (folder / "00000.npz").stat().st_mtime_ns
    (folder / "00001.npz").unlink()
    (folder / "strokes.json").write_text(json.dumps(json.loads(index) | {"sums": []}))
    with pytest.raises(DataError, match="not finished: run the same `zoo strokes` command again"):
        datamodules.StoredStrokes(str(folder)).setup()
    stored.make("qbc", 40, folder, size=16, processes=1)
    assert (folder / "strokes.json").read_text() == index
    assert (folder / "00000.npz").stat().st_mtime_ns == kept


def test_another_plan_is_refused(folder):
    for change in ({"n": 41}, {"seed": 1}, {"size": 17}):
        with pytest.raises(ValueError, match="holds other strokes"):
            stored.make(**({"renderer": "qbc", "n": 40, "out": folder, "size": 16, "processes": 1} | change))


@pytest.mark.parametrize("change", [{"n": 0}, {"size": 4}, {"processes": 0}, {"seed": -1}])
def test_impossible_plans(tmp_path, change):
    with pytest.raises(ValueError, match="expected 1 to"):
        stored.make(**({"renderer": "qbc", "n": 4, "out": tmp_path / "s"} | change))


def test_damaged_files_are_named(folder):
    whole = (folder / "00001.npz").read_bytes()
    for damage in (whole[:100], whole[:-1] + b"x", b""):
        (folder / "00001.npz").write_bytes(damage)
        with pytest.raises(DataError, match=r"00001\.npz is damaged or missing .* Delete"):
            datamodules.StoredStrokes(str(folder)).setup()
    (folder / "00001.npz").unlink()
    with pytest.raises(DataError, match=r"00001\.npz is damaged or missing"):
        datamodules.StoredStrokes(str(folder)).setup()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "x"}', "[" * 10_000, '{"n": 1e999}'])
def test_a_damaged_index_is_named(folder, text):
    (folder / "strokes.json").write_text(text)
    with pytest.raises(DataError, match=r"strokes\.json is not an index of `zoo strokes`"):
        datamodules.StoredStrokes(str(folder))


def test_no_folder_says_how_to_make_one(tmp_path):
    with pytest.raises(DataError, match="Make it: zoo strokes --renderer mypaint"):
        datamodules.StoredStrokes("nothing", root=str(tmp_path))


def test_packing_is_exact():
    picture = np.random.default_rng(0).integers(0, 256, (20, 20), np.uint8)
    assert (stored.unpack(stored.pack(picture), 20) == picture).all()
    with pytest.raises(DataError, match="not a picture of 20²"):
        stored.unpack(b"nonsense", 20)


@pytest.mark.slow
def test_several_processes_make_the_same_files(tmp_path):
    n = stored.SHARD + 8
    command = [sys.executable, "-m", "zoo", "strokes", "--renderer", "line", "--size", "8", "--n", str(n), "--out"]
    for out, processes in (("one", "1"), ("two", "2")):
        subprocess.run([*command, str(tmp_path / out), "--processes", processes], check=True, capture_output=True)
    assert (tmp_path / "one" / "strokes.json").read_text() == (tmp_path / "two" / "strokes.json").read_text()


@pytest.mark.skipif(not has_mypaint(), reason="needs libmypaint and its brushes")
def test_mypaint_takes_a_twentieth_and_brushes_that_mix_colours_are_refused(tmp_path):
    stored.make("mypaint", 300, tmp_path / "s", processes=1)
    size = sum(os.path.getsize(tmp_path / "s" / f) for f in os.listdir(tmp_path / "s"))
    assert 20 * size <= 300 * 64 * 64 * 3
    with pytest.raises(ValueError, match="changes the colour of its paint"):
        stored.make("mypaint:classic/impressionism", 10, tmp_path / "w", processes=1)
