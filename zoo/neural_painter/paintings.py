"""Strokes as an image parameterisation (§5): paint what a classifier wants to see, or what a picture means to it.

The strokes lie on a grid of overlapping canvases of 64², so that any size can be painted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from tqdm import tqdm

from renderers import Drawing
from zoo.base.images import read
from zoo.checkpoints import load
from zoo.neural_painter.classifiers import CONTENT, Features, class_number, classifier, normalised
from zoo.neural_painter.networks import SIDE
from zoo.neural_painter.painters import NeuralPainter

MOST_CELLS = 16_384  # canvases; 4,096² at the default overlap
AT_ONCE = 128  # canvases whose activations are kept; of more, they are computed again for the gradients
Palette = str | Sequence[Sequence[float]] | None
Watch = Callable[[int, float, "Painting"], None]


class Painting(nn.Module):
    """Strokes on rows × columns canvases of 64², ``strokes`` on each, which overlap by ``overlap`` pixels. What is optimised.

    palette: None for any colour, ``grey``, or colours (K, 3) in [0, 1], of which each stroke gets one.
    aspect: of the drawing; None for that of the grid. real: show the program's own picture, with the painter's gradients.
    Raises ValueError for numbers that make no grid or no palette.
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
    ):
        super().__init__()
        if not (
            1 <= strokes <= 1000 and 0 <= overlap < SIDE and rows >= 1 and columns >= 1 and rows * columns <= MOST_CELLS
        ):
            raise ValueError(
                f"{rows} × {columns} canvases of {strokes} strokes, overlapping by {overlap} pixels; expected 1 to {MOST_CELLS} canvases,"
                f" 1 to 1000 strokes and an overlap of 0 to {SIDE - 1}"
            )
        self._painter = [painter]  # in a list: its weights are not optimised
        self.rows, self.columns, self.stride = rows, columns, SIDE - overlap
        self.height, self.width = (SIDE + (n - 1) * self.stride for n in (rows, columns))
        self.aspect, self.real = aspect or self.width / self.height, real
        self.colours = self.read_palette(palette)
        start = painter.actions.random(strokes, rows * columns, generator=generator)  # actions from U(0, 1)
        self.z = nn.Parameter(start.clamp(0.02, 0.98).logit())
        options = 3 if self.colours is None else len(self.colours)
        self.choice = nn.Parameter(torch.randn(strokes, rows * columns, options, generator=generator))

    def read_palette(self, palette: Palette) -> Tensor | None:
        if palette is None or isinstance(palette, str):
            if palette not in (None, "grey"):
                raise ValueError(
                    f"palette is {palette!r}; expected 'grey', colours [[red, green, blue], …] in [0, 1], or none"
                )
            return None if palette is None else torch.linspace(0, 1, 9)[:, None].expand(-1, 3)
        colours = torch.as_tensor(palette, dtype=torch.float32)
        if (
            colours.ndim != 2
            or colours.shape[1] != 3
            or not len(colours)
            or not ((colours >= 0) & (colours <= 1)).all()
        ):
            raise ValueError(f"a palette is a list of colours [red, green, blue] in [0, 1], not {palette!r}")
        return colours

    @property
    def painter(self) -> NeuralPainter:
        return self._painter[0]

    def strokes(self) -> Tensor:
        """(strokes, canvases, A) in [0, 1]."""
        action = self.z.sigmoid()
        if self.colours is None:
            return action
        soft = self.choice.softmax(-1)
        hard = F.one_hot(soft.argmax(-1), soft.shape[-1]).float()
        rgb = (hard + (soft - soft.detach())) @ self.colours.to(
            soft.device
        )  # one colour; its gradient is the mixture's
        columns = list(action.unbind(-1))
        for name, value in zip(("red", "green", "blue"), rgb.unbind(-1), strict=True):
            columns[self.painter.actions[name]] = value
        return torch.stack(columns, -1)

    def groups(self) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of canvases that do not overlap, and so can be painted together, in the order of painting."""
        reach = math.ceil(SIDE / self.stride)
        for y in range(min(reach, self.rows)):
            for x in range(min(reach, self.columns)):
                yield slice(y, None, reach), slice(x, None, reach)

    def spread(self, layers: Tensor, group: tuple[slice, slice]) -> Tensor:
        """Layers (rows, columns, C, 64, 64) of all canvases, those of a group where they lie in the picture: (1, C, H, W)."""
        part = layers[group]
        gap = (-SIDE) % self.stride  # between neighbours
        plane = F.pad(part, (0, gap, 0, gap)).permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
        y, x = (s.start * self.stride for s in group)
        return F.pad(plane, (x, self.width - x - plane.shape[2], y, self.height - y - plane.shape[1]))[None]

    def forward(self) -> Tensor:
        """The picture on the painter (or, if ``real``, on what it imitates), (1, 3, H, W), with gradients in all strokes."""
        canvas = self.painter.blank(1, (self.height, self.width), self.z.device)
        strokes = self.strokes()
        red = self.painter.actions["red"]
        for action in strokes:
            inks = [checkpoint(self.painter.ink, part, use_reentrant=False) if len(action) > AT_ONCE else self.painter.ink(part)
                    for part in action.split(AT_ONCE)]  # fmt: skip
            ink = torch.cat(inks)[:, None].float()
            layers = torch.cat([ink, ink * action[:, red : red + 3, None, None]], 1).unflatten(
                0, (self.rows, self.columns)
            )
            for group in self.groups():
                whole = self.spread(layers, group)
                canvas = canvas * (1 - whole[:, :1]) + whole[:, 1:]
        if self.real:
            drawing = self.drawing()
            shown = drawing.exact().render(drawing.strokes[None], (self.height, self.width)).to(canvas.device)
            return canvas + (shown - canvas).detach()
        return canvas

    def drawing(self) -> Drawing:
        """The same strokes, for the program that the painter imitates, at any size."""
        strokes = self.strokes().detach().cpu().clamp(0, 1)
        renderer, made, name = self.painter.imitates, [], self.painter.name
        numbers = torch.arange(self.rows * self.columns).view(self.rows, self.columns)
        for action in strokes:
            for group in self.groups():
                for k in numbers[group].flatten().tolist():
                    y, x = (v * self.stride for v in divmod(k, self.columns))
                    box = (x / self.width, y / self.height, (x + SIDE) / self.width, (y + SIDE) / self.height)
                    name, placed = renderer.place(action[k : k + 1], box)
                    made.append(placed)
        return Drawing(torch.cat(made).clamp(0, 1), name, self.aspect)


def varied(pictures: Tensor, copies: int, jitter: float, degrees: float, scale: float, size: tuple[int, int]) -> Tensor:
    """Random views (copies * B, 3, *size) of pictures (B, 3, H, W): moved by up to ``jitter`` pixels, turned, scaled by 1 ± scale, all
    pictures alike; the paper around them is white."""
    n, device = copies, pictures.device
    angle = torch.deg2rad((2 * torch.rand(n, device=device) - 1) * degrees)
    zoom = 1 + (2 * torch.rand(n, device=device) - 1) * scale
    shift = (
        (2 * torch.rand(n, 2, device=device) - 1)
        * 2
        * jitter
        / torch.tensor([pictures.shape[-1], pictures.shape[-2]], device=device)
    )
    rows = [
        torch.stack([angle.cos() * zoom, -angle.sin() * zoom, shift[:, 0]], 1),
        torch.stack([angle.sin() * zoom, angle.cos() * zoom, shift[:, 1]], 1),
    ]
    theta = torch.stack(rows, 1).repeat_interleave(len(pictures), 0)
    grid = F.affine_grid(theta, [len(theta), 3, *size], align_corners=False)
    return 1 + F.grid_sample(pictures.repeat(n, 1, 1, 1) - 1, grid, padding_mode="zeros", align_corners=False)


def optimise(
    painting: Painting, loss: Callable[[Tensor], Tensor], steps: int, lr: float, watch: Watch | None, what: str
) -> Painting:
    """Adam on the strokes. The best painting, by a running mean of the loss, is kept; Ctrl-C ends early and keeps it, too."""
    if not (1 <= steps <= 100_000 and 0 < lr <= 10):
        raise ValueError(f"steps is {steps}, lr is {lr}; expected 1 to 100,000 steps and a rate above 0, up to 10")
    optimizer = torch.optim.Adam(painting.parameters(), lr)
    best, kept, mean = float("inf"), {k: v.clone() for k, v in painting.state_dict().items()}, 0.0
    try:
        bar = tqdm(range(steps), desc=what)
        for step in bar:
            before = {k: v.clone() for k, v in painting.state_dict().items()}
            error = loss(painting())
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            mean = error.item() if step == 0 else 0.9 * mean + 0.1 * error.item()
            if step >= min(10, steps - 1) and mean < best:
                best, kept = mean, before
            bar.set_postfix(loss=f"{mean:.4f}")
            if watch is not None:
                watch(step, mean, painting)
    except KeyboardInterrupt:
        print("interrupted: the best painting so far is kept")
    painting.load_state_dict(kept)
    return painting


def check_painter(painter: Any) -> NeuralPainter:
    """A neural painter of colour by name, or itself. ValueError if it is none."""
    if isinstance(painter, str):
        painter = load(painter)
    if not isinstance(painter, NeuralPainter) or painter.channels != 3 or "red" not in painter.actions:
        raise ValueError(
            f"this needs a neural painter of strokes in colour, such as neural-painter-gan, not a {type(painter).__name__}"
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

    classes: names or numbers. classifiers: names, or modules from normalised pictures (B, 3, 224, 224) to scores (B, 1000). strokes: on
    each of grid × grid canvases. real: let the classifiers look at the program's own canvas, with the painter's gradients.
    watch: called after each step with its number, the loss and the :class:`Painting`.
    Raises ValueError for what does not exist, with the nearest name.
    """
    wanted = [classes] if isinstance(classes, (str, int)) else list(classes)
    numbers = [class_number(c) for c in wanted]
    if not numbers or not classifiers:
        raise ValueError("visualize needs at least one class and one classifier")
    painter = check_painter(painter)
    models = [classifier(c).to(painter.device) for c in classifiers]
    torch.manual_seed(seed)
    painting = Painting(
        painter, grid, grid, strokes, overlap, palette, real=real, generator=torch.Generator().manual_seed(seed)
    ).to(painter.device)

    def loss(canvas: Tensor) -> Tensor:
        views = normalised(varied(canvas, 5, 12 * painting.width / 224, 20, 0.05, (224, 224)))
        return torch.stack([-m(views).log_softmax(1)[:, numbers].mean() for m in models]).mean()

    return optimise(painting, loss, steps, lr, watch, ", ".join(map(str, wanted))).drawing()


