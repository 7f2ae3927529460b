"""Canvas-Drawer beyond digits: sliding over large images, translation into colours, rooms and prisms."""

import itertools
import json
from argparse import Namespace
from itertools import pairwise

import numpy as np
import pytest
import torch
from overfit import overfit
from PIL import Image

import datamodules
import renderers
import zoo
from datamodules.ink import Ink, measured
from renderers import Drawing
from renderers.pixels import pixel_centres
from zoo.base.distance import Distance
from zoo.canvas_drawer import sliding, translation
from zoo.canvas_drawer.rollout import Rollout
from zoo.canvas_drawer.sliding import ORDERS, batches, ordered, places, slide
from zoo.checkpoints import catalogue, loading, packing
from zoo.checkpoints.methods import arguments
from zoo.cli import main as cli


def drawer(**options):
    """A tiny one that slides over images scaled to 64 pixels, in windows of 16."""
    torch.manual_seed(0)
    options = {
        "renderer": "bezier-width",
        "image_size": 16,
        "steps": 3,
        "width": 16,
        "halvings": 2,
        "windows": [16],
    } | options
    model = zoo.CanvasDrawer(**arguments(zoo.CanvasDrawer, options)).eval()
    model.log = lambda *args, **kwargs: None
    return model


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr("zoo.canvas_drawer.rollout.LONGER", 64)


def lines(height, width, seed=0):
    """Light lines on dark paper (1, 1, height, width)."""
    strokes = renderers.get("bezier-width").actions.random(4, generator=torch.Generator().manual_seed(seed))
    strokes[:, 6] *= 0.5
    return renderers.get("bezier-width").render(strokes[None], (height, width))


# --- the canvas network ---


@pytest.mark.parametrize("size", [64, 32, (50, 75)])
def test_a_canvas_network_says_nothing_far_from_a_curve(size):
    """So it need not be asked there: pictures and gradients are those of asking at every pixel."""
    network = zoo.load("canvas-bezier-width")
    start = network.actions.random(3, 2, generator=torch.Generator().manual_seed(0))
    answers = []
    for one_width in (True, False):
        network.one_width, strokes = one_width, start.clone().requires_grad_()
        picture = network.render(strokes, size)
        picture.square().sum().backward()
        answers.append((picture.detach(), strokes.grad))
    (near, near_gradient), (everywhere, gradient) = answers
    assert near.max() > 0.5
    torch.testing.assert_close(near, everywhere, atol=1e-4, rtol=0)
    torch.testing.assert_close(near_gradient, gradient, atol=1e-2, rtol=1e-3)


def test_what_a_canvas_network_paints_is_what_it_learns():
    """Also at the thick end of a stroke that tapers, which lies far from the curve."""
    torch.manual_seed(0)
    network = zoo.CanvasNetwork("qbc")
    actions = network.actions.random(4, generator=torch.Generator().manual_seed(0))
    canvas = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    learned = network.step(canvas.flatten(2).mT, actions, pixel_centres(canvas)[None] / 32).mT
    torch.testing.assert_close(network.paint(canvas, actions), learned.unflatten(2, (32, 32)))


# --- windows ---


