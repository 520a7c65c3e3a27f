"""What instruments say of themselves in one number a step, each with what is known of its noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from observatory.review.effects.change import Series
from observatory.review.effects.series import error_of, number_series


@dataclass(frozen=True)
class Headline:
    """A variable whose attributes have a `headline`, whatever instrument recorded it."""

    name: str
    """Of the variable; `series` and the command `lead` know it by that."""
    label: str
    curve: Series
    """Of the steps at which it was measured and is finite; one step at least."""


def headlines(logbook: xr.Dataset) -> list[Headline]:
    """By the names of the variables; what was finite nowhere is not among them."""
    found = []
    for name in headline_names(logbook):
        own = logbook[[name, *filter(None, [error_of(logbook, name)])]]
        told = own.isel(step=np.isfinite(own[name].values.astype(float)))
        if told.sizes["step"]:
            label = " ".join(str(logbook[name].attrs["headline"]).split())
            found.append(Headline(name, label, replace(number_series(told, name), name=label)))
    return found


def headline_names(logbook: xr.Dataset) -> list[str]:
    """The variables that are a number a step and stand for their instruments."""
    return sorted(
        str(name)
        for name, values in logbook.data_vars.items()
        if values.dims == ("step",) and values.dtype.kind in "biuf" and str(values.attrs.get("headline", "")).strip()
    )
