"""benchmarks/sara_ablations.py: its runs, the orders that it states, and what it writes."""

import json
from xml.etree import ElementTree

import markers
import pytest
import sara_ablations as ablations
import torch
import yaml
from sara_curves import curves

import zoo
from zoo.sara.sara import SARA


@pytest.mark.parametrize("name", list(ablations.RUNS))
def test_each_run_is_the_recipe_with_its_own_settings(name, tmp_path):
    """Equal but for what it is about: 200 strokes, updates, batches; and it can be made and learn."""
    settings = ablations.config(name, 2000, tmp_path)
    model = settings["model"]["init_args"]
    sara = SARA(**model)
    sara.configure_model()
    assert sara.world_size == (128 if name == "levels" else 64)
    assert (sara.image_size, sara.width, sara.rounds.batch, sara.learning.decay_at) == (64, 0.25, 16, 1000)
    assert sara.steps * sara.bundle == {"strokes-100": 100, "strokes-400": 400}.get(name, 200)
    assert sara.learning.tau == 0.01
    assert settings["trainer"]["max_steps"] == 2000
    assert settings["seed_everything"] == (name == "seed-1")
    assert sara.painter.differentiable  # a neural renderer that is not too small, or the smooth form


def test_runs_are_trained_resumed_and_written_once(data_root, tmp_path, monkeypatch, capsys):
    for name, value in {"ROUND": 1, "BATCH": 2, "FACES": 2, "SMALL": {"width": 0.125, "steps": 2, "lr": 1e-3}}.items():
        monkeypatch.setattr(ablations, name, value)
    monkeypatch.setattr(ablations, "ROUNDS", {"updates": 1, "batch": 2, "episodes": 4, "warmup": 0})
    recipe = yaml.safe_load(ablations.RECIPE.read_text())
    recipe["data"]["init_args"]["root"] = str(data_root)
    recipe["trainer"] |= {"precision": 32, "accelerator": "cpu"}
    monkeypatch.setattr(ablations, "RECIPE", tmp_path / "recipe.yaml")
    ablations.RECIPE.write_text(yaml.safe_dump(recipe))
    out = tmp_path / "runs"
    given = ["--updates", "4", "--out", str(out), "--only", "base"]

    class StoppedError(Exception):
        pass

    def stop(*_):
        raise StoppedError

    with monkeypatch.context() as stopped:
        stopped.setattr(ablations, "export", stop)  # the run is interrupted when its last checkpoint is there
        with pytest.raises(StoppedError):
            ablations.main(given)
    state = torch.load(out / "base" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 4
    ablations.main(given)
    result = json.loads((out / "base" / "result.json").read_text())
    assert result["updates"] == 4
    assert result["mse"] > 0
    assert result["world_mse"] > 0
    assert [step for step, _ in result["curve"]] == [0, 1, 2, 3]
    assert not list(out.rglob("*.ckpt"))
    drawn = zoo.load(out / "base" / "weights").draw(torch.rand(3, 64, 64))
    assert len(drawn) == 10
    before = (out / "base" / "result.json").stat().st_mtime_ns
    ablations.main(given)
    assert (out / "base" / "result.json").stat().st_mtime_ns == before
    with pytest.raises(SystemExit, match="is of 4 updates, not 8"):
        ablations.main(["--updates", "8", *given[2:]])

    page = tmp_path / "README.md"
    begin = "<!-- ablations: written by `python benchmarks/sara_ablations.py --table` -->"
    page.write_text(f"# A\n\n{begin}\n<!-- end of ablations -->\n")
    monkeypatch.setattr(ablations, "README", page)
    monkeypatch.setattr(ablations, "PLOT", tmp_path / "plot.svg")
    ablations.main(["--table", "--out", str(out)])
    assert "| `base` | model-based" in page.read_text()
    assert "no run of model-free" in page.read_text()
    assert ElementTree.parse(tmp_path / "plot.svg").getroot().tag.endswith("svg")
    with pytest.raises(SystemExit, match="holds no result"):
        ablations.main(["--table", "--out", str(tmp_path / "nothing")])


def test_orders_are_those_of_the_errors():
    errors = {"a": 1.0, "b": 2.0, "c": 3.0}
    assert ablations.verdict(["a", "b", "c"], errors) == "seen"
    assert ablations.verdict(["b", "a", "c"], errors) == "not seen: a < b < c"
    assert ablations.verdict(["a", "d"], errors) == "no run of d"
    named = {name for _, names in ablations.ORDERS for name in names} | {
        n for p in ablations.PANELS.values() for n in p
    }
    assert named == set(ablations.RUNS)


def test_curves_lie_in_their_panels():
    svg = ElementTree.fromstring(curves({"<one>": {"a": [[0, 0.1], [10, 0.01]]}, "two": {"b": [[5, 0.05]]}}))
    one, two = (
        [tuple(map(float, p.split(","))) for p in line.get("points").split()]
        for line in svg.iter("{http://www.w3.org/2000/svg}polyline")
    )
    assert one[0][0] < one[1][0] < two[0][0]  # later to the right
    assert one[0][1] < two[0][1] < one[1][1]  # smaller errors lower


def test_text_is_put_between_its_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- x: written by `make x` -->\nold\n<!-- end of x -->\nbelow\n")
    for _ in range(2):
        markers.put(page, "x", "make x", ["new", "lines"])
        assert page.read_text() == "above\n<!-- x: written by `make x` -->\nnew\nlines\n<!-- end of x -->\nbelow\n"
    with pytest.raises(ValueError, match="needs one line"):
        markers.put(page, "y", "make y", [])
