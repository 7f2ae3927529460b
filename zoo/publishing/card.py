"""A checkpoint's page on the Hugging Face Hub: the model card, and the files beside it."""

from __future__ import annotations

import io
import json
import re
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import zoo
from zoo.base.drawer import Drawer
from zoo.checkpoints.entry import CheckpointError, Entry
from zoo.checkpoints.loading import build
from zoo.publishing import showcase

TEMPLATE = """\
---
{{ card_data }}
---
# %(name)s

![drawings](pictures.png) ![a drawing as it is made](drawing.gif)

A `%(cls)s` of strokezoo %(version)s, for strokes of `%(renderer)s`. %(above)s

## Use

With strokezoo installed (in a checkout of it, `pip install .`):

```python
import zoo

model = zoo.load("%(repo)s")  # or "%(repo)s@%(tag)s", to stay with this version
%(use)s
```

`zoo fit --init_from %(repo)s …` fine-tunes it. `golden.json` holds one input and the output that belongs to it.

## Figures

%(figures)s

## Trained on

%(data)s

## Training

%(training)s

## Deviations from the paper

%(deviations)s

## Licence

%(licence)s
"""
DRAW = 'drawing = model.draw("sample:astronaut")  # or a path, a PIL image, an array, a tensor\ndrawing.save("drawing.svg")'
SAMPLE = 'drawing = model.sample()[0]\ndrawing.save("drawing.svg")'
PAINT = "strokes = model.actions.random(1, 5)\ncanvas = model.render(strokes, 256)  # (1, C, 256, 256), with gradients"


def listed(fields: dict[str, Any]) -> str:
    return "\n".join(f"- {k.replace('_', ' ')}: {v}" for k, v in fields.items()) or "Not stated."


def figures(entry: Entry) -> str:
    if not entry.metrics:
        return "Not measured."
    rows = ["| test set | split | n | figure | measured | paper |", "| --- | --- | ---: | --- | ---: | ---: |"]
    for m in entry.metrics:
        paper = m["paper"] if m.get("paper") is not None else "–"
        rows.append(f"| {m['dataset']} | {m['split']} | {m.get('n', '–')} | {m['name']} | {m['value']} | {paper} |")
    return "\n".join(rows)


def card(entry: Entry, repo: str, tag: str, model: Any) -> str:
    """The text of README.md, with a model-index of the metrics that have been measured."""
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    metrics = [m for m in entry.metrics if m.get("value") is not None]
    results = [
        EvalResult(
            task_type="image-to-image",
            task_name="drawing with strokes",
            dataset_type=re.sub(r"\W+", "-", m["dataset"].lower()).strip("-"),
            dataset_name=m["dataset"],
            dataset_split=m["split"],
            metric_type=m["name"].split("/")[-1],
            metric_name=m["name"],
            metric_value=m["value"],
        )
        for m in metrics
    ]
    mit = entry.licence.startswith("MIT")
    about = ModelCardData(
        license="mit" if mit else "other" if entry.licence else None,
        license_name=None if mit or not entry.licence else "see-below",
        library_name="strokezoo",
        tags=["strokezoo", "stroke-based-rendering", "vector-graphics", entry.renderer],
        model_name=entry.name,
        eval_results=results or None,
    )
    drawer, samples = isinstance(model, Drawer), hasattr(model, "sample")
    fields = {
        "name": entry.name,
        "cls": entry.cls,
        "version": zoo.__version__,
        "renderer": entry.renderer,
        "above": "" if samples else "Above, what was to be drawn; below, what it made.",
        "repo": repo,
        "tag": tag,
        "use": SAMPLE if samples else DRAW if drawer else PAINT,
        "figures": figures(replace(entry, metrics=metrics)),
        "data": listed(entry.data),
        "training": listed(({"paper": entry.paper} if entry.paper else {}) | entry.training),
        "deviations": "\n".join(f"- {d}" for d in entry.deviations) or "None stated.",
        "licence": entry.licence or "Not stated.",
    }
    text = str(ModelCard.from_template(about, template_str=template(fields)))
    again = getattr(ModelCard(text).data, "eval_results", None) or ()  # the Hub's own reading of it
    if len(again) != len(results):
        raise CheckpointError(f"{entry.name}: the card's model-index does not hold its {len(results)} figures")
    return text


def template(fields: dict[str, Any]) -> str:
    """The template with everything filled in but the metadata; braces of an entry's texts are not the template language's."""
    head, body = TEMPLATE.split("\n---\n", 1)
    return head + "\n---\n" + "{% raw %}" + (body % fields).replace("{%", "{ %") + "{% endraw %}"


def page(entry: Entry, weights: bytes, repo: str, tag: str) -> dict[str, bytes]:
    """All files of the page by name: the weights, config.json, golden.json, pictures.png, drawing.gif, README.md."""
    model = build(entry, weights, entry.weights["file"])
    plain = asdict(entry)
    plain["weights"].pop("hub", None)  # where it is published is not part of it
    for m in plain["metrics"]:
        m.get("data", {}).pop("root", None)  # nor is a folder of the publisher's machine
    sheet = io.BytesIO()
    showcase.contact_sheet(model).save(sheet, "PNG")
    with tempfile.TemporaryDirectory() as folder:
        gif = showcase.animation(model, Path(folder) / "drawing.gif").read_bytes()
    return {
        "README.md": card(entry, repo, tag, model).encode(),
        "config.json": json.dumps(plain, indent=1).encode(),
        entry.weights["file"]: weights,
        "golden.json": json.dumps(showcase.golden(model)).encode(),
        "pictures.png": sheet.getvalue(),
        "drawing.gif": gif,
    }
