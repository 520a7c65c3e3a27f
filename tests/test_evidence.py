"""What was recorded, turned into p-values: against counts in plain loops, and never in favour of what is missing."""

from __future__ import annotations

from collections.abc import Callable
from math import nan, sqrt
from statistics import stdev

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from verdicts import planted, step_up

from observatory.observation import Array
from observatory.review.judge.emergence import emergence
from observatory.review.judge.evidence import (
    CONDITIONS,
    GUARD,
    LEVELS,
    READOUT,
    Criteria,
    evidence,
    lacking,
    observations,
)
from observatory.review.judge.verdict import NONE, UNKNOWN, Verdict, verdict

STEPS = [0, 1, 10, 100, 1000]
NAMES = tuple(name for level in LEVELS for name in CONDITIONS[level])


def rough(seed: int = 0, first: int = 0, draws: int = 59, seen_trained: bool = False) -> xr.Dataset:
    """Noise round the thresholds, on axes of different lengths, so that every condition holds here and fails there."""
    random = np.random.default_rng(seed)
    sizes = {"step": 5, "space": 3, "pooling": 2, "domain": 4}
    shape = tuple(sizes.values())
    index = random.normal(0.35, 0.15, shape)
    index[0] -= 0.0 if seen_trained else 0.3
    names = {
        "index": index,
        "specificity": random.normal(0.2, 0.1, shape),
        "generality": random.normal(0.1, 0.1, shape),
    }
    variables: dict[str, object] = {f"contrast_{name}": (tuple(sizes), values) for name, values in names.items()}
    for name, values in names.items():
        noise = random.normal(0.02, 0.08, (*shape, draws))
        variables[f"contrast_{name}_resampled"] = ((*sizes, "draw"), values[..., None] + noise)
    variables["contrast_index_permuted"] = ((*sizes, "draw"), random.normal(0, 0.1, (*shape, draws)))
    twins = np.broadcast_to(random.normal(0, 0.05, (6, *shape[1:])), (5, 6, *shape[1:]))
    variables["contrast_index_twins"] = (("step", "twin", *list(sizes)[1:]), twins)
    steps = np.array(STEPS) + first
    labels = {name: [f"{name}{i}" for i in range(sizes[name])] for name in ("space", "pooling", "domain")}
    return xr.Dataset(variables, {"step": steps, "tokens": ("step", steps * 100), **labels})


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


class ByHand:
    """The conditions of one domain in one readout, with nothing but loops."""

    def __init__(self, logbook: xr.Dataset, criteria: Criteria, space: int, pooling: int, domain: int) -> None:
        here = logbook.isel(space=space, pooling=pooling, domain=domain)
        self.criteria, self.from_start = criteria, int(logbook["step"].values[0]) == 0
        self.index: list[float] = here["contrast_index"].values.tolist()
        self.specificity: list[float] = here["contrast_specificity"].values.tolist()
        self.twins: list[float] = here["contrast_index_twins"].isel(step=0).values.tolist()
        self.drawn = {
            name: here[f"contrast_{name}"].transpose("step", "draw").values.tolist()
            for name in ("index_permuted", "index_resampled", "specificity_resampled", "generality_resampled")
        }

    def usable(self, step: int) -> bool:
        return not np.isnan([self.index[step], *self.twins]).any() and stdev(self.twins) > 1e-12

    def centred(self, step: int) -> list[float]:
        draws = self.drawn["index_resampled"][step]
        middle = mean(draws)
        return [draw - middle + self.index[step] for draw in draws]

    def p(self, name: str, step: int) -> float:
        """Of a test by draws: the share that speaks against it, itself counted; what is not a number does."""
        for_it: list[bool] = getattr(self, name)(step)
        return (1 + sum(not says for says in for_it)) / (1 + len(for_it))

    def p_twins(self, step: int) -> float:
        """A t test of one observation against the others, whose variance alone is known."""
        found = stats.ttest_ind_from_stats(
            self.index[step], 0, 1, mean(self.twins), stdev(self.twins), len(self.twins), alternative="greater"
        )
        return float(found.pvalue)

    def labels(self, step: int) -> list[bool]:
        return [draw < self.index[step] for draw in self.drawn["index_permuted"][step]]

    def size(self, step: int) -> list[bool]:
        floor = max(0, mean(self.twins)) + self.criteria.delta
        return [draw > floor for draw in self.centred(step)]

    def growth(self, step: int) -> list[bool]:
        """Over the start, resample by resample; over the twins where the start was not seen or had a region already."""
        trained = all(p <= self.criteria.alpha for p in (self.p_twins(0), self.p("labels", 0), self.p("size", 0)))
        if trained or not self.from_start:
            middle = mean(self.twins)
            return [draw > middle for draw in self.centred(step)]
        return [now > then for now, then in zip(self.centred(step), self.centred(0), strict=True)]

    def specific(self, step: int) -> list[bool]:
        draws = self.drawn["specificity_resampled"][step]
        middle = mean(draws)
        return [
            draw - middle + self.specificity[step] > index / 3
            for draw, index in zip(draws, self.centred(step), strict=True)
        ]

    def general(self, step: int) -> list[bool]:
        return [draw > 0 for draw in self.drawn["generality_resampled"][step]]