@pytest.mark.parametrize(("height", "width"), [(512, 512), (64, 64), (40, 500), (65, 1), (130, 96)])
@pytest.mark.parametrize("stride", [32, 64])
def test_windows_cover_the_image_and_none_is_wanted_twice(height, width, stride):
    found = places(height, width, 64, stride)
    seen = torch.zeros(height, width)
    for y, x in found:
        assert y < height
        assert x < width
        seen[y : y + 64, x : x + 64] += 1
    assert seen.min() >= 1
    assert seen.max() <= (64 // stride) ** 2
    for y, x in found:  # the one before it did not reach the end
        assert y == 0 or y - stride + 64 < height
        assert x == 0 or x - stride + 64 < width
    if (height, width, stride) == (512, 512, 32):
        assert len(found) == 15 * 15  # §4.2


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_has_every_window_once(order):
    found = places(200, 300, 64, 32)
    some = found[::2]  # with holes
    for windows in (found, some, found[:1], []):
        assert sorted(ordered(windows, 32, 64, order)) == sorted(windows)


def test_flood_fill_goes_from_neighbour_to_neighbour():
    queue = ordered(places(256, 256, 64, 32), 32, 64, "flood")
    for k, (y, x) in enumerate(queue[1:], 1):
        assert any(max(abs(y - a), abs(x - b)) == 32 for a, b in queue[:k])
    apart = [(0, 0), (0, 320), (32, 0), (32, 320)]
    assert ordered(apart, 32, 64, "flood") == [(0, 0), (32, 0), (0, 320), (32, 320)]  # one island, then the other


@pytest.mark.parametrize("order", ORDERS)
def test_a_batch_touches_no_pixel_twice_and_keeps_the_order_of_those_that_touch(order):
    queue = ordered(places(300, 260, 64, 32), 32, 64, order)
    made = batches(queue, 64)
    assert sorted(p for batch in made for p in batch) == sorted(queue)
    number = {p: k for k, batch in enumerate(made) for p in batch}
    for i, a in enumerate(queue):
        for b in queue[i + 1 :]:
            if abs(a[0] - b[0]) < 64 and abs(a[1] - b[1]) < 64:
                assert number[a] < number[b]
    assert len(made) == 4 if order == "phases" else len(made) > 4


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [(64, 64), (40, 71), (9, 30)])
def test_batched_windows_draw_what_one_at_a_time_does(order, size):
    model = drawer()
    image = lines(*size)
    act = lambda hint, seen: model.rollout(hint, model.exact, canvas=seen)[:2]  # noqa: E731
    with torch.no_grad():
        drawn, canvas = slide(act, image, torch.zeros(1, 1, *size), 16, 8, order)
        slow = torch.nn.functional.pad(torch.zeros(1, 1, *size), (0, 32, 0, 32))
        padded, strokes = torch.nn.functional.pad(image, (0, 32, 0, 32)), {}
        inked = [
            (y, x)
            for y, x in places(*size, 16, 8)
            if (padded[..., y : y + 16, x : x + 16] > 0.5).float().mean() >= 0.02
        ]
        for y, x in ordered(inked, 8, 16, order):
            hint, seen = (v[:, :, y : y + 16, x : x + 16].clone() for v in (padded, slow))
            rows, slow[:, :, y : y + 16, x : x + 16], _ = model.rollout(hint, model.exact, canvas=seen)
            strokes[y, x] = rows[0]
    assert strokes
    found = {(round(box[1] * size[0]), round(box[0] * size[1])): rows for _, box, rows in drawn}
    assert found.keys() == strokes.keys()
    for key, rows in strokes.items():
        torch.testing.assert_close(found[key], rows, atol=2e-3, rtol=0)
    torch.testing.assert_close(canvas, slow[..., : size[0], : size[1]], atol=2e-2, rtol=0)


def test_windows_without_overlap_do_not_see_each_other():
    model, image = drawer(overlap=False), lines(64, 64)
    drawing = model.draw(image[0], ink="light")
    alone = drawer(windows=None)
    alone.load_state_dict(model.state_dict())
    tiles = alone.draw(image[0], tiles=4, ink="light")
    kept = {tuple(row.round(decimals=2).tolist()) for row in tiles.strokes}
    assert all(
        tuple(row.round(decimals=2).tolist()) in kept for row in drawing.strokes
    )  # tiles are what windows side by side are
    assert 0 < len(drawing) <= len(tiles)


def test_windows_may_reach_beyond_the_image_in_a_validation():
    model = drawer(overlap=False)
    strokes, drawn = model.evaluate_batch({"image": lines(24, 24)})
    assert (strokes.shape[1], drawn.shape[-2:]) == (0, (24, 24))
    assert model.painter_mse.compute().isfinite()


def test_with_overlap_a_window_sees_its_neighbours_strokes():
    model = drawer()
    seen = []
    rollout = model.rollout
    model.rollout = lambda *args, **kwargs: seen.append(args[2]) or rollout(*args, **kwargs)
    model.draw(lines(64, 64)[0], ink="light")
    assert seen[0].max() == 0
    assert all(canvas.max() > 0 for canvas in seen[1:])


@pytest.mark.parametrize("shape", [(9, 9), (40, 64), (300, 20), (64, 512)])
def test_draw_any_size(shape):
    drawing = drawer().draw(lines(*shape)[0], ink="light")
    assert drawing.aspect == pytest.approx(shape[1] / shape[0])
    assert len(drawing) % 3 == 0
    assert len(drawing) > 0
    assert len(drawer().draw(lines(*shape)[0], ink="light", strokes=2)) == len(drawing) // 3 * 2


def test_strokes_lie_where_their_window_does():
    image = torch.zeros(1, 64, 64)
    image[:, 3:14, 52:60] = 1  # inside one window in the upper right corner, and the one beside it
    drawing = drawer().draw(image, ink="light")
    x, y = drawing.strokes[:, [0, 2, 4]], drawing.strokes[:, [1, 3, 5]]
    assert x.min() >= 40 / 64
    assert y.max() <= 24 / 64


