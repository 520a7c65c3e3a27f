"""What units do on the average."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from observatory.measure.anatomy import Anatomy, Site
from observatory.measure.asking import Batch
from observatory.measure.reading import hooked


@dataclass
class Means:
    """The mean of every unit of a space over all tokens but those at position 0, of what is run meanwhile."""

    anatomy: Anatomy
    space: str
    _sums: dict[Site, Tensor] = field(default_factory=dict)
    _tokens: int = 0

    @contextmanager
    def during(self, batch: Batch) -> Iterator[None]:
        """Counts this batch in."""

        def add(site: Site, activations: Tensor) -> None:
            by_token = activations.reshape(*batch.ids.shape, -1)[:, 1:]
            total = by_token.to(torch.float64).sum((0, 1))
            self._sums[site] = self._sums.get(site, torch.zeros_like(total)) + total

        self._tokens += batch.ids[:, 1:].numel()
        with ExitStack() as hooks:
            for site in self.anatomy.sites[self.space]:
                hooks.callback(hooked(site, add).remove)
            yield

    def share(self) -> None:
        """Once all has been run: counts in what other processes have."""
        for site in self.anatomy.sites[self.space]:
            own = self._sums.get(site)
            own = torch.zeros(site.values, dtype=torch.float64) if own is None else own.cpu()
            self._sums[site] = self.anatomy.ranks.total(own).to(self.anatomy.device)
        self._tokens = int(self.anatomy.ranks.total(torch.tensor(self._tokens)))

    def of_units(self) -> Float[Tensor, unit * component]:
        """Units of all layers; of a head, a vector."""
        sites = self.anatomy.sites[self.space]
        shaped = [
            (self._sums[site] / self._tokens).float().reshape(site.units, *((-1,) if site.grouped else ()))
            for site in sites
        ]
        return torch.cat(shaped)