BY_HAND: dict[str, Callable[[ByHand, int], float]] = {
    "twins": ByHand.p_twins,
    "labels": lambda one, step: one.p("labels", step),
    "growth": lambda one, step: one.p("growth", step),
    "size": lambda one, step: one.p("size", step),
    "specificity": lambda one, step: one.p("specific", step),
    "generality": lambda one, step: one.p("general", step),
}


def by_hand(logbook: xr.Dataset, criteria: Criteria, name: str) -> Array:
    """step, space, pooling, domain"""
    found = np.full(logbook["contrast_index"].shape, nan)
    for space, pooling, domain in np.ndindex(found.shape[1:]):
        one = ByHand(logbook, criteria, space, pooling, domain)
        for step in range(len(found)):
            if one.usable(step):
                found[step, space, pooling, domain] = BY_HAND[name](one, step)
    return found


LOGBOOKS = {
    "from step 0 on": rough(0),
    "from step 0 on, trained before": rough(1, seen_trained=True),
    "without step 0": rough(2, first=1),
    "without step 0, trained before": rough(3, first=5, seen_trained=True),
}


@pytest.mark.parametrize("which", LOGBOOKS)
@pytest.mark.parametrize("name", NAMES)
def test_the_p_value_of_each_condition_is_that_of_a_loop(name: str, which: str) -> None:
    logbook, criteria = LOGBOOKS[which], Criteria(alpha=0.06, delta=0.15)
    found = evidence(logbook, criteria)["condition_p"].sel(condition=name)
    expected = by_hand(logbook, criteria, name)
    np.testing.assert_allclose(found.transpose("step", *READOUT, "domain"), expected, rtol=1e-12)
    assert len(np.unique(expected)) > 5


def test_growth_beside_the_start_and_beside_the_twins_both_occur_and_differ() -> None:
    logbook = LOGBOOKS["from step 0 on, trained before"]
    over_start = by_hand(logbook, Criteria(alpha=1e-9), "growth")  # at which no start is taken for trained
    over_twins = by_hand(logbook.assign_coords(step=np.array(STEPS) + 1), Criteria(), "growth")
    found = evidence(logbook, Criteria())["condition_p"].sel(condition="growth").transpose("step", *READOUT, "domain")
    either = np.isclose(found, over_start), np.isclose(found, over_twins)
    assert (either[0] | either[1]).all()
    assert not either[0].all()
    assert not either[1].all()


def test_the_axes_may_be_stored_in_any_order() -> None:
    logbook = rough()
    turned = logbook.map(lambda variable: variable.transpose(*reversed(variable.dims)))
    found, expected = evidence(turned, Criteria()), evidence(logbook, Criteria())
    for name, values in expected.items():
        xr.testing.assert_allclose(found[name].transpose(*values.dims), values)


def test_a_level_takes_all_its_conditions_and_those_of_the_levels_before_and_its_guard_at_alpha() -> None:
    """The guard counts as held or not, whatever its p-value; all others by theirs."""
    alpha = 0.4
    found = evidence(rough(), Criteria(alpha))
    guarded = found["condition_p"].sel(condition=GUARD) <= alpha
    assert 0.1 < guarded.mean() < 0.99
    for place, level in enumerate(LEVELS):
        needed = [name for one in LEVELS[: place + 1] for name in CONDITIONS[one] if name != GUARD]
        worst = np.max([found["condition_p"].sel(condition=name) for name in needed], axis=0)
        np.testing.assert_array_equal(found["level_p"].sel(level=level), np.where(guarded, worst, 1.0))
    assert tuple(BY_HAND) == NAMES


