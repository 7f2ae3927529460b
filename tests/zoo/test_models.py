"""Painters and drawers: shapes, training, drawing any image."""

import numpy as np
import pytest
import torch
from overfit import overfit
from PIL import Image

import renderers
import zoo
from datamodules import Strokes
from datamodules.lines import line_art
from zoo.base.images import ImageError, read
from zoo.base.tiling import boxes, split


def tiny(**options):
    torch.manual_seed(0)
    return zoo.CanvasDrawer(**({"image_size": 16, "steps": 3} | options)).eval()


# --- painter ---


@pytest.mark.parametrize("renderer", ["bezier", "bezier-width-colour", "bezier-width-lab", "prism", "line", "pen"])
def test_a_canvas_network_is_a_renderer_of_any_other(renderer):
    painter = zoo.CanvasNetwork(renderer, width=4, layers=1)
    exact = renderers.get(renderer)
    assert isinstance(painter, renderers.Renderer)
    assert (painter.actions, painter.channels, painter.background) == (exact.actions, exact.channels, exact.background)
    strokes = painter.actions.random(2, 3)
    canvas = painter.render(strokes, (12, 20))
    assert canvas.shape == (2, exact.channels, 12, 20)
    assert canvas.requires_grad
    assert len(painter.outlines(strokes[0])) == len(exact.outlines(strokes[0]))
    before = torch.rand(2, exact.channels, 12, 20)
    lightens = bool((painter.paint(before, strokes[:, 0]) >= before).all())
    assert lightens == (renderer == "bezier")  # the pixelwise maximum of §3.3; others are painted over


@pytest.mark.parametrize("renderer", ["pen", "bezier-width-lab", "rectangle", "prism"])
def test_a_maximum_cannot_darken_what_lies_below(renderer):
    with pytest.raises(ValueError, match="use maximum=False"):
        zoo.CanvasNetwork(renderer, maximum=True)
    assert zoo.CanvasNetwork(renderer).maximum is False


def test_a_canvas_network_sees_the_faces_of_prisms():
    """Moving a prism in depth moves what is seen from the side and from above."""
    prism = renderers.get("prism")
    near, far = prism.actions.random(2, 1)
    far = torch.where(torch.tensor([n.startswith("z") for n in prism.actions.columns]), far, near)
    moved = (prism.anchors(near) - prism.anchors(far)).abs()[0] > 0
    assert moved.tolist() == [[False, False]] * 2 + [[True, False]] * 2 + [[False, True]] * 2
    assert (prism.anchors(near) <= 1).all()


@pytest.mark.parametrize("renderer", ["bezier", "rectangle-lab", "prism"])
def test_canvas_network_learns_a_batch(renderer):
    torch.manual_seed(0)
    painter = zoo.CanvasNetwork(renderer, width=24, layers=2)
    batch = Strokes(renderer=renderer, reset=2, batch_size=8, image_size=24).rollouts(0)
    error = lambda: ((painter.paint(batch["canvas"], batch["action"]) - batch["next"]) ** 2).mean().item()  # noqa: E731
    before = error()
    painter.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    overfit(painter, batch, 250, 0.01)
    assert error() < 0.15 * before


# --- drawer ---


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"network": {"lstm": False}},
        {"renderer": "bezier-width"},
        {"renderer": "rectangle", "network": {"hint_channels": 3}},
    ],
)
def test_strokes(options):
    drawer = tiny(**options)
    images = torch.rand(2, drawer.channels, 16, 16)
    strokes = drawer.strokes(images)
    assert strokes.shape == (2, 3, len(drawer.actions))
    drawer.actions.check(strokes)
    torch.testing.assert_close(drawer.strokes(images[:1]), strokes[:1], atol=1e-4, rtol=1e-4)


def test_the_lstm_state_is_carried():
    """With the canvas hidden from it, only the LSTM's state can tell one step from the next."""
    drawer = tiny()
    features = torch.rand(1, 256)
    canvas = torch.zeros(1, 1, 16, 16)
    first, state = drawer.net(features, canvas, canvas, None)
    second, state2 = drawer.net(features, canvas, canvas, state)
    assert not torch.allclose(first, second)
    assert not torch.allclose(state[1], state2[1])
    no_lstm = tiny(network={"lstm": False})
    assert torch.equal(no_lstm.net(features, canvas, canvas, None)[0], no_lstm.net(features, canvas, canvas, None)[0])