def test_blank_and_full_images():
    for model in (drawer(), drawer(windows=[32, 16])):
        assert len(model.draw(torch.zeros(1, 30, 30))) == 0
        assert len(model.draw(torch.ones(1, 30, 30))) == 0  # dark ink on white: none of it
        assert len(model.draw(torch.ones(1, 64, 64), ink="light")) >= 3 * 49  # all of it is ink
        assert model.draw(torch.zeros(1, 30, 30)).render(16).max() == 0


def test_hierarchical_passes_go_from_coarse_to_fine_on_one_picture(monkeypatch):
    model, image, starts = drawer(windows=[32, 16]), lines(64, 64), []
    monkeypatch.setattr(
        sliding,
        "slide",
        lambda act, images, canvas, *rest: starts.append(canvas.clone()) or slide(act, images, canvas, *rest),
    )
    (coarse, _), (fine, _) = model.slide(image, model.exact)
    assert {box[2] - box[0] for _, box, _ in coarse} == {0.5}
    assert {box[2] - box[0] for _, box, _ in fine} == {0.25}
    assert starts[0].max() == 0
    assert torch.equal(starts[1], sliding.picture(coarse, model.exact, 1, (64, 64)))
    drawing = model.draw(image[0], ink="light")
    assert len(drawing) == 3 * (len(coarse) + len(fine))
    assert torch.equal(drawing[: 3 * len(coarse)].strokes, sliding.placed(coarse, model.exact, 0)[1])


@pytest.mark.parametrize("windows", [[16], [32, 16]])
def test_a_sliding_drawer_learns_from_crops(windows):
    model = drawer(windows=windows, width=32).train()
    image = lines(24, 24)
    losses = overfit(model, {"image": image}, 40, 1e-2)
    assert min(losses[-5:]) < 0.7 * losses[0]
    blank = model.training_step({"image": torch.zeros(2, 1, 32, 32)}, 0)  # nothing to draw, but a loss with a gradient
    blank.backward()
    assert blank.item() == 0


def test_the_figures_of_a_sliding_drawer_are_those_of_its_drawings():
    model, images = drawer(), torch.cat([lines(64, 64, seed) for seed in (0, 1)])
    _, drawn, imagined = model.redrawn(images, (64, 64))
    for image, picture in zip(images, drawn, strict=True):
        torch.testing.assert_close(model.draw(image, ink="light").render(64), picture)
    assert imagined.shape == images.shape
    model.evaluate_batch({"image": images})
    assert model.pictures["mse"].compute().item() == pytest.approx(((drawn - images) ** 2).mean().item(), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": []}, r"windows are \[\]; expected multiples of image_size, which is 16"),
        ({"windows": [24]}, "multiples of image_size"),
        ({"renderer": "bezier-width-lab"}, "'bezier-width-lab' or hint_channels=1 has colour"),
        ({"hint_channels": 3}, "has colour"),
    ],
)
def test_windows_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        drawer(**options)


def test_options_of_draw_that_cannot_be(digit):
    for bad, message in (
        ({"tiles": 17}, "1 to 16"),
        ({"strokes": 0}, "at least 1"),
        ({"order": "columns"}, "phases, rows, flood"),
    ):
        with pytest.raises(ValueError, match=message):
            drawer().draw(digit, **bad)
    with pytest.raises(ValueError, match="looks at images as a whole"):
        drawer(windows=None).draw(digit, order="rows")


def test_more_tiles_look_closer():
    model, image = drawer(), lines(64, 64)
    few, many = (model.draw(image[0], tiles=d, ink="light") for d in (1, 2))
    assert len(many) > 2 * len(few)
    assert many.strokes[:, 6].max() < 0.6 * few.strokes[:, 6].max()


# --- knowing when to stop ---


def test_strokes_that_cost_too_much_are_left_out():
    """With a high price only the first stroke, which is always drawn, stays; with none, it learns to use all."""
    image = lines(16, 16, seed=1)
    left = []
    for cost in (1.0, 1e-6):
        model = drawer(windows=None, stop_cost=cost).train()
        overfit(model, {"image": image}, 25, 1e-2)
        model.eval()
        left.append(len(model.draw(image[0], ink="light")))
    assert left[0] == 1
    assert left[1] > 1


