"""The compiled loops against torch, slow and obvious: every renderer that has one, by the registry."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import renderers
from renderers import compiled, smooth
from renderers.pixels import Ink

NAMES = [
    n for n in renderers.names() if isinstance(r := renderers.get(n), Ink) and type(r).geometry is not Ink.geometry
]
BIT_FOR_BIT = {"qbc", "qbc-opaque"}
SIZES = [(64, 64), (1, 1), (1, 40), (90, 7), (30, 101), (130, 260)]


def some_strokes(r, seed=0):
    """Strokes (16, 3, A): random ones, small ones, ones with points outside the canvas, of no length, of no width."""
    strokes = r.actions.random(16, 3, generator=torch.Generator().manual_seed(seed))
    strokes[:4] = 0.5 + 0.1 * strokes[:4]
    for name in set(r.actions.points) - set(r.actions.relative):
        strokes[4:7, :, r.actions[name]] = 3 * strokes[4:7, :, r.actions[name]] - 1
    for name in r.actions.lengths:
        strokes[7:9, :, r.actions[name]] = 0
    strokes[9], strokes[10], strokes[11] = 0, 1, 0.5
    return strokes


def some_canvas(r, n, size, seed=1):
    return torch.rand(n, r.channels, *size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def slow(monkeypatch):
    """A call without the loops."""

    def call(function, *args, **kwargs):
        with monkeypatch.context() as patch:
            patch.setattr(compiled, "possible", lambda *_: False)
            return function(*args, **kwargs)

    return call


def test_all_families_have_loops():
    assert len(NAMES) >= 15
    assert {"bezier", "qbc", "line", "circle", "triangle", "rectangle", "pen", "prism"} <= set(NAMES)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_loops_paint_what_torch_paints(name, size, slow):
    """qbc bit for bit. Distances differ by the rounding of coordinates; those to a curve, in few pixels, by where the
    search ends if two points are equally near."""
    r = renderers.get(name)
    strokes, canvas = some_strokes(r), some_canvas(r, 16, size)
    assert r.by_loops(canvas, strokes)
    fast, exact = r.paint_all(canvas, strokes), slow(r.paint_all, canvas, strokes)
    if name in BIT_FOR_BIT and size != (1, 1):  # torch adds four numbers in another order there
        assert torch.equal(fast, exact)
    difference = (fast - exact).abs()
    assert difference.mean() < 1e-6
    assert difference.max() < (1e-2 if name.startswith("bezier") else 1e-4)


SMOOTH = ["bezier", "bezier-width", "bezier-width-lab", "qbc", "qbc-opaque"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_curves_and_their_gradients_are_torchs(name, size, monkeypatch):
    """But for the few pixels for which two points of a curve are equally near."""
    r = renderers.get(name, differentiable=True)
    weights = torch.randn(16, *size, generator=torch.Generator().manual_seed(2)) / (size[0] * size[1]) ** 0.5
    results = []
    for loops in (True, False):
        monkeypatch.setattr(compiled, "within_reason", lambda _, answer=loops: answer)
        calls = []
        monkeypatch.setattr(smooth, "parts", lambda *a, of=smooth.parts, calls=calls: calls.append(a) or of(*a))
        strokes = some_strokes(r)[:, 0].requires_grad_()
        opacity = r.opacity(strokes, *size)
        (opacity * weights).sum().backward()
        assert len(calls) == (3 if loops else 0)
        results.append((opacity.detach(), strokes.grad))
    (fast, gradient), (slow, slow_gradient) = results
    assert (fast - slow).abs().mean() < 1e-5
    assert (fast - slow).abs().max() < 1e-2
    difference = (gradient - slow_gradient).norm(dim=1)
    assert difference.median() < 1e-4 * slow_gradient.norm(dim=1).median()
    assert (difference <= 2e-2 * slow_gradient.norm(dim=1) + 1e-2).all()


def test_smooth_curves_have_the_gradients_of_differences():
    """Of one radius and opacity all along, as the t of the nearest circle is held."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.rand(6, 8, generator=generator) * 20 + 4
    numbers[:, :4] -= 14
    numbers[:, 6:] = 0.1 * numbers[:, 6:7]
    shades, weights = torch.rand(6, 1, generator=generator).repeat(1, 2), torch.randn(6, 24, 32, generator=generator)

    def loss(numbers, shades):
        return (smooth.SmoothCurves.apply(numbers, shades, 2.0, 16.0, 24, 32) * weights).double().sum()

    inputs = numbers.requires_grad_(), shades.requires_grad_()
    gradients = torch.autograd.grad(loss(*inputs), inputs)
    for k, (value, gradient) in enumerate(zip(inputs, gradients, strict=True)):
        step = torch.randn(value.shape, generator=generator) * 1e-2
        if k == 0:
            step[:, 6] = step[:, 7]
        ahead, back = ([*inputs[:k], v, *inputs[k + 1 :]] for v in (value + step, value - step))
        with torch.no_grad():
            slope = (loss(*ahead) - loss(*back)) / 2
        assert (step * gradient).sum().item() == pytest.approx(slope.item(), rel=0.03, abs=1e-3)


def test_threads_share_smooth_curves(monkeypatch):
    r, calls = renderers.get("qbc", differentiable=True), []
    strokes = some_strokes(r)[:, 0]
    alone = r.opacity(strokes, 40, 40)
    monkeypatch.setattr(smooth, "WORTH", 1)
    monkeypatch.setattr(smooth, "shared", lambda work, some: calls.append(some) or [work(share) for share in some])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    strokes.requires_grad_()
    together = r.opacity(strokes, 40, 40)
    assert torch.equal(together, alone)
    together.sum().backward()
    assert [len(some) for some in calls] == [8, 8, 8]


