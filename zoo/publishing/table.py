"""The table of checkpoints, from checkpoints.yaml."""

from __future__ import annotations

from pathlib import Path

from zoo.checkpoints import Entry

BEGIN, END = "<!-- checkpoints: written by `zoo list --write README.md` -->", "<!-- end of checkpoints -->"


def plain(entries: list[Entry]) -> str:
    """A line per checkpoint: name, what it draws with, its first figure, size."""
    lines = []
    for e in entries:
        m = e.metrics[0] if e.metrics else None
        figure = (
            f"{m['name'].split('/')[-1]} {m['value']:.4f} on {m['dataset']}"
            if m and m.get("value") is not None
            else "not measured"
        )
        lines.append(f"{e.name:28} {e.cls:14} {e.renderer:8} {figure:44} {e.weights['bytes'] / 1e6:5.1f} MB")
    return "\n".join(lines)


def markdown(entries: list[Entry]) -> str:
    """A row per figure."""
    rows = [
        "| checkpoint | test set | n | figure | measured | paper | size |",
        "| --- | --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for e in entries:
        for i, m in enumerate(e.metrics):
            value = (
                "–"
                if m.get("value") is None
                else f"{m['value']:.0f}"
                if m["value"] == int(m["value"])
                else f"{m['value']:.5f}"
            )
            paper = f"{m['paper']}" if m.get("paper") is not None else "–"
            first = (f"`{e.name}`", f"{e.weights['bytes'] / 1e6:.1f} MB") if i == 0 else ("", "")
            what = m["name"].split("/")[-1]
            rows.append(
                f"| {first[0]} | {m['dataset']} | {m.get('n') or 0:,} | {what} | {value} | {paper} | {first[1]} |"
            )
    return "\n".join(rows)


def write(readme: Path, entries: list[Entry]) -> None:
    """Put the table between the README's markers."""
    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{readme} needs one line {BEGIN} and, after it, one line {END}")
    from renderers.files import atomic_write  # brings torch, which printing the table does without

    before, after = text.split(BEGIN)[0], text.split(END)[1]
    atomic_write(readme, f"{before}{BEGIN}\n{markdown(entries)}\n{END}{after}".encode())
