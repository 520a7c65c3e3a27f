"""What the terminal shows of an observation."""

from __future__ import annotations

import io

import numpy as np
import pytest
from logbook_cases import observation
from tqdm import tqdm

from observatory.observation import Gap, Observation, Variable
from observatory.record.console import ConsoleRecorder, human, line


def test_every_domain_is_shown_with_both_poolings_named() -> None:
    assert line(observation(1000)) == (
        "step   1,000    4.1M tokens    0.2 s  E[mlp: last mean]  language +1000.00 +1004.00  "
        "mathematics +1001.00 +1005.00  social +1002.00 +1006.00  physical +1003.00 +1007.00"
    )


def test_the_mlp_space_is_shown_wherever_it_stands_and_missing_numbers_are_dashes() -> None:
    values = np.full((2, 1, 2), 0.25)
    values[1, 0, 1] = np.nan
    shown = line(
        Observation(
            3,
            {"contrast_index": Variable(("space", "pooling", "domain"), values)},
            {"space": np.array(["residual", "mlp"]), "pooling": np.array(["mean"]), "domain": np.array(["a", "b"])},
        )
    )
    assert shown.endswith("E[mlp: mean]  a +0.25  b -")


def test_without_an_index_the_scalars_are_shown() -> None:
    variables = {
        "loss": Variable((), np.float32(2.5)),
        "map": Variable(("unit",), np.zeros(3)),
        "n": Variable((), np.array(7)),
    }
    assert line(Observation(0, variables, {}, tokens=999)).endswith("999 tokens    0.0 s  loss 2.5  n 7")


def test_without_scalars_the_variables_are_counted() -> None:
    assert line(Observation(0, {"map": Variable(("unit",), np.zeros(3))}, {})).endswith("  1 variable")


def test_a_gap_is_visible() -> None:
    file = io.StringIO()
    ConsoleRecorder(file).gap(Gap(12, "out of memory", tokens=2_000_000_000))
    assert file.getvalue() == "step      12    2.0B tokens  NOT OBSERVED: out of memory\n"


def test_the_line_stands_by_itself_above_a_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with tqdm(total=3, mininterval=0) as bar:
        bar.update()
        ConsoleRecorder().record(observation(1))
        bar.update()
    assert capsys.readouterr().out == line(observation(1)) + "\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0K"),
        (65_536, "65.5K"),
        (999_999, "1.0M"),
        (123_400_000, "123M"),
        (2 * 10**12, "2.0T"),
    ],
)
def test_counts_are_short(count: int, text: str) -> None:
    assert human(count) == text
