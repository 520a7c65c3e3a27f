"""Verdicts as sentences: planted curves, of which it is known what is to be said."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from verdicts import planted, step_up

from observatory.review.judge.emergence import emergence
from observatory.review.judge.evidence import LEVELS
from observatory.review.judge.telling import readout_words, verdict_sentence
from observatory.review.judge.verdict import Readout

STEPS = (0, 1, 10, 100, 1000, 10_000)
FLAT = np.zeros(len(STEPS))


def said(logbook: xr.Dataset, domain: str = "music") -> str:
    return verdict_sentence(emergence(logbook), domain)


def test_a_region_that_emerged_has_its_levels_its_interval_of_steps_and_its_strength() -> None:
    logbook = planted(STEPS, {"music": step_up(STEPS, 100, height=0.6), "b": FLAT}, general=[])
    (one, _) = emergence(logbook).verdicts
    assert one.readout is not None
    assert said(logbook) == (
        "Music emerged as a selective and specific region between steps 10 and 100 (20.5K-205K tokens); at step 10000 "
        f"E = 0.60 [{one.interval[0]:.2f}, {one.interval[1]:.2f}] ({readout_words(one.readout)})."
    )


def test_a_level_that_came_later_is_told_with_its_own_interval() -> None:
    logbook = planted(STEPS, {"music": step_up(STEPS, 10), "b": FLAT}, general=[])
    for name in ("contrast_specificity", "contrast_specificity_resampled"):  # specific from step 1000 on
        logbook[name] = logbook[name].copy(deep=True)
        logbook[name][:4] = -0.2
    assert "Music emerged as a selective region between steps 1 and 10 (" in said(logbook)
    assert "; it became specific between steps 100 and 1000 (205K-2.0M tokens);" in said(logbook)


def test_what_was_there_from_the_start_is_not_said_to_have_emerged() -> None:
    text = said(planted(STEPS, {"music": FLAT + 0.7, "b": FLAT}))
    assert text.startswith(
        "Music was there as a selective, specific and general region from the first observation on, "
    )
    assert "emerged" not in text


def test_a_region_that_was_lost_is_told_with_both_intervals_and_what_fails_now() -> None:
    logbook = planted(STEPS, {"music": step_up(STEPS, 1, until=1000), "b": FLAT})
    text = said(logbook)
    assert "between steps 0 and 1 (0-2.0K tokens), was lost again between steps 100 and 1000" in text
    assert emergence(logbook).verdicts[0].reason in text


def test_a_region_that_came_back_is_told_with_both_times() -> None:
    curve = step_up(STEPS, 1, until=100)
    steps = (*STEPS, 100_000, 1_000_000)
    text = said(planted(steps, {"music": [*curve, 0.6, 0.6], "b": np.zeros(8)}))
    assert "was lost again between steps 10 and 100" in text
    assert "emerged again between steps 10000 and 100000" in text


def test_a_region_that_never_emerged_is_said_not_to_have_been_shown() -> None:
    logbook = planted(STEPS, {"music": FLAT, "b": FLAT})
    text = said(logbook)
    assert text.startswith("Music was not shown to have emerged by step 10000 (20.5M tokens); at step 10000 E = 0.00 [")
    assert text.endswith(f"; {emergence(logbook).verdicts[0].reason}.")


def test_a_model_that_diverged_is_told_by_the_last_that_is_known() -> None:
    text = said(planted(STEPS, {"music": [0, 0, 0.7, 0.7, 0.7, np.nan], "b": FLAT}))
    assert "where last known E = 0.70" in text
    assert "at step 10000 E" not in text
    assert text.endswith("; the last observation says nothing of it.")


@pytest.mark.parametrize(("fails", "told"), [(LEVELS, "no level holds"), (LEVELS[2:], "only specific holds")])
def test_a_last_observation_that_falls_short_is_told(fails: tuple[str, ...], told: str) -> None:
    logbook = planted(STEPS, {"music": step_up(STEPS, 10), "b": FLAT})
    names = {"selective": "index", "specific": "specificity", "general": "generality"}
    for level in fails:
        for name in (f"contrast_{names[level]}", f"contrast_{names[level]}_resampled"):
            logbook[name] = logbook[name].copy(deep=True)
            logbook[name][-1] = -0.2
    assert said(logbook).endswith(f"; {told} at the last observation.")


def test_one_observation_and_none_of_twins_allow_no_verdict_and_the_sentence_says_why() -> None:
    one = planted([7], {"music": [0.7], "b": [0.0]})
    assert said(one).startswith("Nothing can be said of music: there is one observation, at which general holds;")
    text = said(one.drop_vars("contrast_index_twins"))
    assert text.startswith("Nothing can be said of music: no re-initialised twins were measured")
    assert "E =" not in text


def test_steps_stand_alone_where_no_tokens_were_counted() -> None:
    assert "tokens)" not in said(planted(STEPS, {"music": step_up(STEPS, 100), "b": FLAT}, tokens=0)).split("; at")[0]


def test_a_domain_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="no verdict on 'chess' was given; there are music, b"):
        said(planted(STEPS, {"music": FLAT, "b": FLAT}), "chess")


def test_readouts_of_other_names_are_told_as_they_are() -> None:
    assert readout_words(Readout("residual", "mean")) == "residual stream, mean over tokens"
    assert readout_words(Readout("experts", "first")) == "experts, first"
