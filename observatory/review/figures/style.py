"""What all figures share: fixed colours, names that stay text, sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from math import ceil
from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

# Okabe and Ito's palette, told apart under every common colour blindness.
_FIXED = {"language": "#0072B2", "math": "#D55E00", "social": "#009E73", "physical": "#CC79A7"}
_SPARE = ("#E69F00", "#56B4E9", "#000000", "#8C6D31", "#7F7F7F", "#5A3D8A")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
_LETTERS_AN_INCH = 130.4
"""Of text of one point, on the average."""
_SLACK = 1.15
"""A name is cut that is so much wider than letters of average width."""
_LONGEST = 40
"""Letters of a name in a legend."""
INK = "#222222"
MUTED = "#767676"
PALE = "#E4E4E4"
Place = Literal["outside upper left", "outside lower left"]


@dataclass(frozen=True)
class Sheet:
    """What a figure is drawn for: inches across, and points of text and of lines at that width."""

    width: float
    text: float
    small: float
    """Of notes, and of names in narrow rows."""
    line: float
    marker: float
    dots: int
    """An inch, of a PNG."""

    def across(self, panels: int, least: float) -> int:
        """How many panels stand side by side, each with so many inches at least."""
        return max(1, min(panels, int(self.width / least)))

    @property
    def bar(self) -> Literal["right", "bottom"]:
        """Where a colour bar takes the least room."""
        return "right" if self.width > 5 else "bottom"


SCREEN = Sheet(width=7.0, text=8, small=7, line=1.4, marker=3.2, dots=200)
SHEETS: Mapping[str, Sheet] = {
    "screen": SCREEN,
    "page": Sheet(width=7.0, text=7, small=6, line=1.1, marker=2.7, dots=300),
    "column": Sheet(width=3.4, text=7, small=6, line=1.0, marker=2.4, dots=300),
}
"""For a screen, for both columns of a page, and for one of them."""


@dataclass(frozen=True)
class Look:
    """How one domain is drawn, told by colour and by marker."""

    color: str
    marker: str


def looks(domains: Sequence[str]) -> Mapping[str, Look]:
    """The same domain has the same colour in every figure."""
    spare = cycle(_SPARE)
    markers = islice(cycle(_MARKERS), len(domains))
    return {
        domain: Look(_FIXED.get(domain) or next(spare), marker) for domain, marker in zip(domains, markers, strict=True)
    }


def plain(text: str) -> str:
    """Text that matplotlib draws as it stands, on one line: a dollar sign begins no formula."""
    return " ".join(text.split()).replace("$", r"\$")


def breadth(text: str) -> float:
    """In letters of average width, whatever the size of the text."""
    points, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=1), False)
    return float(points) * _LETTERS_AN_INCH / 72


def short(name: str, letters: int = 16) -> str:
    """A name that fits beside a row; of a long one the beginning and the end, which tell it from its like."""
    name = " ".join(name.split())
    half = (letters - 1) // 2
    cut = name
    while breadth(cut) > _SLACK * letters and half > 0:
        cut = f"{name[:half].strip()}…{name[-half:].strip()}"
        half -= 1
    return plain(cut)


def letters(inches: float) -> int:
    """How many letters of the figure's text fit."""
    return int(_LETTERS_AN_INCH / mpl.rcParams["font.size"] * inches)


def wrapped(text: str, letters: int) -> str:
    """In lines of at most so many letters of average width; a word that is longer is broken."""
    lines, line = [], ""
    for word in plain(text).split():
        while breadth(word) > letters:
            fits = max(1, sum(breadth(word[: end + 1]) <= letters for end in range(len(word))))
            lines += [line, word[:fits]] if line else [word[:fits]]
            line, word = "", word[fits:]
        if line and breadth(f"{line} {word}") > letters:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join([*lines, line] if line else lines)


def small() -> float:
    """Points of the small text of the style that is in force."""
    return float(mpl.rcParams["legend.title_fontsize"])


def legend_columns(labels: Sequence[str], width: float) -> int:
    """As many as fit in these inches, a column of entries each, with room for its line and the space behind it."""
    room = letters(width) + 4  # there is no space behind the last
    fits = [1]
    for columns in range(2, len(labels) + 1):
        longest = [max(map(breadth, column)) for column in np.array_split(np.array(labels), columns)]
        if sum(longest) + 9 * columns <= room:
            fits.append(columns)
    return max(fits)


def legend(figure: Figure, place: Place, entries: Mapping[str, Artist], below: Sequence[str] = ()) -> float:
    """A legend above or below all panels, with sentences on the figure as a whole; its height in inches."""
    if not entries and not below:
        return 0.0
    width = figure.get_figwidth()
    labels = [short(name, _LONGEST) for name in entries]
    columns = legend_columns(labels, width) if entries else 1
    made = figure.legend(
        list(entries.values()),
        ["label"] * len(labels),  # set below, because matplotlib leaves out names that begin with an underscore
        loc=place,
        ncols=columns,
        alignment="left",
    )
    for text, label in zip(made.get_texts(), labels, strict=True):
        text.set_text(label)
    sentences = "\n".join(wrapped(text, letters(1.1 * width)) for text in below)
    if sentences:
        made.set_title(sentences)
    text, note = mpl.rcParams["font.size"], small()
    return float(0.02 * text * ceil(len(labels) / columns) + 0.0172 * note * len(sentences.splitlines()) + 0.1)


@contextmanager
def style(sheet: Sheet = SCREEN) -> Iterator[None]:
    """Quiet axes and text that stays text in an SVG."""
    with mpl.rc_context(
        {
            "font.size": sheet.text,
            "axes.titlesize": sheet.text + 1,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": MUTED,
            "axes.labelcolor": INK,
            "axes.labelsize": sheet.text,
            "text.color": INK,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "xtick.labelsize": sheet.text,
            "ytick.labelsize": sheet.text,
            "lines.linewidth": sheet.line,
            "lines.markersize": sheet.marker,
            "legend.frameon": False,
            "legend.fontsize": sheet.text,
            "legend.title_fontsize": sheet.small,
            "figure.dpi": sheet.dots,
            "svg.fonttype": "none",
        }
    ):
        yield
