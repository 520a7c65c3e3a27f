"""Observations that are measured once and kept in a file each, and the logbooks that they make together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import xarray as xr
import yaml
from transformers import GPTNeoXForCausalLM

from observatory import Observation, Observatory, load_battery
from observatory.observation import Instrument
from observatory.review.judge.evidence import Criteria, evidence
from observatory.review.judge.verdict import Verdict, verdict
from observatory.stimuli.battery import Battery
from observatory.train import GPTNeoX
from observatory.train.synthetic import SyntheticData

TWINS = "contrast_index_twins"
_OF_NO_TRIAL = 10**6
_JUDGED = (
    "contrast_index",
    "contrast_specificity",
    "contrast_generality",
    "contrast_index_permuted",
    "contrast_index_resampled",
    "contrast_specificity_resampled",
    "contrast_generality_resampled",
    "contrast_effect",
)


def kept(path: Path, measure: Callable[[], xr.Dataset]) -> xr.Dataset:
    """What the file holds, measured now if there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        measure().to_netcdf(unfinished, engine="h5netcdf")
        unfinished.rename(path)
    with xr.open_dataset(path, engine="h5netcdf") as found:
        return found.load()


def untrained(seed: int) -> GPTNeoXForCausalLM:
    """The demo's model as it is before training."""
    recipe = yaml.safe_load((files("observatory.configs") / "demo.yaml").read_text())
    return GPTNeoX(vocab_size=_data().vocab_size, seed=seed, **recipe["model"]).model


def observatory(instruments: Sequence[Instrument] | None = None, twins: int | None = 0) -> Observatory:
    """With the built-in battery, the demo's tokenizer and no twins unless said otherwise."""
    return Observatory(_data().tokenizer, battery=battery(), instruments=instruments, twins=twins)


def twins_of_others(folder: Path) -> xr.DataArray:
    """The indices of twins, measured once, of a seed that is in no trial."""

    def measure() -> xr.Dataset:
        seen = observatory(twins=None).observe(untrained(_OF_NO_TRIAL), step=0)
        return seen.to_xarray().reset_coords(drop=True)[[TWINS]]

    return kept(folder / "twins.nc", measure)[TWINS]


def of_seed(folder: Path, seed: int) -> xr.Dataset:
    """The observation of one untrained model."""
    return kept(folder / "untrained" / f"{seed}.nc", lambda: judged_part(_plain().observe(untrained(seed), step=0)))


@cache
def _plain() -> Observatory:
    return observatory()


@cache
def battery() -> Battery:
    return load_battery()


@cache
def _data() -> SyntheticData:
    return SyntheticData()


def judged_part(observation: Observation, name: str = "contrast", more: Sequence[str] = ()) -> xr.Dataset:
    """What verdicts need of one instrument's variables, as the contrast localizer names them."""
    found = observation.to_xarray().reset_coords(drop=True)
    named = {f"{name}{wanted.removeprefix('contrast')}": wanted for wanted in (*_JUDGED, *more)}
    return found[list(named)].rename(named)


def logbook(parts: Sequence[xr.Dataset], twins: xr.DataArray, first: int) -> xr.Dataset:
    """Observations in a row, from step `first` on."""
    steps = range(first, first + len(parts))
    together = xr.concat(list(parts), "step", join="exact").assign_coords(step=list(steps))
    return together.assign({TWINS: twins.expand_dims(step=together["step"])})


def judge(parts: Sequence[xr.Dataset], twins: xr.DataArray, first: int, criteria: Criteria) -> tuple[Verdict, ...]:
    """The verdict on every domain of observations in a row."""
    return verdicts(evidence(logbook(parts, twins, first), criteria))


def verdicts(found: xr.Dataset) -> tuple[Verdict, ...]:
    return tuple(verdict(found, str(domain)) for domain in found["domain"].values)
