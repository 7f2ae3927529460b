"""The form of checkpoints.yaml: short, each thing once, and rewritten without a change."""

import json
from dataclasses import replace

import pytest
import yaml

import zoo
from zoo.checkpoints import catalogue, form
from zoo.checkpoints.entry import CheckpointError, Entry
from zoo.cli import main as cli

TEXT = catalogue.list_path().read_text()
MNIST = {"dataset": "MNIST", "n": 10, "data": {"class": "MNIST", "image_size": 16}}
AWKWARD = [
    "a: b",
    "- c",
    "# d",
    "'e'",
    '"f"',
    "g\nh",
    "1e3",
    "no",
    "",
    "ü²",
    "{i}",
    "j, k",
    "l " * 99,
    "%",
    "@m",
    "n  o ",
]


def entry(name="one", **fields):
    weights = {"file": f"{name}.safetensors", "sha256": "0" * 64, "bytes": 1}
    return Entry(name, "CanvasNetwork", {"width": 4}, weights, "bezier", **fields)


def metric(**fields):
    return {"name": "test/mse", "split": "test", "paper": None, "value": 0.25, "tolerance": 0.01} | MNIST | fields


def written(*entries, test_sets=(), hardware=()):
    """The text of a list of these entries, which is shown to say the same when it is read."""
    text = form.Listing(dict(test_sets), dict(hardware), {e.name: e for e in entries}).text()
    read = form.parse(text)
    assert list(read.entries.values()) == list(entries)
    assert read.text() == text
    return text


def changed_lines(before, after):
    pairs = zip(before.splitlines(), after.splitlines(), strict=True)
    return [(old, new) for old, new in pairs if old != new]


# --- the list of the zoo ---


def test_writing_the_list_again_changes_no_byte(tmp_path, monkeypatch):
    copy = tmp_path / "checkpoints.yaml"
    copy.write_text(TEXT)
    monkeypatch.setattr(catalogue, "list_path", lambda: copy)
    catalogue.write_entries({})
    assert copy.read_text() == TEXT
    catalogue.write_entries({name: catalogue.entry(name) for name in reversed(catalogue.names())})
    assert copy.read_text() == TEXT
    catalogue.entries.cache_clear()


def test_the_list_is_short():
    lines = TEXT.splitlines()
    assert max(map(len, lines)) <= 140
    for block in TEXT.split("\ncheckpoints:\n")[1].split("\n\n"):
        assert len(block.splitlines()) <= 40, block.splitlines()[0]


def test_each_test_set_stands_once_and_is_used():
    sections = yaml.safe_load(TEXT)
    kinds = [json.dumps(test_set["data"], sort_keys=True) for test_set in sections["test_sets"].values()]
    assert len(set(kinds)) == len(kinds)
    used = {m["set"] for e in sections["checkpoints"].values() for m in e["metrics"]}
    assert used == set(sections["test_sets"])
    assert not any("data" in m for e in sections["checkpoints"].values() for m in e["metrics"])


def test_a_new_value_changes_its_line_alone(tmp_path, monkeypatch):
    copy = tmp_path / "checkpoints.yaml"
    copy.write_text(TEXT)
    monkeypatch.setattr(catalogue, "list_path", lambda: copy)
    old = catalogue.entry("canvas-drawer-mnist")
    metrics = [m | {"value": 0.5} if m["name"] == "test/mse" else m for m in old.metrics]
    catalogue.write_entries({old.name: replace(old, metrics=metrics)})
    ((before, after),) = changed_lines(TEXT, copy.read_text())
    assert f"value: {old.metrics[0]['value']}" in before
    assert after == before.replace(f"value: {old.metrics[0]['value']}", "value: 0.5")
    catalogue.entries.cache_clear()


# --- what is written ---


def test_what_a_metric_shares_stands_with_its_test_set():
    text = written(entry(metrics=[metric(), metric(name="test/ssim")]), entry("two", metrics=[metric(value=0.5)]))
    assert text.count("class: MNIST") == text.count("n: 10") == 1
    assert "    - {name: test/mse, set: mnist, value: 0.25, tolerance: 0.01}\n" in text
    assert "paper" not in text
    assert "split" not in text


