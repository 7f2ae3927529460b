"""Every renderer, by the registry: a new one is tested by existing."""

import re

import numpy as np
import pytest
import torch
from tiny_files import has_mypaint

import renderers
from renderers import ActionSpace, Drawing, compiled, distances
from renderers.pixels import coverage

NAMES = [name for name in renderers.names() if not name.startswith("mypaint") or has_mypaint()]
SMOOTH = [name for name in NAMES if not name.startswith("mypaint")]
FORMS = [(name, False) for name in NAMES] + [(name, True) for name in SMOOTH]


def random(name, n, seed=0):
    return renderers.get(name).actions.random(n, generator=torch.Generator().manual_seed(seed))


def test_the_registry_knows_the_contract():
    assert {
        "bezier",
        "bezier-width",
        "bezier-colour",
        "qbc",
        "qbc-opaque",
        "line",
        "circle",
        "triangle",
        "rectangle",
        "pen",
        "prism",
    } <= set(NAMES)


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"no renderer 'bezeir'.*did you mean 'bezier'"):
        renderers.get("bezeir")


def test_registering_twice_is_refused():
    with pytest.raises(ValueError, match="registered already"):
        renderers.register("pen", renderers.get)


@pytest.mark.parametrize(("name", "smooth"), FORMS)
def test_interface(name, smooth):
    r = renderers.get(name, differentiable=smooth)
    assert r.name == name
    assert r.differentiable == smooth
    assert r.channels == len(r.background)
    assert len(r.actions.xs) == len(r.actions.ys) > 0  # each stroke has a place
    strokes = random(name, 6).view(2, 3, -1)
    blank = r.blank(2, (20, 32))
    canvas = r.render(strokes, (20, 32))
    assert canvas.shape == blank.shape == (2, r.channels, 20, 32)
    assert canvas.dtype == torch.float32
    assert 0 <= canvas.min() <= canvas.max() <= 1
    assert not torch.equal(canvas, blank)


@pytest.mark.parametrize("name", NAMES)
def test_render_folds_paint_and_mask_leaves_out(name):
    r = renderers.get(name)
    strokes = random(name, 4)[None]
    steps = r.render(strokes, 24, steps=True)
    canvas = r.blank(1, 24)
    for t in range(4):
        canvas = r.paint(canvas, strokes[:, t])
        torch.testing.assert_close(steps[:, t], canvas)
    torch.testing.assert_close(r.render(strokes, 24), canvas)
    mask = torch.tensor([[True, False, True, False]])
    torch.testing.assert_close(r.render(strokes, 24, mask=mask), r.render(strokes[:, [0, 2]], 24))
    torch.testing.assert_close(r.render(strokes[:, :0], 24), r.blank(1, 24))
    assert r.render(strokes[:, :0], 24, steps=True).shape == (1, 0, r.channels, 24, 24)


@pytest.mark.parametrize("name", NAMES)
def test_batches_are_independent(name):
    r = renderers.get(name)
    strokes = random(name, 5)[:, None]
    together = r.render(strokes, 32)
    alone = torch.cat([r.render(strokes[i : i + 1], 32) for i in range(5)])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("name", "smooth"), FORMS)
def test_a_batch_of_no_canvases_stays_one(name, smooth):
    r = renderers.get(name, differentiable=smooth)
    assert r.paint(r.blank(0, (70, 66)), torch.rand(0, len(r.actions))).shape == (0, r.channels, 70, 66)


