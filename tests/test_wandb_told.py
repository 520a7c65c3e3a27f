"""What is told to W&B of an observation: its numbers, at most sixty names, and what they are made of."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from circuits_planted import planted_circuits
from lesion_cases import planted_lesions
from loop import word_tokenizer
from models import tiny
from recorded import recorded
from scipy import stats
from test_live_circuits import battery_with_tasks
from told import STEPS, live, observations, run
from verdicts import planted, step_up
from wandb_case import QUIET, Noting, only
from wandb_case import offline as offline

from observatory import (
    Logbook,
    Observatory,
    WandbRecorder,
    open_logbook,
)
from observatory.publish.scalars import BY_DOMAIN, MOST, Row, domain_names, left_out, observed, row
from observatory.publish.session import Session
from observatory.review.effects.competence import competence
from observatory.review.effects.lesion_effects import lesion_effects
from observatory.review.sharing.circuits import circuits

pytestmark = QUIET


def test_the_numbers_are_those_of_the_logbook(tmp_path: Path) -> None:
    logbook = run()
    told = row(observed(list(observations(logbook))[4])).scalars
    here = logbook.isel(step=4).sel(space="mlp", pooling="mean", domain="early")
    elsewhere = logbook["contrast_index"].isel(step=4).sel(space="mlp", domain="early", pooling="last")
    twins = here["contrast_index_twins"].values
    beyond = twins.mean() + stats.t.ppf(0.975, 7) * twins.std(ddof=1) * np.sqrt(1 + 1 / 8)
    expected = {
        "index": float(here["contrast_index"]),
        "specificity": float(here["contrast_specificity"]),
        "generality": float(here["contrast_generality"]),
        "chance": float(np.quantile(here["contrast_index_permuted"].values.astype(float), 0.95)),
        "untrained": beyond,
        "index_elsewhere": float(elsewhere),
    }
    assert {name: told[f"observatory/early/{name}"] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert told["observatory/train_loss"] == float(logbook["train_loss"][4])
    assert (told["observatory/step"], told["observatory/tokens"]) == (80, 80 * 2048)


def test_with_ten_domains_and_all_instruments_there_are_at_most_sixty(tmp_path: Path) -> None:
    two = battery_with_tasks().domains
    many = [
        replace(
            two[0],
            name=f"domain{number}",
            families=tuple(replace(family, domain=f"domain{number}") for family in two[0].families),
            tasks=tuple(replace(task, domain=f"domain{number}") for task in two[0].tasks),
        )
        for number in range(10)
    ]
    for domains in (2, 10):
        battery = replace(battery_with_tasks(), domains=tuple(many[:domains]))
        watched = Observatory(
            word_tokenizer(), battery=battery, twins=2, instruments=["contrast", "competence", "circuits", "lesions"]
        )
        seen = watched.observe(tiny("gpt_neox"), step=3, tokens=5)
        told = row(observed(seen)).scalars
        assert len(told) <= MOST
        with Logbook(tmp_path / f"{domains}.h5") as book:
            book.record(seen)
        logbook = open_logbook(tmp_path / f"{domains}.h5")
        assert row(logbook).scalars == told  # live or later: the same
        effects = lesion_effects(logbook).sel(measure="margin", against="matched").isel(step=0)
        by_hand = competence(logbook).isel(step=0)
        for number in range(domains):
            cost = float(effects["specificity"][number])
            assert told.get(f"observatory/domain{number}/lesion", np.nan) == pytest.approx(cost, nan_ok=True)
            assert told[f"observatory/domain{number}/margin"] == pytest.approx(float(by_hand["domain_margin"][number]))
        assert told["observatory/tasks_done"] == len(circuits(logbook).steps[0].done)
    assert left_out(2) == ""
    assert "10 domains: only index, chance, untrained, margin, lesion is shown of each" in left_out(10)


def test_the_overlap_index_is_that_of_the_verdict_on_circuits(tmp_path: Path) -> None:
    logbook = open_logbook(planted_circuits(tmp_path / "c.h5", [0, 100], domain=[0.0, 0.5], form=0.1, done={0: []}))
    before, after = (row(logbook.isel(step=[place])).scalars for place in (0, 1))
    report = circuits(logbook)
    found = report.sharing(report.steps[1])
    assert found is not None
    assert after["observatory/overlap_index"] == pytest.approx(found.effects["index"].value)
    assert after["observatory/overlap_ceiling"] == pytest.approx(report.steps[1].ceiling)
    assert after["observatory/tasks_done"] == 24
    assert before["observatory/tasks_done"] == 0
    assert "observatory/overlap_index" not in before


def test_what_a_lesion_costs_is_that_of_the_verdict_on_lesions(tmp_path: Path) -> None:
    lesions = planted_lesions(planted={("math", "math"): 0.5})
    names = xr.DataArray(lesions["lesioned"].values, dims="domain")
    lesions = lesions.assign_coords(domain=names).assign(seen=(("step", "domain"), np.ones((1, len(names)))))
    logbook = open_logbook(recorded(tmp_path / "l.h5", lesions))
    told = row(logbook).scalars
    effects = lesion_effects(logbook).sel(measure="margin", against="matched").isel(step=0)
    for domain in ("language", "math", "physical", "social"):
        assert told[f"observatory/{domain}/lesion"] == float(effects["specificity"].sel(lesioned=domain))
    assert told["observatory/math/lesion"] == pytest.approx(0.5, abs=0.1)
    assert abs(told["observatory/social/lesion"]) < 0.1


@pytest.mark.parametrize("domains", [1, 2, 3, 4, 5, 6, 7, 10, 20, 49, 50, 51, 99])
def test_what_is_told_of_a_domain_grows_less_with_their_number(domains: int) -> None:
    told = left_out(domains).partition("only ")[2].partition(" is shown")[0].split(", ") if left_out(domains) else []
    count = len([name for name in told if name]) if left_out(domains) else len(BY_DOMAIN)
    assert count * domains + 10 <= MOST
    assert (count == len(BY_DOMAIN)) == (domains < 4)
    assert domains > 10 or count >= 5


@pytest.mark.parametrize(("domains", "room"), [(0, 53), (2, 31), (4, 17), (10, 3)])
def test_of_many_numbers_the_loss_and_headlines_are_told_as_far_as_there_is_room(domains: int, room: int) -> None:
    """What of each domain is most useful comes first; and never more names than charts."""
    numbers: dict[str, Any] = {f"other_{n}": 1.0 for n in range(40)} | {"train_loss": 2.0}
    told = xr.Dataset({name: ("step", [value]) for name, value in numbers.items()})
    headlines = {f"z_{n:02d}": ("step", [3.0], {"headline": f"number {n}"}) for n in range(30)}
    names = [f"domain{n}" for n in range(domains)]
    book = told.assign(headlines).assign_coords(step=[1], tokens=("step", [2]), domain=names)
    shown = [name.removeprefix("observatory/") for name in row(book).scalars][2:]
    expected = ["train_loss", *headlines, *sorted(numbers)][:room]
    assert shown == expected

    unseen = left_out(domains, ["train_loss", *headlines])
    assert ("z_29" in unseen) == (room < 31)


def test_there_are_never_more_names_than_charts_whatever_comes_late() -> None:
    """An instrument with a schedule of its own brings names at steps at which others bring theirs."""
    noting = Noting()
    session = Session(noting, None)
    for step, first in enumerate((0, 30, 0, 60)):
        session.tell(Row(step, step, {f"observatory/n{n}": 1.0 for n in range(first, first + 50)}))
    shown = [set(told.row.scalars) for told in noting.told]
    assert len(set.union(*shown)) == MOST
    assert shown[0] == shown[2]
    assert len(shown[1]) == 30
    assert shown[3] == set()


def test_names_from_a_data_file_are_made_harmless(tmp_path: Path) -> None:
    evil = ["<img src=x onerror=alert(1)>", "a/../b", "a b", "a|b", "<!channel> x", "", "é" * 99]
    names = domain_names(evil)
    assert len(set(names.values())) == len(evil)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in names.values())
    logbook = planted(STEPS, {"<b>|x</b>": step_up(STEPS, at=20), "<!channel>": step_up(STEPS, at=20)})
    live(tmp_path / "o.h5", logbook, WandbRecorder("p"))
    found = only(tmp_path)
    assert sorted(title for title, _ in found.alerts) == ["b_x_b emerged", "channel emerged"]
    assert not any(mark in text for _, text in found.alerts for mark in "<>|")
    assert not any(mark in key for entry in found.rows for key in entry for mark in "<>|")
    (page,) = [entry["observatory/report.path"] for entry in found.rows if "observatory/report.path" in entry]
    assert "<b>|x</b>" not in (found.folder / "files" / page).read_text()
