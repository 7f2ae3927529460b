"""Strokes as an image parameterisation (§5): paint what a classifier wants to see, or what a picture means to it.

The strokes lie on a grid of overlapping canvases of 64², so that any size can be painted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from tqdm import tqdm

from renderers import Drawing
from zoo.base.from_nothing import started
from zoo.base.frozen import Frozen
from zoo.base.images import read
from zoo.base.tiling import Cells, part
from zoo.checkpoints import load
from zoo.neural_painter.classifiers import CONTENT, Features, class_number, classifier, normalised
from zoo.neural_painter.networks import COLOUR, SIDE
from zoo.neural_painter.painters import NeuralPainter

WIDEST, NARROWEST = 0.25, 0.08  # strokes of a picture begin so wide, as a fraction of their canvas
BLURS = (1, 4, 16)  # pixels that are seen as one, where light and colour are compared
COARSEST = 96  # pixels of the longer side of a picture's first canvases
MOST_CELLS = 16_384  # canvases; 4,096² at the default overlap
AT_ONCE = 128  # strokes whose activations are kept; of more, they are computed again for the gradients
Palette = str | Sequence[Sequence[float]] | None
Watch = Callable[[int, float, "Painting"], None]


class Painting(nn.Module):
    """Strokes on a grid of overlapping canvases of 64²: what is optimised.

    Args:
        painter: Paints them; its weights are not optimised.
        rows: Of canvases.
        columns: Of canvases.
        strokes: On each canvas, 1 to 1,000.
        overlap: Of neighbouring canvases in pixels, 0 to 63.
        palette: None for any colour; ``grey``; or colours (K, 3) in [0, 1], of which each stroke gets one.
        aspect: Width / height of the drawing; None for that of the grid.
        real: Show the real program's picture, with the painter's gradients.
        generator: Of the random strokes to begin with.
        beneath: What is painted already, by larger strokes; None for white paper.

    Raises:
        ValueError: For numbers that make no grid, and for what is no palette.
    """

    def __init__(
        self,
        painter: NeuralPainter,
        rows: int = 1,
        columns: int = 1,
        strokes: int = 30,
        overlap: int = 32,
        palette: Palette = None,
        aspect: float | None = None,
        real: bool = False,
        generator: torch.Generator | None = None,
        beneath: Painting | None = None,
    ):
        super().__init__()
        cells = rows * columns
        if not (1 <= strokes <= 1000 and 0 <= overlap < SIDE and rows >= 1 and columns >= 1 and cells <= MOST_CELLS):
            raise ValueError(
                f"{rows} × {columns} canvases of {strokes} strokes, overlapping by {overlap} pixels; expected 1 to"
                f" {MOST_CELLS} canvases, 1 to 1000 strokes and an overlap of 0 to {SIDE - 1}"
            )
        self._painter = Frozen(lambda: painter)
        self.cells = Cells(rows, columns, SIDE, overlap)
        self.aspect, self.real = aspect or self.cells.width / self.cells.height, real
        self.colours = read_palette(palette)
        start = painter.actions.random(strokes, cells, generator=generator)  # actions from U(0, 1)
        self.z = nn.Parameter(start.clamp(0.02, 0.98).logit())
        choices = 3 if self.colours is None else len(self.colours)
        self.choice = nn.Parameter(torch.randn(strokes, cells, choices, generator=generator))
        size = self.cells.height, self.cells.width
        self.larger = None if beneath is None else beneath.drawing()
        self.paper: Tensor = painter.blank(1, size, painter.device)
        if self.larger is not None and real:
            self.paper = self.shown(self.larger)
        elif beneath is not None:
            with torch.no_grad():
                self.paper = F.interpolate(beneath(), size, mode="bicubic").clamp(0, 1)

    def shown(self, drawing: Drawing) -> Tensor:
        """A drawing on the real program's canvas: (1, 3, H, W)."""
        return drawing.exact().render(drawing.strokes[None], (self.cells.height, self.cells.width)).to(self.z.device)

    @torch.no_grad()
    def place(self, target: Tensor, generator: torch.Generator) -> None:
        """Begin where the picture (1, 3, H, W) differs from what is painted, in its colours, large before small."""
        count, near = len(self.z), (self.paper.cpu(), target.cpu())
        starts = torch.empty_like(self.z, device="cpu")
        for group in self.cells.groups():
            for number, box in self.cells.boxes(group):
                canvas, wanted = (part(picture, box) for picture in near)
                for k in range(count):
                    width = WIDEST * (NARROWEST / WIDEST) ** (k / max(1, count - 1))
                    starts[k, number] = started(self.painter.imitates, canvas, wanted, 1, width, generator)[0, 0]
        self.z.copy_(starts.clamp(0.02, 0.98).logit())
        if self.colours is not None:
            rgb = self.painter.actions.select(starts, " ".join(COLOUR))
            self.choice.copy_(-8 * torch.cdist(rgb, self.colours.expand(count, -1, -1)))

    @property
    def painter(self) -> NeuralPainter:
        """The painter, on this module's device."""
        return self._painter.on(self.z.device)

    def strokes(self) -> Tensor:
        """(strokes, canvases, A) in [0, 1]."""
        action = self.z.sigmoid()
        if self.colours is None:
            return action
        soft = self.choice.softmax(-1)
        hard = F.one_hot(soft.argmax(-1), soft.shape[-1]).float()
        choice = hard + (soft - soft.detach())  # one colour; its gradient is the mixture's
        rgb = choice @ self.colours.to(soft.device)
        columns = list(action.unbind(-1))
        for name, value in zip(COLOUR, rgb.unbind(-1), strict=True):
            columns[self.painter.actions[name]] = value
        return torch.stack(columns, -1)

    def layers(self, actions: Tensor) -> Tensor:
        """Opacity, and opacity times colour, of strokes (S, canvases, A): (S, rows, columns, 4, 64, 64)."""
        painter = self.painter
        parts = actions.flatten(0, 1).split(AT_ONCE)
        if len(parts) > 1:
            inks = [checkpoint(painter.ink, part, use_reentrant=False) for part in parts]
        else:
            inks = [painter.ink(part) for part in parts]
        ink = torch.cat(inks)[:, None].float()
        rgb = painter.actions.select(actions, " ".join(COLOUR)).flatten(0, 1)[..., None, None]
        layers = torch.cat([ink, ink * rgb], 1)
        return layers.unflatten(0, (len(actions), self.cells.rows, self.cells.columns))

    def forward(self) -> Tensor:
        """The picture (1, 3, H, W) on the painter or, if ``real``, on what it imitates. With gradients in z."""
        canvas = self.paper.to(self.z.device)
        for layers in self.layers(self.strokes()):
            for group in self.cells.groups():
                whole = self.cells.spread(layers, group)
                canvas = canvas * (1 - whole[:, :1]) + whole[:, 1:]
        if self.real:
            return canvas + (self.shown(self.drawing()) - canvas).detach()
        return canvas

    def drawing(self) -> Drawing:
        """The same strokes, and those beneath them, for the program that the painter imitates, at any size."""
        renderer, name = self.painter.imitates, self.painter.name
        placed = [] if self.larger is None else [self.larger.strokes]
        for action in self.strokes().detach().cpu().clamp(0, 1):
            for group in self.cells.groups():
                for number, box in self.cells.boxes(group):
                    name, strokes = renderer.place(action[number : number + 1], box)
                    placed.append(strokes)
        return Drawing(torch.cat(placed).clamp(0, 1), name, self.aspect)