def test_a_domain_is_as_good_as_its_best_readout_times_the_number_of_readouts() -> None:
    logbook, criteria = rough(4, draws=399), Criteria(alpha=0.3, delta=0.1)
    logbook["contrast_index"][2, :, 1, 1] = nan
    logbook["contrast_index"][3, 0, :, 2] = nan
    logbook["contrast_index"][1, :, :, 3] = nan
    found = evidence(logbook, criteria)
    for level in LEVELS:
        for step, domain in np.ndindex(5, 4):
            here = found["level_p"].sel(level=level).isel(step=step, domain=domain).values.ravel().tolist()
            known = [p for p in here if p == p]
            p, holds = (found[name].sel(level=level).values[step, domain] for name in ("domain_p", "holds"))
            if known:
                assert p == pytest.approx(min(1, min(known) * len(here)))
            else:
                assert np.isnan(p)
            assert holds == (bool(known) and min(known) * 6 <= 0.3 / 4)
    assert 0.1 < found["holds"].sel(level=LEVELS[0]).mean() < 0.9


@pytest.mark.parametrize("seed", range(4))
def test_the_levels_are_nested(seed: int) -> None:
    logbook = rough(seed, draws=400)
    logbook = logbook.map(lambda v: v + 0.25 if v.name == "contrast_index" else v)
    holds = evidence(logbook, Criteria(alpha=0.4, delta=0.0))["holds"].transpose("level", ...).values
    assert (holds[1:] <= holds[:-1]).all()
    assert holds.any(axis=(1, 2)).tolist()[0]


def tuned(against: int, draws: int = 159) -> xr.Dataset:
    """A domain, beside another, that only one readout shows, in which so many resamples are too small."""
    logbook = rising()
    logbook = logbook.isel(draw=np.arange(draws) % logbook.sizes["draw"]).copy(deep=True)
    logbook["contrast_index"][:, :, :, 0] = np.where(
        [[[True, True], [False, True]]], 0.0, logbook["contrast_index"][..., 0]
    )
    noise = np.where(np.arange(draws) < against, -0.5, 0.5 * against / (draws - against))
    here = logbook["contrast_index"][:, 1, 0, 0].values[:, None] + noise
    logbook["contrast_index_resampled"][:, 1, 0, 0] = here
    logbook["contrast_index_resampled"][0, 1, 0, 0] = here[0] - 2 * noise - 1  # the start is below, in each resample
    return logbook


@pytest.mark.parametrize(("against", "holds"), [(0, True), (1, False)])
def test_alpha_is_shared_by_domains_and_readouts(against: int, holds: bool) -> None:
    """Of 159 draws and two domains of four readouts, .05 / 8 = 1 / 160."""
    found = evidence(tuned(against), Criteria(alpha=0.05))
    assert found["holds"].sel(level="selective", domain="a").values[-3:].tolist() == [holds] * 3
    p = found["domain_p"].sel(level="selective", domain="a").values[-1]
    assert p == pytest.approx(4 * (1 + against) / 160)
    assert not found["holds"].sel(domain="b").any()


@pytest.mark.parametrize(("against", "holds"), [(0, True), (7, True), (8, False)])
def test_the_guard_has_alpha_whole(against: int, holds: bool) -> None:
    """Of 159 permuted regions 7 may be as good as the real one: 8 / 160 = .05, in each readout."""
    logbook = tuned(0)
    logbook["contrast_index_permuted"][:, 1, 0, 0] = np.where(np.arange(159) < against, 2.0, -1.0)
    found = evidence(logbook, Criteria(alpha=0.05))["holds"].sel(level="selective", domain="a")
    assert found.values[-3:].tolist() == [holds] * 3
    (judged, _) = emergence(logbook, Criteria(alpha=0.05)).verdicts
    assert judged.level == ("general" if holds else NONE)
    if not holds:
        assert judged.reason.startswith("not selective: p = ")


# What is missing