def test_training_paints_whole_strokes_or_none_and_the_chance_to_go_on_learns():
    torch.manual_seed(0)
    model = drawer(windows=None, stop_cost=0.1).train()
    image = lines(16, 16, seed=1).expand(32, -1, -1, -1)
    strokes, canvas, going = model.rollout(image, model.painter)
    assert set(going.round(decimals=4).unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(canvas, model.painter.render(strokes, 16, going > 0.5))
    going.sum().backward()
    assert model.net.out.bias.grad[-1] > 0


def test_what_comes_after_the_stop_is_neither_drawn_nor_measured():
    model = drawer(windows=None, stop_cost=0.1)
    image = lines(16, 16, seed=1)
    bias = model.net.out.bias
    torch.nn.init.zeros_(model.net.out.weight[-1:].data)
    for logit, count in ((-5.0, 1), (5.0, 3)):
        bias.data[-1] = logit
        strokes, canvas, going = model.rollout(image, model.exact)
        assert going.sum() == count
        drawing = model.draw(image[0], ink="light")
        assert len(drawing) == count
        torch.testing.assert_close(drawing.strokes, strokes[0, :count])
        torch.testing.assert_close(canvas, model.exact.render(strokes[:, :count], 16))
        _, drawn, imagined = model.redrawn(image, (16, 16))
        torch.testing.assert_close(drawn, canvas)
        torch.testing.assert_close(imagined, model.painter.render(strokes[:, :count], 16))
        assert model.used.compute() == count
        model.used.reset()
    sliding_one = drawer(stop_cost=0.1)
    torch.nn.init.zeros_(sliding_one.net.out.weight[-1:].data)
    for logit, count in ((-5.0, 1), (5.0, 3)):
        sliding_one.net.out.bias.data[-1] = logit
        drawn, _ = sliding_one.slide(lines(64, 64), sliding_one.exact)[0]
        assert {len(rows) for _, _, rows in drawn} == {count}


# --- translation ---


def test_class_colours_counts_what_is_nearest():
    palette = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    drawn = torch.zeros(4, 3, 8, 8)
    drawn[0, 0, 2:5] = 0.9  # red for red
    drawn[1, 1, 2:5], drawn[1, 0, 5] = 0.8, 0.1  # green, with a faint trace of red
    drawn[2, 0, 2:5] = 1  # red for blue; the fourth is blank
    metric = translation.ClassColours()
    metric.update(None, drawn, {"palette": palette, "label": torch.tensor([0, 1, 2, 0])}, None)
    assert metric.compute()["class_colour"].item() == 0.5


def plan_strokes(*rows):
    """Rectangles (T, 7) of (room type, x0, y0, x1, y1)."""
    from datamodules.floorplans import COLOURS
    from renderers.colour import colour_columns

    actions = renderers.get("rectangle-lab").actions
    colours = colour_columns(actions, torch.tensor(COLOURS[[r[0] for r in rows]]) / 255).clamp(0, 1)
    return torch.cat([torch.tensor([r[1:] for r in rows]), colours], 1)


def test_rooms_are_what_can_be_seen_of_the_rectangles():
    strokes = plan_strokes(
        (1, 0.9, 0.1, 0.1, 0.9),  # corners in any order; the greater part of it stays visible
        (2, 0.5, 0.5, 0.9, 0.9),
        (3, 0.2, 0.2, 0.4, 0.4),  # hidden by the next
        (4, 0.1, 0.1, 0.4, 0.45),
        (0, 0.6, 0.1, 0.7, 0.2),  # outside: not a room
        (5, 0.3, 0.3, 0.301, 0.301),  # too small
    )
    found = zoo.rooms(Drawing(strokes, "rectangle-lab"))
    assert [(r["room"], r["box"]) for r in found] == [
        ("living room", [0.1, 0.1, 0.9, 0.9]),
        ("bedroom", [0.5, 0.5, 0.9, 0.9]),
        ("bathroom", [0.1, 0.1, 0.4, 0.45]),
    ]
    with pytest.raises(ValueError, match="rooms are rectangles, and this is a drawing of 'bezier'"):
        zoo.rooms(Drawing(torch.rand(1, 6), "bezier"))


def test_room_figures_of_a_right_and_of_a_wrong_drawing():
    data = datamodules.SyntheticFloorPlans(train=20, image_size=64, batch_size=4)
    data.setup("test")
    batch = data.on_after_batch_transfer(next(iter(data.test_dataloader())), 0)
    actions = renderers.get("rectangle-lab").actions
    truth = [translation.boxes_in(types.numpy()) for types in batch["label"]]
    most = max(map(len, truth))
    rows = [
        plan_strokes(*[(k, *box) for k, box in boxes], *[(0, 0.0, 0.0, 0.0, 0.0)] * (most - len(boxes)))
        for boxes in truth
    ]
    strokes = torch.stack(rows)
    right = translation.RoomBoxes()
    right.update(strokes, renderers.get("rectangle-lab").render(strokes, 64), batch, actions)
    figures = {k: float(v) for k, v in right.compute().items()}
    assert figures["box_precision"] == figures["box_recall"] == 1
    assert figures["iou"] > 0.95
    assert set(figures) == {"iou", "box_precision", "box_recall"} | {
        f"iou_{n}" for n in ("living_room", "bedroom", "kitchen", "bathroom", "hall")
    }
    wrong = translation.RoomBoxes()
    wrong.update(strokes[:, :1], renderers.get("rectangle-lab").render(strokes[:, :1], 64), batch, actions)
    figures = {k: float(v) for k, v in wrong.compute().items()}
    assert figures["box_precision"] == 1
    assert figures["box_recall"] == pytest.approx(4 / sum(map(len, truth)))
    assert figures["iou"] < 0.5


def test_boxes_are_paired_one_to_one():
    a, b = (1, (0.0, 0.0, 0.5, 0.5)), (1, (0.5, 0.5, 1.0, 1.0))
    assert translation.hits([a, a], [a, b]) == 1  # twice the same is found once
    assert translation.hits([b, a], [a, b]) == 2
    assert translation.hits([(2, a[1])], [a]) == 0  # of another type
    assert translation.hits([], [a]) == 0


def test_prism_figures():
    row = torch.tensor([0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 1, 0, 0])
    flipped = row[[3, 1, 5, 0, 4, 2, 6, 7, 8]]  # the same prism by two other corners
    far = torch.tensor([0.7, 0.7, 0.7, 0.9, 0.9, 0.9, 0, 1, 0])
    actions = renderers.get("prism").actions
    truth = {"prisms": torch.stack([torch.stack([row, far])]), "label": torch.tensor([2])}
    metric = translation.PrismBoxes()
    metric.update(torch.stack([torch.stack([far, flipped])]), None, truth, actions)
    assert metric.compute()["corner_error"].item() == pytest.approx(0, abs=1e-6)
    assert metric.compute()["volume_iou"].item() == 1
    metric.reset()
    moved = row.clone()
    moved[[0, 3]] += 0.1
    metric.update(
        torch.stack([torch.stack([moved, far])]), None, {"prisms": truth["prisms"], "label": torch.tensor([1])}, actions
    )
    assert metric.compute()["corner_error"].item() == pytest.approx(0.1, abs=1e-6)
    a, b = 0.4**3, 0.2**3
    assert metric.compute()["volume_iou"].item() == pytest.approx(
        0.75 * a / (1.25 * a + b), abs=0.05
    )  # what is too much counts


@pytest.mark.parametrize(
    ("data", "options", "names"),
    [
        ("ColoredMNIST", {"renderer": "bezier-width-lab"}, {"class_colour"}),
        ("SyntheticFloorPlans", {"renderer": "rectangle-lab"}, {"iou", "iou_kitchen", "box_precision", "box_recall"}),
        ("Prisms", {"renderer": "prism", "hint_channels": 3}, {"corner_error", "volume_iou"}),
    ],
)
def test_translation_is_learned_and_measured(data, options, names, data_root):
    """One batch is learned by heart, and its figures are logged by what it brings along."""
    module = getattr(datamodules, data)(image_size=32, batch_size=4)
    module.setup("test")
    batch = module.on_after_batch_transfer(next(iter(module.test_dataloader())), 0)
    model = drawer(image_size=32, windows=None, steps=4, **options).train()
    losses = overfit(model, batch, 40, 5e-3)
    assert losses[-1] < 0.75 * losses[0]
    logged = {}
    model.log_dict = lambda figures, **kwargs: logged.update(figures)
    model.eval().evaluate_batch(batch)
    model.log_truths("test")
    assert {f"test/{name}" for name in names} <= logged.keys()
    assert all(0 <= float(v) <= 2 for v in logged.values())
    logged.clear()
    model.log_truths("test")  # only once
    assert not logged


def test_zoo_rooms(zoo_list, tmp_path, capsys):
    model = drawer(renderer="rectangle-lab", windows=None)
    folder = loading.save(model, tmp_path / "plans")
    Image.fromarray(np.full((30, 50), 255, np.uint8)).save(tmp_path / "plan.png")
    args = ["rooms", str(tmp_path / "plan.png"), "--model"]
    assert cli.main([*args, str(folder), "--out", str(tmp_path / "r.json")]) == 0
    found = json.loads((tmp_path / "r.json").read_text())["rooms"]
    assert found == zoo.rooms(zoo.load(folder).draw(tmp_path / "plan.png"))
    assert cli.main([*args, str(folder), "--out", str(tmp_path / "r.svg")]) == 1
    assert "rooms are saved as .json" in capsys.readouterr().err
    assert cli.main([*args, "tiny-canvas", "--out", str(tmp_path / "s.json")]) == 1
    assert "needs a CanvasDrawer of floor plans" in capsys.readouterr().err
    assert cli.main([*args, "tiny-drawer", "--out", str(tmp_path / "s.json")]) == 1
    assert "rooms are rectangles" in capsys.readouterr().err


def test_zoo_draw_has_an_order(zoo_list, tmp_path, capsys):
    folder = loading.save(drawer(), tmp_path / "sketches")
    args = ["draw", "sample:coffee", "--out", str(tmp_path / "a.json"), "--ink", "lines", "--model"]
    drawn = []
    for order in ORDERS:
        assert cli.main([*args, str(folder), "--order", order]) == 0
        drawn.append(Drawing.load(tmp_path / "a.json"))
    assert len({len(d) for d in drawn}) == 1
    assert all(a != b for a, b in pairwise(drawn))
    assert cli.main([*args, "tiny-drawer", "--order", "rows"]) == 1
    assert "looks at images as a whole" in capsys.readouterr().err


# --- a teacher ---


@pytest.fixture
def teacher(zoo_list):
    """A drawer of three curves with thickness, in the list."""
    model = drawer(windows=None, width=24)
    data = packing.pack(model)
    (zoo_list / "teacher.safetensors").write_bytes(data)
    catalogue.write_entries({"teacher": loading.describe(model, "teacher", data, metrics=[])})
    return "teacher"


class Progress:
    """A trainer at some step of 100."""

    def __init__(self, step):
        self.global_step, self.estimated_stepping_batches = step, 100


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"teaching": {"blind": True}},
        {"windows": None, "renderer": "bezier"},
        {"windows": None, "renderer": "bezier", "teaching": {"blind": True}},
        {"windows": None, "renderer": "bezier-width-lab", "steps": 2},
    ],
)
def test_a_teachers_strokes_are_learned(teacher, options):
    torch.manual_seed(1)
    model = drawer(teacher=teacher, taught=0.5, **options).train()
    torch.nn.init.normal_(model.net.out.weight, std=0.2)
    logged = {}
    model.log = lambda name, value, **kwargs: logged.setdefault(name, []).append(float(value.detach()))
    model._trainer = Progress(10)
    image = lines(16, 16) if model.windows is None else lines(24, 24)
    overfit(model, {"image": image}, 30, 5e-3)
    assert logged["train/taught"][-1] < 0.3 * logged["train/taught"][0]
    assert "train/mse" not in logged  # no pixel is compared yet
    assert not any("teacher" in key for key in model.state_dict())
    model._trainer = Progress(60)
    model.training_step({"image": image}, 0)
    assert "train/mse" in logged