def read_palette(palette: Palette) -> Tensor | None:
    """The colours (K, 3) of a palette (see :class:`Painting`); None for any.

    Raises:
        ValueError: For what is no palette.
    """
    if palette is None:
        return None
    if isinstance(palette, str):
        if palette != "grey":
            raise ValueError(
                f"palette is {palette!r}; expected 'grey', colours [[red, green, blue], …] in [0, 1], or none"
            )
        return torch.linspace(0, 1, 9)[:, None].expand(-1, 3)
    colours = torch.as_tensor(palette, dtype=torch.float32)
    triples = colours.ndim == 2 and colours.shape[1] == 3 and len(colours) > 0
    if not triples or not ((colours >= 0) & (colours <= 1)).all():
        raise ValueError(f"a palette is a list of colours [red, green, blue] in [0, 1], not {palette!r}")
    return colours


def varied(pictures: Tensor, copies: int, jitter: float, degrees: float, scale: float, size: tuple[int, int]) -> Tensor:
    """Random views of pictures, all pictures in the same ones; the paper around them is white.

    Args:
        pictures: (B, 3, H, W).
        copies: Views of each.
        jitter: Most that a view is moved by, in pixels.
        degrees: Most that it is turned by.
        scale: It is scaled by 1 ± scale at most.
        size: (height, width) of the views in pixels.

    Returns:
        (copies * B, 3, height, width).
    """

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(copies, *shape, device=pictures.device) - 1

    angle = torch.deg2rad(uniform() * degrees)
    zoom = 1 + uniform() * scale
    sides = torch.tensor([pictures.shape[-1], pictures.shape[-2]], device=pictures.device)
    shift = uniform(2) * 2 * jitter / sides
    across = torch.stack([angle.cos() * zoom, -angle.sin() * zoom, shift[:, 0]], 1)
    down = torch.stack([angle.sin() * zoom, angle.cos() * zoom, shift[:, 1]], 1)
    theta = torch.stack([across, down], 1).repeat_interleave(len(pictures), 0)
    grid = F.affine_grid(theta, [len(theta), 3, *size], align_corners=False)
    return 1 + F.grid_sample(pictures.repeat(copies, 1, 1, 1) - 1, grid, padding_mode="zeros", align_corners=False)


