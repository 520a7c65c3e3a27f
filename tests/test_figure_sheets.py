"""Every figure on every sheet: as wide as was asked for, in letters that can be read, none over another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import xarray as xr
from alignment_planted import FIGURES as OF_ALIGNMENT
from alignment_planted import planted_alignment
from attention_planted import FIGURES as OF_ATTENTION
from attention_planted import planted_attention
from circuits_planted import planted_circuits
from hidden_planted import FIGURES as OF_HIDDEN
from hidden_planted import capable
from lesion_cases import planted_lesions
from matplotlib.text import Text
from modules_planted import FIGURES as OF_MODULES
from modules_planted import planted_modules
from pictures import assert_legible, named, said, shown
from planted_run import DOMAINS, HOSTILE, TEN, WIDE, planted_run, rise
from planted_structure import FIGURES as OF_LAYERS
from planted_structure import planted_structure

from observatory import open_logbook
from observatory.review.figures.plot import FIGURES, plot
from observatory.review.figures.style import SHEETS, breadth, legend_columns, short, style, wrapped

OF_CIRCUITS = ("overlaps", "structure", "stability", "composition", "skill_modules")
OF_LESIONS = ("lesion_matrix", "lesions_over_time", "faithfulness")
CASES: dict[str, tuple[Sequence[str], int]] = {
    "four domains, two layers": (DOMAINS[:4], 2),
    "eight domains, eighty layers": (DOMAINS[:8], 80),
    "hostile names": (HOSTILE, 4),
    "wide names": (WIDE, 4),
}
DRAWN = [
    *(("four domains, two layers", name, "page") for name in ("strength", "structure", "lesion_matrix", "lead_lag")),
    *(("eight domains, eighty layers", name, "column") for name in FIGURES),
    *(
        (case, name, "column")
        for case in ("hostile names", "wide names")
        for name in FIGURES
        if name not in (*OF_CIRCUITS, *OF_LAYERS, *OF_MODULES)
    ),
]


@cache
def book(case: str, name: str) -> xr.Dataset:
    if name in OF_LAYERS:
        return planted_structure(TEN, CASES[case][1])
    if name in OF_ATTENTION:
        return planted_attention(TEN, *CASES[case])
    if name in OF_ALIGNMENT:
        return planted_alignment(TEN, *CASES[case])
    if name in OF_HIDDEN:
        return capable({name: (50.0 * 2**place, 1000.0) for place, name in enumerate(CASES[case][0])}, steps=TEN)
    if name in OF_MODULES:
        return planted_modules(TEN, TEN[3], CASES[case][1])
    if name == "joint":
        return _with_headlines(_of(case, "run"), CASES[case][0])
    return _of(case, "circuits" if name in OF_CIRCUITS else "lesions" if name in OF_LESIONS else "run")


def _with_headlines(run: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """Instruments whose labels are as long and as odd as the names of domains."""
    curves = {name: rise(TEN, 15 * 2**place) for place, name in enumerate(names)}
    return run.assign(
        {
            f"mine_{place}": ("step", curve, {"headline": f"{name} (share of it)"})
            for place, (name, curve) in enumerate(curves.items())
        }
    )


@cache
def _of(case: str, kind: str) -> xr.Dataset:
    names, layers = CASES[case]
    if kind == "lesions":
        return planted_lesions(TEN, {(names[1], names[1]): 0.5, (names[0], names[1]): 0.4}, names, without={0: names})
    if kind == "run":
        return planted_run(TEN, names, layers)
    with TemporaryDirectory() as folder:
        count, width = len(names), max(20, 400 // layers)
        steps = TEN[::3]
        path = planted_circuits(
            Path(folder) / "o.h5", steps, 0.3, 0.05, domains=count, layers=layers, width=width, done={0: []}
        )
        return open_logbook(path).load()


@pytest.mark.parametrize(("case", "name", "sheet"), DRAWN)
def test_a_figure_fits_its_sheet_and_can_be_read(case: str, name: str, sheet: str) -> None:
    figure = FIGURES[name].draw(book(case, name), sheet=SHEETS[sheet])
    assert figure.get_figwidth() == SHEETS[sheet].width
    boxes: list[tuple[Text, object]] = list(shown(figure))
    assert len(boxes) > 5
    assert_legible(figure, boxes)
    assert min(text.get_fontsize() for text, _ in boxes) >= SHEETS[sheet].small


def test_the_text_of_each_sheet_is_within_what_journals_ask() -> None:
    assert {name: sheet.width for name, sheet in SHEETS.items()} == {"screen": 7.0, "page": 7.0, "column": 3.4}
    for sheet in SHEETS.values():
        assert 6 <= sheet.small <= sheet.text <= 8


def test_the_command_draws_for_a_column_with_text_that_stays_text(tmp_path: Path) -> None:
    logbook = book("four domains, two layers", "strength")
    written = plot(logbook[["contrast_index_by_layer"]], tmp_path, SHEETS["column"])
    assert [path.name for path in written] == ["layers.png", "layers.svg"]
    drawing = written[1].read_text()
    assert 'width="244.8pt"' in drawing
    assert ">language<" in drawing


def test_a_name_is_as_wide_as_it_is_drawn() -> None:
    assert breadth("W" * 10) > 1.5 * breadth("a" * 10) > 3 * breadth("i" * 10)
    assert short("mathematics") == "mathematics"
    assert breadth(short("W" * 20)) <= 1.15 * 16
    assert len(short("W" * 20)) < len(short("a" * 20))
    with style():
        assert legend_columns(["W" * 20] * 4, 7) < legend_columns(["i" * 20] * 4, 7)


def test_text_is_wrapped_between_words_and_within_a_word_that_is_too_long() -> None:
    lines = wrapped("some words and " + "W" * 40, 12).split("\n")
    assert "".join(lines).replace(" ", "") == "somewordsand" + "W" * 40
    assert all(breadth(line) <= 12 for line in lines)
    assert lines[0] == "some words"


def test_a_thousand_observations_do_not_make_megabytes_of_svg(tmp_path: Path) -> None:
    steps = list(range(0, 4000, 10))
    logbook = planted_run(steps, DOMAINS[:2])
    for name in ("strength", "competence", "lead_lag"):
        figure = FIGURES[name].draw(logbook)
        with style():
            figure.savefig(tmp_path / "x.svg", dpi=100)
        assert (tmp_path / "x.svg").stat().st_size < 400_000, name
    bands = [band for panel in FIGURES["competence"].draw(logbook).axes for band in panel.collections]
    assert any(band.get_rasterized() for band in bands)
    few = FIGURES["competence"].draw(book("four domains, two layers", "competence"))
    assert not any(band.get_rasterized() for panel in few.axes for band in panel.collections)
    assert np.isfinite(logbook["contrast_index"]).all()


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in ("robustness", "onsets")])
def test_gaps_and_doubted_checkpoints_are_shown_in_every_figure_over_training(name: str) -> None:
    source = book("four domains, two layers", name)
    step = int(source["step"].values[-1])
    doubt = json.dumps([{"kind": "norm", "steps": [step], "text": "odd", "severity": "warning"}])
    source = source.drop_dims("gap", errors="ignore").assign(
        gap_step=("gap", [step + 5]), gap_tokens=("gap", [(step + 5) * 2048])
    )
    figure = FIGURES[name].draw(source.assign_attrs(doctor=doubt))
    if name in ("overlaps", "lesion_matrix"):
        assert any(axes.get_title("left").endswith(" (!)") for axes in figure.axes)
        assert "(!) a checkpoint that the doctor doubts" in said(figure)
    else:
        assert any(named(axes, "_missed") and named(axes, "_doubted") for axes in figure.axes)
        key = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
        assert {"observation missing", "checkpoint doubted by the doctor"} <= key
