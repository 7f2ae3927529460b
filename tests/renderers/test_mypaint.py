"""The real MyPaint: what it paints, and that nothing ends the process."""

import hashlib
import json
import subprocess
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest
import torch
from tiny_files import has_mypaint

import renderers
from renderers import Drawing, libmypaint, mypaint
from renderers.libmypaint import MyPaintError

installed = pytest.mark.skipif(not has_mypaint(), reason="needs libmypaint and its brushes")
STROKE = [[0.1, 0.2, 0.5, 0.6, 0.9, 0.3, 0.9, 0.8, 0.5, 0.1, 0.3, 0.8]]


def strokes(n, seed=0):
    return mypaint.MyPaint.actions.random(n, generator=torch.Generator().manual_seed(seed))


@installed
def test_a_seed_makes_it_bit_identical_also_in_another_process():
    r = renderers.get("mypaint")
    row = torch.tensor(STROKE)[None]
    a, b = r.render(row, 64), renderers.get("mypaint").render(row, 64)
    assert torch.equal(a, b)
    code = f"import renderers, torch, hashlib; p = renderers.get('mypaint').render(torch.tensor([{STROKE}]), 64);"
    code += "print(hashlib.sha256(p.numpy().tobytes()).hexdigest())"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()[-1]
    assert out == hashlib.sha256(a.numpy().tobytes()).hexdigest()
    other, free = renderers.get("mypaint", seed=1), renderers.get("mypaint", seed=None)
    assert not torch.equal(other.render(row, 64), a)
    assert not torch.equal(free.render(row, 64), free.render(row, 64))


@installed
def test_a_stroke_follows_its_curve_in_its_colour():
    """classic/pen is opaque: its middle has the stroke's colour exactly, and far away the paper stays white."""
    r = renderers.get("mypaint:classic/pen")
    picture = r.render(torch.tensor(STROKE)[None], 128)[0]
    p0, p1, p2 = r.curves(torch.tensor(STROKE))[0].numpy()
    middle = 0.25 * p0 + 0.5 * p1 + 0.25 * p2
    np.testing.assert_allclose(middle, [0.5, 0.6], atol=1e-6)  # the point that it passes half-way
    np.testing.assert_allclose(picture[:, int(0.6 * 128), 64].numpy(), STROKE[0][9:], atol=2 / 255)
    assert (picture[:, -10:] == 1).all()


@installed
def test_bristles_depend_on_the_shape_not_on_the_colour():
    a, b = torch.tensor(STROKE)[None].repeat(2, 1, 1)
    b = b.clone()
    b[0, 9:] = 0
    r = renderers.get("mypaint")
    ink = 1 - r.render(b[None], 64)
    colour = 1 - r.render(a[None], 64)
    expected = ink * (1 - torch.tensor(STROKE[0][9:])).view(1, 3, 1, 1)
    torch.testing.assert_close(colour, expected, atol=2e-3, rtol=0)


@installed
@pytest.mark.parametrize("shape", [(8, 8), (64, 64), (65, 130), (200, 90), (1024, 8)])
def test_any_size(shape):
    r = renderers.get("mypaint")
    canvas = torch.rand(2, 3, *shape)
    painted = r.paint(canvas, strokes(2))
    assert painted.shape == canvas.shape
    assert (painted - canvas).abs().max() > 1e-3
    untouched = strokes(2)
    untouched[:, 6:8] = 0  # without pressure
    torch.testing.assert_close(r.paint(canvas, untouched), canvas, atol=1 / (1 << 15), rtol=0)


@installed
def test_sizes_that_it_cannot_paint():
    for size in (7, 4097):
        with pytest.raises(ValueError, match=r"sides of 8 to 4096 pixels"):
            renderers.get("mypaint").render(strokes(1)[None], size)


@installed
@pytest.mark.slow
def test_every_brush_paints():
    """All 373 of the package, by name: each takes a stroke, and most leave a mark on white paper."""
    names = list(mypaint.brushes())
    assert len(names) >= 373
    marks = sum(bool((renderers.get(f"mypaint:{n}").render(strokes(2)[None], 64) < 1).any()) for n in names)
    assert marks > 0.7 * len(names)