def blotted(logbook: xr.Dataset, random: np.random.Generator) -> xr.Dataset:
    """With NaN in some of one variable: a value here and there, or all of a step, a readout, a domain, a draw."""
    logbook = logbook.copy(deep=True)
    name = random.choice([str(name) for name in logbook.data_vars])
    variable = logbook[name]
    values = variable.values.copy()
    if random.random() < 0.3:
        values[random.random(values.shape) < 0.02] = nan
    else:
        dim = random.integers(values.ndim)
        values[(slice(None),) * dim + (random.integers(values.shape[dim]),)] = nan
    return logbook.assign({name: (variable.dims, values)})


@pytest.mark.parametrize("which", LOGBOOKS)
def test_no_value_that_is_missing_speaks_for_a_region(which: str) -> None:
    """Whatever is lost: no level holds that did not, and none has emerged."""
    criteria, random = Criteria(alpha=0.4, delta=0.3), np.random.default_rng(0)
    logbook = xr.concat([LOGBOOKS[which]] * 3, "draw", data_vars="minimal")
    whole = evidence(logbook, criteria)
    assert 0.1 < whole["holds"].sel(level="selective")[1:].mean() < 0.95
    emerged = {domain: verdict(whole, domain).episodes for domain in whole["domain"].values}
    for _ in range(10):
        lost = blotted(logbook, random)
        found = evidence(lost, criteria)
        assert (found["holds"] <= whole["holds"]).all()
        for name in ("level_p", "domain_p"):
            assert not (found[name] < whole[name]).any(), name
        for domain, before in emerged.items():
            after = verdict(found, domain).episodes
            assert all(before[level] for level in LEVELS if after[level])


def verdicts(logbook: xr.Dataset, criteria: Criteria | None = None) -> dict[str, Verdict]:
    return {one.domain: one for one in emergence(logbook, criteria).verdicts}


def rising(**settings: object) -> xr.Dataset:
    curves = {"a": step_up(STEPS, 10), "b": step_up(STEPS, 9999)}
    return planted(STEPS, curves, **settings).copy(deep=True)  # type: ignore[arg-type]


def without(logbook: xr.Dataset, name: str, value: object = nan) -> xr.Dataset:
    return logbook.assign({name: xr.full_like(logbook[name], value)})


MISSING = {
    "every index": (["contrast_index"], "the index is missing at every observation"),
    "every twin": (["contrast_index_twins"], "the untrained twins have no spread to compare with"),
}


@pytest.mark.parametrize("case", MISSING)
def test_where_nothing_is_known_nothing_is_said(case: str) -> None:
    logbook = rising()
    assert verdicts(logbook)["a"].level == LEVELS[-1]
    for name in MISSING[case][0]:
        logbook = without(logbook, name)
    for judged in verdicts(logbook).values():
        assert judged.level == judged.holds_at_last == UNKNOWN
        assert MISSING[case][1] in judged.reason


@pytest.mark.parametrize(
    "name",
    ["contrast_index_permuted", "contrast_index_resampled", "contrast_specificity", "contrast_generality_resampled"],
)
def test_where_a_null_is_missing_its_level_does_not_hold(name: str) -> None:
    judged = verdicts(without(rising(), name))["a"]
    before = {"contrast_specificity": "selective", "contrast_generality_resampled": "specific"}.get(name, NONE)
    assert judged.level == judged.holds_at_last == before
    assert "p = 1 for" in judged.reason


@pytest.mark.parametrize("value", [0.1, 0.0, 1e-300, -0.3])
def test_twins_that_are_one_twin_have_no_spread_whatever_rounding_makes_of_it(value: float) -> None:
    """Three times 0.1 has a standard deviation of 1.7e-17, beside which any index is beyond all doubt."""
    logbook = without(rising(twins=3), "contrast_index_twins", value)
    assert {one.level for one in verdicts(logbook).values()} == {UNKNOWN}


@pytest.mark.parametrize("kept", [0, 1, 4])
def test_readouts_that_say_nothing_count_among_the_readouts_and_speak_for_nothing(kept: int) -> None:
    logbook = rising()
    silent = np.arange(4).reshape(2, 2) >= kept
    logbook["contrast_index"] = logbook["contrast_index"].where(xr.DataArray(~silent, dims=READOUT))
    assert verdicts(logbook)["a"].level == ("general" if kept else UNKNOWN)
    p = evidence(logbook, Criteria())["domain_p"].sel(level="selective", domain="a").values[-1]
    assert p == pytest.approx(4 / (1 + logbook.sizes["draw"])) if kept else np.isnan(p)


