"""Human strokes by digit: whether they keep the demonstration's order, and how near they come, on MyPaint's canvas.

ZOO_DATA=… python benchmarks/human_digits.py

Draws the whole test set of MNIST with painter-agent-mnist-human, and writes the table into the method's README.
"""

from __future__ import annotations

from pathlib import Path

import torch
from markers import put
from tqdm import tqdm

import datamodules
import zoo
from zoo.neural_painter.agent import ordered

README = Path(__file__).parent.parent / "zoo" / "neural_painter" / "README.md"


@torch.no_grad()
def main() -> None:
    agent = zoo.load("painter-agent-mnist-human")
    data = datamodules.MNIST(image_size=64, invert=True, batch_size=250)
    data.setup("test")
    rows = []  # of each digit: its class, whether in order, its squared error
    for raw in tqdm(data.test_dataloader()):
        batch = data.on_after_batch_transfer(raw, 0)
        strokes, _ = agent.rollout(batch["image"])
        drawn = agent.exact.render(strokes.float(), 64)
        error = (drawn - batch["image"].expand(-1, 3, -1, -1)).square().mean((1, 2, 3))
        follows = ordered(agent.path(strokes.float()), agent.path(agent.demonstrated(batch)))
        rows.append(torch.stack([batch["label"].float(), follows.float(), error], 1))
    table = torch.cat(rows)
    lines = ["| digit | " + " | ".join(map(str, range(10))) + " |", "| --- |" + " ---: |" * 10]
    for name, column, digits in (("in_order", 1, 3), ("mse on MyPaint", 2, 4)):
        means = [table[table[:, 0] == k, column].mean().item() for k in range(10)]
        lines.append(f"| {name} | " + " | ".join(f"{m:.{digits}f}" for m in means) + " |")
    print("\n".join(lines))
    print(f"in all: in_order {table[:, 1].mean():.4f}, mse {table[:, 2].mean():.6f}, {len(table)} digits")
    put(README, "human", "python benchmarks/human_digits.py", lines)


if __name__ == "__main__":
    main()