@installed
def test_hostile_numbers_are_refused_or_bounded():
    r = renderers.get("mypaint")
    for bad in (float("nan"), float("inf"), -1.0, 1e9):
        row = torch.tensor(STROKE)
        row[0, 2] = bad
        with pytest.raises(ValueError, match="column 'x1' is"):
            r.paint(r.blank(1, 64), row)
    brush = libmypaint.brush(r.settings())
    with libmypaint.Surface(64, 64) as surface:
        surface.put(np.ones((3, 64, 64), np.float32))
        for huge in (1e8, -1e30):
            brush.stroke(surface, np.array([[0.0, 0.0], [huge, huge]]), np.array([1.0, 1.0]), 3.0, (0.0, 0.0, 0.0))
        brush.stroke(surface, np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([1.0, 1.0]), 1e9, (0.0, 0.0, 0.0))
        for bad in (np.nan, np.inf):
            with pytest.raises(ValueError, match="not finite"):
                brush.stroke(surface, np.array([[0.0, 0.0], [bad, 1.0]]), np.array([1.0, 1.0]), 3.0, (0.0, 0.0, 0.0))


@installed
def test_threads_have_brushes_of_their_own():
    expected = renderers.get("mypaint").render(strokes(8)[:, None], 64)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(renderers.get("mypaint").render(strokes(8)[:, None], 64)))
        for _ in range(3)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 3
    assert all(torch.equal(f, expected) for f in found)


@installed
def test_without_its_private_generator_it_still_repeats(monkeypatch):
    monkeypatch.setattr(libmypaint.Brush, "find_generator", lambda self: None)
    monkeypatch.setattr(libmypaint, "_mine", threading.local())
    r = renderers.get("mypaint")
    assert torch.equal(r.render(strokes(2)[None], 64), r.render(strokes(2)[None], 64))


def test_memory_that_is_not_there_is_an_error_not_a_crash():
    if sys.platform == "linux":
        with pytest.raises(OSError, match=r"."):
            libmypaint.peek(8, 8)


def brush_file(folder, text):
    (folder / "own").mkdir(exist_ok=True)
    path = folder / "own" / "mine.myb"
    path.write_text(text)
    return path


GOOD = {
    "opaque": {"base_value": 1.0, "inputs": {}},
    "hardness": {"base_value": 0.9, "inputs": {"pressure": [[0.0, 0.0], [1.0, 0.1]]}},
}


@installed
def test_own_brushes(tmp_path, monkeypatch):
    wild = GOOD | {
        "dabs_per_actual_radius": {"base_value": 1e30, "inputs": {}},
        "offset_x": {
            "base_value": 0.0,
            "inputs": {"random": [[0.0, 1e30], [1.0, 1e30]], "nothing_known": [[0, 0], [1, 1]], "speed1": [[0.0, 1.0]]},
        },
        "no_such_setting": {"base_value": 1.0, "inputs": {}},
    }
    brush_file(tmp_path, json.dumps({"version": 3, "settings": wild}))
    monkeypatch.setenv("ZOO_BRUSHES", str(tmp_path))
    mypaint.brushes.cache_clear()
    try:
        assert renderers.get("mypaint:own/mine").render(strokes(2)[None], 64).isfinite().all()
    finally:
        monkeypatch.undo()
        mypaint.brushes.cache_clear()


@installed
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a MyPaint brush"),
        ("[]", "not a MyPaint brush"),
        ("{}", "it lacks 'version'"),
        ('{"version": 2, "settings": {}}', "version 2; version 3 is read"),
        ('{"version": 3, "settings": {"opaque": 1}}', "not a MyPaint brush"),
        ('{"version": 3, "settings": {"opaque": {"base_value": NaN, "inputs": {}}}}', "opaque is nan"),
        (
            '{"version": 3, "settings": {"opaque": {"base_value": 1, "inputs": {"pressure": [[1, 0], [0, 1]]}}}}',
            "from left to right",
        ),
        (
            '{"version": 3, "settings": {"opaque": {"base_value": 1, "inputs": {"pressure": [[0, NaN], [1, 1]]}}}}',
            "finite points",
        ),
        ("[" * 100_000, "not a MyPaint brush"),
    ],
)
def test_a_malformed_brush_is_one_error(tmp_path, text, message):
    path = brush_file(tmp_path, text)
    with pytest.raises(MyPaintError, match=message) as e:
        libmypaint.read_brush(path)
    assert str(path) in str(e.value)


@installed
def test_an_unknown_brush_suggests_the_nearest():
    with pytest.raises(
        ValueError, match=r"no brush 'classic/dry_brsh' \(did you mean 'classic/dry_brush'\?\); there are"
    ):
        renderers.get("mypaint:classic/dry_brsh")
    with pytest.raises(ValueError, match="no brush"):
        renderers.get("mypaint:../../etc/passwd")