def unlike(canvas: Tensor, target: Tensor) -> Tensor:
    """The squared error of a picture, seen sharply and from further and further away, as a share of the variance."""
    pools = [(F.avg_pool2d(canvas, k), F.avg_pool2d(target, k)) for k in BLURS]
    return torch.stack([F.mse_loss(*pair) for pair in pools]).mean() / target.var().clamp(min=1e-3)


def optimise(
    painting: Painting, loss: Callable[[Tensor], Tensor], steps: int, lr: float, watch: Watch | None, what: str
) -> bool:
    """Adam on the strokes, which end as the best there were, by a running mean of the loss. Ctrl-C ends early.

    Args:
        painting: What to optimise.
        loss: A number for a picture (1, 3, H, W).
        steps: 1 to 100,000.
        lr: Learning rate, above 0, up to 10.
        watch: Called after each step with its number, the running mean of the loss, and the painting.
        what: The progress bar's words.

    Returns:
        Whether all steps were done.

    Raises:
        ValueError: For numbers out of range.
    """
    if not (1 <= steps <= 100_000 and 0 < lr <= 10):
        raise ValueError(f"steps is {steps}, lr is {lr}; expected 1 to 100,000 steps and a rate above 0, up to 10")
    optimizer = torch.optim.Adam(painting.parameters(), lr)
    copied = lambda: {k: v.clone() for k, v in painting.state_dict().items()}  # noqa: E731
    lowest, best, mean, whole = float("inf"), copied(), 0.0, True
    try:
        bar = tqdm(range(steps), desc=what)
        for step in bar:
            before = copied()
            error = loss(painting())
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            mean = error.item() if step == 0 else 0.9 * mean + 0.1 * error.item()
            if step >= min(10, steps - 1) and mean < lowest:
                lowest, best = mean, before
            bar.set_postfix(loss=f"{mean:.4f}")
            if watch is not None:
                watch(step, mean, painting)
    except KeyboardInterrupt:
        print("interrupted: the best painting so far is kept")
        whole = False
    painting.load_state_dict(best)
    return whole


def find_painter(painter: Any) -> NeuralPainter:
    """A neural painter of strokes in colour, by name or as it is.

    Raises:
        ValueError: For anything else.
    """
    if isinstance(painter, str):
        painter = load(painter)
    if not isinstance(painter, NeuralPainter) or painter.channels != 3 or "red" not in painter.actions:
        raise ValueError(
            "this needs a neural painter of strokes in colour, such as neural-painter-gan,"
            f" not a {type(painter).__name__}"
        )
    return painter


def visualize(
    classes: str | int | Sequence[str | int],
    painter: Any = "neural-painter-gan",
    classifiers: Sequence[str | nn.Module] = ("squeezenet1_1",),
    strokes: int = 30,
    grid: int = 1,
    overlap: int = 48,
    steps: int = 300,
    lr: float = 0.05,
    palette: Palette = None,
    real: bool = False,
    seed: int = 0,
    watch: Watch | None = None,
) -> Drawing:
    """Paint what classifiers take for an ImageNet class, or for several at once (§5.1).

    Args:
        classes: Names or numbers.
        painter: Name of a neural painter, or one.
        classifiers: Names, or modules from normalised pictures (B, 3, 224, 224) to scores (B, 1000).
        strokes: On each of grid × grid canvases.
        grid: Canvases each way.
        overlap: Of neighbouring canvases in pixels, 0 to 63.
        steps: Of the optimisation.
        lr: Its learning rate.
        palette: See :class:`Painting`.
        real: Let the classifiers look at the real program's canvas, with the painter's gradients.
        seed: Of the random numbers.
        watch: See :func:`optimise`.

    Returns:
        The drawing; the strokes of each canvas, placed.

    Raises:
        ValueError: For names that do not exist, with the nearest one, and for numbers out of range.
    """
    names = [classes] if isinstance(classes, (str, int)) else list(classes)
    numbers = [class_number(name) for name in names]
    if not numbers or not classifiers:
        raise ValueError("visualize needs at least one class and one classifier")
    painter = find_painter(painter)
    models = [classifier(c).to(painter.device) for c in classifiers]
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    painting = Painting(painter, grid, grid, strokes, overlap, palette, real=real, generator=generator)

    def loss(canvas: Tensor) -> Tensor:
        views = normalised(varied(canvas, 5, 12 * painting.cells.width / 224, 20, 0.05, (224, 224)))
        return torch.stack([-m(views).log_softmax(1)[:, numbers].mean() for m in models]).mean()

    optimise(painting.to(painter.device), loss, steps, lr, watch, ", ".join(map(str, names)))
    return painting.drawing()


