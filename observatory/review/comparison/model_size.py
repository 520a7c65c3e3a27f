"""How large the models of several logbooks are, by one measure that all of them allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import xarray as xr

from observatory.review.figures.token_axis import count_of

_WIDTHS = ("layer", "residual_unit", "mlp_unit")


@dataclass(frozen=True)
class Sizes:
    """The measure, and what it gives of each logbook; nothing where it was not recorded."""

    measure: str
    of: Mapping[str, int | None]

    def grouped(self) -> dict[int | None, list[str]]:
        """Names by size, the smallest first and the unknown last."""
        order = sorted(set(self.of.values()), key=lambda size: (size is None, size or 0))
        return {size: [name for name, own in self.of.items() if own == size] for size in order}


def model_sizes(logbooks: Mapping[str, xr.Dataset]) -> Sizes:
    """Parameters if all logbooks say them, as live ones do; else the weights of the blocks, from the widths recorded.

    Both in one comparison would set apart a live run and a replay of the same model.
    """
    told = {name: logbook.attrs.get("model_parameters") for name, logbook in logbooks.items()}
    if all(size is not None for size in told.values()):
        return Sizes("parameters", {name: int(size) for name, size in told.items() if size is not None})
    return Sizes("weights in the blocks", {name: _of_blocks(logbook) for name, logbook in logbooks.items()})


def size_words(size: int | None, measure: str = "") -> str:
    """As 1.2M, or 1.2M parameters."""
    return "size unknown" if size is None else f"{count_of(size)} {measure}".strip()


def _of_blocks(logbook: xr.Dataset) -> int | None:
    """Four square matrices for attention and two for the MLP in each layer (Kaplan et al. 2020, table 1)."""
    if any(name not in logbook.sizes for name in _WIDTHS):
        return None
    layers, width, inner = (int(logbook.sizes[name]) for name in _WIDTHS)
    return layers * (4 * width**2 + 2 * width * inner)
