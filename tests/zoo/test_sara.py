"""SARA: its networks, its learning, and how it paints."""

import numpy as np
import pytest
import torch
import yaml
from methods import METHODS, QUIET, images
from overfit import overfit
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from tiny_files import has_mypaint
from tiny_painters import gan

import datamodules
import renderers
import zoo
from datamodules import Strokes
from datamodules.base import resize
from renderers import Drawing
from zoo.base.tiling import Windows, worst_of_each_part
from zoo.checkpoints import loading
from zoo.checkpoints.methods import arguments
from zoo.sara import painting
from zoo.sara.networks import Actor, Critic, Discriminator, Rasteriser, folded
from zoo.sara.replay import KEPT as REPLAY, Episode, Replay, Transitions
from zoo.training import app as training, guards
from zoo.training.export import export, restore


def tiny(**options):
    """A small SARA that is ready to learn, outside a trainer. Options of a group are named without it."""
    torch.manual_seed(0)
    small = {"image_size": 16, "width": 0.125, "steps": 3, "bundle": 2, "batch": 4, "reward": "l2"}
    model = zoo.SARA(**arguments(zoo.SARA, small | options))
    model.configure_model()
    return model


def transitions(model, n=4):
    torch.manual_seed(1)
    images = [torch.rand(n, 3, 16, 16) for _ in range(3)]
    actions = torch.rand(n, model.bundle * len(model.actions))
    return Transitions(*images, actions, torch.arange(n) % model.steps, torch.zeros(n, dtype=torch.int32))


# --- networks ---


def test_sizes_are_the_papers():
    """Millions of parameters of the authors' networks."""
    count = lambda net: round(sum(p.numel() for p in net.parameters()) / 1e6, 2)  # noqa: E731
    assert [count(net) for net in (Rasteriser(10), Actor(65), Critic(), Discriminator())] == [11.04, 11.21, 11.18, 0.27]


@pytest.mark.parametrize(("size", "width"), [(32, 0.125), (64, 0.25), (128, 0.25)])
def test_rasteriser(size, width):
    alpha = Rasteriser(4, size, width)(torch.rand(2, 4))
    assert alpha.shape == (2, 1, size, size)
    assert 0 <= alpha.min() <= alpha.max() <= 1


@pytest.mark.parametrize(
    ("size", "width", "message"), [(16, 1, "size is 16"), (96, 1, "size is 96"), (64, 0.3, "width is 0.3")]
)
def test_rasterisers_that_cannot_be(size, width, message):
    with pytest.raises(ValueError, match=message):
        Rasteriser(4, size, width)