def later(watch: Watch, begun: int, step: int, loss: float, painting: Painting) -> None:
    """Watch a step of a level before which ``begun`` steps were done."""
    watch(begun + step, loss, painting)


def stylize(
    image: Any,
    painter: Any = "neural-painter-gan",
    classifier_name: str | nn.Module = "squeezenet1_1",
    layer: str = CONTENT,
    size: int = 288,
    strokes: int = 8,
    overlap: int = 32,
    steps: int = 80,
    lr: float = 0.05,
    palette: Palette = None,
    real: bool = False,
    seed: int = 0,
    watch: Watch | None = None,
    levels: int = 4,
    tone: float = 1.0,
) -> Drawing:
    """Paint a picture so that a classifier's middle layer sees the same in it; the style is the brush's own (§5.2).

    Large strokes come first: a coarse grid of canvases over the whole picture, then finer ones over what it left. The
    paper's form has one grid, random strokes and nothing but the layer: ``levels=1, tone=0``.

    Args:
        image: See ``zoo.base.images.read``.
        painter: Name of a neural painter, or one.
        classifier_name: A name, or a module from normalised pictures to scores.
        layer: Of the classifier, by name.
        size: Longer side of the optimised picture in pixels, 64 to 4,096, rounded to steps of 64 - overlap.
        strokes: On each canvas of 64².
        overlap: See :func:`visualize`, like all that follow.
        steps: Of the optimisation of each level.
        lr: Its learning rate.
        palette: See :class:`Painting`.
        real: Let the classifier look at the real program's canvas.
        seed: Of the random numbers.
        watch: See :func:`optimise`; its steps go on counting from level to level.
        levels: Grids, 1 to 8, from about 96 pixels to ``size``.
        tone: How much light and colour count beside the layer, from 0; above 0, strokes begin where they lack.

    Returns:
        The drawing, of the image's aspect.

    Raises:
        ValueError: For names that do not exist, with the nearest one, and for numbers out of range.
    """
    pixels = read(image, 3)
    if not (SIDE <= size <= 4096 and 0 <= overlap < SIDE):
        raise ValueError(f"size is {size}, overlap {overlap}; expected {SIDE} to 4096 pixels, and 0 to {SIDE - 1}")
    if not (1 <= levels <= 8 and 0 <= tone < float("inf")):
        raise ValueError(f"levels is {levels}, tone is {tone}; expected 1 to 8 levels, and a tone of 0 or more")
    aspect = pixels.shape[-1] / pixels.shape[-2]
    painter = find_painter(painter)
    features = Features(classifier(classifier_name).to(painter.device), layer)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    painting = None
    for level in range(levels):
        side = size * (min(COARSEST, size) / size) ** ((levels - 1 - level) / max(1, levels - 1))
        sides = (side / max(aspect, 1), side / max(1 / aspect, 1))
        rows, columns = (1 + round((max(n, SIDE) - SIDE) / (SIDE - overlap)) for n in sides)
        painting = Painting(painter, rows, columns, strokes, overlap, palette, aspect, real, generator, painting)
        whole = painting.cells.height, painting.cells.width
        target = F.interpolate(pixels, whole, mode="bilinear", antialias=True).to(painter.device)
        if tone:
            painting.place(target, generator)
        painting.to(painter.device)

        def loss(canvas: Tensor, target: Tensor = target, whole: tuple[int, int] = whole) -> Tensor:
            seen = features(varied(torch.cat([canvas, target]), 1, 12, 5, 0.1, whole))
            error = (seen[0] - seen[1]).square().mean() / seen[1].square().mean().clamp(min=1e-6)
            return error + tone * unlike(canvas, target) if tone else error

        counted = None if watch is None else partial(later, watch, level * steps)
        if not optimise(painting, loss, steps, lr, counted, f"stylize {level + 1}/{levels}"):
            break
    assert painting is not None
    return painting.drawing()
