"""Figure: how strong each domain's region is, over training, with the loss."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from observatory.review.style import INK, MUTED, TokenAxis, legend_columns, looks, style

_POOLINGS = {"last": "read at the last token", "mean": "read as the mean over tokens"}


def strength(logbook: xr.Dataset, space: str = "mlp") -> Figure:
    """The emergence index of every domain for both poolings; below, the training loss where the run recorded one."""
    index = logbook["contrast_index"].sel(space=space)
    poolings = [str(name) for name in index["pooling"].values]
    has_loss = "train_loss" in logbook and bool(np.isfinite(logbook["train_loss"]).any())
    axis = TokenAxis.of(logbook)
    domains = [str(name) for name in index["domain"].values]
    with style():
        figure = Figure(figsize=(7.0, 3.9 if has_loss else 3.0), layout="constrained")
        rows = 2 if has_loss else 1
        panels = figure.subplots(
            rows, len(poolings), sharex=True, sharey="row", squeeze=False, height_ratios=[3, 1][:rows]
        )
        for column, pooling in enumerate(poolings):
            panel = panels[0, column]
            panel.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
            for domain, look in looks(domains).items():
                values = index.sel(pooling=pooling, domain=domain).values
                panel.plot(
                    axis.positions,
                    values,
                    color=look.color,
                    marker=look.marker,
                    markevery=axis.marked(values),
                    label=domain,
                    clip_on=False,
                )
            panel.set_title(_POOLINGS.get(pooling, pooling))
            if has_loss:
                loss = logbook["train_loss"].values
                panels[1, column].plot(axis.positions, loss, color=INK, marker=".", markevery=axis.marked(loss))
            axis.draw(panels[-1, column])
        panels[0, 0].set_ylabel("emergence index $E$\n(Hedges' $g$ on families not used\nto choose the region)")
        if has_loss:
            panels[1, 0].set_ylabel("training loss\n(nats/token)")
        figure.legend(
            *panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=legend_columns(domains)
        )
    return figure