def test_with_early_fusion_a_drawer_goes_on_from_one_without():
    one, two = tiny(), tiny(network={"early_fusion": True})
    two.load_state_dict(one.state_dict())
    images = torch.rand(2, 1, 16, 16)
    assert torch.equal(one.eval().strokes(images), two.eval().strokes(images))
    two.load_state_dict(two.state_dict())


@pytest.mark.parametrize("lstm", [True, False])
def test_drawer_overfits_a_batch(lstm, digit):
    torch.manual_seed(0)
    drawer = zoo.CanvasDrawer(image_size=32, steps=3, network={"lstm": lstm})
    drawer.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    image = torch.nn.functional.interpolate(torch.tensor(digit)[None, None].float() / 255, 32, mode="bilinear")
    losses = overfit(drawer, {"image": image}, 150, 2e-3)
    assert losses[-1] < 0.35 * losses[0]
    exact = drawer.exact.render(drawer.strokes(image), 32)
    assert ((exact - image) ** 2).mean() < 0.5 * (image**2).mean()


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"images are \(1, 20, 20\).*use --data.image_size=16"):
        tiny().strokes(torch.rand(1, 1, 20, 20))


def test_hint_and_target_may_differ():
    drawer = tiny(renderer="bezier-colour")
    drawer.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    hint, target = torch.rand(2, 1, 16, 16), torch.rand(2, 3, 16, 16)
    loss = drawer.training_step({"image": hint, "target": target}, 0)
    canvas = drawer.rollout(hint, drawer.painter)[1]
    torch.testing.assert_close(loss, ((canvas - target) ** 2).mean())


def test_learning_through_a_painter_leaves_it_frozen(zoo_list):
    drawer = tiny(painter="tiny-canvas")
    drawer.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    drawer.training_step({"image": torch.rand(2, 1, 16, 16)}, 0).backward()
    assert all(p.grad is not None for p in drawer.parameters())
    assert all(p.grad is None for p in drawer.painter.parameters())
    assert not any("painter" in k for k in drawer.state_dict())


def test_a_painter_of_another_renderer_is_refused(zoo_list):
    with pytest.raises(
        ValueError, match="'tiny-canvas' cannot teach a drawer of 'pen': it is a CanvasNetwork of 'bezier'"
    ):
        _ = tiny(renderer="pen", painter="tiny-canvas").painter
    with pytest.raises(ValueError, match="it is a CanvasDrawer"):
        _ = tiny(painter="tiny-drawer").painter


# --- draw ---


def test_draw_takes_any_image(tmp_path, digit):
    drawer = tiny()
    rgb = np.stack([digit] * 3, -1)
    Image.fromarray(digit).save(tmp_path / "d.png")
    reference = drawer.draw(digit)
    for image in (
        tmp_path / "d.png",
        str(tmp_path / "d.png"),
        Image.fromarray(digit),
        rgb,
        torch.tensor(digit)[None],
        torch.tensor(digit)[None, None].float() / 255,
        digit.astype(np.float64) / 255,
        np.concatenate([rgb, np.full((28, 28, 1), 255, np.uint8)], -1),
    ):
        drawing = drawer.draw(image)
        assert drawing.renderer == "bezier"
        torch.testing.assert_close(drawing.strokes, reference.strokes, atol=1e-3, rtol=0)


def test_draw_keeps_the_aspect_and_takes_options(digit):
    drawer = tiny()
    wide = np.pad(digit, ((0, 0), (0, 28)))
    assert drawer.draw(wide).aspect == 2.0
    assert len(drawer.draw(wide, strokes=2)) == 2
    torch.testing.assert_close(
        drawer.draw(255 - digit).strokes, drawer.draw(digit).strokes, atol=1e-4, rtol=0
    )  # ink: auto
    torch.testing.assert_close(
        drawer.draw(255 - digit, ink="dark").strokes, drawer.draw(digit, ink="light").strokes, atol=1e-4, rtol=0
    )
    for bad, message in (
        ({"strokes": 0}, "at least 1"),
        ({"tiles": 0}, "1 to 64"),
        ({"ink": "red"}, "auto, light, dark, lines"),
    ):
        with pytest.raises(ValueError, match=message):
            drawer.draw(digit, **bad)


