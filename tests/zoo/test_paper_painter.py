"""The author's networks and schedules of Neural Painters. On strokes of qbc, so that MyPaint is not needed."""

import pytest
import torch
import torch.nn.functional as F
from overfit import overfit
from tiny_painters import fit

import renderers
import zoo
from datamodules import StoredStrokes, stored
from zoo.checkpoints import loading
from zoo.neural_painter import painters
from zoo.neural_painter.networks import SIDE
from zoo.neural_painter.paper_networks import (
    PaperAgentNet,
    PaperCritic,
    PaperDecoder,
    PaperEncoder,
    PaperGenerator,
    darkness,
)

TABLE = {  # each network's weights in the order of its layers, without normalisation; and all of its parameters
    "generator": (
        PaperGenerator(12),
        [(4096, 12), (256, 128, 4, 4), (128, 64, 4, 4), (64, 32, 4, 4), (32, 3, 4, 4)],
        744_099,
    ),
    "critic of strokes": (
        PaperCritic(12, 16),
        [(16, 12), (16, 3, 4, 4), (32, 16, 4, 4), (64, 32, 4, 4), (128, 64, 4, 4), (1, 2048)],
        175_745,
    ),
    "critic of canvases": (
        PaperCritic(0, 64),
        [(64, 6, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (1, 8192)],
        2_769_601,
    ),
    "encoder": (
        PaperEncoder(64),
        [(32, 3, 4, 4), (64, 32, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (128, 1024)],
        821_344,
    ),
    "decoder and predictor": (
        PaperDecoder(12, 64),
        [
            *[(1024, 64), (1024, 128, 5, 5), (128, 64, 5, 5), (64, 32, 6, 6), (32, 3, 6, 6)],
            *[(256, 12), (64, 256), (64, 64), (64, 64)],
        ],
        3_654_435,
    ),
    "agent": (
        PaperAgentNet(12, 64),
        [
            *[(32, 6, 5, 5), (32, 12), *[(32, 32, 4, 4)] * 3, *[(32, 32, 3, 3)] * 16],
            *[(256, 1152), (1024, 256), (1024, 256), (12, 256)],
        ],
        1_027_052,
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_layers_are_those_of_the_paper(name):
    network, shapes, count = TABLE[name]
    assert [tuple(p.shape) for p in network.parameters() if p.ndim > 1] == shapes
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.fixture
def strokes():
    """Four strokes of qbc as StoredStrokes has them."""
    renderer = renderers.get("qbc")
    action = renderer.actions.random(4, generator=torch.Generator().manual_seed(1))
    ink, canvas = stored.inks(renderer, action, SIDE), renderer.blank(4, SIDE)
    after = stored.painted(renderer, canvas, action, ink)
    return {"action": action, "ink": ink[:, None], "canvas": canvas, "next": after}


@pytest.fixture
def folder(tmp_path):
    stored.make("qbc", 40, tmp_path / "s", size=SIDE, processes=1)
    return tmp_path / "s"


def ready(model, done, monkeypatch):
    """A model in the middle of a training run, and what it logs."""
    torch.manual_seed(0)
    model.configure_model()
    logged = {}
    model.log = lambda name, value, **kwargs: logged.setdefault(name, []).append(float(value.detach()))
    model.log_dict = lambda values, **kwargs: [model.log(name, value) for name, value in values.items()]
    model.done = lambda: done
    monkeypatch.setattr(painters, "fraction_done", lambda module: done)
    return logged


def gan(**options):
    torch.manual_seed(0)
    return zoo.NeuralPainterGAN("qbc", **({"width": 8, "form": "paper", "warm": 0.0} | options))


def agent(**learning):
    torch.manual_seed(0)
    learning = {"fidelity": 10.0, "drop": 0.0, "ink_weight": 0.0, "warm": 0.0} | learning
    network = {"form": "paper", "width": 64}
    return zoo.PainterAgent("qbc", painter=None, steps=3, channels=3, image_size=32, network=network, learning=learning)


def test_the_gan_overfits_a_batch(strokes, monkeypatch):
    model = gan()
    logged = ready(model, 0.6, monkeypatch)
    overfit(model, strokes, 40, 1e-3)
    assert logged["train/mse"][-1] < 0.75 * logged["train/mse"][0]
    assert logged["train/critic"][-1] > 0.3  # it tells them apart


def test_the_autoencoder_overfits_a_batch_then_the_predictor_does(strokes, monkeypatch):
    model = zoo.NeuralPainterVAE("qbc", form="paper", handover=0.6)
    logged = ready(model, 0.5, monkeypatch)
    overfit(model, strokes, 12, 1e-3)
    assert logged["train/error"][-1] < 0.3 * logged["train/error"][0]
    assert "train/z" not in logged
    mean, _ = model.encoder(model.wanted(strokes))
    error = lambda: F.mse_loss(model.net.predictor(strokes["action"]), mean).item()  # noqa: E731
    before = error()
    ready(model, 0.7, monkeypatch)
    overfit(model, strokes, 20, 1e-2)
    assert error() < 0.6 * before


def test_the_agent_and_its_critic_overfit_a_batch(monkeypatch):
    renderer = renderers.get("qbc")
    drawn = renderer.actions.random(2, 3, generator=torch.Generator().manual_seed(0))
    batch = {"image": renderer.render(drawn, 32)}
    model = agent(warm=1.0)
    logged = ready(model, 0.6, monkeypatch)
    overfit(model, batch, 30, 3e-3)
    assert logged["train/mse"][-1] < 0.6 * logged["train/mse"][0]
    model = agent()
    logged = ready(model, 0.6, monkeypatch)
    overfit(model, batch, 6, 1e-3)
    assert logged["train/critic"][-1] > logged["train/critic"][0] + 0.3


def test_a_generator_moves_after_so_many_steps_of_the_critic_only(folder):
    model = gan(critic_steps=5, cosine=False, lr=1e-3)
    model.configure_model()
    moved = []
    state = lambda: [torch.cat([p.detach().flatten() for p in m.parameters()]) for m in (model.net, model.critic)]  # noqa: E731
    last = state()

    def compare(batch, index):
        nonlocal last
        now = state()
        moved.append([not torch.equal(a, b) for a, b in zip(last, now, strict=True)])
        last = now

    model.on_train_batch_end = lambda outputs, batch, index: compare(batch, index)
    trainer = fit(model, StoredStrokes(str(folder), batch_size=8), 11)
    assert moved == [[i in (4, 9), True] for i in range(11)]
    optimizer = trainer.optimizers[0]
    assert {int(optimizer.state[p]["step"]) for p in model.net.parameters()} == {2}
    assert {int(optimizer.state[p]["step"]) for p in model.critic.parameters()} == {11}
    assert optimizer.param_groups[0]["lr"] == 1e-3
    with pytest.raises(ValueError, match="critic_steps is 0; expected at least 1"):
        fit(gan(critic_steps=0), StoredStrokes(str(folder), batch_size=8), 2)


def test_the_halves_of_the_vae_take_turns(folder):
    model = zoo.NeuralPainterVAE("qbc", latent=8, form="paper", handover=0.5, cosine=False)
    trainer = fit(model, StoredStrokes(str(folder), batch_size=8), 4)
    state = trainer.optimizers[0].state
    assert {int(state[p]["step"]) for p in model.parameters()} == {2}
    with pytest.raises(ValueError, match=r"needs an end: set --trainer.max_steps"):
        fit(model, StoredStrokes(str(folder), batch_size=8), -1)
    model.handover = 1.5
    with pytest.raises(ValueError, match="expected a fraction from 0"):
        fit(model, StoredStrokes(str(folder), batch_size=8), 2)


def test_a_strokes_darkness_is_scaled_and_laid_on_in_its_colour(strokes):
    picture = 1 - 0.4 * strokes["ink"].expand(-1, 3, -1, -1)
    torch.testing.assert_close(darkness(picture), strokes["ink"][:, 0] / strokes["ink"].amax((1, 2, 3))[:, None, None])
    assert darkness(torch.ones(1, 3, 8, 8)).isfinite().all()
    model = gan().eval()
    canvas, action = torch.rand(4, 3, SIDE, SIDE), strokes["action"]
    m = darkness(model.net(action))[:, None]
    rgb = model.actions.select(action, "red green blue")[..., None, None]
    torch.testing.assert_close(model.paint(canvas, action), canvas * (1 - m) + m * rgb)


def test_a_paper_painter_is_published_with_its_averages(strokes, tmp_path):
    model = gan()
    model.net(strokes["action"])
    again = zoo.load(loading.save(model.eval(), tmp_path / "painter"))
    picture = model.render(strokes["action"][:, None], SIDE)
    torch.testing.assert_close(again.render(strokes["action"][:, None], SIDE), picture, atol=2e-2, rtol=0)
    zoo.PainterAgent("qbc", painter=str(tmp_path / "painter"), steps=2, channels=3).strokes(torch.rand(1, 3, 64, 64))


def test_forcing_may_fall_to_nothing(monkeypatch):
    shown, one = torch.zeros(1, 2, 13), torch.ones(())
    for released, weights in ((None, (1.0, 0.2, 0.2, 0.2)), (0.6, (1.0, 1.0, 0.5, 0.0))):
        model = agent(released=released, forcing=2000.0)
        object.__setattr__(model.learning, "human", 0.2)
        for done, weight in zip((0.1, 0.2, 0.4, 0.8), weights, strict=True):
            ready(model, done, monkeypatch)
            loss = model.taught(one, 0.1 + shown, shown).item()
            assert loss == pytest.approx(2000 * 0.01 * weight + (done >= 0.2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gan(form="papre"), "form is 'papre'; expected quick or paper"),
        (lambda: gan(noise=True), "has no noise"),
        (lambda: zoo.NeuralPainterGAN("pen", form="paper"), "paint in colours, and strokes of 'pen' have none"),
        (lambda: agent(human=0.4, released=0.4), "released is 0.4; expected more than human"),
        (lambda: zoo.PainterAgent("qbc", None, image_size=16, network={"form": "paper"}), "from 32² on"),
    ],
)
def test_what_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()
