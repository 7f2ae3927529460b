"""Every format, for every renderer: files that others open, that look like the picture, never half-written."""

import io
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

import renderers
from renderers import Drawing
from renderers.export import gcode, svg
from renderers.export.animation import flipbook
from renderers.formats import FORMATS, register
from renderers.outline import Outline

NAMES = renderers.names()


def drawing(name="bezier", n=4, aspect=1.0, seed=0):
    return Drawing(renderers.get(name).actions.random(n, generator=torch.Generator().manual_seed(seed)), name, aspect)


def rasterise(path, width):
    resvg = pytest.importorskip("resvg_py")
    data = bytes(resvg.svg_to_bytes(svg_path=str(path), width=width))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(np.float32) / 255


@pytest.mark.parametrize("aspect", [1.0, 1.6])
@pytest.mark.parametrize(
    "name", [n for n in NAMES if not n.startswith("mypaint")]
)  # whose bristles are more than a line
def test_svg_looks_like_the_render(tmp_path, name, aspect):
    d = drawing(name, aspect=aspect)
    picture = rasterise(d.save(tmp_path / "a.svg"), 320)
    render = d.render(320).expand(3, -1, -1).permute(1, 2, 0).numpy()
    picture = picture[: len(render)]  # it may round the height up
    assert picture.shape == render.shape
    blank = d[:0].render(320).expand(3, -1, -1).permute(1, 2, 0).numpy()
    assert np.abs(picture - render).mean() < 0.02
    assert np.abs(picture - render).mean() < 0.3 * np.abs(picture - blank).mean()


def test_svg_has_true_paths(tmp_path):
    text = drawing().save(tmp_path / "a.svg").read_text()
    assert len(re.findall(r"<path d=\"M[\d. ]+Q[\d. ]+\"[^>]*stroke-width=\"80\"", text)) == 4
    text = drawing("pen").save(tmp_path / "b.svg").read_text()
    assert text.count("<path") == 4


def painting(n=50, side=0.25):
    """Strokes of qbc as a drawer of tiles makes them."""
    space = renderers.get("qbc").actions
    strokes = space.random(n, generator=torch.Generator().manual_seed(0))
    strokes[:, [space["r0"], space["r2"]]] *= 0.5
    corners = torch.rand(n, 2, generator=torch.Generator().manual_seed(1)) * (1 - side)
    d = Drawing(strokes, "qbc")
    boxes = [(x, y, x + side, y + side) for x, y in corners.tolist()]
    return Drawing(torch.cat([d[i].place(box).strokes for i, box in enumerate(boxes)]), "qbc")


def test_svg_of_tapered_strokes_is_small_plain_and_close(tmp_path):
    """One path and at most one gradient a stroke, no mask; as near to the picture as every circle under masks."""
    d = painting()
    render = d.render(256).permute(1, 2, 0).numpy()
    blank = np.square(render).mean()
    errors = []
    for name, options in (("a", {}), ("b", {"exact": True})):
        path = d.save(tmp_path / f"{name}.svg", **options)
        errors.append(np.square(rasterise(path, 256) - render).mean())
    plain, exact = ((tmp_path / f"{name}.svg").read_text() for name in "ab")
    assert len(plain) <= 450 * len(d) < len(exact) / 3
    assert plain.count("<path") == len(d) >= plain.count("<linearGradient") > len(d) / 2
    assert "mask" not in plain
    assert exact.count("<mask") == len(d)
    assert max(errors) < 0.06 * blank
    assert errors[0] < 1.5 * errors[1]


def test_contours_cover_what_the_brush_sweeps(tmp_path):
    """Sharp bends, circles within others, points, and hairs: the same area as that of many circles."""
    random = np.random.default_rng(0)
    scale = np.array([1000.0, 1000.0])
    for kind in range(5):
        for _ in range(3):
            points, widths = random.uniform(0.3, 0.7, (3, 2)), random.uniform(0, 0.4, 2)
            if kind == 1:  # hardly any way
                points[2] = points[0] + random.normal(0, 0.02, 2)
            bend = {2: 1.0, 3: random.integers(0, 2, 2)}.get(kind, random.uniform(0, 1, 2))
            points[1] = points[0] + bend * (points[2] - points[0])
            if kind == 4:  # all at one point
                points[:] = points[0]
            outline = Outline("curve", points, tuple(widths), (1.0, 1.0, 1.0))
            pictures = []
            for data in (svg.tapered(outline, scale, False), "".join(svg.swept(outline, scale, 60))):
                head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 1000" width="1000" height="1000">'
                (tmp_path / "a.svg").write_text(
                    f'{head}<rect width="1000" height="1000"/><path fill="red" d="{data}"/></svg>'
                )
                pictures.append(rasterise(tmp_path / "a.svg", 200)[..., 0])
            difference = np.abs(pictures[0] - pictures[1]).sum()
            # a quarter unit is a twentieth of a pixel, all round
            assert difference < 0.03 * pictures[1].sum() + 10, (kind, outline)


