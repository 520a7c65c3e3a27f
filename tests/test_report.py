"""The report as a file: its numbers are those of the figures and verdicts, and nothing in it reaches out or runs."""

from __future__ import annotations

import json
import re
import tracemalloc
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from recorded import recorded
from report_cases import LAYERS, STEPS, everything, with_units
from verdicts import planted, step_up

from observatory import open_logbook
from observatory.cli import main
from observatory.record.console import human
from observatory.review.effects.competence import competence
from observatory.review.effects.lesion_effects import lesion_effects
from observatory.review.effects.milestones import of_headlines
from observatory.review.figures.style import looks
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.judge.emergence import emergence
from observatory.review.judge.evidence import LEVELS, Criteria, evidence
from observatory.review.judge.telling import verdict_sentence
from observatory.review.report.colors import DARK, LIGHT, colors, contrast, domain_rules
from observatory.review.report.maps import atlas, offered
from observatory.review.report.numbers import rounded, short, to_script, visible
from observatory.review.report.text import _of_model
from observatory.review.report.writing import report_html, write_report
from observatory.review.sharing.circuits import circuits

pytestmark = pytest.mark.filterwarnings(
    "ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning"
)
HOSTILE = (
    "</script><script>window.pwned=1</script>",
    '"><svg onload=window.pwned=1>',
    "<img src=x onerror=window.pwned=1>",
    "--><!-- {{data}} {{script}} \u202egnol\u2066",
)