def test_only_families_have_variants():
    with pytest.raises(ValueError, match="no renderer 'pen:classic'"):
        renderers.get("pen:classic")


def test_no_smooth_form():
    with pytest.raises(ValueError, match="learn through a painter of it, such as neural-painter-gan"):
        renderers.get("mypaint", differentiable=True)


def test_without_the_library_there_is_one_error_with_the_install_line(monkeypatch):
    monkeypatch.setattr(libmypaint, "NAMES", ("libnothing.so",))
    libmypaint.library.cache_clear()
    try:
        drawing = Drawing(torch.tensor(STROKE), "mypaint")
        assert Drawing.from_json(drawing.to_json()) == drawing
        assert len(drawing.outlines()) == 1
        with pytest.raises(MyPaintError, match=r"apt-get install libmypaint-1\.5-1 mypaint-brushes"):
            drawing.render(64)
    finally:
        monkeypatch.undo()
        libmypaint.library.cache_clear()


def test_a_library_of_an_unknown_version_is_refused(monkeypatch):
    libmypaint.library.cache_clear()
    monkeypatch.setattr(libmypaint, "NAMES", ("libm.so.6", "libSystem.dylib"))
    try:
        with pytest.raises(MyPaintError, match="is of an unknown version"):
            libmypaint.library()
    finally:
        monkeypatch.undo()
        libmypaint.library.cache_clear()


@installed
def test_a_library_that_numbers_its_settings_otherwise_is_refused(monkeypatch):
    libmypaint.library.cache_clear()
    monkeypatch.setattr(libmypaint, "IDS", {"radius_logarithmic": 5})
    try:
        with pytest.raises(MyPaintError, match="numbers radius_logarithmic differently"):
            libmypaint.library()
    finally:
        monkeypatch.undo()
        libmypaint.library.cache_clear()


@pytest.mark.parametrize("name", ["bezier", "bezier-width-colour", "qbc", "pen", "circle", "triangle"])
def test_other_drawings_become_brush_strokes(name):
    """Each curve one stroke along it; what is wider than the brush is narrowed."""
    drawing = Drawing(renderers.get(name).actions.random(3, generator=torch.Generator().manual_seed(0)), name)
    painted = drawing.to("mypaint")
    assert len(painted) >= 3
    if name == "bezier":
        assert len(painted) == 3
        for before, after in zip(drawing.outlines(), painted.outlines(), strict=True):
            at = np.linspace(0, 1, 5)
            np.testing.assert_allclose(before.at(at), after.at(at), atol=1e-5)
    if has_mypaint():
        assert (painted.render(64) < 1).any()


def test_a_long_pen_line_becomes_few_strokes():
    t = np.linspace(0, 3, 200)
    path = np.stack([0.1 + 0.25 * t, 0.5 + 0.3 * np.sin(2 * t)], 1)
    parts = mypaint.curves_along(path)
    assert 2 <= len(parts) <= 12
    np.testing.assert_allclose(parts[0][0], path[0])
    np.testing.assert_allclose(parts[-1][2], path[-1])
    for a, b in pairwise(parts):
        np.testing.assert_allclose(a[2], b[0])
    dot = mypaint.curves_along(path[:1])
    assert len(dot) == 1


def test_discrete_columns_are_rounded_and_a_lifted_brush_leaves_nothing():
    discrete, plain = renderers.get("mypaint-discrete"), renderers.get("mypaint")
    space = discrete.actions
    strokes = space.random(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(space.rounded(strokes), strokes)
    assert space.column(strokes, "lift").unique().tolist() == [0, 1]
    assert len(space.column(strokes, "radius").unique()) == 10
    near = strokes[:8].clone()
    near[:, space["radius"]] = (near[:, space["radius"]] + 0.04).clamp(0, 1)
    near[:, space["lift"]] = (near[:, space["lift"]] - 0.4).abs()
    painted = discrete.render(near[:, None], 32)
    assert torch.equal(painted, discrete.render(strokes[:8, None], 32))
    lifted = space.column(strokes[:8], "lift") == 1
    assert 0 < lifted.sum() < 8
    assert (painted[lifted] == 1).all()
    assert torch.equal(painted[~lifted], plain.render(strokes[:8][~lifted][:, None, :12], 32))
    assert len(discrete.outlines(strokes[:8])) == (~lifted).sum()
    assert discrete.trace(plain.outlines(strokes[:8, :12])).shape == (8, 13)


def test_levels_of_columns_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"levels \{'y': 3\}: expected 2 or more, for columns among x"):
        renderers.ActionSpace("x", levels={"y": 3})