def test_what_differs_from_the_test_set_stays_with_the_metric():
    text = written(entry(metrics=[metric(), metric(n=7), metric(dataset="digits", split="val", paper=0.1)]))
    assert "set: mnist, value: 0.25, tolerance: 0.01, n: 7}" in text
    assert "set: mnist, value: 0.25, tolerance: 0.01, paper: 0.1, split: val, dataset: digits}" in text


def test_a_test_set_that_is_new_gets_a_name():
    other = {"class": "MNIST", "image_size": 32}
    text = written(entry(metrics=[metric(), metric(data=other), metric(data=other, name="test/ssim")]))
    assert set(form.parse(text).test_sets) == {"mnist", "mnist-2"}


def test_a_test_set_is_counted_when_it_is_first_measured():
    typed = {"mnist": {"dataset": "MNIST", "data": MNIST["data"]}}
    text = written(entry(metrics=[metric()]), test_sets=typed)
    assert form.parse(text).test_sets == {"mnist": typed["mnist"] | {"n": 10}}


def test_a_metric_in_full_is_read_too():
    """As an entry of a config.json has it, pasted into the list."""
    full = {"checkpoints": {"one": json.loads(json.dumps(vars(entry(metrics=[metric()]))))}}
    del full["checkpoints"]["one"]["name"]
    assert form.parse(yaml.safe_dump(full)).entries["one"] == entry(metrics=[metric()])


def test_hardware_has_a_name():
    machine = {"laptop": "a laptop, two years old: 8 cores"}
    trained = entry(training={"hardware": machine["laptop"], "steps": 5})
    text = written(trained, entry("two", training={"hardware": "another"}), hardware=machine)
    assert "training: {hardware: laptop, steps: 5}" in text
    assert "training: {hardware: another}" in text


def test_awkward_texts_and_nested_arguments():
    arguments = {"net": {"sizes": [8, 16], "deep": {"a": None, "b": True, "c": AWKWARD}}, "rate": 1e-30, "none": []}
    awkward = replace(entry(deviations=AWKWARD, data=dict(enumerate(AWKWARD)), paper="x: y"), init_args=arguments)
    written(replace(awkward, training={"runs": AWKWARD}, metrics=[metric(note=text, dataset=text) for text in AWKWARD]))


def test_lines_are_broken_between_pieces():
    text = written(replace(entry(), init_args={f"argument_{i}": i / 7 for i in range(40)}))
    assert max(map(len, text.splitlines())) <= form.WIDTH


# --- what is read ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "checkpoints: {one: {metrics: [{name: test/mse, set: mnits}]}}\ntest_sets: {mnist: {}}",
            "'mnits'; there are mnist",
        ),
        ("one: {cls: CanvasNetwork}", "section 'one'; expected test_sets, hardware, checkpoints"),
        ("checkpoints: {one: {cls: CanvasNetwork}}", "missing"),
        ("checkpoints: [one]", "not a list of checkpoints"),
        ("checkpoints: {one: two}", "not a list of checkpoints"),
        ("- one", "not a list of checkpoints"),
        ("{", "not a list of checkpoints"),
    ],
)
def test_a_list_that_is_none(zoo_list, text, message):
    (zoo_list / "checkpoints.yaml").write_text(text)
    catalogue.entries.cache_clear()
    with pytest.raises(CheckpointError, match=message) as e:
        zoo.load("one")
    assert str(zoo_list / "checkpoints.yaml") in str(e.value)


def test_commands_write_this_form(zoo_list, data_root):
    path = zoo_list / "checkpoints.yaml"
    assert cli.main(["evaluate", "--all", "--write"]) == 0
    text = path.read_text()
    assert form.parse(text).text() == text
    assert "mnist: {dataset: MNIST, data: {class: MNIST, image_size: 16}, n: 24}" in text
    assert "- {name: test/mse, set: mnist, value: 0." in text
