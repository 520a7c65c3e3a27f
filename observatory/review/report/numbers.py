"""Numbers and names as a report holds them: rounded, NaN as null, and nothing that a page could take for markup."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

_BREAKS = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of what is not seen and changes how the rest is shown, such as marks of direction."""
_LETTERS = 18


def rounded(values: ArrayLike, decimals: int = 3) -> Any:
    """Nested lists; a thousandth is finer than any effect size here is known, and pages stay small.

    A last digit of 5 that rounding made gives way to its neighbour: where a page shows a digit less, it would round
    again, and differently.
    """
    table = np.asarray(values, dtype=float)
    with np.errstate(invalid="ignore"):
        size, unit = np.abs(table), 10.0**-decimals
        near = np.round(size, decimals)
        made = np.round(near / unit) % 10 == 5
        near = np.round(np.where(made, near + unit * np.sign(size - near), near), decimals)
    found = np.asarray(np.copysign(near, table) + 0.0, dtype=object)  # no -0
    found[~np.isfinite(table)] = None
    return found.tolist()


def to_script(content: Any) -> str:
    """JSON that can stand in a script element: plain ASCII, in which nothing ends the element."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for letter, escaped in _BREAKS.items():
        text = text.replace(letter, escaped)
    return text


def visible(text: object) -> str:
    """A name from a file with its hidden characters spelled out; spaces and line ends are spaces."""
    spaced = " ".join(str(text).split())
    return "".join(f"\\u{ord(one):04x}" if unicodedata.category(one) in _HIDDEN else one for one in spaced)


def short(text: object, letters: int = _LETTERS) -> str:
    """Of a long name the beginning and the end, which tell it from its like."""
    name = visible(text)
    half = (letters - 1) // 2
    return name if len(name) <= letters else f"{name[:half].strip()}…{name[-half:].strip()}"