@pytest.mark.parametrize("smooth", [False, True])
def test_blocks_that_a_curve_does_not_reach_may_be_left_out(smooth, monkeypatch):
    """As with all pixels: coverage, gradients; on sides that blocks do not divide; thick, tapered, long, short."""
    monkeypatch.setattr(compiled, "within_reason", lambda _: False)  # by torch
    rows = torch.rand(40, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0] * 6 + [0.2, 0.2])
    rows[::2, :6] = rows[::2, :2].repeat(1, 3) + 0.05 * rows[::2, :6]
    rows[5, 6:] = 0
    height, width = 75, 101
    weights = torch.randn(40, height, width, generator=torch.Generator().manual_seed(1))
    results = []
    for blocks in (True, False):
        points, r0, r2 = (v.clone().requires_grad_() for v in (rows[:, :6], rows[:, 6], rows[:, 7]))
        if blocks:
            inked = distances.curve_coverage(points, r0, r2, height, width, smooth)
            margin = distances.tail(smooth)
            distance, t, lay_out = distances.near_curves(points, r0, r2, height, width, margin)
            assert distance.numel() < 0.7 * inked.numel()  # some blocks were left out
            left_out = lay_out(torch.ones_like(t)) == 0
            assert (lay_out(t)[left_out] == 0).all()
            assert (distances.curve_distance(points, r0, r2, height, width)[0][left_out] > margin).all()
        else:
            inked = coverage(distances.curve_distance(points, r0, r2, height, width)[0], smooth)
        results.append((inked, *torch.autograd.grad((inked * weights).sum(), [points, r0, r2])))
    for few, all_pixels in zip(*results, strict=True):
        assert (few - all_pixels).abs().max() <= 1e-6 * all_pixels.abs().max()


@pytest.mark.parametrize("name", NAMES)
def test_a_window_holds_all_that_a_stroke_touches(name):
    """A single stroke is painted in a window of the canvas, a batch of them on all of it: the same picture."""
    r = renderers.get(name)
    action = random(name, 8, seed=11)
    action[:2] *= 0.1  # small, in a corner
    action[2:4] = 1 - 0.05 * action[2:4]
    canvas = torch.rand(8, r.channels, 60, 90, generator=torch.Generator().manual_seed(0))
    together = r.paint(canvas, action)
    for i in range(8):
        torch.testing.assert_close(r.paint(canvas[i : i + 1], action[i : i + 1])[0], together[i], atol=1e-3, rtol=0)


IN_WORDS = {"width": "variable", "opaque": "opaque", "colour": "in colour", "lab": "in L*a*b*"}


def stated_error(name, doc):
    """How much the smooth form differs, by the docstring: this variant's number in brackets, or else the first."""
    sentence = r"mean absolute error of (0\.\d+) on random strokes at \d+²(?: \(([^)]*)\))?"
    first, variants = re.search(sentence, " ".join(doc.split())).groups()
    for part in reversed(name.split("-")[1:]):
        if number := re.search(re.escape(IN_WORDS[part]) + r" (0\.\d+)", variants or ""):
            return float(number[1])
    return float(first)


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_form_is_close_to_the_exact_one(name):
    """And by as much as the docstring says."""
    size, action = 128 if "qbc" in name else 64, random(name, 200)
    exact, smooth = (renderers.get(name, differentiable=d) for d in (False, True))
    difference = (
        (exact.paint(exact.blank(200, size), action) - smooth.paint(smooth.blank(200, size), action))
        .abs()
        .mean()
        .item()
    )
    assert difference == pytest.approx(stated_error(name, type(exact).__doc__), rel=0.1)


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_form_has_gradients_in_every_column(name):
    r = renderers.get(name, differentiable=True)
    action = (random(name, 16) * 0.8 + 0.1).requires_grad_()
    target = torch.rand(16, r.channels, 32, 32, generator=torch.Generator().manual_seed(1))
    ((r.paint(r.blank(16, 32), action) - target) ** 2).sum().backward()
    assert action.grad.isfinite().all()
    assert (action.grad.abs().mean(0) > 1e-3).all(), dict(
        zip(r.actions.columns, action.grad.abs().mean(0).tolist(), strict=True)
    )


@pytest.mark.parametrize("name", [n for n in SMOOTH if not n.startswith("qbc")])
def test_smooth_gradients_are_those_of_finite_differences(name):
    r = renderers.get(name, differentiable=True)
    generator = torch.Generator().manual_seed(3)
    action = (r.actions.random(1, generator=generator) * 0.6 + 0.2).requires_grad_()
    weight = torch.rand(1, r.channels, 24, 24, generator=generator)

    def value(a):
        return (r.paint(r.blank(1, 24), a) * weight).sum()

    value(action).backward()
    for i, column in enumerate(r.actions.columns):
        step = torch.zeros_like(action)
        step[0, i] = 2e-3
        slope = (value(action.detach() + step) - value(action.detach() - step)) / 4e-3
        assert abs(float(slope - action.grad[0, i])) < 0.05 * float(action.grad.abs().max()), column


