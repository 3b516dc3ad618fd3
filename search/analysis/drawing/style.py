"""How a report's figures look: one set of colours and sizes, and SVG that lies well within a page.

Every colour has a name, which the page may give another shade: on paper, on a dark screen.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, GRID, PAPER, ON_DARK = "#22262b", "#676e77", "#e3e6ea", "#fffffe", "#fdfdfe"
COMPLETE, PRUNED, FAILED, RUNNING, BEST = "#2a6fb0", "#8c939c", "#c23b30", "#7d5bbe", "#d0660f"
STATES = {"complete": COMPLETE, "pruned": PRUNED, "failed": FAILED, "running": RUNNING, "paused": RUNNING}
SHADES = ("#ccd5de", "#aac6db", "#86b5d6", "#5fa1cd", "#3c8bc1", "#2473ae", "#165992", "#0c3e6e")  # the worst first
NAMES = {
    INK: "ink",
    FAINT: "faint",
    GRID: "grid",
    PAPER: "paper",
    ON_DARK: "on-dark",
    COMPLETE: "complete",
    PRUNED: "pruned",
    FAILED: "failed",
    RUNNING: "running",
    BEST: "best",
    **{shade: f"shade-{place}" for place, shade in enumerate(SHADES)},
}
DPI = 200  # of what is drawn in dots
MANY = 400  # points beyond which they are drawn as one picture
WIDTH, WIDE = 4.2, 9.0  # inches: at a phone's width 9 points are as large as the text's small print
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
SETTINGS: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,  # names and values are the user's: a dollar is a dollar
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",  # text stays text: small, selectable, read aloud
    "svg.hashsalt": "leadline",
}


@contextmanager
def styled() -> Iterator[None]:
    """Has figures made and written in this style inside."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        yield


def blank(height: float = 2.6, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Returns an empty figure of that size in inches, and its axes."""
    from matplotlib.figure import Figure  # without pyplot: nothing global is touched

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def whole_numbers(axes: Axes) -> None:
    """Has the horizontal axis marked at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))


def svg(figure: Figure) -> str:
    """Returns a figure as an SVG file's text."""
    file = io.StringIO()
    with styled():
        figure.savefig(file, format="svg", dpi=DPI, metadata={"Date": None})
    return file.getvalue()


def inline(text: str, name: str, label: str) -> str:
    """Returns an `svg` as an element of a page, read out as `label`; no other element of the page has its ids."""
    root = ElementTree.fromstring(text)
    for unwanted in [*root.findall(f"{{{SVG}}}metadata")]:
        root.remove(unwanted)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-label": label}
    used = set(re.findall(r"#([\w-]+)", " ".join(v for e in root.iter() for v in e.attrib.values())))
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in used:
            element.set("id", f"{name}-{own}")
        for key, value in element.attrib.items():
            if key == f"{{{XLINK}}}href" and value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{name}-"))
        if "style" in element.attrib:
            element.set("style", re.sub(r"#[0-9a-f]{6}\b", _variable, element.attrib["style"]))
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _variable(found: re.Match[str]) -> str:
    color = found.group()
    return f"var(--{NAMES[color]}, {color})" if color in NAMES else color