def stylize(
    image: Any,
    painter: Any = "neural-painter-gan",
    classifier_name: str | nn.Module = "squeezenet1_1",
    layer: str = CONTENT,
    size: int = 288,
    strokes: int = 4,
    overlap: int = 32,
    steps: int = 200,
    lr: float = 0.1,
    palette: Palette = None,
    real: bool = False,
    seed: int = 0,
    watch: Watch | None = None,
) -> Drawing:
    """Paint a picture so that a classifier's middle layer sees the same in it: only the content loss, the style is the brush's (§5.2).

    image: see ``zoo.base.images.read``. layer: of the classifier, by name. size: longer side of the optimised picture in pixels, 64 to 4,096, in
    steps of 64 - overlap. strokes: on each canvas. real, watch: see :func:`visualize`. Raises ValueError for what does not exist.
    """
    pixels = read(image, 3)
    if not (SIDE <= size <= 4096 and 0 <= overlap < SIDE):
        raise ValueError(f"size is {size}, overlap {overlap}; expected {SIDE} to 4096 pixels, and 0 to {SIDE - 1}")
    aspect = pixels.shape[-1] / pixels.shape[-2]
    sides = (size / max(aspect, 1), size / max(1 / aspect, 1))
    rows, columns = (1 + round((max(side, SIDE) - SIDE) / (SIDE - overlap)) for side in sides)
    painter = check_painter(painter)
    features = Features(classifier(classifier_name).to(painter.device), layer)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    painting = Painting(painter, rows, columns, strokes, overlap, palette, aspect, real, generator).to(painter.device)
    target = F.interpolate(pixels, (painting.height, painting.width), mode="bilinear", antialias=True).to(
        painter.device
    )

    def loss(canvas: Tensor) -> Tensor:
        seen = features(varied(torch.cat([canvas, target]), 1, 12, 5, 0.1, (painting.height, painting.width)))
        return (seen[0] - seen[1]).square().mean()

    return optimise(painting, loss, steps, lr, watch, "stylize").drawing()