def test_a_folded_actor_is_the_same_function():
    torch.manual_seed(0)
    actor = Actor(7, 0.125)
    for _ in range(3):
        actor(torch.rand(8, 3, 32, 32), torch.rand(8, 3, 32, 32), torch.rand(8))  # gives it running figures
    actor.eval()
    seen = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32), torch.rand(2)
    fast = folded(actor)
    torch.testing.assert_close(fast(*seen), actor(*seen), atol=1e-5, rtol=0)
    assert not [m for m in fast.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert [m for m in actor.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_drawing_follows_the_weights():
    """The actor that draws is made anew when the weights change, and only then."""
    model = tiny().eval()
    first = model.draw(photo())
    fast = model.folded.of(model.actor)
    assert model.draw(photo()) == first
    assert model.folded.of(model.actor) is fast
    with torch.no_grad():
        next(model.actor.parameters()).mul_(0.5)
    assert model.folded.of(model.actor) is not fast
    assert model.draw(photo()) != first
    assert not [k for k in model.state_dict() if "folded" in k]


def test_it_draws_in_inference_mode():
    """Its weights' versions are not counted there, so the folded actor cannot be kept."""
    image = torch.rand(3, 16, 16)
    torch.manual_seed(0)
    with torch.inference_mode():
        model = tiny().eval()
        before = model.draw(image)
        model.actor.load_state_dict({k: v.flip(0) if v.ndim else v for k, v in model.actor.state_dict().items()})
        after = model.draw(image)
    assert not torch.equal(before.strokes, after.strokes)


def test_the_discriminator_sees_patches():
    """One number for every patch: what lies far from a pixel does not depend on it."""
    image = torch.rand(1, 6, 128, 128)
    net = Discriminator(0.25).net
    assert net(image).shape == (1, 1, 4, 4)
    other = image.clone()
    other[..., :16, :16] = 0
    same = net(image) == net(other)
    assert same[0, 0, -1, -1]
    assert not same[0, 0, 0, 0]


# --- neural renderer ---


@pytest.mark.parametrize("name", ["qbc", "qbc-opaque", "line", "circle", "triangle"])
def test_a_neural_renderer_is_a_renderer_of_any_size(name):
    painter = zoo.NeuralRenderer(name, size=32, width=0.125)
    strokes = painter.actions.random(2, 3)
    for size in (32, 64, 16, (24, 40)):
        canvas = painter.render(strokes, size)
        assert canvas.shape == (2, 3, *(size if isinstance(size, tuple) else (size, size)))
        assert 0 <= canvas.min() <= canvas.max() <= 1
    assert painter.render(strokes, 32).requires_grad
    assert len(painter.outlines(strokes[0])) == 3


def test_a_neural_renderer_learns_a_batch():
    torch.manual_seed(0)
    painter = zoo.NeuralRenderer("circle", size=32, width=0.25)
    painter.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    batch = Strokes("circle", reset=1, batch_size=8, image_size=32, fixed={"red": 1, "green": 1, "blue": 1}).rollouts(0)
    opacity = renderers.get("circle").opacity(batch["action"], 32, 32)  # which white on black is
    torch.testing.assert_close(batch["next"][:, 0], opacity, atol=1e-5, rtol=0)
    losses = overfit(painter, batch, 150, 2e-3)
    assert losses[-1] < 0.15 * losses[0]


def test_thin_strokes_are_counted_apart():
    painter = zoo.NeuralRenderer("circle", size=32, width=0.125).eval()
    strokes = torch.rand(6, 7)
    strokes[:, 2] = torch.tensor([0.05, 0.05, 1, 1, 1, 1])  # radii
    strokes[:, 3] = 1
    blank = painter.blank(6, 32)
    after = painter.imitates.paint(blank, strokes)
    with torch.no_grad():
        painter.evaluate_batch({"canvas": blank, "action": strokes, "next": after})
        error = (painter.paint(blank, strokes) - after).square()
    assert painter.thin_mse.compute().item() == pytest.approx(error[:2].mean().item(), rel=1e-4)
    assert painter.mse.compute().item() == pytest.approx(error.mean().item(), rel=1e-4)


def exported(tmp_path, size):
    """The folder of a neural renderer of ``qbc`` that nobody has trained."""
    torch.manual_seed(0)
    return str(loading.save(zoo.NeuralRenderer("qbc", size=size, width=0.125), tmp_path / f"painter-{size}"))


def test_the_papers_protocol_paints_sees_and_judges_on_the_painter(tmp_path):
    model = tiny(painter=exported(tmp_path, 32), image_size=32).eval()
    images = torch.rand(3, 3, 48, 48)
    model.evaluate_batch({"image": images})
    target = resize(images, 32)
    canvas = model.painter.blank(3, 32)
    with torch.no_grad():
        for moment in (0, 1 / 3, 2 / 3):
            action = model.actor(canvas, target, torch.full((3,), moment)).view(3, 2, -1)
            canvas = model.painter.paint_all(canvas, action)
    assert model.world_mse.compute().item() == pytest.approx((canvas - target).square().mean().item(), rel=1e-4)
    assert model.world_mse.compute() != model.painter_mse.compute()  # strokes chosen on the exact canvas


def test_a_painter_must_not_be_smaller_than_the_canvas(tmp_path):
    painter = exported(tmp_path, 32)
    with pytest.raises(
        ValueError, match=r"paints 32² pixels, and this agent's canvas has 64²: .*--model.image_size=32"
    ):
        tiny(painter=painter, image_size=64).painter  # noqa: B018
    with pytest.raises(ValueError, match="canvas has 64²"):
        tiny(painter=painter, image_size=32, levels=[1, 0], steps=2, discount=0.0).painter  # noqa: B018


def test_learning_rates_fall_as_in_table_2():
    model = tiny(lr=3e-4, critic_lr=1e-3, decay_at=10, reward="wgan")
    [optimizer], [schedule] = model.configure_optimizers()
    for _ in range(10):
        optimizer.step()
        schedule.step()
    assert schedule.get_last_lr() == pytest.approx([1e-4, 3e-4, 3e-4])


def test_a_renderer_without_colour_is_refused():
    with pytest.raises(ValueError, match="have no colour"):
        zoo.NeuralRenderer("bezier")
    with pytest.raises(ValueError, match="'bezier' has none"):
        zoo.SARA("bezier")


# --- replay ---


def test_replay_gives_back_what_it_was_given():
    torch.manual_seed(0)
    replay = Replay(5, 2, 4, 3)
    seen = {}
    for first in (0, 3):  # 6 episodes: the first is overwritten
        canvases, targets, actions = torch.rand(3, 3, 3, 4, 4), torch.rand(3, 3, 4, 4), torch.rand(3, 2, 3)
        seen |= {first + i: (canvases[i], targets[i], actions[i]) for i in range(3)}
        tiles = 10 * torch.arange(first, first + 3)[:, None] + torch.arange(2)
        replay.add(targets, Episode(actions, list(canvases.unbind(1)), tiles))
    assert len(replay) == 5
    found = set()
    for before, after, target, action, step, tile in zip(*replay.sample(400), strict=True):
        (k,) = (k for k, (_, t, _) in seen.items() if (t - target).abs().max() < 1 / 254)
        t = int(step)
        assert (seen[k][0][t] - before).abs().max() < 1 / 254
        assert (seen[k][0][t + 1] - after).abs().max() < 1 / 254
        assert torch.equal(seen[k][2][t], action)
        assert tile == 10 * k + t
        found.add((k, t))
    assert found == {(k, t) for k in range(1, 6) for t in range(2)}


def test_replay_comes_back_from_a_checkpoint_and_refuses_other_sizes():
    torch.manual_seed(0)
    one, two = Replay(6, 2, 4, 3), Replay(6, 2, 4, 3)
    one.targets[one.slots(4)] = torch.randint(256, (4, 3, 4, 4), dtype=torch.uint8)
    state = one.state_dict()
    assert len(state["targets"]) == 4  # no more than there is
    two.load_state_dict(state)
    assert (two.count, two.place) == (4, 4)
    assert torch.equal(two.targets, one.targets)
    for other in (Replay(6, 3, 4, 3), Replay(6, 2, 8, 3), Replay(6, 2, 4, 5), Replay(3, 2, 4, 3)):
        with pytest.raises(ValueError, match="resume with the same image_size, steps, bundle and episodes"):
            other.load_state_dict(state)


def test_replay_memory_is_as_stated():
    replay = Replay(800, 40, 128, 65, device="meta")
    total = sum(x.numel() * x.element_size() for x in (replay.canvases, replay.targets, replay.actions))
    assert total == pytest.approx(1.65e9, rel=0.02)


# --- learning ---


def test_rewards():
    model = tiny()
    before, after, target, *_ = transitions(model)
    expected = 10 * ((before - target) ** 2).mean((1, 2, 3)) - 10 * ((after - target) ** 2).mean((1, 2, 3))
    torch.testing.assert_close(model.reward(before, after, target), expected)
    wgan = tiny(reward="wgan")
    expected = wgan.soft_discriminator(target, after) - wgan.soft_discriminator(target, before)
    torch.testing.assert_close(wgan.reward(before, after, target), expected)


DDPG = {"model_based": False}


@pytest.mark.parametrize("options", [{}, {"reward": "wgan"}, DDPG, DDPG | {"reward": "wgan"}, {"discount": 0.0}])
def test_losses_are_those_of_the_slow_way(options):
    """Each transition alone, and each loss's gradients in its own network only."""
    model = tiny(**options).eval()
    seen = transitions(model)
    losses = model.losses(seen)
    gamma, exact, greedy = 0.95**2, model.exact, "discount" in options
    critic, actor = [], []
    for i in range(4):
        before, after, target, action, step, _ = (x[i : i + 1] for x in seen)
        t = lambda k, step=step: (step + k) / 3  # noqa: E731
        rest = 0.0
        if step < 2 and not greedy:
            following = model.soft_actor(after, target, t(1))
            if options.get("model_based", True):
                final = after
                for stroke in following.view(2, 1, -1):
                    final = exact.paint(final, stroke)
                rest = gamma * (model.reward(after, final, target) + model.soft_critic(after, final, target, t(2)))
            else:
                rest = gamma * model.soft_critic(after, following, target, t(1))
        chosen = model.actor(before, target, t(0))
        if options.get("model_based", True):
            painted = before
            for stroke in chosen.view(2, 1, -1):
                painted = exact.paint(painted, stroke)
            actor.append(-model.reward(before, painted, target))
            if not greedy:
                critic.append((model.critic(before, after, target, t(1)) - rest) ** 2)
                actor[-1] = actor[-1] - model.critic(before, painted, target, t(1))
        else:
            critic.append(
                (model.critic(before, action, target, t(0)) - model.reward(before, after, target) - rest) ** 2
            )
            actor.append(-model.critic(before, chosen, target, t(0)))
    assert ("critic" in losses) != greedy
    if critic:
        torch.testing.assert_close(losses["critic"], torch.cat(critic).mean(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(losses["actor"], torch.cat(actor).mean(), atol=1e-5, rtol=1e-4)
    for name, loss in losses.items():
        model.zero_grad()
        loss.backward(retain_graph=True)
        touched = {
            k.split(".")[0] for k, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
        }
        assert touched == {name}


def test_the_gradient_reaches_the_actor_through_the_smooth_form():
    model = tiny()
    canvas, bundle = torch.rand(2, 3, 16, 16), torch.rand(2, 26, requires_grad=True)
    painted = model.imagine(canvas, bundle)
    torch.testing.assert_close(painted, model.paint(model.exact, canvas, bundle))  # its value is the renderer's own
    painted.sum().backward()
    assert (bundle.grad.abs() > 0).float().mean() > 0.8


def test_a_painter_may_lend_its_gradients_only(tmp_path):
    painter = exported(tmp_path, 32)
    model, other = tiny(painter=painter, real=True), tiny(painter=painter)
    canvas, bundles = torch.rand(2, 3, 16, 16), torch.rand(2, 26)
    found = []
    for one in (model, other):
        bundle = bundles.clone().requires_grad_()
        painted = one.imagine(canvas, bundle)
        painted.sum().backward()
        found.append((painted.detach(), bundle.grad))
    torch.testing.assert_close(found[0][0], model.paint(model.exact, canvas, bundles))
    assert not torch.allclose(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1])
    assert (model.world, other.world) == (model.exact, other.painter)
    model.eval().evaluate_batch({"image": torch.rand(2, 3, 16, 16)})
    assert not model.world_mse.update_called


@pytest.mark.skipif(not has_mypaint(), reason="needs libmypaint and its brushes")
def test_it_paints_in_strokes_of_mypaint(tmp_path):
    folder = loading.save(gan("mypaint"), tmp_path / "painter")
    options = {"renderer": "mypaint", "painter": str(folder), "levels": [1, 1], "steps": 7, "discount": 0.0}
    model = tiny(**options, real=True).eval()
    drawing = model.draw(photo())
    assert (drawing.renderer, len(drawing)) == ("mypaint", 14)
    canvas = model.exact.blank(1, 32)
    whole = model.exact.paint_all(canvas, drawing.strokes[None])
    for stroke in drawing.strokes:
        canvas = model.exact.paint(canvas, stroke[None])
    torch.testing.assert_close(whole, canvas, atol=2e-3, rtol=0)  # MyPaint keeps 15 bits
    losses = model.train().losses(transitions(model))
    losses["actor"].backward()
    assert all(p.grad.isfinite().all() for p in model.actor.parameters())


def test_the_slow_copies_follow():
    model = tiny(tau=0.25)
    before = [p.clone() for p in model.soft_critic.parameters()]
    with torch.no_grad():
        for p in model.critic.parameters():
            p.add_(1)
    model.follow()
    for old, new in zip(before, model.soft_critic.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.25)
    assert not any(p.requires_grad for p in model.soft_critic.parameters())


def test_it_learns_to_paint_two_images():
    torch.manual_seed(0)
    images = torch.zeros(2, 3, 16, 16)
    images[0, 0], images[1, 2, 8:] = 1.0, 1.0
    model = tiny(steps=2, batch=8, lr=2e-3, episodes=8)
    model.replay = Replay(8, 2, 16, 26)
    (optimizer,), _ = model.configure_optimizers()
    painted = lambda: (model.eval().episode(images, model.exact)[1][-1] - images).square().mean().item()  # noqa: E731
    first = painted()
    model.train()
    for _ in range(6):
        model.replay.add(images, model.eval().episode(images, model.exact))
        model.train()
        for _ in range(25):
            loss = torch.stack(list(model.losses(model.replay.sample(8)).values())).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            model.follow()
    assert painted() < 0.5 * first


def test_only_the_actor_is_published(tmp_path):
    model = zoo.SARA(image_size=16, width=0.125)
    assert {k.split(".")[0] for k in model.state_dict()} == {"actor"}
    model.configure_model()
    extra = {k for k in model.state_dict() if not k.startswith("actor.")}
    assert extra
    assert all(k.startswith(model.unpublished) for k in extra)


def fit(folder, *more):
    """A training run of SARA on tiny data. Returns its last checkpoint."""
    quiet = [*QUIET, "--trainer.logger=false", f"--trainer.default_root_dir={folder}"]
    training.main(["fit", *quiet, *METHODS["SARA"](folder), *more])
    return max(folder.rglob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns)


def flattened(ckpt, path):
    """A training checkpoint as it was before options came in groups: plain arguments, one beside the other."""
    state = torch.load(ckpt, weights_only=True)
    grouped = state["hyper_parameters"]
    flat = {k: v for k, v in grouped.items() if k not in ("learning", "rounds")}
    state["hyper_parameters"] = flat | dict(grouped["learning"]) | dict(grouped["rounds"])
    torch.save(state, path)
    return path


def test_a_training_checkpoint_of_before_the_groups_is_exported(tmp_path):
    ckpt = fit(tmp_path, "--trainer.max_steps=2", "--model.learning.discount=0.9", "--model.learning.reward=l2")
    old = flattened(ckpt, tmp_path / "old.ckpt")
    assert {"reward", "discount", "batch", "decay_at"} <= set(torch.load(old, weights_only=True)["hyper_parameters"])
    model = restore(old)
    assert (model.learning.discount, model.learning.reward, model.rounds.episodes) == (0.9, "l2", 10)
    now, before = (zoo.load(export(path, "tiny", tmp_path / path.stem)) for path in (ckpt, old))
    assert before.hparams == now.hparams
    assert all(torch.equal(v, before.state_dict()[k]) for k, v in now.state_dict().items())


def test_a_resumed_run_goes_on_with_its_options_and_its_replay(tmp_path):
    """Its options need not be given again, and those that are given must be the same."""
    given = ["--model.learning.discount=0.9", "--model.learning.reward=l2"]
    ckpt = fit(tmp_path / "half", "--trainer.max_steps=2", *given)
    whole = fit(tmp_path / "whole", "--trainer.max_steps=4", *given)
    for i, more in enumerate(([], given)):
        again = fit(tmp_path / f"again{i}", "--trainer.max_steps=4", f"--ckpt_path={ckpt}", *more)
        one, other = (torch.load(path, weights_only=True) for path in (whole, again))
        assert other["hyper_parameters"]["learning"]["discount"] == 0.9
        assert all(torch.equal(v, other["state_dict"][k]) for k, v in one["state_dict"].items())
        assert all(torch.equal(v, other["replays"][0][k]) for k, v in one["replays"][0].items() if k in REPLAY)
    with pytest.raises(ValueError, match=r"resumes a run with learning\.discount=0\.9 .*--init_from"):
        fit(tmp_path / "other", "--trainer.max_steps=4", f"--ckpt_path={ckpt}", "--model.learning.discount=0.8")


def test_resuming_with_other_sizes_is_refused(tmp_path):
    ckpt = fit(tmp_path, "--trainer.max_steps=2")
    for change, kept in (("steps=4", "steps=3"), ("image_size=32", "image_size=16"), ("lr=1", "lr=0.0003")):
        with pytest.raises(ValueError, match=f"resumes a run with {kept} .*--init_from"):
            fit(tmp_path, "--trainer.max_steps=4", f"--ckpt_path={ckpt}", f"--model.{change}")


class Diverge(Callback):
    """The discriminator breaks after two updates."""

    def on_train_batch_start(self, trainer, model, batch, index):
        if trainer.global_step == 2:
            with torch.no_grad():
                next(model.discriminator.parameters()).fill_(float("inf"))


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
def test_a_discriminator_that_diverges_ends_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    images(tmp_path / "i")
    data = datamodules.ImageFolder(str(tmp_path / "i"), channels=3, image_size=16, batch_size=4)
    model = tiny(reward="wgan", updates=1, episodes=8, warmup=0)
    good = ModelCheckpoint(dirpath=tmp_path, every_n_train_steps=1, filename="good", enable_version_counter=False)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "limit_val_batches": 0}
    callbacks = [Diverge(), guards.FiniteGradients(limit=4), good]
    trainer = Trainer(
        accelerator="cpu", max_steps=20, callbacks=callbacks, plugins=[guards.AtomicCheckpoints()], **quiet
    )
    with pytest.raises(RuntimeError, match=r"discriminator.* not finite, so this checkpoint is not saved"):
        trainer.fit(model, data)
    kept = torch.load(tmp_path / "good.ckpt", weights_only=True)
    assert kept["global_step"] == 2
    assert all(v.isfinite().all() for v in kept["state_dict"].values())


# --- painting ---


def photo(height=40, width=60):
    y, x = np.mgrid[:height, :width]
    return np.stack([x / width, y / height, (x + y) % 16 / 16], -1)


LEVELS = {"levels": [1, 2], "steps": 9, "discount": 0.0}
REST = {"levels": [1, 1], "steps": 8, "discount": 0.0}  # three of the 16 tiles of the third level


@pytest.mark.parametrize("options", [{}, LEVELS, REST])
def test_strokes_are_those_of_the_renderers_own_canvas(options):
    model = tiny(**options).eval()
    images = torch.rand(2, 3, 32, 32)
    strokes = model.strokes(images)
    assert strokes.shape == (2, 2 * model.steps, 13)
    canvases = model.episode(model.to_world(images), model.exact).canvases
    torch.testing.assert_close(model.exact.render(strokes, model.world_size), canvases[-1], atol=1e-6, rtol=0)
    assert model.strokes(images[:, :1]).shape == strokes.shape  # grey images are taken as colour


def test_levels_look_closer():
    """Each tile in its turn, as an image of its own: its strokes lie in it, and are the actor's for that part alone."""
    model = tiny(**LEVELS).eval()
    assert model.plan() == [(1, [0.0], 0), (2, [1 / 9, 5 / 9], 0)]
    images = torch.rand(2, 3, 32, 32)
    strokes, canvases, tiles = model.episode(images, model.exact)
    assert tiles.tolist() == [[0, 0, 1, 2, 3, 0, 1, 2, 3]] * 2
    seen, goal = canvases[3][:, :, 16:, :16], images[:, :, 16:, :16]
    with torch.no_grad():
        bundle = model.actor(seen, goal, torch.full((2,), 1 / 9)).view(-1, 13)
    expected = model.exact.place(bundle, (0, 0.5, 0.5, 1))[1].view(2, -1)
    torch.testing.assert_close(strokes[:, 3], expected)


def test_the_rest_goes_to_the_worst_tiles():
    """Of each image its own, by what they differ after the levels before."""
    model = tiny(**REST).eval()
    assert model.plan() == [(1, [0.0], 0), (2, [1 / 8], 0), (4, [5 / 8], 3)]
    images = torch.rand(3, 3, 32, 32)
    images[0, :, 8:16, 16:24] = 4 * torch.rand(3, 8, 8)  # the second tile of row 1 … of image 0, far from any canvas
    _, canvases, tiles = model.episode(images, model.exact)
    for image, canvas, chosen in zip(images, canvases[5], tiles[:, 5:].tolist(), strict=True):
        error = [
            (canvas - image)[:, y : y + 8, x : x + 8].square().mean().item()
            for y in range(0, 32, 8)
            for x in range(0, 32, 8)
        ]
        assert chosen == sorted(range(16), key=lambda i: -error[i])[:3]
    assert tiles[0, 5] == 6


def test_of_a_large_image_each_part_has_its_worst_tiles():
    canvas, target = torch.zeros(1, 3, 32, 48), torch.zeros(1, 3, 32, 48)
    marks = [(0, 0), (1, 3), (2, 5), (7, 7)]  # tiles of 4 × 6 pixels, in 2 × 2 parts of 4 × 4 tiles
    for strength, (row, column) in enumerate(marks, 1):
        target[..., 4 * row : 4 * row + 4, 6 * column : 6 * column + 6] = strength / 10
    chosen = worst_of_each_part(canvas, target, tiles=8, parts=2, count=1)
    assert chosen[:4, :4].nonzero().tolist() == [[1, 3]]
    assert chosen[:4, 4:].nonzero().tolist() == [[2, 1]]
    assert chosen[4:, 4:].nonzero().tolist() == [[3, 3]]
    assert chosen.sum() == 4
    assert worst_of_each_part(canvas, target, 8, 2, 0).all()


def test_levels_learn_from_what_the_actor_saw():
    """Of transitions at every level, the losses are those of the parts that were looked at."""
    model = tiny(**REST).eval()
    torch.manual_seed(3)
    before, after, target = (torch.rand(5, 3, 32, 32) for _ in range(3))
    step, tile = torch.tensor([4, 0, 7, 2, 5]), torch.tensor([3, 0, 14, 1, 9])
    seen = model.see(Transitions(before, after, target, torch.rand(5, 26), step, tile))
    for i, (t, k) in enumerate(zip(step.tolist(), tile.tolist(), strict=True)):
        d = model.moments[t][0]
        y, x, side = k // d * 32 // d, k % d * 32 // d, 32 // d
        for whole, near in ((before, seen.before), (after, seen.after), (target, seen.target)):
            torch.testing.assert_close(near[i], resize(whole[i : i + 1, :, y : y + side, x : x + side], 16)[0])
    losses = model.losses(Transitions(before, after, target, torch.rand(5, 26), step, tile))
    chosen = model.actor(seen.before, seen.target, torch.tensor([model.moments[t][1] for t in step.tolist()]))
    expected = -model.reward(seen.before, model.imagine(seen.before, chosen), seen.target).mean()
    torch.testing.assert_close(losses["actor"], expected)


@pytest.mark.parametrize(("strokes", "plan"), [(18, [1, 2]), (16, [1, 1]), (10, [1, 1]), (8, [1]), (2, [1])])
def test_fewer_strokes_are_the_coarse_ones(strokes, plan):
    model = tiny(**LEVELS).eval()
    assert [len(moments) for _, moments, _ in model.plan(strokes)] == plan
    made = 2 * sum(n * 4**i for i, n in enumerate(plan))
    assert len(model.draw(photo(), strokes=strokes)) == made
    assert len(model.draw(photo(), strokes=strokes, tiles=2)) == 5 * made
    with pytest.raises(ValueError, match="at most 18 of an image"):
        model.draw(photo(), strokes=20)


def test_fewer_strokes_than_the_rest():
    model = tiny(**REST).eval()
    assert [count for _, _, count in model.plan(14)] == [0, 0, 2]
    assert len(model.draw(photo(), strokes=14)) == 14
    assert len(model.draw(photo(), tiles=2)) == 5 * 16


@pytest.mark.parametrize(
    "options", [{"levels": [1, 1], "steps": 22}, {"levels": [1, 1], "steps": 4}, LEVELS | {"discount": 0.9}]
)
def test_levels_that_cannot_be(options):
    with pytest.raises(ValueError, match=r"levels .* (expected that or at most 16 more|with discount 0)"):
        tiny(**({"discount": 0.0} | options))


@pytest.mark.parametrize("renderer", ["qbc", "qbc-opaque", "line", "circle", "triangle"])
def test_draw(renderer):
    drawing = tiny(renderer=renderer).eval().draw(photo(), strokes=4)
    assert (len(drawing), drawing.renderer, drawing.aspect) == (4, renderer, 1.5)


@pytest.mark.parametrize("options", [{}, REST])
def test_a_batch_is_drawn_as_each_image_alone(options):
    """Images of several sizes and two aspects, whose worst tiles lie elsewhere."""
    model = tiny(**options).eval()
    for p in model.actor.parameters():
        p.data += 0.1 * torch.randn_like(p)
    images = [torch.rand(3, *size) for size in ((24, 24), (20, 30), (48, 48), (40, 60))]
    for refine in (0, 1):
        batch = model.draw_batch([model.look(image) for image in images], refine=refine)
        for drawing, image in zip(batch, images, strict=True):
            alone = model.draw(image, refine=refine)
            assert drawing.aspect == alone.aspect
            torch.testing.assert_close(drawing.strokes, alone.strokes, atol=1e-4, rtol=0)


@pytest.mark.parametrize("tiles", [2, 3])
def test_the_canvas_that_tiles_are_painted_on_is_that_of_the_drawing(tiles, monkeypatch):
    """The drawing rendered whole is what the actor saw at the end, also where strokes leave their tile."""
    seen = {}
    real = painting.paint_tiles

    def noted(act, renderer, canvas, target, chosen, *others):
        result = real(act, renderer, canvas, target, chosen, *others)
        seen[chosen.shape[-1]] = result
        return result

    monkeypatch.setattr(painting, "paint_tiles", noted)
    model = tiny(renderer="line", image_size=32).eval()  # its exact form is the same at any offset, but for rounding
    for p in model.actor.parameters():
        p.data += 0.1 * torch.randn_like(p)
    drawing = model.draw(photo(), tiles=tiles)
    assert len(drawing) == 6 + 6 * tiles**2
    canvas = seen[tiles][0]
    whole = model.exact.render(drawing.strokes[None], tuple(canvas.shape[-2:]))
    assert (whole - canvas).abs().mean() < 1e-3
    assert (whole - canvas).abs().max() < 0.05
    alone = Drawing(drawing.strokes[:6], "line", drawing.aspect)
    assert (
        model.exact.render(alone.strokes[None], tuple(canvas.shape[-2:])) - canvas
    ).abs().mean() > 0.01  # tiles did paint


@pytest.mark.parametrize(("tiles", "options"), [(1, {}), (2, {}), (1, LEVELS), (2, REST)])
def test_refining_brings_the_picture_closer(tiles, options):
    model = tiny(renderer="line", image_size=32, **options).eval()
    image = photo(32, 32)
    target = torch.tensor(image).permute(2, 0, 1)[None].float()

    def error(drawing):
        return (model.exact.render(drawing.strokes[None], 32) - target).square().mean().item()

    plain, refined = model.draw(image, tiles=tiles), model.draw(image, tiles=tiles, refine=20)
    assert len(plain) == len(refined)
    assert error(refined) < 0.8 * error(plain)


def test_repainting_is_painting():
    """The canvas that refining differentiates is that of the strokes in their order."""
    model = tiny(renderer="circle", image_size=32).eval()
    smooth = renderers.get("circle", differentiable=True)
    for tiles in (1, 2, 3):
        drawing = model.draw(photo(32, 32), tiles=tiles)
        target = torch.zeros(1, 3, 32 * tiles, 32 * tiles)
        passes = [(d, 3, torch.ones(d, d, dtype=torch.bool)) for d in sorted({1, tiles})]
        canvas = painting.repaint(smooth, drawing.strokes, target, passes, 2)
        expected = smooth.render(drawing.strokes[None], 32 * tiles)
        assert (canvas - expected).abs().mean() < 2e-3  # a smooth edge reaches a little beyond its window


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strokes": 5}, "give a multiple of 2"),
        ({"strokes": 0}, "strokes is 0"),
        ({"tiles": 0}, "tiles is 0"),
        ({"tiles": 4096}, "expected 1 to 64"),
        ({"tiles": 64, "strokes": 10_000}, "would need about .* GiB"),
        ({"refine": -1}, "refine is -1"),
    ],
)
def test_paintings_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        tiny().eval().draw(photo(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward": "l3"}, "expected wgan or l2"),
        ({"bundle": 0}, "must be at least 1"),
        ({"discount": 2.0}, "discount is 2"),
    ],
)
def test_saras_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_what_is_logged_and_saved_of_its_options_are_plain_values():
    model = zoo.SARA(image_size=16, width=0.125, learning={"reward": "l2"})
    assert yaml.safe_load(yaml.safe_dump(dict(model.hparams_initial))) == dict(model.hparams)
    assert model.hparams["learning"]["reward"] == "l2"