def test_a_blind_lesson_does_not_depend_on_the_canvas(teacher):
    model = drawer(teacher=teacher, teaching={"blind": True}, windows=None, renderer="bezier").train()
    model._trainer, model.log = Progress(10), lambda *args, **kwargs: None
    torch.nn.init.normal_(model.net.canvas[-1].weight)
    batch = {"image": lines(16, 16)}
    loss = model.training_step(batch, 0)
    torch.nn.init.normal_(model.net.canvas[-1].weight)
    assert model.training_step(batch, 0) == loss
    loss.backward()
    assert not model.net.canvas[-1].weight.grad.any()
    with pytest.raises(ValueError, match="without an LSTM all strokes would be the same"):
        drawer(teacher=teacher, teaching={"blind": True}, windows=None, lstm=False)


def test_strokes_that_the_data_shows_count_in_any_order():
    torch.manual_seed(0)
    teaching = {"teacher": "data", "share": 0.0, "matched": 1.0}
    model = drawer(windows=None, renderer="bezier", teaching=teaching).train()
    logged = {}
    model.log = lambda name, value, **kwargs: logged.setdefault(name, []).append(float(value.detach()))
    model._trainer = Progress(10)
    shown = torch.rand(8, 3, len(model.actions))
    turns = torch.stack([torch.randperm(3) for _ in range(8)])
    other = shown.gather(1, turns[..., None].expand_as(shown))
    strokes = torch.rand(8, 3, len(model.actions))
    torch.testing.assert_close(model.matched(strokes, shown), model.matched(strokes, other))
    assert model.matched(other, shown) < 1e-6 < model.matched(strokes, shown)
    every = [
        sum(((strokes[b, k] - shown[b, turn[k]]).square() / shown.var((0, 1))).mean() for k in range(3)) / 3
        for b in range(8)
        for turn in itertools.permutations(range(3))
    ]  # the slow way
    torch.testing.assert_close(model.matched(strokes, shown), torch.stack(every).view(8, 6).amin(1).mean())
    batch = {"image": lines(16, 16)[:8], "strokes": shown[: len(lines(16, 16))]}
    overfit(model, batch, 60, 5e-3)
    assert logged["train/matched"][-1] < 0.5 * logged["train/matched"][4]
    assert "train/mse" in logged
    for strokes, said in ((None, "none"), (shown[: len(batch["image"]), :2], "2")):
        with pytest.raises(ValueError, match=f"of 3 strokes the data shows {said}"):
            model.training_step({k: v for k, v in (batch | {"strokes": strokes}).items() if v is not None}, 0)
    for options in ({"windows": None, "teaching": teaching | {"teacher": None}}, {"teaching": teaching}):
        with pytest.raises(ValueError, match=r"teaching\.matched .* needs teacher: data"):
            drawer(**options)


