"""SARA: a painter of images, trained by model-based DDPG."""

from __future__ import annotations

from copy import deepcopy
from functools import cached_property
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

import renderers
from datamodules.base import resize
from renderers import Box, Drawing, Overlay
from zoo.base.drawer import CHUNK, ImageDrawer
from zoo.base.images import read
from zoo.base.layers import gradient_penalty
from zoo.base.tiling import boxes
from zoo.sara.networks import ActionCritic, Actor, Critic, Discriminator, folded
from zoo.sara.painting import check, choose, paint_tiles, worst
from zoo.sara.painting import refine as improve
from zoo.sara.replay import Replay, Transitions

PENALTY = 10.0  # weight of the gradient penalty
BETAS = (0.5, 0.999)  # of the discriminator's Adam
L2_SCALE = 10.0  # brings the rewards of an episode to about 1 in all


def part(image: Tensor, box: Box) -> Tensor:
    """The pixels (…, h, w) of an image (…, H, W) in a box."""
    height, width = image.shape[-2:]
    left, top, right, bottom = (round(v * n) for v, n in zip(box, (width, height, width, height), strict=True))
    return image[..., top:bottom, left:right]


class SARA(ImageDrawer):
    """Paints an image in ``steps`` bundles of ``bundle`` strokes each, looking at its canvas before each bundle (§3, §4.3).

    renderer: whose strokes it makes, any that paints in colour. painter: the neural renderer to learn through, which then is the world that
    it learns in as well; None learns in the renderer's own world, through its smooth form. image_size, width: side of the images that it
    looks at, and of its layers; the paper's are 128 and 1. levels: None, as in the paper, looks at the whole image at each step. A list
    makes it look closer as it goes on: its first number is how many bundles the whole gets, the next how many each of 2 × 2 tiles, then
    each of 4 × 4, …; what is left of ``steps`` goes to those tiles of the level after these that differ most from the target, one each. All
    is painted on one canvas of twice the size. It learns to paint a tile as it does an image; needs discount 0.

    Learning (§5.2): each batch of images is a round of episodes, one per image, then ``updates`` updates on ``batch`` transitions from the
    last ``episodes`` episodes; the first ``warmup`` rounds only fill that replay. reward: ``wgan`` (§5.1), or ``l2``: by how much a
    bundle lowers the mean squared error. model_based: back-propagate through the renderer, V(s) for the rest; or plain DDPG with Q(s, a).
    discount: of a stroke; a bundle's is its power. 0: each bundle is for its own reward alone, and there is no critic. tau: rate of the
    target networks. lr, critic_lr, discriminator_lr: of Adam; every ``decay_at`` updates the first two fall to 1/3. Only the actor belongs
    to a published checkpoint.
    """

    exact: Overlay
    unpublished = ("critic.", "discriminator.", "soft_")  # what of a training checkpoint drawing does not need

    def __init__(
        self,
        renderer: str = "qbc",
        painter: str | None = None,
        image_size: int = 128,
        width: float = 1.0,
        steps: int = 40,
        bundle: int = 5,
        levels: list[int] | None = None,
        reward: str = "wgan",
        model_based: bool = True,
        discount: float = 0.95,
        batch: int = 96,
        updates: int = 10,
        episodes: int = 800,
        warmup: int = 10,
        tau: float = 0.001,
        lr: float = 3e-4,
        critic_lr: float = 1e-3,
        discriminator_lr: float = 3e-4,
        decay_at: int = 100_000,
    ):
        super().__init__(renderer, painter, image_size, 3, lr)
        self.save_hyperparameters()
        if not isinstance(self.exact, Overlay):
            raise ValueError(
                f"SARA makes strokes of one colour over a canvas, such as 'qbc' or 'line'; {renderer!r} has none"
            )
        if reward not in ("wgan", "l2"):
            raise ValueError(f"reward is {reward!r}; expected wgan or l2")
        if min(steps, bundle, batch, updates, episodes) < 1:
            raise ValueError("SARA: steps, bundle, batch, updates and episodes must be at least 1")
        if not 0 <= discount <= 1 or (discount == 0 and not model_based):
            raise ValueError(f"discount is {discount}; expected a number from 0 to 1, and above 0 for plain DDPG")
        if levels is not None:
            left = steps - sum(n * 4**i for i, n in enumerate(levels))
            if discount or min(levels, default=-1) < 0 or not 0 <= left <= 4 ** len(levels):
                total = " + ".join(f"{n} × {4**i}" for i, n in enumerate(levels))
                most = f"at most {4 ** len(levels)} more"
                raise ValueError(
                    f"levels {levels} make {total} bundles; steps is {steps}, expected that or {most}, with discount 0"
                )
        self.automatic_optimization = False
        self.steps, self.bundle, self.levels = steps, bundle, levels
        self.world_size = image_size * (2 if levels else 1)
        self.actor = Actor(bundle * len(self.actions), width)
        self.folded_from: list[tuple[int, int]] = []
        self.folded_actor: tuple[Actor, ...] = ()
        self.replay: Replay | None = None
        self.kept: list[dict[str, Any]] = []  # replays of a checkpoint, one a rank, until fitting starts

    # --- painting ---

    def paint(self, renderer: Overlay, canvas: Tensor, bundle: Tensor) -> Tensor:
        """Canvases (B, 3, H, W) after a bundle of actions (B, bundle * A)."""
        with torch.autocast(canvas.device.type, enabled=False):  # distances need float32
            return renderer.paint_all(canvas, bundle.float().view(len(bundle), self.bundle, -1))

    def plan(self, strokes: int | None = None) -> list[tuple[int, list[float], int]]:
        """The passes of an episode: so many tiles each way; for each bundle of a tile the share of the episode that is over then; and how
        many of the tiles, the worst, are painted (0: all).

        strokes: in all, a multiple of the bundle; with levels at most so many, the coarse ones first.
        """
        steps = self.steps if strokes is None else strokes // self.bundle
        if self.levels is None:
            return [(1, [t / steps for t in range(steps)], 0)]
        passes, begun, left = [], 0, steps
        for i, rounds in enumerate(self.levels):
            made = min(rounds, left // 4**i)
            passes.append((2**i, [(begun + r * 4**i) / self.steps for r in range(made)], 0))
            begun, left = begun + rounds * 4**i, left - made * 4**i
        rest = min(self.steps - begun, left)
        return [p for p in passes if p[1]] + [(2 ** len(self.levels), [begun / self.steps], rest)] * (rest > 0)

    @cached_property
    def moments(self) -> list[tuple[int, float]]:
        """Of each step of an episode, how many tiles each way there are, and the share of the episode that is over."""
        return [
            (tiles, moment)
            for tiles, moments, count in self.plan()
            for moment in moments
            for _ in range(count or tiles**2)
        ]

    @torch.no_grad()
    def episode(self, targets: Tensor, renderer: Overlay) -> tuple[Tensor, list[Tensor], Tensor]:
        """Targets (B, 3, W, W), W = world_size, painted: bundles (B, T, bundle * A), the T + 1 canvases (B, 3, W, W), tiles (B, T)."""
        canvases, bundles, looked = [renderer.blank(len(targets), self.world_size, targets.device)], [], []
        for tiles, moments, count in self.plan():
            for moment in moments:
                chosen = torch.arange(tiles**2).expand(len(targets), -1)
                if count:
                    chosen = worst(canvases[-1], targets, tiles, count).cpu()
                for tile in chosen.unbind(1):
                    where = [boxes(tiles)[i] for i in tile.tolist()]
                    seen, goal = (self.parts(x, where) for x in (canvases[-1], targets))
                    bundle = self.actor(seen, goal, targets.new_full((len(targets),), moment)).float()
                    if tiles > 1:
                        rows = bundle.unflatten(1, (self.bundle, -1))
                        rows = [renderer.place(row, box)[1] for row, box in zip(rows, where, strict=True)]
                        bundle = torch.stack(rows).view_as(bundle)
                    bundles.append(bundle)
                    looked.append(tile)
                    canvases.append(self.paint(renderer, canvases[-1], bundle))
        return torch.stack(bundles, 1), canvases, torch.stack(looked, 1)

    def parts(self, images: Tensor, where: list[Box]) -> Tensor:
        """Of each image (B, 3, W, W) its part in a box, as the actor looks at it: (B, 3, S, S)."""
        if self.levels is None:
            return images
        groups: dict[float, list[int]] = {}
        for i, (left, _, right, _) in enumerate(where):
            groups.setdefault(right - left, []).append(i)
        back = (
            torch.tensor([i for group in groups.values() for i in group]).argsort().to(images.device, non_blocking=True)
        )
        near = [torch.stack([part(images[i], where[i]) for i in group]) for group in groups.values()]
        return torch.cat([resize(x, self.image_size) for x in near])[back]

    def look(self, images: Tensor) -> Tensor:
        """Images (B, 1 or 3, H, W) as they are painted: (B, 3, W, W)."""
        return resize(images, self.world_size).expand(-1, 3, -1, -1).contiguous()

    def strokes(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        actions = self.episode(self.look(images), self.exact)[0]
        return actions.reshape(len(images), -1, len(self.actions))

    @torch.no_grad()
    def draw(
        self,
        image: Any,
        tiles: int = 1,
        strokes: int | None = None,
        generator: torch.Generator | None = None,
        refine: int = 0,
        **options: Any,
    ) -> Drawing:
        """Paint any image (see :meth:`ImageDrawer.draw`), of any size and aspect.

        tiles: after the whole image, paint d × d tiles of it on the same canvas, each with as many strokes again. strokes: of each pass and
        tile, a multiple of the bundle; None for as many as it was trained for. refine: so many gradient steps on all strokes at the end.
        """
        if options:
            raise TypeError(f"SARA has no option {', '.join(options)}: it paints all of an image")
        check(tiles, strokes, refine, self.bundle, self.steps * self.bundle, self.world_size, more=self.levels is None)
        plan, exact = self.plan(strokes), self.exact
        pixels = read(image, self.channels).to(self.device)
        aspect, even = pixels.shape[-1] / pixels.shape[-2], 2 * plan[-1][0]
        height, width = (even * max(4, round(self.world_size / even * a)) for a in (aspect**-0.5, aspect**0.5))
        actor = self.fast()

        def act(canvas: Tensor, goal: Tensor, moment: float) -> Tensor:
            seen = zip(canvas.split(CHUNK), goal.split(CHUNK), strict=True)
            return torch.cat([actor(c, g, c.new_full((len(c),), moment)) for c, g in seen]).unflatten(
                1, (self.bundle, -1)
            )

        rows, passes = torch.zeros(0, len(self.actions), device=self.device), []
        for d in sorted({1, tiles}):
            target = resize(pixels, (d * height, d * width))
            canvas = exact.render(rows[None], (d * height, d * width))
            for closer, moments, count in plan:
                chosen = choose(canvas, target, d * closer, d, count)
                canvas, made = paint_tiles(act, exact, canvas, target, chosen, moments, self.image_size)
                rows = torch.cat([rows, made])
                passes.append((d * closer, len(moments), chosen))
        if refine:
            smooth = cast(Overlay, renderers.get(exact.name, differentiable=True))
            rows = improve(smooth, target, rows, refine, passes, self.bundle)
        return Drawing(rows.clamp(0, 1), exact.name, aspect)

    def fast(self) -> Actor:
        """The actor with folded normalisation, made anew when its weights have changed, or if that cannot be known (inference mode)."""
        tensors = [*self.actor.parameters(), *self.actor.buffers()]
        weights = [(t.data_ptr(), -1 if t.is_inference() else t._version) for t in tensors]
        if weights != self.folded_from or tensors[0].is_inference():
            self.folded_from, self.folded_actor = (
                weights,
                (folded(self.actor),),
            )  # in a tuple: it is not a part of this module
        return self.folded_actor[0]

    # --- learning ---

    def configure_model(self) -> None:
        """What only learning needs: critic, discriminator, and slow copies of what bootstraps."""
        if hasattr(self, "slow"):
            return
        actions, width = self.bundle * len(self.actions), self.hparams["width"]
        self.slow: list[str] = []
        if self.hparams["discount"]:
            self.critic: nn.Module = Critic(width) if self.hparams["model_based"] else ActionCritic(actions, width)
            self.slow += ["actor", "critic"]
        if self.hparams["reward"] == "wgan":
            self.discriminator = Discriminator(width)
            self.slow += ["discriminator"]
        for name in self.slow:
            setattr(self, f"soft_{name}", deepcopy(getattr(self, name)).requires_grad_(False))

    @property
    def world(self) -> Overlay:
        """What paints the canvases that it meets in training."""
        return self.exact if self.painter_name is None else cast(Overlay, self.painter)

    def imagine(self, canvas: Tensor, bundle: Tensor) -> Tensor:
        """The canvas after a bundle, with gradients. In the renderer's own world: its canvas, with the gradient of its smooth form."""
        smooth = self.paint(cast(Overlay, self.painter), canvas, bundle)
        if self.painter_name is not None:
            return smooth
        with torch.no_grad():
            error = self.paint(self.exact, canvas, bundle.detach()) - smooth
        return smooth + error

    def reward(self, before: Tensor, after: Tensor, target: Tensor) -> Tensor:
        """r (B,) of a bundle (equation 1): by how much less the canvas differs from its target."""
        with torch.autocast(before.device.type, enabled=False):  # a small difference of large numbers
            if self.hparams["reward"] == "wgan":
                judge = cast(Discriminator, self.soft_discriminator)
                return judge(target, after) - judge(target, before)
            old, new = ((x - target).square().mean((1, 2, 3)) for x in (before, after))
            return L2_SCALE * (old - new)

    def attend(self, seen: Transitions) -> Transitions:
        """Transitions as the actor sees them: of its part of the image, (B, 3, S, S); step on the device."""
        where = [boxes(self.moments[t][0])[i] for t, i in zip(seen.step.tolist(), seen.tile.tolist(), strict=True)]
        before, after, target = (self.parts(x, where) for x in seen[:3])
        return seen._replace(
            before=before, after=after, target=target, step=seen.step.to(self.device, non_blocking=True)
        )

    def losses(self, seen: Transitions) -> dict[str, Tensor]:
        """Of actor, critic and discriminator, each with gradients in its own weights only."""
        near = self.attend(seen)
        before, after, target, action, step, _ = near
        now = torch.tensor([self.moments[t][1] for t in seen.step.tolist()]).to(self.device, non_blocking=True)
        later = (step + 1) / self.steps
        chosen, losses = self.actor(before, target, now), {}
        if self.hparams["model_based"]:
            canvas = self.imagine(before, chosen)
            promise = self.reward(before, canvas, target)
            state, imagined = (before, after, target, later), (before, canvas, target, later)
        else:
            promise = torch.zeros((), device=self.device)
            state, imagined = (before, action, target, now), (before, chosen, target, now)
        if self.hparams["discount"]:
            frozen = {name: p.detach() for name, p in self.critic.named_parameters()}
            promise = promise + functional_call(self.critic, frozen, imagined)
            losses["critic"] = F.mse_loss(self.critic(*state), self.value(near))
        losses["actor"] = -promise.mean()
        if self.hparams["reward"] == "wgan":
            with torch.autocast(before.device.type, enabled=False):
                real, fake = self.discriminator(target, target), self.discriminator(target, after)
                pairs = torch.cat([target, target], 1), torch.cat([target, after], 1)
                penalty = gradient_penalty(lambda pair: self.discriminator(*pair.chunk(2, 1)), *pairs)
                losses["discriminator"] = fake.mean() - real.mean() + PENALTY * penalty
        return losses

    @torch.no_grad()
    def value(self, seen: Transitions) -> Tensor:
        """What the critic should say (B,), by the slow networks: V, of what follows the action; Q, of the action and what follows."""
        before, after, target, _, step, _ = seen
        then, later = (step + 1) / self.steps, (step + 2) / self.steps
        discount = self.hparams["discount"] ** self.bundle * (step + 1 < self.steps)
        actor, critic = cast(Actor, self.soft_actor), cast(Critic, self.soft_critic)
        action = actor(after, target, then)
        if not self.hparams["model_based"]:
            return self.reward(before, after, target) + discount * critic(after, action, target, then)
        final = self.paint(self.world, after, action)
        return discount * (self.reward(after, final, target) + critic(after, final, target, later))

    def training_step(self, batch: dict[str, Tensor], index: int) -> None:
        """A round of episodes, then updates. train/mse: of the round's last canvases; train/actor, critic, discriminator: last losses."""
        assert self.replay is not None
        targets = self.look(batch["image"])
        self.actor.eval()  # to paint, the batch normalisation's running figures
        actions, canvases, tiles = self.episode(targets, self.world)
        self.actor.train()
        slots = self.replay.slots(len(targets))
        self.replay.targets[slots], self.replay.actions[slots] = Replay.whole(targets), actions
        self.replay.tiles[slots.cpu()] = tiles.int()
        for t, canvas in enumerate(canvases):
            self.replay.canvases[slots, t] = Replay.whole(canvas)
        self.log("train/mse", (canvases[-1] - targets).square().mean(), prog_bar=True)
        self.rounds += 1
        if self.rounds <= self.hparams["warmup"]:
            return
        optimizer: Any = self.optimizers()
        schedule: Any = self.lr_schedulers()
        for _ in range(self.hparams["updates"]):
            losses = self.losses(self.replay.sample(self.hparams["batch"]))
            optimizer.zero_grad()
            self.manual_backward(torch.stack(list(losses.values())).sum())
            optimizer.step()
            schedule.step()
            self.follow()
        self.agree()
        self.log_dict({f"train/{name}": loss.detach() for name, loss in losses.items()})

    @torch.no_grad()
    def agree(self) -> None:
        """The ranks' running figures of the batch normalisations become their mean."""
        if self.trainer.world_size > 1:
            figures = [b for name, b in self.named_buffers() if "running_" in name]
            mean = self.trainer.strategy.reduce(torch.cat(figures), reduce_op="mean")
            torch._foreach_copy_(figures, list(cast(Tensor, mean).split([len(b) for b in figures])))

    @torch.no_grad()
    def follow(self) -> None:
        """The slow copies take a step of ``tau`` towards their networks."""
        for name in self.slow:
            slow, fast = getattr(self, f"soft_{name}"), getattr(self, name)
            torch._foreach_lerp_(list(slow.parameters()), [p.detach() for p in fast.parameters()], self.hparams["tau"])

    def configure_optimizers(self) -> Any:
        """One Adam, a group for each network: the losses share no gradients, so one step serves all three."""
        groups: list[dict[str, Any]] = [{"params": self.actor.parameters(), "lr": self.lr}]
        if self.hparams["discount"]:
            groups.append({"params": self.critic.parameters(), "lr": self.hparams["critic_lr"]})
        falling = [lambda k: (1 / 3) ** (k // self.hparams["decay_at"])] * len(groups)
        if self.hparams["reward"] == "wgan":
            groups.append(
                {"params": self.discriminator.parameters(), "lr": self.hparams["discriminator_lr"], "betas": BETAS}
            )
            falling.append(lambda k: 1.0)
        optimizer = torch.optim.Adam(groups, fused=True)  # FiniteGradients then leaves steps out on the device
        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, falling)]

    # --- resuming ---

    def on_fit_start(self) -> None:
        h = self.hparams
        self.rounds = 0
        self.replay = Replay(h["episodes"], self.steps, self.world_size, self.bundle * len(self.actions), self.device)
        if self.kept:
            mine = self.kept[self.global_rank % len(self.kept)]
            self.replay.load_state_dict(mine)
            self.rounds = mine["rounds"]
            self.kept = []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The replays of all ranks go into the checkpoint, so that a resumed run goes on exactly."""
        if self.replay is None:
            return
        mine = self.replay.state_dict() | {"rounds": self.rounds}
        if self.trainer.world_size > 1:
            tensors = {k: v for k, v in mine.items() if isinstance(v, Tensor)}
            parts = {k: self.trainer.strategy.all_gather(v.to(self.device)).cpu() for k, v in tensors.items()}
            checkpoint["replays"] = [
                mine | {k: v[rank] for k, v in parts.items()} for rank in range(self.trainer.world_size)
            ]
        else:
            checkpoint["replays"] = [mine]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.kept = checkpoint.get("replays", [])