# What was recorded


def test_criteria_that_make_no_sense_are_refused() -> None:
    for alpha in (0, 0.5, -0.1, 1, nan):
        with pytest.raises(ValueError, match=r"alpha is an error rate between 0 and 0\.5; got"):
            Criteria(alpha=alpha)
    for delta in (-0.1, float("inf"), nan):
        with pytest.raises(ValueError, match="delta is the smallest effect that counts, 0 or more; got"):
            Criteria(delta=delta)


def test_one_logbook_is_judged_by_one_criterion_and_by_another() -> None:
    logbook = rising()
    assert verdicts(logbook)["a"].level == "general"
    low, high = (float(logbook["contrast_index"].sel(domain="a")[-1, 0, 0]) + by for by in (-0.2, 0.1))
    assert verdicts(logbook, Criteria(delta=low))["a"].level == "general"
    assert verdicts(logbook, Criteria(delta=high))["a"].level == NONE
    strict = verdicts(logbook, Criteria(alpha=0.001))["a"]
    assert strict.level == UNKNOWN
    assert "observe again with ContrastLocalizer(draws=" in strict.reason


def test_an_index_that_is_not_far_enough_above_its_twins_is_too_small() -> None:
    logbook = rising()
    logbook["contrast_index_twins"] = logbook["contrast_index_twins"] + 0.5
    assert verdicts(logbook)["a"].level == NONE
    assert verdicts(logbook, Criteria(delta=0.0))["a"].level == "general"
    logbook["contrast_index_twins"] = logbook["contrast_index_twins"] - 1.0  # twins below 0 lower no floor
    assert verdicts(logbook)["a"].floor == Criteria().delta


def test_a_copy_of_the_observation_before_is_not_a_second_observation() -> None:
    """Step 1000 saved twice, as `step1000` and as `final`, used to be two observations running, if NaN hid it."""
    steps = [0, 10, 100, 1000, 1300]
    curve = step_up(steps, 1000)
    logbook = planted(steps, {"a": curve})
    assert verdicts(logbook)["a"].level == "general"
    copied = logbook.isel(step=[0, 1, 2, 3, 3]).assign_coords(step=steps)
    judged = emergence(copied)
    assert judged.steps == (0, 10, 100, 1000)
    assert judged.notes[0] == "step 1300 is a copy of step 1000 and is not counted"
    (one,) = judged.verdicts
    assert (one.level, one.holds_at_last) == (NONE, "general")
    copied["contrast_index"][4, 0, 0] = nan
    assert verdicts(copied)["a"].level == NONE
    thrice = logbook.isel(step=[3, 3, 3]).assign_coords(step=[0, 1, 2])
    assert emergence(thrice).steps == (0,)


def test_observations_are_told_apart_by_any_effect() -> None:
    logbook = planted([0, 1, 2], {"a": [0.1, 0.1, 0.1]})
    effect = np.ones((3, 2, 2, 5, 5))
    effect[2, 1, 1, 4, 3] += 1e-15
    dims = ("step", *READOUT, "source_family", "family")
    looked, notes = observations(logbook.assign(contrast_effect=(dims, effect)))
    assert looked["step"].values.tolist() == [0, 2]
    assert notes == ("step 1 is a copy of step 0 and is not counted",)
    effect[1] = nan  # two observations that say nothing are no copies of anything
    assert observations(logbook.assign(contrast_effect=(dims, effect)))[0].sizes["step"] == 3


def test_steps_out_of_order_are_refused() -> None:
    logbook = rising()
    for places, told in (([0, 2, 1], "step 1 follows step 10"), ([0, 1, 1], "step 1 follows step 1")):
        with pytest.raises(ValueError, match=f"the steps of a logbook ascend, and here {told}; sort it by step"):
            emergence(logbook.isel(step=places))