@pytest.mark.parametrize("name", SMOOTH)
def test_one_stroke_can_be_found_by_descent(name):
    """What the smooth form is for: from near by, the gradient leads back to the stroke."""
    r = renderers.get(name, differentiable=True)
    goal = random(name, 4, seed=5) * 0.5 + 0.25
    target = r.paint(r.blank(4, 32), goal)
    start = (goal + 0.06 * torch.randn(goal.shape, generator=torch.Generator().manual_seed(6))).clamp(0.05, 0.95)
    z = start.logit().requires_grad_()
    optimizer = torch.optim.Adam([z], 0.03)
    first = None
    for _ in range(90):
        loss = ((r.paint(r.blank(4, 32), z.sigmoid()) - target) ** 2).mean()
        first = loss.item() if first is None else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.25 * first


@pytest.mark.parametrize(("name", "smooth"), FORMS)
def test_degenerate_strokes_are_finite(name, smooth):
    """All zero, all one, all equal: strokes of no length or width paint finite numbers with finite gradients."""
    r = renderers.get(name, differentiable=smooth)
    action = torch.tensor([0.0, 1.0, 0.5])[:, None].repeat(1, len(r.actions)).requires_grad_()
    canvas = r.paint(r.blank(3, 16), action)
    assert canvas.isfinite().all()
    if smooth:
        canvas.sum().backward()
        assert action.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_place_looks_like_a_smaller_drawing(name):
    drawing = Drawing(random(name, 3, seed=2), name)
    small = drawing.place((0.25, 0.5, 0.75, 1.0)).render(256)[:, 128:, 64:192]
    alone = drawing.render(128)
    assert (small - alone).abs().mean() < (
        0.03 if name.startswith("mypaint") else 0.02
    )  # MyPaint's bristles are of one size in pixels
    outside = drawing.place((0.25, 0.5, 0.75, 1.0)).render(256)[:, :96]
    paper = torch.tensor(renderers.get(name).background)[:, None, None]
    assert (outside - paper).abs().mean() < 0.03  # only widths reach over the box


@pytest.mark.parametrize("name", NAMES)
def test_resolution_is_free(name):
    strokes = random(name, 3, seed=4)[None]
    r = renderers.get(name)
    big = torch.nn.functional.avg_pool2d(r.render(strokes, 256), 4)
    assert (big - r.render(strokes, 64)).abs().mean() < (
        0.05 if name.startswith("bezier") else 0.02
    )  # its edge is 3 pixels at any size


# --- against slow, obvious versions ---


def slow_coverage(inside, size, over=8):
    """Mean of over × over samples per pixel of a predicate of (x, y) in [0, 1]."""
    at = (np.arange(size * over) + 0.5) / (size * over)
    x, y = np.meshgrid(at, at)
    return inside(x, y).reshape(size, over, size, over).mean((1, 3))


def stamped(points, radii):
    """A predicate: inside any of a dense row of circles."""

    def inside(x, y):
        hit = np.zeros(x.shape, bool)
        for (px, py), r in zip(points, radii, strict=True):
            hit |= (x - px) ** 2 + (y - py) ** 2 <= r**2
        return hit

    return inside


@pytest.mark.parametrize("seed", range(4))
def test_bezier_is_its_swept_circle(seed):
    row = random("bezier", 1, seed)[0]
    t = np.linspace(0, 1, 400)[:, None]
    p = row.double().numpy().reshape(3, 2)
    path = (1 - t) ** 2 * p[0] + 2 * t * (1 - t) * p[1] + t**2 * p[2]
    centres = (np.arange(96) + 0.5) / 96
    x, y = np.meshgrid(centres, centres)
    nearest = np.min([np.hypot(x - px, y - py) for px, py in path], 0)
    slow = np.clip(0.5 - (nearest - 0.04) * 96 / 3, 0, 1)  # an edge three pixels wide
    fast = renderers.get("bezier").paint(torch.zeros(1, 1, 96, 96), row[None])[0, 0].numpy()
    assert np.abs(fast - slow).mean() < 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_line_is_its_swept_circle(seed):
    r = renderers.get("line")
    row = random("line", 1, seed)[0]
    row[r.actions["alpha"]] = row[r.actions["red"]] = 1
    t = np.linspace(0, 1, 400)[:, None]
    a, b = row[:4].double().numpy().reshape(2, 2)
    radii = 0.25 * (row[4] + (row[5] - row[4]) * torch.from_numpy(t[:, 0])).numpy()
    slow = slow_coverage(stamped(a + (b - a) * t, radii), 48)
    fast = r.paint(r.blank(1, 48), row[None])[0, 0].numpy()
    assert np.abs(fast - slow).mean() < 2e-3


