"""Text that a command writes into a page, between a pair of comments."""

from __future__ import annotations

from pathlib import Path

from renderers.files import atomic_write


def put(page: Path, name: str, command: str, lines: list[str]) -> None:
    """Put lines between the markers of a page.

    Args:
        page: Markdown.
        name: Of the pair of markers.
        command: What writes these lines, as the first marker says.
        lines: What to put there.

    Raises:
        ValueError: The markers are not there, once each and in their order.
    """
    begin, end = f"<!-- {name}: written by `{command}` -->", f"<!-- end of {name} -->"
    text = page.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"{page} needs one line {begin} and, after it, one line {end}")
    before, after = text.split(begin)[0], text.split(end)[1]
    atomic_write(page, "\n".join([before + begin, *lines, end + after]).encode())
