"""SARA: a painter of images, trained by model-based DDPG."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from renderers import Renderer
from zoo.base.layers import gradient_penalty
from zoo.base.options import keep_options, options
from zoo.base.private import copy_all, lerp_all
from zoo.base.tiling import boxes
from zoo.sara.agent import Agent
from zoo.sara.networks import ActionCritic, Actor, Critic, Discriminator
from zoo.sara.replay import Replay, Transitions

PENALTY = 10.0  # weight of the gradient penalty
BETAS = (0.5, 0.999)  # of the discriminator's Adam
L2_SCALE = 10.0  # brings the rewards of an episode to about 1 in all


@dataclass(frozen=True)
class Learning:
    """What SARA learns by (§5).

    Args:
        reward: ``wgan`` (§5.1), or ``l2``: by how much a bundle lowers the mean squared error.
        model_based: Whether to back-propagate through the renderer, with a critic V(s) for the rest; or to learn by
            plain DDPG, with Q(s, a).
        discount: Of a stroke; that of a bundle is its power. With 0 each bundle is for its own reward alone, and there
            is no critic.
        critic_lr: Learning rate of the critic.
        discriminator_lr: Learning rate of the discriminator. It stays as it is.
        decay_at: After every so many updates the actor's learning rate falls to 1/3, the critic's to 3/10 (table 2).
        tau: By which fraction of the way the target networks follow their networks in each update.
        real: Whether a painter lends its gradients only: the canvases, in training too, are the renderer's own. For
            strokes that have no smooth form, such as MyPaint's.

    Raises:
        ValueError: For a reward that is not known, or a discount out of range.
    """

    reward: str = "wgan"
    model_based: bool = True
    discount: float = 0.95
    critic_lr: float = 1e-3
    discriminator_lr: float = 3e-4
    decay_at: int = 100_000
    tau: float = 0.001
    real: bool = False

    def __post_init__(self) -> None:
        if self.reward not in ("wgan", "l2"):
            raise ValueError(f"reward is {self.reward!r}; expected wgan or l2")
        if not 0 <= self.discount <= 1 or (self.discount == 0 and not self.model_based):
            raise ValueError(f"discount is {self.discount}; expected a number from 0 to 1, and above 0 for plain DDPG")


@dataclass(frozen=True)
class Rounds:
    """How painting and learning take turns (§5.2): a round paints an episode for each image of a batch of the data.

    Args:
        updates: Updates after each round.
        batch: Transitions of an update.
        episodes: How many of the latest episodes the transitions are chosen from, at random.
        warmup: So many rounds at the start paint without updates.

    Raises:
        ValueError: For a number out of range.
    """

    updates: int = 10
    batch: int = 96
    episodes: int = 800
    warmup: int = 10

    def __post_init__(self) -> None:
        if min(self.updates, self.batch, self.episodes) < 1:
            raise ValueError("SARA: updates, batch and episodes must be at least 1")


class Seen(NamedTuple):
    """Transitions as the actor sees them, S = image_size.

    Attributes:
        before: Canvases before the action, (B, 3, S, S).
        after: Canvases after it.
        target: What they are to become.
        action: The bundles, (B, bundle · A).
        now: The fraction of the episode (B,) that is over before the action.
        step: Which step of the episode it was, (B,), on the device.
    """

    before: Tensor
    after: Tensor
    target: Tensor
    action: Tensor
    now: Tensor
    step: Tensor


class SARA(Agent):
    """Paints an image in bundles of strokes, looking at its canvas before each bundle (§3, §4.3).

    It learns by model-based DDPG (§5). Only the actor belongs to a published checkpoint.

    Args:
        renderer: Name of the renderer whose strokes it makes, one that paints in colour.
        painter: Name, folder or repository of the neural renderer to learn through, which then is the world that it
            learns in as well. None learns in the renderer's own world, through its smooth form.
        image_size: Side in pixels of the images that it looks at. The paper: 128.
        width: Width of the networks' layers, as a multiple of the paper's.
        steps: Bundles of an episode.
        bundle: Strokes of a bundle.
        levels: None, as in the paper, looks at the whole image at each step. A list makes it look closer as it goes on:
            its first number is how many bundles the whole image gets, the next how many each of 2 × 2 tiles gets, then
            each of 4 × 4, and so on. What is left of ``steps`` goes to those tiles of the level after these that differ
            most from the target, one bundle each. All is painted on one canvas of twice the size. It learns to paint a
            tile as it does an image; this needs ``discount`` 0.
        lr: Learning rate of the actor.
        learning: Reward, critic and learning rates.
        rounds: How painting and learning take turns.

    Raises:
        ValueError: For numbers that cannot be, or a renderer that is not of one colour over a canvas.
    """

    critic: nn.Module
    discriminator: Discriminator
    soft_actor: Actor
    soft_critic: nn.Module
    soft_discriminator: Discriminator

    unpublished = ("critic.", "discriminator.", "soft_")
    moved: ClassVar[dict[str, str]] = {
        **{name: f"learning.{name}" for name in Learning.__dataclass_fields__},
        **{name: f"rounds.{name}" for name in Rounds.__dataclass_fields__},
    }

    def __init__(
        self,
        renderer: str = "qbc",
        painter: str | None = None,
        image_size: int = 128,
        width: float = 1.0,
        steps: int = 40,
        bundle: int = 5,
        levels: list[int] | None = None,
        lr: float = 3e-4,
        learning: Learning = Learning(),
        rounds: Rounds = Rounds(),
    ):
        super().__init__(renderer, painter, image_size, width, steps, bundle, levels, lr)
        self.learning, self.rounds = options(Learning, learning), options(Rounds, rounds)
        self.save_hyperparameters()
        keep_options(self, learning=self.learning, rounds=self.rounds)
        if levels is not None and self.learning.discount:
            raise ValueError(f"levels {levels} are learned with discount 0; it is {self.learning.discount}")
        self.automatic_optimization = False
        self.width = width
        self.rounds_done = 0
        self.replay: Replay | None = None
        self.kept: list[dict[str, Any]] = []  # replays of a checkpoint, one a rank, until fitting starts

    def configure_model(self) -> None:
        """Make what only learning needs: critic, discriminator, and the target networks, which follow them slowly."""
        if hasattr(self, "slow"):
            return
        self.slow: list[str] = []
        if self.learning.discount:
            numbers = self.bundle * len(self.actions)
            self.critic = Critic(self.width) if self.learning.model_based else ActionCritic(numbers, self.width)
            self.slow += ["actor", "critic"]
        if self.learning.reward == "wgan":
            self.discriminator = Discriminator(self.width)
            self.slow += ["discriminator"]
        for name in self.slow:
            setattr(self, f"soft_{name}", deepcopy(getattr(self, name)).requires_grad_(False))

    # --- the world and its reward ---

    @property
    def world(self) -> Renderer:
        """What paints the canvases that it meets in training."""
        return self.exact if self.learning.real else super().world

    def imagine(self, canvas: Tensor, action: Tensor) -> Tensor:
        """The canvas after a bundle, with gradients.

        In the renderer's own world it is the renderer's canvas, with the gradient of its smooth form or of the painter.
        """
        if self.learning.real and self.painter_name is not None:  # a gradient may be coarse
            bundles = action.float().view(len(action), self.bundle, -1)
            smooth = self.painter.paint_all(canvas, bundles).float()
        else:
            smooth = self.paint(self.painter, canvas, action)
        if self.world is not self.exact:
            return smooth
        with torch.no_grad():
            error = self.paint(self.exact, canvas, action.detach()) - smooth
        return smooth + error

    def reward(self, before: Tensor, after: Tensor, target: Tensor) -> Tensor:
        """r (B,) of a bundle (equation 1): by how much less the canvas differs from its target."""
        with torch.autocast(before.device.type, enabled=False):  # a small difference of large numbers
            if self.learning.reward == "wgan":
                return self.soft_discriminator(target, after) - self.soft_discriminator(target, before)
            old, new = ((x - target).square().mean((1, 2, 3)) for x in (before, after))
            return L2_SCALE * (old - new)

    # --- losses ---

    def losses(self, transitions: Transitions) -> dict[str, Tensor]:
        """The losses of actor, critic and discriminator, each with gradients in its own weights only."""
        seen = self.see(transitions)
        losses = self.model_based_losses(seen) if self.learning.model_based else self.ddpg_losses(seen)
        if self.learning.reward == "wgan":
            losses["discriminator"] = self.discriminator_loss(seen)
        return losses

    def see(self, transitions: Transitions) -> Seen:
        """Transitions as the actor saw them: of its part of the image."""
        whole, steps = transitions, transitions.step.tolist()
        where = [boxes(self.moments[t][0])[i] for t, i in zip(steps, whole.tile.tolist(), strict=True)]
        before, after, target = (self.view(images, where) for images in (whole.before, whole.after, whole.target))
        now = torch.tensor([self.moments[t][1] for t in steps]).to(self.device, non_blocking=True)
        return Seen(before, after, target, whole.action, now, whole.step.to(self.device, non_blocking=True))

    def model_based_losses(self, seen: Seen) -> dict[str, Tensor]:
        """Model-based DDPG (§5.2): the actor learns through the renderer, and V of what follows.

        The critic V values a canvas by the next action's reward and canvas, as the target networks know them.
        """
        before, after, target, _, now, step = seen
        action = self.actor(before, target, now)
        canvas = self.imagine(before, action)
        value = self.reward(before, canvas, target)
        if not self.learning.discount:
            return {"actor": -value.mean()}

        then, later = (step + 1) / self.steps, (step + 2) / self.steps
        value = value + self.frozen_critic(before, canvas, target, then)
        with torch.no_grad():
            following = self.paint(self.world, after, self.soft_actor(after, target, then))
            reward = self.reward(after, following, target)
            future = self.discount(step) * (reward + self.soft_critic(after, following, target, later))
        return {"actor": -value.mean(), "critic": F.mse_loss(self.critic(before, after, target, then), future)}

    def ddpg_losses(self, seen: Seen) -> dict[str, Tensor]:
        """Plain DDPG: the actor learns through Q, which values an action by its own reward and the next action."""
        before, after, target, action, now, step = seen
        value = self.frozen_critic(before, self.actor(before, target, now), target, now)
        then = (step + 1) / self.steps
        with torch.no_grad():
            following = self.soft_actor(after, target, then)
            future = self.discount(step) * self.soft_critic(after, following, target, then)
            wanted = self.reward(before, after, target) + future
        return {"actor": -value.mean(), "critic": F.mse_loss(self.critic(before, action, target, now), wanted)}

    def discriminator_loss(self, seen: Seen) -> Tensor:
        """WGAN-GP (§5.1): a target beside itself is real, a canvas beside its target is not."""
        with torch.autocast(seen.target.device.type, enabled=False):
            real, fake = self.discriminator(seen.target, seen.target), self.discriminator(seen.target, seen.after)
            pairs = torch.cat([seen.target, seen.target], 1), torch.cat([seen.target, seen.after], 1)
            penalty = gradient_penalty(lambda pair: self.discriminator(*pair.chunk(2, 1)), *pairs)
            return fake.mean() - real.mean() + PENALTY * penalty

    def frozen_critic(self, *state: Tensor) -> Tensor:
        """The critic's value (B,), with gradients in what it looks at and none in its weights."""
        weights = {name: p.detach() for name, p in self.critic.named_parameters()}
        return functional_call(self.critic, weights, state)

    def discount(self, step: Tensor) -> Tensor:
        """What the bundle after each step (B,) still counts: γ to the power of the bundle; 0 after the last."""
        return self.learning.discount**self.bundle * (step + 1 < self.steps)

    # --- training ---

    def on_fit_start(self) -> None:
        numbers = self.bundle * len(self.actions)
        self.rounds_done = 0
        self.replay = Replay(self.rounds.episodes, self.steps, self.world_size, numbers, self.device)
        if self.kept:
            mine = self.kept[self.global_rank % len(self.kept)]
            self.replay.load_state_dict(mine)
            self.rounds_done = mine["rounds"]
            self.kept = []

    def training_step(self, batch: dict[str, Tensor], index: int) -> None:
        """A round of episodes, then updates.

        Logs train/mse, of the round's last canvases, and the losses of the last update: train/actor, train/critic and
        train/discriminator.
        """
        assert self.replay is not None
        targets = self.to_world(batch["image"])
        self.actor.eval()  # to paint, the batch normalisation's running figures
        episode = self.episode(targets, self.world)
        self.actor.train()
        self.replay.add(targets, episode)
        self.log("train/mse", (episode.canvases[-1] - targets).square().mean(), prog_bar=True)
        self.rounds_done += 1
        if self.rounds_done <= self.rounds.warmup:
            return
        for _ in range(self.rounds.updates):
            losses = self.update(self.replay.sample(self.rounds.batch))
        self.agree()
        self.log_dict({f"train/{name}": loss.detach() for name, loss in losses.items()})

    def update(self, transitions: Transitions) -> dict[str, Tensor]:
        """One step of the optimiser and of the target networks. Returns the losses."""
        optimizer: Any = self.optimizers()
        schedule: Any = self.lr_schedulers()
        losses = self.losses(transitions)
        optimizer.zero_grad()
        self.manual_backward(torch.stack(list(losses.values())).sum())
        optimizer.step()
        schedule.step()
        self.follow()
        return losses

    @torch.no_grad()
    def follow(self) -> None:
        """The target networks take a step of ``tau`` towards their networks."""
        for name in self.slow:
            slow, fast = getattr(self, f"soft_{name}"), getattr(self, name)
            lerp_all(list(slow.parameters()), [p.detach() for p in fast.parameters()], self.learning.tau)

    @torch.no_grad()
    def agree(self) -> None:
        """The ranks' running figures of the batch normalisations become their mean."""
        if self.trainer.world_size > 1:
            figures = [b for name, b in self.named_buffers() if "running_" in name]
            mean = self.trainer.strategy.reduce(torch.cat(figures), reduce_op="mean")
            copy_all(figures, cast(Tensor, mean).split([len(b) for b in figures]))

    def configure_optimizers(self) -> Any:
        """One Adam, a group for each network: the losses share no gradients, so one step serves all three."""
        groups: list[dict[str, Any]] = [{"params": self.actor.parameters(), "lr": self.lr}]
        if self.learning.discount:
            groups.append({"params": self.critic.parameters(), "lr": self.learning.critic_lr})
        falls = [lambda k, to=to: to ** (k // self.learning.decay_at) for to in (1 / 3, 0.3)]
        falling: list[Any] = falls[: len(groups)]
        if self.learning.reward == "wgan":
            lr = self.learning.discriminator_lr
            groups.append({"params": self.discriminator.parameters(), "lr": lr, "betas": BETAS})
            falling.append(lambda k: 1.0)
        optimizer = torch.optim.Adam(groups, fused=True)  # FiniteGradients then leaves steps out on the device
        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, falling)]

    # --- resuming ---

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the replays of all ranks into the checkpoint, so that a resumed run goes on exactly."""
        if self.replay is None:
            return
        mine = self.replay.state_dict() | {"rounds": self.rounds_done}
        checkpoint["replays"] = [mine]
        if self.trainer.world_size > 1:
            tensors = {k: v for k, v in mine.items() if isinstance(v, Tensor)}
            gathered = {k: self.trainer.strategy.all_gather(v.to(self.device)).cpu() for k, v in tensors.items()}
            ranks = range(self.trainer.world_size)
            checkpoint["replays"] = [mine | {k: v[rank] for k, v in gathered.items()} for rank in ranks]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.kept = checkpoint.get("replays", [])