def test_with_early_fusion_what_is_drawn_can_look_like_blank_paper():
    net = drawer(network={"width": 16, "halvings": 2, "early_fusion": True}, windows=None, renderer="bezier").net
    first = next(m for m in net.canvas if isinstance(m, torch.nn.Conv2d))
    with torch.no_grad():
        first.weight[:, 16:32] = -first.weight[:, :16]  # the hint's pixels against the canvas's
    hint, other, blank = lines(16, 16), lines(16, 16, seed=1), torch.zeros(1, 1, 16, 16)
    torch.testing.assert_close(net.seen(hint, hint), net.seen(blank, blank))
    assert not torch.allclose(net.seen(hint, other), net.seen(blank, blank))
    apart = drawer(windows=None, renderer="bezier").net
    assert torch.equal(apart.seen(hint, other), apart.seen(blank, other))


def test_a_teacher_of_another_kind_is_refused(teacher, zoo_list):
    for options, message in (
        ({"teacher": "tiny-canvas"}, "'tiny-canvas' makes no strokes like those of 'bezier-width'"),
        ({"teacher": teacher, "steps": 4}, "draws 3 strokes of images .* this drawer 4 of"),
        ({"teacher": teacher, "image_size": 32}, r"this drawer 3 of images \(1, 32²\)"),
    ):
        with pytest.raises(ValueError, match=message):
            _ = drawer(windows=None, **options).teacher


