"""The figures' colours on a light and on a dark page, each changed as little as lets it be told from the ground."""

from __future__ import annotations

from collections.abc import Sequence

from observatory.review.figures.style import looks

LIGHT, DARK = "#ffffff", "#14171c"
"""What charts are drawn on."""
_LEAST = 3.0
"""The contrast that graphics need (WCAG 2.2, 1.4.11)."""
_STEPS = 50


def colors(domains: Sequence[str]) -> list[tuple[str, str]]:
    """Of each domain, on the light and on the dark page."""
    return [(_told_from(look.color, LIGHT), _told_from(look.color, DARK)) for look in looks(domains).values()]


def contrast(one: str, other: str) -> float:
    """From 1 to 21 (WCAG 2.2)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def domain_rules(domains: Sequence[str]) -> str:
    """A class a domain, d0 for the first, that sets the variable --c; names stay out of it."""
    light, dark = ("".join(f".d{n}{{--c:{pair[side]}}}" for n, pair in enumerate(colors(domains))) for side in (0, 1))
    return f"{light}@media screen and (prefers-color-scheme:dark){{{dark}}}"


def _told_from(color: str, ground: str) -> str:
    """Mixed with black on white, and with white on black; on a dark page black is white."""
    color = "#ffffff" if (color, ground) == ("#000000", DARK) else color
    towards = "#000000" if ground == LIGHT else "#ffffff"
    mixed = (_mix(color, towards, step / _STEPS) for step in range(_STEPS + 1))
    return next(one for one in mixed if contrast(one, ground) >= _LEAST)


def _mix(one: str, other: str, share: float) -> str:
    channels = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in channels)


def _channels(color: str) -> list[int]:
    return [int(color[place : place + 2], 16) for place in (1, 3, 5)]


def _luminance(color: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(color))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