class Page(HTMLParser):
    """What a browser would make of the file: its elements with their attributes, and the text of each."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.raw: list[tuple[str, str]] = []
        self.within = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("" if tag in ("bdi", "span") else " ")
        if tag in ("script", "style"):
            self.within = tag
            self.raw.append((tag, ""))

    def handle_endtag(self, tag: str) -> None:
        self.texts.append("" if tag in ("bdi", "span") else " ")
        self.within = ""

    def handle_data(self, data: str) -> None:
        if self.within:
            tag, before = self.raw.pop()
            self.raw.append((tag, before + data))
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def of(self, tag: str) -> list[str]:
        """What stands in scripts or styles."""
        return [text for name, text in self.raw if name == tag]

    @property
    def data(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.of("script")[0])
        return content


@pytest.fixture(scope="module")
def logbook(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    return everything(tmp_path_factory.mktemp("everything"))


@pytest.fixture(scope="module")
def page(logbook: xr.Dataset) -> Page:
    return Page(report_html(logbook, name="mine"))


def same(told: Any, expected: Any, decimals: int = 3) -> None:
    """Nulls where nothing is known, and elsewhere the same to so many decimals."""
    found, known = np.array(told, dtype=float), np.asarray(expected, dtype=float)
    assert found.shape == known.shape
    assert found.size
    np.testing.assert_allclose(found, known, rtol=0, atol=1.0001 * 10**-decimals)
    seen = np.isfinite(known)
    shown = [f"{value:.{decimals - 1}f}" for value in found[seen]]
    assert [text.replace("-", "") for text in shown] == [
        f"{value:.{decimals - 1}f}".replace("-", "") for value in known[seen]
    ]


# The numbers


def test_the_verdicts_are_those_of_emergence_to_the_last_digit(logbook: xr.Dataset, page: Page) -> None:
    judged = emergence(logbook)
    assert page.data["emergence"] == json.loads(json.dumps(judged.to_json()))
    assert len({one.level for one in judged.verdicts}) > 2


def test_each_domain_has_its_sentence_and_its_standing_as_a_word(logbook: xr.Dataset, page: Page) -> None:
    judged = emergence(logbook)
    for one, word in zip(judged.verdicts, ("general", "specific", "not emerged", "lost again"), strict=True):
        assert f"{word} {verdict_sentence(judged, one.domain)}" in page.text
    assert "2 of 4 domains have an emerged region." in page.text


def test_the_timeline_is_that_of_the_evidence_in_every_readout(logbook: xr.Dataset, page: Page) -> None:
    found, line = evidence(logbook, Criteria()), page.data["timeline"]
    readouts = [(space, pooling) for space in ("mlp", "heads") for pooling in ("last", "mean")]
    assert len(line["readouts"]) == len(readouts)
    for told, (space, pooling) in zip(line["readouts"], readouts, strict=True):
        here = found.sel(space=space, pooling=pooling).transpose("domain", "step", ...)
        for name in ("index", "low", "high", "chance"):
            same(told[name], here[name].values)
        same(told["floor"], here["floor"].values)
        passes = here["level_p"].sel(level="selective").transpose("domain", "step") <= found.attrs["alpha_of_readout"]
        assert told["passes"] == passes.values.astype(int).tolist()
        twins = logbook["contrast_index_twins"].isel(step=0).sel(space=space, pooling=pooling).values
        half = 2.3646242515927844 * np.sqrt(1 + 1 / 8) * twins.std(0, ddof=1)  # Student's t, 7 degrees of freedom
        same(told["twins"], [(twins.mean(0) - half).min(), (twins.mean(0) + half).max()])
    for domain, row in zip(found["domain"].values, line["holds"], strict=True):
        held = found["holds"].sel(domain=domain)
        highest = [
            max([n for n, level in enumerate(LEVELS) if held.sel(level=level, step=s)], default=-1) for s in STEPS
        ]
        assert row == highest
    same(line["loss"], logbook["train_loss"].values, 4)


def test_the_axis_has_every_observation_what_is_missing_and_what_is_doubted(logbook: xr.Dataset, page: Page) -> None:
    told, axis = page.data["axis"], TokenAxis.of(logbook)
    assert told["steps"] == list(STEPS)
    assert told["tokens"] == [2048 * step for step in STEPS]
    same(told["positions"], axis.positions, 4)
    (missed,), (doubted,) = told["missed"], told["doubted"]
    assert missed == {"at": round(float(np.log10(55 * 2048)), 4), "text": "step 55 is missing: out of luck"}
    assert doubted == {"at": round(float(np.log10(100 * 2048)), 4), "text": "step 100: weights look cut"}


def test_maps_of_layers_and_overlaps_are_those_recorded(logbook: xr.Dataset, page: Page) -> None:
    by_layer = logbook["contrast_index_by_layer"].transpose("space", "pooling", "step", "layer", "domain").values
    same(page.data["layers"]["values"], by_layer.reshape(4, len(STEPS), LAYERS, 4))
    overlap = logbook["contrast_overlap"].transpose("space", "pooling", "step", "domain", "other_domain").values
    same(page.data["overlap"]["values"], overlap.reshape(4, len(STEPS), 4, 4))


def test_the_atlas_names_for_every_unit_the_regions_that_it_is_in(logbook: xr.Dataset, page: Page) -> None:
    told = page.data["atlas"]
    several = 0
    for number, (space, pooling) in enumerate([(s, p) for s in ("mlp", "heads") for p in ("last", "mean")]):
        regions = (
            logbook[f"contrast_region_{space}"].sel(pooling=pooling).transpose("step", "domain", "layer", ...).values
        )
        units, here = regions.shape[-1], told["readouts"][number]
        assert (here["units"], here["each"]) == (units, 1)
        for step in range(len(STEPS)):
            for layer in range(LAYERS):
                for unit in range(units):
                    owners = told["codes"][here["steps"][step][layer * units + unit]]
                    assert owners == np.flatnonzero(regions[step, :, layer, unit]).tolist()
                    several += len(owners) > 1
    assert several
    counts = logbook["contrast_units_by_layer"].transpose("space", "pooling", "step", "layer", "domain").values
    assert told["counts"] == counts.reshape(4, len(STEPS), LAYERS, 4).astype(int).tolist()


def test_units_of_wide_layers_are_told_together_by_who_has_most_of_them() -> None:
    book = with_units(planted([0, 10], {"a": [0, 0], "b": [0, 0], "c": [0, 0]}), {"mlp": 700, "heads": 3})
    told = atlas(book, [1])
    here, each = told["readouts"][1], 6  # 700 units in at most 128 cells
    assert here["each"] == each
    own = book["contrast_region_mlp"].isel(step=1).sel(pooling="mean").transpose("layer", "domain", "mlp_unit").values
    cells = -(-700 // each)
    shades = Counter()
    for layer in range(4):
        for cell in range(cells):
            counts = own[layer, :, cell * each : (cell + 1) * each].sum(-1)
            meaning = told["codes"][here["steps"][0][layer * cells + cell]]
            shades[tuple(meaning[1:])] += 1
            if not counts.any():
                assert meaning == []
                continue
            owner, mark, shade = meaning
            assert mark == -1
            assert counts[owner] == counts.max()
            assert told["dense"][shade] < counts.max() / each <= [*told["dense"], 1][shade + 1]
    assert sum(shades.values()) == len(here["steps"][0])


def test_lesions_circuits_and_competence_are_those_of_their_reviews(logbook: xr.Dataset, page: Page) -> None:
    effects, told = lesion_effects(logbook), page.data["lesions"]
    assert [told["at"][place] for place in range(len(STEPS))] == list(range(len(STEPS)))
    for measure, name in zip(told["measures"], ("margin", "loss"), strict=True):
        here = effects.sel(measure=name, against="matched").transpose("step", "lesioned", "domain")
        for part in ("effect", "low", "high"):
            same(measure[part], here[part].values)
        assert measure["counts"] == here["counts"].values.astype(int).tolist()
        assert measure["unsaid"][0] == ["it has no region at this step"] * 4
    assert np.sum(told["measures"][0]["counts"])
    report = circuits(logbook, sweep=False)
    same(page.data["tasks"]["values"], np.stack([step.overlap.corrected for step in report.steps]))
    assert page.data["tasks"]["done"] == [len(step.done) for step in report.steps]
    able = competence(logbook)
    for measure, name in zip(page.data["competence"]["measures"], ("margin", "accuracy", "loss"), strict=True):
        for part, end in (("index", ""), ("low", "_low"), ("high", "_high")):
            same(measure[part], able[f"domain_{name}{end}"].transpose("domain", "step").values)


def test_instruments_beside_the_regions_are_told_in_the_page_and_drawn_where_they_were_measured(
    logbook: xr.Dataset, page: Page
) -> None:
    told = page.text.partition("Beside the regions")[2].partition("Order of emergence")[0]
    found = {one.name: one for one in of_headlines(logbook)}
    score = found["probe_score"].halfway
    assert score is not None
    assert score.interval is not None
    low, high = score.interval
    tokens = human(round(2048 * score.step))
    assert f"language 0.0 12.0 step {score.step:,.0f}, {tokens} tokens {low:,.0f} to {high:,.0f}" in told
    assert "noise alone" in told
    assert "has no net change" in told
    assert "measured seldom 0.00 8.00 measured seldom" not in told
    assert "measured seldom 0.00 8.00 has 3 finite observations, and a lead needs 6" in told
    curves = {one["name"]: one for one in page.data["beside"]}
    assert list(curves) == [one.label for one in found.values()]
    same(curves["language"]["values"], logbook["probe_score"].values, 2)
    same(curves["language"]["high"], logbook["probe_score"].values + 1.96 * 0.25, 2)
    same(curves["language"]["twins"], np.quantile(np.linspace(0, 1, 8), [0.025, 0.975]), 2)
    assert curves["measured seldom"]["at"] == [0, 4, 8]
    assert curves["measured seldom"]["values"] == [0, 4, 8]
    assert "low" not in curves["noise alone"]
    bare = Page(report_html(planted(STEPS, {"a": step_up(STEPS, 10), "b": step_up(STEPS, 10)})))
    assert "No instrument beside the regions was recorded" in bare.text
    assert bare.data["beside"] == []


def test_numbers_are_rounded_and_what_is_none_is_null() -> None:
    assert rounded([1.23456, -0.0001, np.nan, np.inf, 2]) == [1.234, 0, None, None, 2]
    assert rounded([1.2046, 1.2051, -1.2046, 1.205, 0.1249]) == [1.204, 1.206, -1.204, 1.205, 0.124]
    assert str(rounded(-0.0001)) == "0.0"
    assert rounded(np.array([[np.nan, 1.0]]), 0) == [[None, 1.0]]


# What the slider offers


def long_run(domains: int = 3) -> xr.Dataset:
    steps = [0, *np.unique(np.round(np.geomspace(1, 143_000, 2000)).astype(int))[-999:].tolist()]
    curves = {f"d{number}": step_up(steps, 20_000 + 9000 * number) for number in range(domains)}
    return with_units(planted(steps, curves, layers=80), {"mlp": 64, "heads": 3})


def test_a_thousand_observations_of_eighty_layers_are_thinned_for_the_slider_alone_and_stay_small() -> None:
    book = long_run()
    page = report_html(book)
    data, judged = Page(page).data, emergence(book)
    stops = data["offered"]
    assert 24 <= len(stops) < 250
    assert {0, 999} <= set(stops)
    for one in judged.verdicts:
        (episode,) = one.episodes["selective"]
        places = [data["axis"]["steps"].index(step) for step in (episode.after, episode.by)]
        assert set(places) <= set(stops)
    at = np.array(data["axis"]["positions"])[stops]
    widest = np.diff(at[1:]).max()  # the untrained model stands apart
    assert widest < 3 * (at[-1] - at[1]) / len(stops)
    assert len(data["timeline"]["readouts"][0]["index"][0]) == 1000
    assert len(data["layers"]["values"][0]) == len(data["atlas"]["readouts"][0]["steps"]) == len(stops)
    assert len(page) < 4e6


def test_the_units_of_a_large_model_are_read_a_step_at_a_time() -> None:
    """All steps of them, copied along with what a verdict needs, filled the memory."""
    steps = range(0, 1200, 10)
    book = planted(steps, {"a": step_up(steps, 300), "b": step_up(steps, 600)}, layers=8)
    one = np.zeros((2, 2, 8, 32_768), bool)
    for space in ("mlp", "heads"):
        every = np.broadcast_to(one, (len(steps), *one.shape))
        book[f"contrast_region_{space}"] = (("step", "pooling", "domain", "layer", f"{space}_unit"), every)
    tracemalloc.start()
    report_html(book)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.5 * len(steps) * one.nbytes


def test_a_short_run_is_offered_whole(logbook: xr.Dataset) -> None:
    assert offered(logbook, emergence(logbook)) == list(range(len(STEPS)))


# Nothing reaches out, and names stay text


def test_the_page_names_no_address_and_loads_nothing(page: Page, logbook: xr.Dataset) -> None:
    loading = {"src", "srcset", "href", "action", "formaction", "data", "background", "poster", "ping", "style"}
    given = [(tag, name, value) for tag, known in page.elements for name, value in known.items() if name in loading]
    assert given == [("link", "href", "data:,")]
    assert not {"iframe", "object", "embed", "img", "base", "form"} & {tag for tag, _ in page.elements}
    (style,), code = page.of("style"), page.of("script")[1]
    assert set(re.findall(r"url\((.*?)\)", style)) == {"#hatch"}
    assert "@import" not in style
    everything_but_names = report_html(logbook).replace("http://www.w3.org/2000/svg", "")
    assert "://" not in everything_but_names
    for word in ("fetch(", "XMLHttpRequest", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert word not in code


def test_only_this_script_and_this_style_may_run(page: Page) -> None:
    (policy,) = (known["content"] for tag, known in page.elements if known.get("http-equiv"))
    (style,), code = page.of("style"), page.of("script")[1]
    hashes = [b64encode(sha256(text.encode()).digest()).decode() for text in (style, code)]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def hostile(folder: Path) -> xr.Dataset:
    curves = {name: step_up(STEPS, 10) for name in HOSTILE}
    book = with_units(planted(STEPS, curves, gaps=[55]), {"mlp": 24, "heads": 3})
    book["gap_reason"] = ("gap", [HOSTILE[0]])
    book["contrast_index_twins"].attrs["twins"] = HOSTILE[2]
    found = {"severity": "error", "kind": "x", "text": HOSTILE[0], "steps": [10]}
    book.attrs |= {
        HOSTILE[0]: HOSTILE[1],
        "provenance_battery": HOSTILE[2],
        "torch_version": HOSTILE[0],
        "model_config": json.dumps({"model_type": HOSTILE[0]}),
        "model_parameters": HOSTILE[1],
        "long": 20 * HOSTILE[0],
        "doctor": json.dumps([found]),
    }
    return book


def test_hostile_names_make_no_element_no_attribute_and_no_script(tmp_path: Path) -> None:
    page = Page(report_html(hostile(tmp_path), name=HOSTILE[0]))
    calm = Page(report_html(planted(STEPS, {name: step_up(STEPS, 10) for name in "abcd"}), name="x"))
    tags = Counter(tag for tag, _ in page.elements)
    assert tags["script"] == 2
    assert set(tags) == set(Counter(tag for tag, _ in calm.elements)) | {"details", "summary"}
    assert not any(name.startswith("on") for _, known in page.elements for name in known)
    shown = [visible(name) for name in HOSTILE]
    assert all(name in page.text for name in shown)
    assert f"Emergence in {shown[0]}" in page.text
    assert page.of("script")[1] == calm.of("script")[1]
    assert [one["name"] for one in page.data["domains"]] == shown
    assert page.data["axis"]["doubted"][0]["text"] == f"step 10: {shown[0]}"


def test_a_script_element_can_hold_what_is_written_for_it() -> None:
    content = {"<!--<script>": "</ScRiPt>&amp;\u2028\u202e", "number": [1.5, None]}
    text = to_script(content)
    assert json.loads(text) == content
    assert text.isascii()
    assert not set("<>&") & set(text)
    with pytest.raises(ValueError, match="Out of range float"):
        to_script(float("nan"))


def test_hidden_characters_of_names_are_spelled_out() -> None:
    assert visible("a\u202eb\u200b\n c\x00") == "a\\u202eb\\u200b c\\u0000"
    assert visible("sinn é 数学 😀") == "sinn é 数学 😀"
    assert short("a" * 10 + "b" * 10) == "aaaaaaaa…bbbbbbbb"
    assert short("math") == "math"


# What it says in words


def test_the_methods_are_those_of_the_logbook(page: Page, logbook: xr.Dataset) -> None:
    for part in (
        "9 observations from step 0 to 3162 (0 to 6.5M training tokens)",
        "battery bbbbbbbbbbbb (domains: language, math, physical and social, 8 families of stimuli)",
        "MLP units and attention heads; read at the last token and the mean over tokens",
        "the 2% of the units",
        "8 untrained twins",
        f"{logbook.sizes['draw']} draws of labels swapped",
        "delta = 0.2;",
        "alpha = 0.05 at each observation",
        "4 domains and 4 readouts",
        f"observatory {logbook.attrs['observatory_version']}",
        f"torch {logbook.attrs['torch_version']}",
        "Circuits of 8 tasks are the 1% of MLP units",
        "8 random masks",
        "AlKhamissi et al., 2025",
        "Han et al., 2026",
    ):
        assert part in page.text, part


def test_other_settings_make_other_methods_and_other_provenance() -> None:
    book = planted((5, 10, 100), {"a": [0.7, 0.7, 0.7], "b": [0, 0, 0]}, twins=3)
    text = Page(report_html(book, Criteria(alpha=0.01, delta=0.4))).text
    for part in ("3 untrained twins", "delta = 0.4;", "alpha = 0.01 at", "the twins in place of an untrained start"):
        assert part in text
    assert "share of the units with the largest" in text
    assert not re.search(r"Circuits of|random masks|Competence is|None|\bnan\b", text)
    assert "alpha 0.01 delta 0.4 flags of the doctor none observations missing none seed not recorded" in text


def test_the_end_of_the_page_holds_every_attribute_and_folds_long_ones(page: Page, logbook: xr.Dataset) -> None:
    for name, value in logbook.attrs.items():
        shown = f"{len(str(value))} letters" if len(str(value)) > 120 else visible(value)
        assert f"{name} {shown}" in page.text, name
    assert "seed 7" in page.text
    assert " ".join(str(logbook.attrs["model_config"]).split()) in page.text


def test_every_note_of_the_verdicts_stands_on_the_page(page: Page, logbook: xr.Dataset) -> None:
    notes = emergence(logbook).notes
    told = page.text.partition("Before believing it")[2]  # the table of verdicts has them too
    assert len(notes) > 1
    assert all(note in told for note in notes)


def test_where_nothing_emerged_the_page_says_so() -> None:
    flat = np.zeros(len(STEPS))
    page = Page(report_html(planted(STEPS, {"a": flat, "b": flat})))
    assert "No region has emerged in this logbook." in page.text
    assert "There is no order of emergence to tell" in page.text
    assert page.text.count("not emerged") >= 2


def test_one_observation_and_missing_values_are_told() -> None:
    one = Page(report_html(planted([7], {"a": [0.7], "b": [0.0]})))
    assert "No region can be said to have emerged; of 2 nothing can be said." in one.text
    assert one.data["offered"] == [0]
    gone = Page(report_html(planted(STEPS, {"a": [np.nan] * len(STEPS), "b": np.linspace(0, 1, len(STEPS))})))
    assert gone.data["timeline"]["readouts"][0]["index"][0] == [None] * len(STEPS)
    assert gone.data["timeline"]["holds"][0] == [None] * len(STEPS)
    assert "the index is missing at every observation" in gone.text


def test_what_was_not_recorded_is_told_with_how_to_record_it() -> None:
    book = planted(STEPS, {"a": step_up(STEPS, 10), "b": step_up(STEPS, 10)})
    data = Page(report_html(book.drop_vars("contrast_index_by_layer"))).data
    for panel, words in {
        "layers": "the instrument contrast records it",
        "atlas": "the instrument contrast records them",
        "overlap": "the instrument contrast records it",
        "tasks": "observe with the instrument circuits",
        "lesions": "observe with the instrument lesions",
        "competence": "observe with the instrument competence",
    }.items():
        assert words in data[panel]["lacking"]
    assert data["timeline"]["loss"] is None
    without = Page(report_html(book.drop_vars("contrast_index_twins"))).data["timeline"]
    assert "observe again with twins" in without["lacking"]
    same(without["readouts"][0]["index"], book["contrast_index"].values[:, 0, 0].T)


def test_a_readout_without_twins_has_no_band() -> None:
    """Heads that are constant, say: their index is missing, and so is that of their twins."""
    book = planted(STEPS, {"a": step_up(STEPS, 10), "b": step_up(STEPS, 10)}).copy(deep=True)
    book["contrast_index_twins"].loc[{"space": "heads"}] = np.nan
    told = Page(report_html(book)).data["timeline"]["readouts"]
    assert [one["twins"] is None for one in told] == [False, False, True, True]


def test_every_missing_observation_is_told_with_its_reason(page: Page) -> None:
    assert "What is missing, and why step 55 is missing: out of luck" in page.text


def test_steps_without_regions_are_shown_without_values(tmp_path: Path) -> None:
    """Instruments on schedules of their own leave some steps to others."""
    book = with_units(planted(STEPS, {"a": step_up(STEPS, 10), "b": step_up(STEPS, 10)}), {"mlp": 24, "heads": 3})
    seen = book.reindex(step=[*STEPS, 5000])
    seen["tokens"] = ("step", np.array([*STEPS, 5000]) * 2048)
    seen["recorded"] = (("step", "recorded_name"), np.array([[1]] * len(STEPS) + [[0]]))
    data = Page(report_html(seen.assign_coords(recorded_name=["contrast_index"]))).data
    assert data["timeline"]["holds"][0][-1] is None
    assert data["timeline"]["readouts"][0]["low"][0][-1] is None
    assert data["layers"]["values"][0][-1] == [[None, None]] * 4
    assert set(data["atlas"]["readouts"][0]["steps"][-1]) == {" "}


# Colours


def test_colours_are_those_of_the_figures_where_they_are_seen_and_else_near_them() -> None:
    names = ["language", "math", "social", "physical", *"abcdefgh"]
    for (light, dark), look in zip(colors(names), looks(names).values(), strict=True):
        assert contrast(light, LIGHT) >= 3
        assert contrast(dark, DARK) >= 3
        assert (light == look.color.lower()) == (contrast(look.color, LIGHT) >= 3)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # WCAG's own example
    assert domain_rules(HOSTILE) == domain_rules(["a", "b", "c", "d"])


# Files and the command


def test_the_command_writes_the_page_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    file = recorded(tmp_path / "run" / "o.h5", planted(STEPS, {"a": step_up(STEPS, 10), "b": step_up(STEPS, 300)}))
    out = tmp_path / "new" / "page.html"
    main(["report", str(file), "--out", str(out), "--alpha", "0.01"])
    assert capsys.readouterr().out.split() == [str(out)]
    assert out.read_text("utf-8") == report_html(open_logbook(file), Criteria(alpha=0.01), name="run")


def test_the_same_logbook_gives_the_same_page(logbook: xr.Dataset, page: Page) -> None:
    assert Page(report_html(logbook, name="mine")).elements == page.elements


def test_what_can_not_be_reported_is_refused_in_a_sentence(tmp_path: Path) -> None:
    book = planted(STEPS, {"a": step_up(STEPS, 10), "b": step_up(STEPS, 10)})
    with pytest.raises(ValueError, match="holds no observation yet, so there is nothing to report"):
        report_html(book.isel(step=[]))
    with pytest.raises(ValueError, match="a verdict needs the contrast localizer's variables, and the logbook has"):
        report_html(book[["train_loss"]] if "train_loss" in book else book[["gap_step"]].assign_coords(step=[1]))
    with pytest.raises(ValueError, match=r"is a folder; give a file for the report, such as .*report\.html"):
        write_report(book, tmp_path)


def test_arrays_are_taken_by_name_and_not_by_the_order_of_their_axes() -> None:
    book = with_units(planted(STEPS, {"a": step_up(STEPS, 10), "b": step_up(STEPS, 9e9)}), {"mlp": 24, "heads": 3})
    turned = book.transpose("step", ..., *reversed([dim for dim in book.dims if dim != "step"]))
    assert report_html(turned) == report_html(book)


@pytest.mark.parametrize("config", ["{", "[" * 100_000, "7"], ids=["cut off", "deep", "a number"])
def test_a_configuration_that_cannot_be_read_is_left_out(config: str) -> None:
    assert dict(_of_model({"model_config": config, "model_parameters": "12000"})) == {"parameters": "12.0K"}