def test_rows_without_the_localizer_are_left_out() -> None:
    """Else step 0, at which something else was observed, would be the start that all growth is measured from."""
    logbook = rising()
    logbook["contrast_index"][[0, 3]] = nan
    names = ["contrast_index", "other"]
    table = np.array([[0, 1], [1, 0], [1, 1], [0, 1], [1, 1]], np.uint8)
    logbook["recorded"] = (("step", "recorded_name"), table)
    logbook = logbook.assign_coords(recorded_name=names)
    judged = emergence(logbook)
    assert judged.steps == (1, 10, 1000)
    assert judged.verdicts[0].level == "general"
    assert [note for note in judged.notes if "say nothing" in note] == []
    assert "step 0 was not observed: growth is judged against the untrained twins instead" in judged.notes


def test_a_logbook_without_regions_is_refused_with_what_it_has() -> None:
    with pytest.raises(ValueError, match="needs the contrast localizer's variables, and the logbook has train_loss"):
        emergence(xr.Dataset({"train_loss": ("step", [1.0])}, {"step": [0]}))
    with pytest.raises(ValueError, match="needs the contrast localizer's variables, and the logbook has nothing"):
        emergence(xr.Dataset())


POOR: dict[str, tuple[Callable[[xr.Dataset], xr.Dataset], str]] = {
    "no twins": (lambda log: log.drop_vars("contrast_index_twins"), "no re-initialised twins were measured"),
    "two twins": (lambda log: log.isel(twin=[0, 1]), "2 twins have too uncertain a spread; observe again with 3"),
    "no draws": (
        lambda log: log.drop_vars([name for name in log if "permuted" in str(name) or "resampled" in str(name)]),
        "contrast_index_permuted was not recorded; observe again with ContrastLocalizer(draws=...) above 0",
    ),
    "no specificity": (lambda log: log.drop_vars("contrast_specificity"), "contrast_specificity was not recorded"),
    "no observation": (lambda log: log.isel(step=[]), "it holds no observation"),
    "few draws": (
        lambda log: log.isel(draw=range(100)),
        "100 draws give the best of 4 readouts a p-value of 0.04 at the least, and 0.025 is needed among 2 domains; "
        "observe again with ContrastLocalizer(draws=160)",
    ),
}


@pytest.mark.parametrize("case", POOR)
def test_a_logbook_that_allows_no_verdict_gives_none_and_the_reason(case: str) -> None:
    change, reason = POOR[case]
    judged = emergence(change(rising()))
    assert {one.level for one in judged.verdicts} == {UNKNOWN}
    assert all(one.reason.startswith(reason) for one in judged.verdicts), judged.verdicts
    assert (dict(judged.onsets), judged.orders) == ({}, ())
    assert not any(any(one.episodes.values()) for one in judged.verdicts)


def test_three_twins_and_as_many_draws_as_it_takes_are_enough() -> None:
    logbook = rising(twins=3)
    assert lacking(logbook) is None
    assert verdicts(logbook.isel(draw=range(159)))["a"].level == "general"
    assert verdicts(logbook.isel(draw=range(158)))["a"].level == UNKNOWN


def test_a_domain_alone_cannot_be_specific() -> None:
    """There is no other to be told from: its specificity is not a number."""
    alone = planted(STEPS, {"a": step_up(STEPS, 10)})
    alone["contrast_specificity"][...] = nan
    judged = verdicts(alone)["a"]
    assert judged.level == "selective"
    assert (
        judged.reason.startswith("not specific: p = 1 for specificity in the best readout")
        or "specific" in judged.reason
    )


def test_the_wider_the_twins_the_more_it_takes() -> None:
    """Against a normal of unknown spread: 3 twins .6 away in spreads of .1 prove less than 30."""
    p = {}
    for count in (3, 30):
        logbook = rising(twins=count)
        spread = np.linspace(-1, 1, count)
        values = 0.1 * spread / np.std(spread, ddof=1)
        logbook["contrast_index_twins"][...] = values.reshape(1, -1, 1, 1, 1)
        p[count] = float(evidence(logbook, Criteria())["condition_p"].sel(condition="twins", domain="a")[-1, 0, 0])
        index = float(logbook["contrast_index"].sel(domain="a")[-1, 0, 0])
        assert p[count] == pytest.approx(stats.t.sf(index / (0.1 * sqrt(1 + 1 / count)), count - 1))
    assert p[30] < 1e-4 < 0.01 < p[3]
