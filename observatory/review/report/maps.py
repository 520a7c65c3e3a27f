"""What a report shows of layers and of units at each step that its slider offers."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.judge.emergence import Emergence
from observatory.review.judge.evidence import LEVELS
from observatory.review.report.numbers import rounded, visible
from observatory.review.report.timeline import readouts

_LETTERS = 2_200_000
"""How many a page can hold for its slider before it takes more than a few megabytes."""
_LETTERS_OF = {"index": 6, "overlap": 6, "count": 4, "cell": 1}
"""About, of each value at each stop."""
_MOST, _FEWEST = 240, 24
_CELLS = 128
"""Of a layer in the atlas, where it has more units than are told apart on a screen."""
_ALL_CELLS = 4096
_TOLD_APART = 256
_DENSE = (0.0, 0.02, 0.05, 0.1)
"""Above which share of a cell's units each shade begins."""
_CODES = [code for code in map(chr, range(32, 0x2000)) if code.isprintable() and code not in '"\\<>&']


def offered(logbook: xr.Dataset, judged: Emergence) -> list[int]:
    """The observations that the slider stops at: all, or as many as a page holds, evenly over the axis of tokens.

    The first, the last, and those on both sides of each onset are always among them.
    """
    steps = logbook["step"].values
    count = min(_MOST, max(_FEWEST, _LETTERS // _letters_of_stop(logbook)))
    if len(steps) <= count:
        return list(range(len(steps)))
    at = TokenAxis.of(logbook).positions
    onsets = [one.episodes[level] for one in judged.verdicts for level in LEVELS]
    near = {step for episodes in onsets for episode in episodes for step in (episode.after, episode.by)}
    kept = set(np.flatnonzero(np.isin(steps, [step for step in near if step is not None])).tolist())
    more = max(count - len(kept), _FEWEST)
    spread = {int(np.abs(at - place).argmin()) for place in np.linspace(at[0], at[-1], more)}
    return sorted(kept | spread | {0, len(steps) - 1})


def _letters_of_stop(logbook: xr.Dataset) -> int:
    layer, domain = logbook.sizes.get("layer", 0), logbook.sizes["domain"]
    widths = [logbook.sizes.get(f"{space}_unit", 0) for space in logbook["space"].values]
    cells = [layer * -(-units // _units_of_cell(units, layer)) for units in widths if units and layer]
    values = {"index": layer * domain, "count": layer * domain, "overlap": domain**2}
    of_readout = sum(_LETTERS_OF[name] * count for name, count in values.items())
    return len(readouts(logbook)) * of_readout + _LETTERS_OF["cell"] * logbook.sizes["pooling"] * sum(cells)


def layers(logbook: xr.Dataset, places: list[int]) -> dict[str, Any]:
    """E of regions chosen within one layer: readout, step, layer, domain."""
    if "contrast_index_by_layer" not in logbook:
        return {"lacking": "E within layers was not recorded; the instrument contrast records it."}
    values = _by_readout(logbook["contrast_index_by_layer"].isel(step=places), "layer", "domain")
    return {"names": [visible(layer) for layer in logbook["layer"].values], "values": rounded(values)}


def overlap(logbook: xr.Dataset, places: list[int]) -> dict[str, Any]:
    """Of the regions of every two domains: readout, step, domain, domain."""
    if "contrast_overlap" not in logbook:
        return {"lacking": "The overlap of regions was not recorded; the instrument contrast records it."}
    return {"values": rounded(_by_readout(logbook["contrast_overlap"].isel(step=places), "domain", "other_domain"))}


def atlas(logbook: xr.Dataset, places: list[int]) -> dict[str, Any]:
    """Which cells of each layer lie in which regions, a letter a cell; a layer has a cell a unit, or evenly many units.

    What each letter means stands in `codes`: the domains whose regions have the unit; of a cell with several units, the
    domain that has most of them, and how dense.
    """
    spaces = [str(space) for space in logbook["space"].values]
    absent = [space for space in spaces if f"contrast_region_{space}" not in logbook]
    if absent or "layer" not in logbook.coords:
        return {"lacking": "The units of regions were not recorded; the instrument contrast records them."}
    codes: dict[tuple[int, ...], str] = {(): _CODES[0]}
    found: list[dict[str, Any]] = []
    for space in spaces:
        regions = logbook[f"contrast_region_{space}"]
        units = logbook.sizes[f"{space}_unit"]
        each = _units_of_cell(units, logbook.sizes["layer"])
        texts: list[list[str]] = [[] for _ in range(logbook.sizes["pooling"])]
        for place in places:  # one at a time: all steps of a large model would fill the memory
            held = regions.isel(step=place).transpose("pooling", "domain", "layer", f"{space}_unit").values
            own_of = held if held.dtype == bool else np.nan_to_num(held) > 0
            for text, own in zip(texts, own_of, strict=True):
                text.append(_letters(own, each, codes))
        found += [{"units": units, "each": each, "steps": text} for text in texts]
    return {
        "layers": [visible(layer) for layer in logbook["layer"].values],
        "dense": list(_DENSE),
        "codes": {letter: list(meaning) for meaning, letter in codes.items()},
        "readouts": found,
        **_counts(logbook, places),
    }


def _counts(logbook: xr.Dataset, places: list[int]) -> dict[str, Any]:
    """Units of every domain's region in every layer: readout, step, layer, domain."""
    if "contrast_units_by_layer" not in logbook:
        return {}
    return {"counts": rounded(_by_readout(logbook["contrast_units_by_layer"].isel(step=places), "layer", "domain"), 0)}


def _by_readout(values: xr.DataArray, *dims: str) -> Array:
    """Spaces and poolings as one axis, before that of steps."""
    table: Array = values.transpose("space", "pooling", "step", *dims).values
    return table.reshape(-1, *table.shape[2:])


def _units_of_cell(units: int, layers: int) -> int:
    if units <= _TOLD_APART:
        return 1
    cells = min(_CELLS, max(16, _ALL_CELLS // layers))
    return -(-units // cells)


def _letters(own: Array, each: int, codes: dict[tuple[int, ...], str]) -> str:
    """(domain, layer, unit) as a letter a cell; -1 of a meaning comes before its shade."""
    domains, layers, units = own.shape
    if each == 1:
        sets, which = np.unique(own.reshape(domains, -1), axis=1, return_inverse=True)
        meanings = [tuple(np.flatnonzero(column).tolist()) for column in sets.T]
        return _written(meanings, which, codes)
    cells = -(-units // each)
    padded = np.zeros((domains, layers, cells * each), bool)
    padded[..., :units] = own
    counts = padded.reshape(domains, layers * cells, each).sum(-1)
    owner, most = counts.argmax(0), counts.max(0)
    shade = np.searchsorted(_DENSE, most / each, side="left") - 1
    pairs, which = np.unique(np.stack([owner, np.where(most > 0, shade, -1)]), axis=1, return_inverse=True)
    return _written([(domain, -1, shade) if shade >= 0 else () for domain, shade in pairs.T.tolist()], which, codes)


def _written(meanings: list[tuple[int, ...]], which: Array, codes: dict[tuple[int, ...], str]) -> str:
    for meaning in meanings:
        codes.setdefault(meaning, _CODES[len(codes)])
    letters = np.array([codes[meaning] for meaning in meanings])
    return "".join(letters[which.ravel()].tolist())