def test_options_of_another_format_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.svg has no option size; it has exact"):
        drawing().save(tmp_path / "a.svg", size=40)
    with pytest.raises(ValueError, match=r"\.json has no option size, page; it has none"):
        drawing().save(tmp_path / "a.json", size=40, page=(100, 100))
    assert list(tmp_path.iterdir()) == []


def test_pen_joins_segments_to_polylines():
    path = torch.rand(6, 2, generator=torch.Generator().manual_seed(0))
    strokes = torch.cat([path[:-1], path[1:]], 1)
    outlines = Drawing(strokes, "pen").outlines()
    assert len(outlines) == 1
    np.testing.assert_allclose(outlines[0].points, path.numpy())
    lifted = Drawing(strokes[[0, 1, 3, 4]], "pen").outlines()
    assert [len(o.points) for o in lifted] == [3, 3]


def test_json_and_png(tmp_path):
    d = drawing("qbc", aspect=0.5)
    assert Drawing.load(d.save(tmp_path / "a.json")) == d
    with Image.open(d.save(tmp_path / "a.png", size=64)) as image:
        assert image.size == (32, 64)
        np.testing.assert_allclose(
            np.asarray(image) / 255, d.render(64).permute(1, 2, 0).numpy(), atol=0.5 / 255 + 1e-6
        )


@pytest.mark.parametrize("n", [0, 1, 7, 200])
def test_gif_shows_stroke_by_stroke(tmp_path, n):
    d = drawing("bezier", n)
    with Image.open(d.save(tmp_path / "a.gif", size=32, seconds=1)) as image:
        frames = [np.asarray(f.convert("L")).astype(float) for f in ImageSequence.Iterator(image)]
        duration = sum(f.info["duration"] for f in ImageSequence.Iterator(image))
    assert len(frames) <= 21
    assert len(frames) == min(n, 20) + 1 or n > 20  # Pillow joins frames that are equal
    assert frames[0].max() == 0
    assert duration >= 1500
    np.testing.assert_allclose(frames[-1] / 255, d.render(32)[0].numpy(), atol=0.02)


def test_gif_in_colour_paints_each_stroke_once(tmp_path, monkeypatch):
    """Its frames go on from one another, and share the colours that they are shown in."""
    d, painted = painting(100), []
    kind = type(d.exact())
    real = kind.paint_all
    monkeypatch.setattr(kind, "paint_all", lambda self, c, s, mask=None: painted.append(s.shape[1]) or real(self, c, s))
    with Image.open(d.save(tmp_path / "a.gif", size=64, seconds=1)) as image:
        frames = [np.asarray(f.convert("RGB")) / 255 for f in ImageSequence.Iterator(image)]
    assert not frames[0].any()
    assert sum(painted) == len(d)
    assert len(painted) == 20 == len(frames) - 1
    for n, frame in ((50, frames[10]), (100, frames[20])):
        assert np.abs(frame - d[:n].render(64).permute(1, 2, 0).numpy()).mean() < 0.02


def test_mp4_has_the_drawing(tmp_path):
    imageio = pytest.importorskip("imageio.v2")
    pytest.importorskip("imageio_ffmpeg")
    d = drawing("line", 6, aspect=1.5)
    frames = imageio.mimread(d.save(tmp_path / "a.mp4", size=63, seconds=1), memtest=False)
    assert frames[0].shape == (42, 64, 3)
    assert len(frames) >= 30
    assert np.abs(frames[-1][:42, :63] / 255 - d.render(63).permute(1, 2, 0).numpy()).mean() < 0.1