def test_photographs_are_turned_to_lines():
    drawer = tiny()
    photo, digit = (
        torch.nn.functional.interpolate(x, (64, 64)) for x in (read("sample:chelsea", 1), torch.eye(32)[None, None])
    )
    lines = drawer.prepare(photo)
    torch.testing.assert_close(lines, line_art(photo))
    assert 0 <= lines.min() <= lines.max() <= 1
    assert 0.005 < lines.mean() < 0.3
    torch.testing.assert_close(drawer.prepare(digit), digit)
    torch.testing.assert_close(drawer.prepare(1 - digit), digit)
    assert line_art(torch.full((1, 1, 32, 32), 0.5)).max() < 0.5  # no lines where there are none


def test_exif_rotation_is_obeyed(tmp_path):
    image = Image.new("L", (60, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "r.jpg", exif=exif)
    assert tiny().draw(tmp_path / "r.jpg").aspect == 0.5


def test_tiles_are_drawn_and_put_back():
    drawer = tiny()
    image = torch.zeros(1, 64, 64)
    image[0, 8:24, 40:56] = 1  # inside the upper right tile of 2 × 2
    drawing = drawer.draw(image, tiles=2, ink="light")
    assert len(drawing) == 3  # the three blank tiles are left out
    alone = drawer.draw(image[:, :32, 32:], ink="light")
    assert drawing == alone.place((0.5, 0, 1, 0.5))
    assert len(drawer.draw(torch.zeros(1, 64, 64), tiles=2)) == 0


def test_split_and_boxes_agree():
    image = torch.arange(64.0).view(1, 1, 8, 8) / 64
    tiles = split(image, 2)
    for tile, (left, top, right, bottom) in zip(tiles, boxes(2), strict=True):
        part = image[0, :, int(8 * top) : int(8 * bottom), int(8 * left) : int(8 * right)]
        torch.testing.assert_close(tile, part)


# --- images that cannot be drawn, and some that can ---


def test_sixteen_bit_cmyk_palette_and_transparency(tmp_path):
    grey = (np.linspace(0, 1, 400).reshape(20, 20) * 65535).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "16.png")
    np.testing.assert_allclose(read(tmp_path / "16.png", 1)[0, 0].numpy(), grey / 65535, atol=1e-6)
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    r, g, b = read(tmp_path / "cmyk.jpg", 3).mean((0, 2, 3)).tolist()
    assert r > 0.9
    assert max(g, b) < 0.1
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read(tmp_path / "clear.png", 3).min() == 1  # on white paper
    Image.new("L", (20, 20), 100).convert("P").save(tmp_path / "p.png")
    assert read(tmp_path / "p.png", 1).mean().item() == pytest.approx(100 / 255, abs=0.01)


def bad_files(folder):
    Image.effect_noise((100, 100), 90).save(folder / "whole.png")
    whole = (folder / "whole.png").read_bytes()
    (folder / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("hello")
    (folder / "empty.jpg").write_bytes(b"")
    Image.new("L", (1, 1)).save(folder / "dot.png")
    Image.new("L", (20000, 3)).save(folder / "thin.png")
    frames = [Image.new("L", (20, 20), v) for v in (0, 255)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    return {
        "truncated.png": "not a whole image",
        "text.png": "not an image",
        "empty.jpg": "not an image",
        "dot.png": "1×1 pixels; each side needs at least 8",
        "thin.png": "20000×3 pixels; each side needs at least 8",
        "moving.gif": "animation of 2 frames",
        "missing.png": "no file",
        ".": "is a folder",
    }


def test_bad_files(tmp_path):
    for name, message in bad_files(tmp_path).items():
        with pytest.raises(ImageError, match=message) as e:
            read(tmp_path / name, 1)
        assert name in str(e.value)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((20, 20, 2)), "is not an image"),
        (np.zeros(20), "is not an image"),
        (np.zeros((20, 20), np.int64), "numbers of type int64"),
        (np.full((20, 20), 2.0), r"outside \[0, 1\]"),
        (np.full((20, 20), np.nan), r"outside \[0, 1\]"),
        (torch.zeros(2, 3, 20, 20), "is not an image"),
        (7, "the int is not an image"),
        ("sample:nobody", "no sample image 'nobody'"),
    ],
)
def test_bad_values(image, message):
    with pytest.raises(ImageError, match=message):
        read(image, 1)


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_samples(name):
    assert min(read(f"sample:{name}", 3).shape[2:]) >= 300
