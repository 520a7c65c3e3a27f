"""Estimates with their errors, added up: Student's t with Satterthwaite's degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from observatory.observation import Array


@dataclass(frozen=True, eq=False)
class Spread:
    """What lies round a middle with a variance that is itself estimated."""

    middle: Array
    variance: Array
    freedom: Array
    """Degrees of freedom of the variance; with none of them nothing is known."""

    @classmethod
    def one_more(cls, drawn: Array) -> Spread:
        """Of one more draw beside those along the first axis."""
        variance = np.asarray((1 + 1 / len(drawn)) * drawn.var(0, ddof=1))
        return cls(drawn.mean(0), variance, np.full(variance.shape, len(drawn) - 1.0))

    @classmethod
    def error(cls, variances: Array, freedom: Array, share: Array) -> Spread:
        """Round zero, that of (..., name) sums of independent estimates (..., group), of which a name has shares."""
        squares = np.square(share)
        variance = _shared(variances, squares)
        with np.errstate(invalid="ignore", divide="ignore"):
            joint = np.square(variance) / _shared(np.square(variances) / freedom, np.square(squares))
        least = np.broadcast_to(freedom @ (share > 0), variance.shape)
        return cls(np.zeros_like(variance), variance, np.where(np.isfinite(joint), joint, least))

    def __add__(self, other: Spread) -> Spread:
        """Of two that are independent."""
        variance = self.variance + other.variance
        with np.errstate(invalid="ignore", divide="ignore"):
            squares = np.square(self.variance) / self.freedom + np.square(other.variance) / other.freedom
            joint = np.square(variance) / squares
        freedom = np.where(np.isfinite(joint), joint, self.freedom + other.freedom)
        return Spread(self.middle + other.middle, variance, freedom)

    def __getitem__(self, place: Any) -> Spread:
        return Spread(self.middle[place], self.variance[place], self.freedom[place])

    def quantile(self, level: float) -> Array:
        scale = stats.t.ppf(level, np.where(self.freedom > 0, self.freedom, np.nan))
        return np.asarray(self.middle + scale * np.sqrt(self.variance))


def _shared(values: Array, share: Array) -> Array:
    """(..., name) of (..., group): a missing value is missed by those alone that have a share in it."""
    return np.stack([values[..., own > 0] @ own[own > 0] for own in share.T], -1)