def test_shapes_are_their_area():
    triangle = torch.tensor([[0.1, 0.1, 0.9, 0.2, 0.4, 0.8, 1, 1, 1, 1]])
    r = renderers.get("triangle")
    area = 0.5 * abs((0.8) * (0.7) - (0.3) * (0.1))
    assert r.paint(r.blank(1, 64), triangle).mean().item() == pytest.approx(area, abs=2e-3)
    flipped = triangle[:, [4, 5, 2, 3, 0, 1, 6, 7, 8, 9]]  # the corners' order is free
    torch.testing.assert_close(r.paint(r.blank(1, 64), flipped), r.paint(r.blank(1, 64), triangle), atol=1e-4, rtol=0)
    r = renderers.get("circle")
    assert r.paint(r.blank(1, 64), torch.tensor([[0.5, 0.5, 0.8, 1, 1, 1, 1]])).mean().item() == pytest.approx(
        np.pi * 0.04, abs=2e-3
    )
    r = renderers.get("rectangle")
    assert r.paint(r.blank(1, 64), torch.tensor([[0.8, 0.2, 0.3, 0.7, 0.5, 1, 1, 1]])).mean().item() == pytest.approx(
        0.125, abs=1e-3
    )


def slow_qbc(row, n):
    """Algorithm 1 of SARA, word for word, in NumPy: returns alpha (n, n)."""
    x0, y0, x1, y1, x2, y2, z0, z2, w0, w2 = (float(v) for v in row[:10])
    x1, y1 = x0 + (x2 - x0) * x1, y0 + (y2 - y0) * y1
    x0, y0, x1, y1, x2, y2 = (int(v * (2 * n - 1) + 0.5) for v in (x0, y0, x1, y1, x2, y2))
    z0, z2 = int(1 + z0 * n // 2), int(1 + z2 * n // 2)
    canvas = np.zeros((2 * n, 2 * n))
    at = np.arange(2 * n)
    for i in range(100):
        t = i / 100
        x = int((1 - t) ** 2 * x0 + 2 * t * (1 - t) * x1 + t**2 * x2)
        y = int((1 - t) ** 2 * y0 + 2 * t * (1 - t) * y1 + t**2 * y2)
        z = int((1 - t) * z0 + t * z2)
        canvas[(at[None] - x) ** 2 + (at[:, None] - y) ** 2 <= z**2] = (1 - t) * w0 + t * w2
    return canvas.reshape(n, 2, n, 2).mean((1, 3))


@pytest.mark.parametrize("size", [128, 32])
def test_qbc_is_algorithm_1(size):
    rows = random("qbc", 12, seed=9)
    rows[0, :6] = rows[0, 0]  # a dot
    rows[1, 6:8] = 0  # the thinnest
    rows[2, 6:8] = 1  # the thickest
    rows[3, :2], rows[3, 4:6] = 0, 1  # corner to corner
    r = renderers.get("qbc")
    fast = r.stamped(rows, size, size).numpy()
    slow = np.stack([slow_qbc(row, size) for row in rows])
    assert np.abs(fast - slow).mean() <= 1 / 255 / 4
    blend = slow[:, None] * rows[:, 10:, None, None].numpy()
    assert np.abs(r.paint(r.blank(12, size), rows).numpy() - blend).mean() <= 1 / 255 / 4


def test_qbc_opaque_is_qbc_without_transparency():
    rows = random("qbc-opaque", 4)
    same = torch.cat([rows[:, :8], torch.ones(4, 2), rows[:, 8:]], 1)
    a, b = renderers.get("qbc-opaque"), renderers.get("qbc")
    torch.testing.assert_close(a.paint(a.blank(4, 64), rows), b.paint(b.blank(4, 64), same), atol=2e-3, rtol=0)


def test_action_space_checks():
    space = ActionSpace("x y")
    with pytest.raises(KeyError, match="no column 'z'; there are x, y"):
        space["z"]
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 2\)"):
        space.check(torch.zeros(3, 3))
    with pytest.raises(ValueError, match="stroke 1: column 'y' is nan"):
        space.check(torch.tensor([[0, 0], [0, float("nan")]]))
    with pytest.raises(ValueError, match=r"column 'x' is 1\.5"):
        space.check(torch.tensor([[1.5, 0]]))
    for bad in ("", "x x", "1a"):
        with pytest.raises(ValueError, match="different identifiers"):
            ActionSpace(bad)
    for bad in ("x", "x z", "x x"):
        with pytest.raises(ValueError, match="expected x and y in turn, among the columns x, y"):
            ActionSpace("x y", points=bad)
    for bad in ({"relative": "r"}, {"lengths": "x"}, {"lengths": "z"}):
        with pytest.raises(ValueError, match="expected columns of points, and others"):
            ActionSpace("x y r", points="x y", **bad)