def test_mp4_without_ffmpeg_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'strokezoo\[video\]'"):
        drawing().save(tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def positions(path):
    """(x, y, pen is down) of every G0 / G1 of a file, in mm."""
    down, found = False, []
    for line in path.read_text().splitlines():
        if "Z5" in line or "Z0" in line:
            down = "Z0" in line
        elif m := re.match(r"G([01]) X([-\d.]+) Y([-\d.]+)", line):
            found.append((float(m[2]), float(m[3]), down))
            assert (m[1] == "1") == down  # fast moves with the pen up, drawing moves with it down
    return np.array(found)


@pytest.mark.parametrize("name", NAMES)
def test_gcode_stays_on_the_page(tmp_path, name):
    at = positions(drawing(name, 20, aspect=1.4).save(tmp_path / "a.gcode", page=(100, 80), margin=5))
    assert at[:, 2].any()
    assert (at[:, 0] >= 5).all()
    assert (at[:, 0] <= 95).all()
    assert (at[:, 1] >= 5).all()
    assert (at[:, 1] <= 75).all()


def test_gcode_follows_the_curve_and_turns_y(tmp_path):
    d = Drawing(torch.tensor([[0.0, 0.0, 0.5, 0.0, 1.0, 1.0]]), "bezier")
    path = d.save(tmp_path / "a.gcode", page=(120, 120), margin=10, feed=900)
    at = positions(path)
    drawn = at[at[:, 2] == 1]
    assert "F900" in path.read_text()
    np.testing.assert_allclose(at[0, :2], [10, 110], atol=1e-3)  # top left
    np.testing.assert_allclose(drawn[-1, :2], [110, 10], atol=1e-3)
    t = np.linspace(0, 1, 2000)
    curve = np.stack([10 + 100 * (t * (1 - t) + t**2), 110 - 100 * t**2], 1)
    a, b = np.vstack([at[:1, :2], drawn[:-1, :2]]), drawn[:, :2]
    middle = (a + b) / 2
    assert np.linalg.norm(middle[:, None] - curve[None], axis=-1).min(1).max() < 0.06


def test_gcode_lifts_the_pen_only_between_strokes(tmp_path):
    joined = Drawing(torch.tensor([[0.1, 0.1, 0.5, 0.5], [0.5, 0.5, 0.9, 0.1]]), "pen-width".removesuffix("-width"))
    apart = Drawing(torch.tensor([[0.1, 0.1, 0.5, 0.5], [0.5, 0.6, 0.9, 0.1]]), "pen")
    assert joined.save(tmp_path / "a.gcode").read_text().count("G1 Z0") == 1
    assert apart.save(tmp_path / "b.gcode").read_text().count("G1 Z0") == 2


@pytest.mark.parametrize(
    "options", [{"page": (10, 10), "margin": 6}, {"feed": 0}, {"margin": -1}, {"page": (float("nan"), 10)}]
)
def test_gcode_refuses_an_impossible_page(tmp_path, options):
    with pytest.raises(ValueError, match="leaves nothing to draw on"):
        drawing().save(tmp_path / "a.gcode", **options)
    assert list(tmp_path.iterdir()) == []


def test_unknown_ending_and_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=r"no format '\.bmp'; a drawing is saved as .*\.json .*\.png .*\.svg"):
        drawing().save(tmp_path / "a.bmp")
    with pytest.raises(FileNotFoundError, match="no folder"):
        drawing().save(tmp_path / "none" / "a.svg")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("ending", list(FORMATS))
def test_a_broken_save_leaves_the_old_file(tmp_path, monkeypatch, ending, error):
    """A full disk, or Ctrl-C, after half of the bytes: the old file stays whole and no other is left."""
    target = tmp_path / f"a{ending}"
    target.write_bytes(b"old")

    def half(drawing, path, **options):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setitem(FORMATS, ending, half)
    with pytest.raises(type(error)):
        drawing().save(target)
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == [target.name]


def test_a_full_disk_for_real():
    """/dev/full takes no byte."""
    from pathlib import Path

    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError, match="No space left"):
        gcode.write(drawing(), Path("/dev/full"))


def test_a_format_is_one_registration(tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, ".rows", None)
    del FORMATS[".rows"]
    register(".rows", lambda drawing, path, end: path.write_text(f"{len(drawing)}{end}"))
    assert drawing(n=3).save(tmp_path / "a.ROWS", end="!").read_text() == "3!"
    with pytest.raises(ValueError, match=r"the format '\.rows' is registered already"):
        register(".rows", print)


def test_flipbook_goes_there_and_back(tmp_path):
    parts = [Drawing(torch.tensor([[0.1, 0.1, 0.1 + 0.2 * i, 0.9]]), "pen") for i in range(4)]
    flipbook(parts, tmp_path / "f.gif", size=64, seconds=0.1)
    with Image.open(tmp_path / "f.gif") as image:
        assert image.n_frames == 6
        frames = []
        for i in range(6):
            image.seek(i)
            frames.append((np.asarray(image.convert("L")).copy(), image.info["duration"]))
    assert [d for _, d in frames] == [400, 100, 100, 400, 100, 100]
    np.testing.assert_array_equal(frames[1][0], frames[5][0])
    assert [p.name for p in tmp_path.iterdir()] == ["f.gif"]