def test_the_loss_may_be_absolute():
    drawn = Rollout(torch.zeros(1, 3, 7), torch.zeros(1, 1, 2, 2), torch.ones(1, 3))
    target = torch.full((1, 1, 2, 2), 0.5)
    assert drawer().loss(drawn, target, 1.0).item() == 0.25
    assert drawer(absolute=True).loss(drawn, target, 1.0).item() == 0.5
    assert drawer(ink_weight=2.0, stop_cost=0.1).loss(drawn, target, 0.5).item() == pytest.approx(0.25 * 1.5 + 0.3)


def test_the_beginning_may_paint_at_half_the_size():
    model = drawer(windows=None, coarse=0.5).train()
    sizes = []
    rollout = model.rollout
    model.rollout = lambda hint, renderer, canvas, **options: (
        sizes.append(canvas.shape[-1]) or rollout(hint, renderer, canvas, **options)
    )
    for step in (0, 40, 60):
        model._trainer = Progress(step)
        model.training_step({"image": lines(16, 16)}, 0).backward()
    assert sizes == [8, 8, 16]


# --- learning by the distance from curves to ink ---


def marks(count=4, size=32):
    """A bar in each of (count, 1, size, size), in another place and direction."""
    images = torch.zeros(count, 1, size, size)
    for k, image in enumerate(images):
        image[:, 4 + 6 * k : 7 + 6 * k, 4:28] = 1
    return torch.cat([images[: count // 2], images[count // 2 :].mT])


def by_distance(progress=0.0, steps=3, **options):
    """A small drawer whose training is at a point of its course."""
    options = {"image_size": 32, "steps": steps, "windows": None, "distance": {"share": 0.5}} | options
    model = drawer(**options).train()
    model.log_dict = lambda *args, **kwargs: None
    model._trainer = Namespace(global_step=int(100 * progress), estimated_stepping_batches=100, gradient_clip_val=None)
    return model


@pytest.mark.parametrize("lstm", [True, False])
def test_by_distance_a_drawer_finds_lines_that_it_never_painted(lstm):
    model, image = by_distance(lstm=lstm), marks()
    batch = {"image": image, **measured(image)._asdict()}
    model.painter.paint = None  # nothing is painted with gradients
    torch.manual_seed(0)
    losses = overfit(model, batch, 250, 5e-3)
    assert sum(losses[-20:]) < 0.2 * sum(losses[:20])
    strokes = model.eval().rollout(image, model.exact)[0]
    picture = model.exact.render(strokes, 32)
    assert (picture - image).square().mean() < 0.5 * image.square().mean()


def test_the_first_phase_does_not_look_at_the_canvas_and_the_second_begins_there():
    model, image = by_distance(), marks()
    torch.testing.assert_close(model.unseen(image, None).strokes, model.rollout(image, model.exact).strokes)
    batch = {"image": image, **measured(image)._asdict()}
    model.training_step(batch, 0).backward()
    assert all(p.grad is not None for p in model.parameters())  # other ranks wait for each
    assert not any(p.grad.any() for p in model.net.canvas.parameters())
    second = by_distance(progress=0.7)
    second.training_step(batch, 0).backward()
    assert second.net.canvas[-1].weight.grad.any()


def test_the_second_phase_looks_at_fewer_images_and_at_both_errors():
    image = marks()
    batch = {"image": image, **measured(image)._asdict()}
    losses, seen = {}, []
    for weight, count in ((0.0, None), (0.1, None), (0.1, 2)):
        model = by_distance(0.7, distance={"share": 0.5, "beside": [weight, weight], "pixel_batch": count})
        losses_of = model.loss
        model.loss = lambda rollout, *args, of=losses_of: seen.append(len(rollout.strokes)) or of(rollout, *args)
        torch.manual_seed(0)
        losses[weight, count] = model.training_step(batch, 0).item()
    assert seen == [4, 4, 2]
    assert losses[0.1, None] > losses[0.0, None]


def test_a_sliding_drawer_learns_each_window_by_distance_and_leaves_out_what_neighbours_drew():
    model = by_distance(windows=[16], image_size=16)
    image = lines(48, 48)
    seen = []
    without = Ink.without
    try:
        Ink.without = lambda ink, drawn: seen.append(drawn) or without(ink, drawn)
        loss = model.training_step({"image": image}, 0)
    finally:
        Ink.without = without
    loss.backward()
    assert all(p.grad is not None for p in model.net.parameters())
    assert seen[0].max() == 0
    assert max(float(s.max()) for s in seen[1:]) > 0
    assert model.training_step({"image": torch.zeros(2, 1, 48, 48)}, 0) == 0  # nothing to draw
    assert by_distance(0.7, windows=[16], image_size=16).training_step({"image": image}, 0) > 0


def test_rates_and_clipping_of_the_two_phases():
    distance = Distance(share=0.5, lr=2e-3)
    rates = [1e-3 * distance.rate(k, 1000, 1e-3) for k in range(1000)]
    assert max(rates[:500]) == pytest.approx(2e-3, rel=0.01)
    assert max(rates[500:]) == pytest.approx(1e-3, rel=0.01)
    assert rates[499] == pytest.approx(0.3 * 2e-3, rel=0.01)
    assert rates[0] < 3e-4
    assert rates[500] < 3e-4
    assert rates[-1] < 1e-5
    clipped = []
    for progress in (0.2, 0.7):
        model = by_distance(progress)
        model.trainer.precision_plugin = Namespace(clip_gradients=lambda optimizer, value, how: clipped.append(value))
        model.trainer.gradient_clip_algorithm = None
        model.configure_gradient_clipping(None, 0.3, None)
    assert clipped == [1.0, 0.3]


def test_what_the_distance_cannot_do_is_said():
    with pytest.raises(ValueError, match="share is 0"):
        drawer(distance={"share": 0.0})
    with pytest.raises(ValueError, match="sigma is"):
        drawer(distance={"sigma": [4.0, 0.0]})
    with pytest.raises(ValueError, match="two ways to begin"):
        drawer(distance={}, teacher="canvas-drawer-mnist")
    with pytest.raises(ValueError, match=r"--data\.ridges true"):
        by_distance().training_step({"image": marks()}, 0)