class Sticks(renderers.Renderer):
    """Columns whose names tell nothing: what they are is declared."""

    name = "sticks"
    actions = ActionSpace(
        "yellow across down dx dy xylem", points="across down dx dy", relative="dx dy", lengths="xylem"
    )

    def paint(self, canvas, action):
        return canvas

    def outlines(self, strokes):
        return []


def test_place_moves_what_is_declared_a_point_and_shrinks_what_is_a_length():
    row = [0.2, 0.5, 0.5, 0.3, 0.7, 0.4]
    name, placed = Sticks().place(torch.tensor([row]), (0.5, 0.0, 0.75, 1.0))
    assert name == "sticks"
    torch.testing.assert_close(placed, torch.tensor([[0.2, 0.625, 0.5, 0.3, 0.7, 0.2]]))
    assert Sticks.actions.xs == ("across", "dx")
    assert Sticks.actions.ys == ("down", "dy")


def test_peak_memory_does_not_grow_with_strokes():
    """Rendering many strokes allocates no more at once than rendering a few."""
    from torch.profiler import ProfilerActivity, profile

    def peak(count):
        strokes = random("bezier", 2)[:, None].repeat(1, count, 1)
        r = renderers.get("bezier")
        with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as p:
            r.render(strokes, 256)
        now = high = 0
        for event in sorted(p.profiler.kineto_results.events(), key=lambda e: e.start_ns()):
            if event.name() == "[memory]":
                now += event.nbytes()
                high = max(high, now)
        return high

    few, many = peak(4), peak(64)
    assert few > 0
    assert many - few < 256 * 256 * 4  # a canvas


@pytest.mark.parametrize("size", [(48, 48), (30, 72)])
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_one_stroke_is_painted_where_it_is_as_in_a_batch(size, scale):
    """A single stroke is painted in a window of the canvas; the same pixels come of it."""
    r = renderers.get("qbc")
    strokes = r.actions.random(24, generator=torch.Generator().manual_seed(0))
    strokes[:12] = r.place(strokes[:12], (0.7, 0.2, 0.7 + scale * 0.3, 0.2 + scale * 0.8))[1]
    canvas = torch.rand(24, 3, *size, generator=torch.Generator().manual_seed(1))
    together = r.paint(canvas, strokes)
    alone = torch.cat([r.paint(canvas[i : i + 1], strokes[i : i + 1]) for i in range(24)])
    assert torch.equal(alone, together)


@pytest.mark.parametrize("name", [n for n in renderers.names() if isinstance(renderers.get(n), renderers.Overlay)])
@pytest.mark.parametrize("smooth", [False, True])
def test_a_bundle_is_its_strokes_in_turn(name, smooth):
    r = renderers.get(name, differentiable=smooth)
    strokes = r.actions.random(3, 4, generator=torch.Generator().manual_seed(0))
    canvas = torch.rand(3, 3, 20, 28, generator=torch.Generator().manual_seed(1))
    bundle, one = r.paint_all(canvas, strokes), canvas
    for k in range(4):
        one = r.paint(one, strokes[:, k])
    torch.testing.assert_close(bundle, one, atol=1e-5, rtol=0)