@pytest.mark.parametrize("name", NAMES)
def test_all_ways_to_paint_agree(name):
    """One stroke a call, bundles, a picture, its steps, with a mask; and nobody's canvas is changed."""
    r = renderers.get(name)
    strokes, canvas = some_strokes(r), some_canvas(r, 16, (33, 50))
    before, one = canvas.clone(), canvas
    for t in range(3):
        one = r.paint(one, strokes[:, t])
    torch.testing.assert_close(r.paint_all(canvas, strokes), one, atol=1e-6, rtol=0)  # L*a*b* rounds by the batch
    turned = canvas.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)
    assert torch.equal(r.paint_all(turned, strokes), r.paint_all(canvas, strokes))
    assert torch.equal(canvas, before)

    steps = r.render(strokes, (33, 50), steps=True)
    torch.testing.assert_close(steps[:, -1], r.render(strokes, (33, 50)), atol=1e-6, rtol=0)
    assert torch.equal(steps[:, 0], r.render(strokes[:, :1], (33, 50)))
    mask = torch.rand(16, 3, generator=torch.Generator().manual_seed(2)) < 0.5
    masked = r.render(strokes, (33, 50), mask)
    torch.testing.assert_close(masked, r.render(strokes, (33, 50), mask, steps=True)[:, -1], atol=1e-6, rtol=0)
    for i in range(16):
        alone = r.render(strokes[i : i + 1, mask[i]], (33, 50))
        torch.testing.assert_close(masked[i : i + 1], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["qbc", "bezier", "pen", "triangle"])
def test_strips_threads_and_chunks_change_nothing(name, monkeypatch):
    r = renderers.get(name)
    strokes, many = some_strokes(r), r.actions.random(1, 50, generator=torch.Generator().manual_seed(3))
    whole = r.render(strokes, (61, 40)), r.render(many, (61, 40))
    threads = torch.get_num_threads()
    for cached, together, worth, n in ((200, 10, 1 << 30, 1), (1 << 17, 4096, 0, 2), (500, 7, 0, 3)):
        monkeypatch.setattr(compiled, "CACHED", cached)
        monkeypatch.setattr(compiled, "TOGETHER", together)
        monkeypatch.setattr(compiled, "WORTH", worth)
        torch.set_num_threads(n)
        try:
            assert torch.equal(r.render(strokes, (61, 40)), whole[0])
            assert torch.equal(r.render(many, (61, 40)), whole[1])
        finally:
            torch.set_num_threads(threads)


def test_a_forked_process_paints_with_threads_too(monkeypatch):
    """As a data loader's workers are forked, after their parent has painted."""
    monkeypatch.setattr(compiled, "WORTH", 0)
    r, threads = renderers.get("qbc"), torch.get_num_threads()
    strokes = r.actions.random(2, 5, generator=torch.Generator().manual_seed(0))
    torch.set_num_threads(2)
    try:
        picture = r.render(strokes, 40)
        if (child := os.fork()) == 0:
            os._exit(0 if torch.equal(r.render(strokes, 40), picture) else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        torch.set_num_threads(threads)


def test_what_loops_leave_to_torch():
    """Gradients, other precisions, and numbers that would break whole ones."""
    r = renderers.get("circle")
    canvas, action = some_canvas(r, 16, (20, 20)), some_strokes(r)[:, 0]
    moving = action.clone().requires_grad_()
    r.paint(canvas, moving).sum().backward()
    assert moving.grad.abs().sum() > 0
    painted = r.paint(canvas.clone().requires_grad_(), action)
    assert painted.requires_grad
    with torch.no_grad():
        assert torch.equal(r.paint(canvas, moving), r.paint(canvas, action))
    torch.testing.assert_close(r.paint(canvas.double(), action.double()).float(), r.paint(canvas, action))
    for bad in (float("nan"), float("inf"), 1e30):
        action[0] = bad
        assert not r.by_loops(canvas, action)
    assert r.paint(canvas, action)[1:].isfinite().all()


def test_colours_of_qbc_keep_their_gradient():
    r = renderers.get("qbc")
    action = some_strokes(r)[:, 0].requires_grad_()
    canvas = some_canvas(r, 16, (20, 20))
    painted = r.paint(canvas, action)
    assert torch.equal(painted.detach(), r.paint(canvas, action.detach()))
    painted.sum().backward()
    assert action.grad[:, -3:].abs().sum() > 0
    assert action.grad[:, :-3].abs().sum() == 0


def test_no_folder_for_compiled_loops_is_needed(tmp_path):
    """As in a package that belongs to another user, without a home: the loops are compiled in memory."""
    copy = tmp_path / "renderers"
    shutil.copytree(Path(renderers.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "__pycache__").touch()  # in the place of a folder: nothing can be written there
    code = (
        "import sys, torch, renderers; assert 'numba' not in sys.modules; r = renderers.get('circle');"
        "print(renderers.__file__, r.render(torch.full((1, 1, 7), 0.5), 32).sum().item())"
    )
    nowhere = {"HOME": os.devnull, "XDG_CACHE_HOME": os.devnull, "NUMBA_CACHE_DIR": "", "PYTHONPATH": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | nowhere, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    file, total = process.stdout.split()
    assert Path(file) == copy / "__init__.py"
    assert float(total) == renderers.get("circle").render(torch.full((1, 1, 7), 0.5), 32).sum().item()