def test_options_of_a_group_that_do_not_exist():
    with pytest.raises(ValueError, match=r"Learning has no gamma; it has .*discount"):
        zoo.SARA(learning={"gamma": 0.9})


# --- windows ---


@pytest.mark.parametrize("tiles", [1, 2, 3, 5])
def test_windows_cover_the_canvas_once(tiles):
    canvas = torch.rand(1, 3, 8 * tiles, 12 * tiles)
    windows = Windows(canvas, tiles)
    torch.testing.assert_close(windows.canvas, canvas)
    seen = []
    for phase in windows.phases:
        for tile, (left, top, right, bottom) in zip(
            windows.inner(windows.get(phase)), windows.boxes(phase), strict=True
        ):
            (y0, y1), (x0, x1) = (
                (round(v * 8 * tiles) for v in (top, bottom)),
                (round(v * 12 * tiles) for v in (left, right)),
            )
            torch.testing.assert_close(tile, canvas[0, :, y0:y1, x0:x1])
            seen.append((left, top))
    assert len(set(seen)) == len(seen) == tiles**2
    for phase in windows.phases:
        windows.put(phase, windows.get(phase) + 1)
    times = windows.canvas - canvas  # a pixel lies in its tile's window, and in those of up to three neighbours
    assert times.min() >= 1 - 1e-5
    assert times.max() <= 4 + 1e-5


def test_zooming_undoes_placing():
    exact = renderers.get("qbc")
    windows = Windows(torch.zeros(1, 3, 24, 24), 3)
    strokes = exact.actions.random(4)
    for phase in windows.phases:
        for box, zoom in zip(windows.boxes(phase), windows.zooms(phase), strict=True):
            on_canvas = exact.place(strokes, box)[1]
            torch.testing.assert_close(exact.place(on_canvas, zoom)[1], exact.place(strokes, windows.box)[1])
