"""The fixed colours of domains, as people with each common colour blindness see them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from observatory.review.figures.style import looks

FIXED = ("language", "math", "social", "physical")
SEEN_WITH = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
"""Machado, Oliveira and Fernandes 2009, at full severity; of linear RGB."""
APART = 15.0
"""CIE76; about 2.3 is the least that can be seen beside one another."""


def lab(color: str, matrix: np.ndarray) -> np.ndarray:
    """CIE Lab under D65 of an sRGB colour seen through this matrix."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(matrix @ linear, 0, 1)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    ratio = to_xyz @ seen / np.array([0.95047, 1.0, 1.08883])
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_conversion_gives_the_published_values() -> None:
    np.testing.assert_allclose(lab("#FF0000", np.eye(3)), [53.24, 80.09, 67.20], atol=0.05)
    np.testing.assert_allclose(lab("#FFFFFF", np.eye(3)), [100, 0, 0], atol=0.05)


def test_red_and_green_are_nearly_one_colour_to_those_who_cannot_tell_them_apart() -> None:
    red, green = "#C04000", "#5F7000"
    apart = {name: np.linalg.norm(lab(red, seen) - lab(green, seen)) for name, seen in SEEN_WITH.items()}
    assert apart["deuteranopia"] < 0.4 * apart["all cones"]


@pytest.mark.parametrize("eyes", SEEN_WITH)
def test_any_two_of_the_fixed_colours_are_told_apart(eyes: str) -> None:
    colors = {domain: lab(look.color, SEEN_WITH[eyes]) for domain, look in looks(FIXED).items()}
    for one, other in combinations(FIXED, 2):
        assert np.linalg.norm(colors[one] - colors[other]) > APART, (one, other)


def test_ten_domains_have_ten_colours_and_ten_markers() -> None:
    drawn = looks((*FIXED, "music", "chess", "law", "smell", "touch", "time")).values()
    assert len({look.color for look in drawn}) == 10
    assert len({look.marker for look in drawn}) == 10
