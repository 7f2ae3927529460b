"""The two neural painters. On strokes of qbc, so that MyPaint is not needed."""

import math

import pytest
import torch
from pytorch_lightning import Trainer
from tiny_painters import fit, gan, weights
from torch import nn

import renderers
import zoo
from datamodules import StoredStrokes, Strokes, stored
from zoo.neural_painter.networks import SIDE, Guide
from zoo.neural_painter.painters import Texture

PAINTERS = [lambda: zoo.NeuralPainterGAN("qbc", width=8), lambda: zoo.NeuralPainterVAE("qbc", latent=8)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "SHARD", 32)
    stored.make("qbc", 96, tmp_path / "s", size=SIDE, processes=1)
    return tmp_path / "s"


def zoo_data(folder):
    return StoredStrokes(str(folder), batch_size=16)


@pytest.mark.parametrize("make", PAINTERS)
def test_a_neural_painter_is_a_renderer(make):
    painter = make().eval()
    exact = renderers.get("qbc")
    strokes = exact.actions.random(2, 3)
    for size in (64, 32, (48, 96)):
        canvas = painter.render(strokes, size)
        assert canvas.shape == exact.render(strokes, size).shape
        assert canvas.isfinite().all()
    strokes.requires_grad_()
    weight = torch.rand(2, 3, 64, 64)
    (painter.render(strokes, 64) * weight).sum().backward()
    assert (strokes.grad.abs().sum((0, 1)) > 0).all()
    assert torch.equal(painter.ink(strokes[:, 0]), painter.ink(strokes[:, 0]))  # no noise


def test_noise_is_an_option():
    action = renderers.get("qbc").actions.random(1)
    noisy = gan(noise=True)
    assert not torch.equal(noisy.ink(action), noisy.ink(action))


def test_a_stroke_is_its_opacity_in_its_colour():
    painter = gan()
    action = renderers.get("qbc").actions.random(2)
    canvas = torch.rand(2, 3, SIDE, SIDE)
    ink = painter.ink(action)[:, None]
    colour = renderers.get("qbc").actions.select(action, "red green blue")[..., None, None]
    torch.testing.assert_close(painter.paint(canvas, action), canvas * (1 - ink) + ink * colour)


def test_the_guide_knows_where_the_curve_is():
    r = renderers.get("qbc")
    guide = Guide(r)
    action = r.actions.random(4)
    maps = guide(action)
    assert maps.shape == (4, guide.maps, 32, 32)
    p0, p1, p2 = r.curves(action).unbind(1)
    middle = ((p0 + 2 * p1 + p2) / 4 * 32).long().clamp(0, 31)
    for i, (x, y) in enumerate(middle.tolist()):
        assert maps[i, 0, y, x] > 0.5  # within two pixels of the curve
        far = (maps[i, 2].flatten().argmin() // 32, maps[i, 2].flatten().argmin() % 32)
        assert maps[i, 0][far] <= maps[i, 0, y, x]


def test_the_gan_learns(folder):
    torch.manual_seed(0)
    data = zoo_data(folder)
    model = zoo.NeuralPainterGAN("qbc", width=8, warm=1.0, ink_weight=0.0, lr=5e-3)
    data.setup()
    batch = data.on_after_batch_transfer(data.datasets["train"].__getitems__(range(32)), 0)
    error = lambda: ((model.ink(batch["action"]) - batch["ink"][:, 0]) ** 2).mean().item()  # noqa: E731
    before = error()
    fit(model, data, 120)
    assert error() < 0.5 * before


def test_both_parts_of_the_gan_train(folder):
    model = zoo.NeuralPainterGAN("qbc", width=8, warm=0.0)
    model.configure_model()
    before = weights(model)
    fit(model, zoo_data(folder), 3)
    assert all(not torch.equal(a, b) for a, b in zip(before, weights(model), strict=True))


def test_neither_part_learns_from_the_others_loss(folder):
    model = zoo.NeuralPainterGAN("qbc", width=8, warm=0.0)
    model.configure_model()
    model.log = lambda *args, **kwargs: None
    model.done = lambda: 1.0
    data = zoo_data(folder)
    data.setup()
    batch = data.on_after_batch_transfer(data.datasets["train"].__getitems__(range(4)), 0)
    maps = model.guide(batch["action"])
    for which, (trained, other) in enumerate(((model.critic, model.net), (model.net, model.critic))):
        model.zero_grad()
        model.game(batch["ink"], model.net(maps)[:, None], maps)[which].backward()
        assert any(p.grad is not None and p.grad.any() for p in trained.parameters())
        assert all(p.grad is None for p in other.parameters())


def test_the_vae_learns_both_networks_and_the_second_has_no_say_in_the_first(folder):
    torch.manual_seed(0)
    data = zoo_data(folder)
    model = zoo.NeuralPainterVAE("qbc", latent=8)
    model.configure_model()
    before = weights(model)
    fit(model, data, 4)
    assert all(not torch.equal(a, b) for a, b in zip(before, weights(model), strict=True))
    batch = data.on_after_batch_transfer(data.datasets["train"].__getitems__(range(8)), 0)
    logged = {}
    model.log_dict = lambda values, **kwargs: logged.update(values)
    model.training_step(batch, 0)
    model.zero_grad()
    logged["train/z"].backward()
    assert any(p.grad is not None and p.grad.any() for p in model.net.predictor.parameters())
    assert all(p.grad is None for part in (model.encoder, model.net.decoder) for p in part.parameters())


def test_strokes_of_another_renderer_are_refused(folder):
    with pytest.raises(
        ValueError, match="holds strokes of 'qbc' at 64²; this painter learns those of 'mypaint' at 64²"
    ):
        fit(zoo.NeuralPainterGAN("mypaint", width=4), zoo_data(folder), 1)


def test_a_renderer_without_curves_is_refused():
    with pytest.raises(ValueError, match="imitates strokes along a curve, such as mypaint or qbc; 'circle' has none"):
        zoo.NeuralPainterGAN("circle")


def test_texture_tells_smudged_from_rough():
    rough = torch.rand(2, 3, 32, 32)
    smooth = nn.functional.avg_pool2d(rough, 3, 1, 1)
    metric = Texture()
    metric.update(rough, rough)
    assert metric.compute() == 1
    smudged = Texture()
    smudged.update(smooth, rough)
    assert smudged.compute() < 0.5


def test_painters_are_measured():
    for make in PAINTERS:
        model = make()
        data = Strokes("qbc", reset=1, val_steps=1, batch_size=4)
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
        figures = trainer.test(model, data, verbose=False)[0]
        assert set(figures) == {"test/mse", "test/unpainted_mse", "test/ssim", "test/texture"}
        assert all(math.isfinite(v) for v in figures.values())
