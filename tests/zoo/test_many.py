"""`zoo draw` of many images: folders, patterns, batches, processes; what is bad is named, and a run goes on."""

import concurrent.futures
import errno
import multiprocessing
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo
from renderers import Drawing
from zoo.checkpoints import loading
from zoo.cli import many
from zoo.cli.main import main


def run(*args):
    return main([str(a) for a in args])


@pytest.fixture
def photos(tmp_path):
    """A folder of seven images, of other shapes, and what else lies about in folders."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(7):
        pixels = np.random.default_rng(i).integers(0, 255, (20 + i, 24), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.{'JPG' if i % 2 else 'png'}")
    (folder / "notes.txt").write_text("hello")
    (folder / "._0.png").write_text("not an image, for all its name")
    return folder


@pytest.fixture
def damaged(photos):
    """Bad files among them, by what is said of them."""
    (photos / "empty.png").write_bytes(b"")
    (photos / "cut.png").write_bytes((photos / "0.png").read_bytes()[:200])
    (photos / "text.jpg").write_text("hello")
    (photos / "x.png").mkdir()
    messages = {"cut.png": "not a whole image", "empty.png": "not an image", "text.jpg": "not an image"}
    return messages | {"x.png": "is a folder"}


@pytest.fixture
def drawer(tmp_path):
    """A folder that processes of their own can load a drawer from."""
    return loading.save(zoo.CanvasDrawer(steps=2, image_size=16), tmp_path / "drawer", "drawer")


def test_folders_and_patterns(photos, monkeypatch):
    names = ["0.png", "1.JPG", "2.png", "3.JPG", "4.png", "5.JPG", "6.png"]
    expected = [str(photos / name) for name in names]
    assert many.find_images([str(photos)]) == expected
    assert many.find_images([str(photos / "*")]) == expected
    assert many.find_images([str(photos / "*.png"), str(photos / "1.JPG")]) == [*expected[::2], expected[1]]
    assert many.find_images([str(photos), expected[0], "sample:coffee"]) == [*expected, "sample:coffee"]  # each once
    assert many.find_images([str(photos.parent / "**" / "*.png")]) == expected[::2]
    monkeypatch.chdir(photos)
    assert many.find_images(["."]) == names
    odd = photos / "a[1].png"  # a name, not a pattern
    odd.write_bytes((photos / "0.png").read_bytes())
    assert many.find_images([str(odd)]) == [str(odd)]


def test_one_file_for_each(photos):
    pairs = many.files_for(["a/x.png", "sample:coffee"], "out/{name}.svg")
    assert pairs == [("a/x.png", Path("out/x.svg")), ("sample:coffee", Path("out/coffee.svg"))]
    with pytest.raises(ValueError, match=r"a/x\.png and b/x\.jpg would both be drawn to out/x\.svg"):
        many.files_for(["a/x.png", "b/x.jpg"], "out/{name}.svg")
    with pytest.raises(ValueError, match=r"2 images need an --out with \{name\} in it"):
        many.files_for(["a.png", "b.png"], "out.svg")
    with pytest.raises(ValueError, match=r"the drawing of a/x\.png would replace the image a/x\.png"):
        many.files_for(["a/x.png", "a/y.png"], "a/{name}.png")


def test_mistakes(zoo_list, photos, tmp_path, capsys):
    out = tmp_path / "out"
    (tmp_path / "none").mkdir()
    draw = ("--model", "tiny-drawer", "--out", out / "{name}.svg")
    for images, message in (
        ((tmp_path / "none",), "holds no image"),
        ((photos / "*.webp",), "holds no image"),
        ((photos,), "no folder"),
        ((photos, "--jobs", 0), "--jobs is 0; expected 1 to"),
        ((photos, "--size", 9), ".svg has no option size"),
    ):
        assert run("draw", *images, *draw) == 1
        assert message in capsys.readouterr().err
    assert run("draw", photos, "--model", "tiny-drawer", "--out", tmp_path / "a.svg") == 1
    assert "7 images need an --out with {name}" in capsys.readouterr().err
    if Path("/proc/self").is_dir():  # it takes no file, even from root
        assert run("draw", photos, "--model", "tiny-drawer", "--out", "/proc/self/{name}.svg") == 1
        assert capsys.readouterr().err.count("\n") == 1


def test_bad_images_are_named_and_the_rest_is_drawn(zoo_list, photos, damaged, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    assert run("draw", photos, "--model", "tiny-drawer", "--out", out / "{name}.json") == 1
    printed = capsys.readouterr()
    assert {p.name for p in out.iterdir()} == {f"{i}.json" for i in range(7)}
    assert sorted(printed.out.splitlines()) == [f"{out / f'{i}.json'}: 2 strokes" for i in range(7)]
    *skipped, last = printed.err.splitlines()  # and no bar: this is no terminal
    assert len(skipped) == len(damaged) == 4
    for line, (name, message) in zip(skipped, sorted(damaged.items()), strict=True):
        assert line.startswith(f"zoo: skipped: {photos / name} ")
        assert message in line
    names = ", ".join(str(photos / name) for name in sorted(damaged))
    assert last == f"zoo: error: 4 of 11 images were not drawn: {names}"
    alone = tmp_path / "alone.json"
    for i in range(7):  # a batch draws what each alone draws
        [image] = photos.glob(f"{i}.*")
        assert run("draw", image, "--model", "tiny-drawer", "--out", alone) == 0
        one, batched = Drawing.load(alone), Drawing.load(out / f"{i}.json")
        assert one.aspect == batched.aspect
        np.testing.assert_allclose(one.strokes, batched.strokes, atol=1e-5)


def test_a_run_that_was_broken_off_goes_on(zoo_list, photos, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    out.mkdir()
    draw = ("draw", photos, "--model", "tiny-drawer", "--out", out / "{name}.svg", "--skip-existing")
    save, saved = Drawing.save, []

    def killed(self, path, **options):
        if len(saved) == 3:
            raise KeyboardInterrupt
        saved.append(path)
        return save(self, path, **options)

    monkeypatch.setattr(Drawing, "save", killed)
    assert run(*draw) == 130
    monkeypatch.setattr(Drawing, "save", save)
    before = {p: p.stat().st_mtime_ns for p in out.iterdir()}
    assert len(before) == 3
    capsys.readouterr()
    assert run(*draw) == 0
    assert capsys.readouterr().out.startswith("3 of 7 images are drawn already\n")
    assert len(list(out.iterdir())) == 7
    assert before == {p: p.stat().st_mtime_ns for p in before}
    assert run(*draw, "--model", "no-such-drawer") == 0  # nothing is left to draw
    assert capsys.readouterr().out == "7 of 7 images are drawn already\n"


def test_an_image_that_spoils_its_batch_is_named(photos):
    class Picky:
        """Refuses a batch with a certain image, and that image."""

        def takes_batches(self, tiles):
            return True

        def look(self, image):
            return image

        def draw_batch(self, looks, strokes, refine):
            return [self.draw(look, 1, strokes) for look in looks]

        def draw(self, image, tiles, strokes):
            if image == "c":
                raise ValueError("no line in it")
            return f"{image} in {strokes}"

    plan = many.Plan("", "cpu", 1, 9, {}, None, {})
    a, b, c, d = many.drawings(Picky(), plan, list("abcd"))
    assert [a, b, d] == ["a in 9", "b in 9", "d in 9"]
    assert str(c) == "no line in it"


def test_several_processes(drawer, photos, damaged, tmp_path, capsys):
    for jobs in (1, 2):
        out = tmp_path / f"out{jobs}"
        out.mkdir()
        assert run("draw", photos, "--model", drawer, "--out", out / "{name}.json", "--jobs", jobs) == 1
        assert "4 of 11 images were not drawn" in capsys.readouterr().err
    for i in range(7):
        one, two = (Drawing.load(tmp_path / f"out{jobs}" / f"{i}.json") for jobs in (1, 2))
        np.testing.assert_allclose(one.strokes, two.strokes, atol=1e-5)


def test_a_killed_process_ends_the_run(drawer, photos, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()

    def kill():
        while not (children := multiprocessing.active_children()):
            time.sleep(0.01)
        os.kill(children[0].pid, 9)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    assert run("draw", photos, "--model", drawer, "--out", out / "{name}.svg", "--jobs", 2) == 1
    killer.join(60)
    assert "a drawing process was killed" in (text := capsys.readouterr().err)
    assert "--skip-existing" in text
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError("handle is closed"), "a drawing process was killed"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "a drawing process was killed"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "Resource temporarily unavailable"),
    ],
)
def test_a_process_killed_while_work_is_handed_out(error, text, drawer, photos, tmp_path, capsys, monkeypatch):
    class Pool(concurrent.futures.ProcessPoolExecutor):
        def submit(self, *args):
            raise error

    monkeypatch.setattr("zoo.cli.many.ProcessPoolExecutor", Pool)
    out = tmp_path / "out"
    out.mkdir()
    assert run("draw", photos, "--model", drawer, "--out", out / "{name}.svg", "--jobs", 2) == 1
    assert text in capsys.readouterr().err
    assert not any(out.iterdir())
