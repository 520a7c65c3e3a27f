"""Several runs together: pooled onsets against scipy, and which runs count at all."""

from __future__ import annotations

import json
from math import expm1, log1p, nan, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from loop import Language, fit, small_battery, word_tokenizer
from recorded import BATTERY, recorded
from scipy import stats
from torch.nn import Parameter
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM
from verdicts import planted, step_up

from observatory import open_logbook
from observatory.callbacks import SpecializationMonitor
from observatory.cli import main
from observatory.review.comparison.compare import Comparison, compare
from observatory.review.comparison.model_size import model_sizes
from observatory.review.comparison.pooled_onset import PooledOnset
from observatory.review.comparison.table import comparison_table
from observatory.review.judge.censored import median, median_interval, survival
from observatory.review.judge.evidence import Criteria

pytestmark = pytest.mark.filterwarnings(
    "ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning"
)
STEPS = [0, 1, 3, 10, 30, 100, 300, 1000, 3000]


def run(a: int, b: int, tokens: int = 2048, c: int = 9999, spread: float = 0.02) -> xr.Dataset:
    """Three domains that rise at the given steps, if at all."""
    curves = {name: step_up(STEPS, at) for name, at in (("a", a), ("b", b), ("c", c))}
    return planted(STEPS, curves, tokens=tokens, spread=spread)


def pooled(found: Comparison, domain: str) -> PooledOnset:
    return next(one for one in found.pooled if one.domain == domain)


@pytest.fixture(scope="module")
def runs() -> dict[str, xr.Dataset]:
    return {"x": run(10, 100), "y": run(100, 30), "z": run(30, 9999)}


@pytest.fixture(scope="module")
def found(runs: dict[str, xr.Dataset]) -> Comparison:
    return compare(runs)


def test_the_onset_is_the_geometric_mean_with_a_t_interval_between_runs(
    runs: dict[str, xr.Dataset], found: Comparison
) -> None:
    assert found.unit == "tokens"
    onsets = [2048 * found.runs[name].onsets["a"].crossing for name in runs]
    one = pooled(found, "a")
    assert one.onset + 1 == pytest.approx(stats.gmean([1 + onset for onset in onsets]))
    logs = np.log1p(onsets)
    low, high = stats.t.interval(0.95, 2, np.mean(logs), stats.sem(logs))
    assert one.interval == pytest.approx((expm1(low), expm1(high)))
    assert (one.judged, one.emerged) == (3, 3)


def test_the_spread_between_runs_is_what_resampling_the_stimuli_does_not_explain(found: Comparison) -> None:
    logs = [np.log1p(2048 * found.runs[name].onsets["a"].draws) for name in "xyz"]
    within = sqrt(np.mean([np.var(draws, ddof=1) for draws in logs]))
    between = np.var([log1p(2048 * found.runs[name].onsets["a"].crossing) for name in "xyz"], ddof=1)
    one = pooled(found, "a")
    assert one.within == pytest.approx(np.exp(within))
    assert one.between == pytest.approx(np.exp(sqrt(between - within**2)))
    assert one.between > 2 > one.within > 1
    same = pooled(compare({"x": run(10, 100, spread=0.1), "y": run(10, 100, spread=0.1)}), "a")
    assert same.between == 1  # two runs that are one differ by less than their stimuli


def test_the_share_of_runs_has_its_exact_interval(found: Comparison) -> None:
    """Clopper and Pearson's bounds are quantiles of beta distributions."""
    for domain, emerged in (("a", 3), ("b", 2), ("c", 0)):
        one = pooled(found, domain)
        assert (one.judged, one.emerged) == (3, emerged)
        low = stats.beta.ppf(0.025, emerged, 4 - emerged) if emerged else 0
        high = stats.beta.ppf(0.975, emerged + 1, 3 - emerged) if emerged < 3 else 1
        assert one.share_interval == pytest.approx((low, high))


def test_of_a_domain_that_emerged_nowhere_or_once_little_is_said(
    runs: dict[str, xr.Dataset], found: Comparison
) -> None:
    never = pooled(found, "c")
    assert np.isnan([never.onset, *never.interval, never.between, never.within]).all()
    once = pooled(compare({name: runs[name] for name in "xz"}), "b")
    assert (once.judged, once.emerged) == (2, 1)
    assert once.onset == pytest.approx(2048 * found.runs["x"].onsets["b"].crossing)
    assert np.isnan([*once.interval, once.between]).all()
    assert np.isfinite(once.within)


def test_runs_of_which_nothing_can_be_said_do_not_count(runs: dict[str, xr.Dataset]) -> None:
    silent = runs["x"].assign(contrast_index_twins=xr.full_like(runs["x"]["contrast_index_twins"], nan))
    short = runs["x"].isel(draw=range(20))
    found = compare({**runs, "silent": silent, "short": short, "once": runs["x"].isel(step=[0])})
    for domain in "abc":
        assert pooled(found, domain).judged == 3
    assert sum(order.probability for order in found.orders) == pytest.approx(1)
    nothing = compare({"silent": silent, "short": short})
    assert {one.judged for one in nothing.pooled} == {0}
    assert np.isnan(pooled(nothing, "a").share_interval).all()
    assert nothing.orders == ()


def test_orders_are_counted_by_run_and_ties_are_ties(runs: dict[str, xr.Dataset]) -> None:
    """What is there from the start in both domains used to be an order by their names."""
    tie = planted(STEPS, {name: np.full(len(STEPS), 0.6) for name in "abc"})
    found = compare({**runs, "x again": runs["x"], "tie": tie})
    orders = {(order.groups, order.never): order.probability for order in found.orders}
    assert orders == {
        ((("a",), ("b",)), ("c",)): pytest.approx(0.4),
        ((("b",), ("a",)), ("c",)): pytest.approx(0.2),
        ((("a",),), ("b", "c")): pytest.approx(0.2),
        ((("a", "b", "c"),), ()): pytest.approx(0.2),
    }
    assert found.orders[0].groups == (("a",), ("b",))


def test_a_domain_that_emerged_without_an_onset_emerged_when_its_level_was_first_seen() -> None:
    """The verdict takes any readout at either observation, the onset one readout at both; it used to be infinite."""
    other = run(1000, 9999).copy(deep=True)
    other["contrast_index_resampled"] = other["contrast_index_resampled"].copy(deep=True)
    for name in ("contrast_index", "contrast_index_resampled"):
        other[name] = other[name].where(other["step"] != 3000, other[name] - 0.5 * (other["space"] != "heads"))
        other[name] = other[name].where(other["step"] != 1000, other[name] - 0.5 * (other["space"] == "heads"))
    found = compare({"x": run(10, 100), "y": run(30, 100), "other": other})
    assert found.runs["other"].onsets["a"].crossing == np.inf
    one = pooled(found, "a")
    assert (one.judged, one.emerged) == (3, 3)
    crossings = [2048 * found.runs[name].onsets["a"].crossing for name in "xy"]
    assert one.onset + 1 == pytest.approx(stats.gmean([1 + at for at in (*crossings, 2048 * 1000)]))
    assert one.median == pytest.approx(max(crossings))
    assert {(order.groups, order.never) for order in found.orders} == {
        ((("a",), ("b",)), ("c",)),
        ((("a",),), ("b", "c")),
    }


# Onsets that were not lived to see


@pytest.mark.parametrize("seed", range(20))
def test_survival_and_median_are_scipys(seed: int) -> None:
    """scipy counts the same; its quantiles stop at the step, where half is left between two times ours is between."""
    draw = np.random.default_rng(seed)
    times = draw.integers(1, 12, 9 + seed % 2).astype(float)
    seen = draw.random(len(times)) < 0.7
    theirs = stats.ecdf(stats.CensoredData(times[seen], right=times[~seen])).sf
    events, left = survival(times, seen)
    assert left == pytest.approx(theirs.evaluate(events))
    assert theirs.evaluate(events - 0.5) == pytest.approx([1, *left[:-1]])
    reached = events[left <= 0.5 + 1e-9]
    if not reached.size:
        assert median(times, seen) == np.inf
    elif abs(left[left <= 0.5 + 1e-9][0] - 0.5) > 1e-9:
        assert median(times, seen) == reached[0]
    else:
        after = reached[1] if len(reached) > 1 else np.inf
        assert median(times, seen) == pytest.approx(sqrt((1 + reached[0]) * (1 + after)) - 1)


def test_runs_that_end_early_do_not_make_the_median_early() -> None:
    """Half of the runs end at 30, before most have emerged; the mean of those that emerged would be at 30 or so."""
    draw = np.random.default_rng(0)
    onsets = np.exp(draw.normal(np.log(100), 1, 4000))
    ends = np.where(np.arange(4000) % 2, 30.0, 1e6)
    times, seen = np.minimum(onsets, ends), onsets <= ends
    assert median(times, seen) == pytest.approx(100, rel=0.07)
    assert stats.gmean(times[seen]) < 85


@pytest.mark.parametrize(("count", "length"), [(6, np.inf), (9, np.inf), (9, 150.0), (20, 60.0)])
def test_the_interval_of_the_median_holds_it_as_often_as_it_says(count: int, length: float) -> None:
    """Also where runs are of different lengths, and many end before."""
    draw = np.random.default_rng(count)
    held = 0
    for _ in range(2000):
        onsets = np.exp(draw.normal(np.log(100), 1, count))
        ends = length * draw.uniform(0.1, 2, count) if np.isfinite(length) else np.full(count, 1e9)
        low, high = median_interval(np.minimum(onsets, ends), onsets <= ends)
        held += low <= 100 <= high
    assert held / 2000 >= 0.95 - 0.01


def test_fewer_than_six_runs_have_no_interval_of_the_median() -> None:
    """All of five lie on one side of it once in sixteen times."""
    assert np.isnan(median_interval([1.0, 2, 3, 4, 5], [True] * 5)).all()
    assert median_interval([1.0, 2, 3, 4, 5, 6], [True] * 6) == (1, 6)
    assert median_interval(np.arange(1.0, 10), [True] * 9) == (2, 8)  # 1.95% + 1.95% lie outside
    assert median_interval(np.arange(1.0, 10), [True] * 7 + [False] * 2) == (2, np.inf)
    with pytest.raises(ValueError, match="each time needs to be finite"):
        median([1.0, np.inf], [True, True])


def test_a_run_in_which_it_has_not_emerged_counts_in_the_median(runs: dict[str, xr.Dataset], found: Comparison) -> None:
    """b emerges in x and y and not in z: a half is reached at the later of the two."""
    crossings = [2048 * found.runs[name].onsets["b"].crossing for name in "xy"]
    assert pooled(found, "b").median == pytest.approx(max(crossings))
    assert pooled(compare({name: runs[name] for name in "xz"}), "b").median == np.inf
    assert pooled(found, "c").median == np.inf


# Sizes


def sized(size: int, a: int, b: int) -> xr.Dataset:
    return run(a, b).assign_attrs(model_parameters=size)


def test_onsets_are_pooled_within_a_size() -> None:
    logbooks = {"s": sized(500, 100, 300), "m": sized(9000, 10, 30), "t": sized(500, 300, 300)}
    found = compare(logbooks)
    assert found.sizes.measure == "parameters"
    assert found.sizes.grouped() == {500: ["s", "t"], 9000: ["m"]}
    assert [(one.parameters, one.domain, one.judged) for one in found.pooled] == [
        (size, domain, count) for size, count in ((500, 2), (9000, 1)) for domain in "abc"
    ]
    for one in found.pooled[:2]:
        alone = pooled(compare({name: logbooks[name] for name in "st"}), one.domain)
        assert (one.onset, one.interval, one.between) == (alone.onset, alone.interval, alone.between)
    table = [list(column.cells) for column in comparison_table(found).columns]
    assert [str(cell) for cell in table[0]] == ["500"] * 3 + ["9K"] * 3


def test_a_replay_without_its_number_of_parameters_stands_beside_its_live_run() -> None:
    """By the matrices of a real model: the count of one and the widths of the other would be two sizes."""
    config = GPTNeoXConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=128, vocab_size=50
    )
    blocks = GPTNeoXForCausalLM(config).gpt_neox.layers
    matrices = sum(weight.numel() for weight in blocks.parameters() if weight.ndim == 2)
    widths = {name: (name, np.arange(size)) for name, size in (("residual_unit", 32), ("mlp_unit", 128))}
    replayed = run(10, 100).isel(layer=slice(3)).assign_coords(widths)
    found = model_sizes({"live": replayed.assign_attrs(model_parameters=54321), "replay": replayed})
    assert found.of == {"live": matrices, "replay": matrices}
    assert found.measure == "weights in the blocks"
    assert model_sizes({"live": replayed.assign_attrs(model_parameters=54321)}).of == {"live": 54321}
    assert model_sizes({"x": run(10, 100), "replay": replayed}).grouped() == {matrices: ["replay"], None: ["x"]}


def test_a_live_run_says_how_large_it_is_and_what_is_still_to_come(tmp_path: Path) -> None:
    out = tmp_path / "observations.h5"
    monitor = SpecializationMonitor(word_tokenizer(), out, "at 0", battery=small_battery(), twins=0, recorders=())
    module, _ = fit(tmp_path, [monitor], steps=1)
    told = open_logbook(out).attrs
    assert told["model_parameters"] == sum(weight.numel() for weight in module.parameters())
    assert (told["schedule"], told["max_steps"]) == ("at 0", 1)
    assert model_sizes({"live": open_logbook(out)}).of == {"live": told["model_parameters"]}


def test_no_size_is_said_of_a_model_of_which_weights_are_elsewhere(tmp_path: Path) -> None:
    """DeepSpeed leaves empty weights behind, and FSDP parts; a small model would be made of a large one."""
    module = Language()
    module.model.elsewhere = Parameter(torch.empty(0))
    out = tmp_path / "observations.h5"
    monitor = SpecializationMonitor(word_tokenizer(), out, "at 0", battery=small_battery(), twins=0, recorders=())
    fit(tmp_path, [monitor], steps=1, module=module)
    assert "model_parameters" not in open_logbook(out).attrs
    assert "model_config" in open_logbook(out).attrs


def test_one_domain_before_another_is_counted_where_one_of_them_emerged(runs: dict[str, xr.Dataset]) -> None:
    tie = planted(STEPS, {name: np.full(len(STEPS), 0.6) for name in "abc"})
    silent = runs["x"].assign(contrast_index_twins=xr.full_like(runs["x"]["contrast_index_twins"], nan))
    found = compare({**runs, "tie": tie, "silent": silent, "never": run(9999, 9999)})
    told = {(one.first, one.second): (one.before, one.after, one.runs) for one in found.before}
    assert told == {("a", "b"): (2, 1, 4), ("a", "c"): (3, 0, 4), ("b", "c"): (2, 0, 3)}
    low, high = stats.beta.ppf(0.025, 2, 3), stats.beta.ppf(0.975, 3, 2)
    assert found.before[0].share_interval == pytest.approx((low, high))


def test_tokens_count_where_every_run_knows_them_and_steps_else(runs: dict[str, xr.Dataset]) -> None:
    """A run with batches twice as large reaches an onset after as many tokens in half the steps."""
    double = run(10, 100, tokens=4096)
    by_tokens = compare({"x": runs["x"], "double": double})
    crossing = by_tokens.runs["x"].onsets["a"].crossing
    assert pooled(by_tokens, "a").onset + 1 == pytest.approx(sqrt((1 + 2048 * crossing) * (1 + 4096 * crossing)))
    for unknown in (run(10, 100, tokens=0), runs["x"].drop_vars("tokens")):
        by_steps = compare({"x": runs["x"], "unknown": unknown})
        assert by_steps.unit == "steps"
        assert pooled(by_steps, "a").onset == pytest.approx(crossing)


def test_other_batteries_are_refused_with_both() -> None:
    one, other = (
        run(10, 100).assign_attrs(provenance_battery="aaa"),
        run(10, 100).assign_attrs(provenance_battery="bbb"),
    )
    with pytest.raises(
        ValueError, match=r"comparable only on one battery: x has aaa, and y has bbb; replay one of them"
    ):
        compare({"x": one, "y": other})
    with pytest.raises(ValueError, match="x has aaa, and y has unknown"):
        compare({"x": one, "y": run(10, 100)})


def test_one_run_is_no_comparison() -> None:
    with pytest.raises(ValueError, match="a comparison needs two logbooks or more; got 1"):
        compare({"x": run(10, 100)})


def test_the_criteria_are_those_of_every_run(runs: dict[str, xr.Dataset]) -> None:
    found = compare(runs, Criteria(delta=5.0))
    assert [one.emerged for one in found.pooled] == [0, 0, 0]
    assert {judged.criteria.delta for judged in found.runs.values()} == {5.0}


# The command


@pytest.fixture(scope="module")
def files(runs: dict[str, xr.Dataset], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [recorded(folder / f"{name}.h5", logbook) for name, logbook in runs.items()]


def test_the_command_takes_as_many_paths_as_a_glob_gives(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    main(["compare", *map(str, files), "--out", str(tmp_path / "deep" / "out")])
    told = capsys.readouterr().out
    for words in ("3 runs", "3 of 3", "2 of 3", "0 of 3", "a < b (never: c): 33% of runs", "comparison.json"):
        assert words in told
    text = (tmp_path / "deep" / "out" / "comparison.json").read_text()
    content = json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    assert list(content) == ["format", "format_version", "unit", "size", "pooled", "orders", "before", "runs"]
    assert list(content["runs"]) == [str(file) for file in files]
    assert " ".join(content["pooled"][0]) == (
        "parameters domain judged emerged share_interval median median_interval onset interval between within"
    )
    assert content["pooled"][2]["median"] == "never"
    assert content["pooled"][2]["onset"] is None
    assert list(content["orders"][0]) == ["groups", "never", "probability"]


def test_the_command_takes_its_settings_before_and_after_the_paths_and_from_a_file(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ways = [
        ["--delta", "5", str(files[0]), str(files[1])],
        [str(files[0]), str(files[1]), "--delta=5"],
        ["--config", str(tmp_path / "config.yaml")],
    ]
    (tmp_path / "config.yaml").write_text(json.dumps({"logbooks": [str(file) for file in files[:2]], "delta": 5}))
    for way in ways:
        main(["compare", *way])
        told = capsys.readouterr().out
        assert "0 of 2" in told
        assert "2 of 2" not in told


def test_the_commands_mistakes_end_with_a_sentence(files: list[Path], tmp_path: Path) -> None:
    other = recorded(tmp_path / "other.h5", run(10, 100), {**BATTERY, "battery": "c" * 12})
    for paths, told in (
        ([files[0]], "a comparison needs two logbooks or more; got 1"),
        ([files[0], files[0]], "a comparison needs two logbooks or more; got 1"),
        ([files[0], tmp_path / "nowhere.h5"], "there is no logbook"),
        ([files[0], other], f"{files[0]} has {'b' * 12}, and {other} has {'c' * 12}"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(["compare", *map(str, paths)])
        assert told in str(caught.value)


def test_the_table_has_a_row_a_domain_and_no_mean_where_a_run_has_not_emerged(found: Comparison) -> None:
    rows = list(zip(*([str(cell) for cell in column.cells] for column in comparison_table(found).columns), strict=True))
    assert [row[:3] for row in rows] == [
        ("a", "3 of 3", "0.29-1.00"),
        ("b", "2 of 3", "0.09-0.99"),
        ("c", "0 of 3", "0.00-0.71"),
    ]
    assert [row[3] for row in rows][2] == "not reached"
    assert [row[4] == "-" for row in rows] == [False, True, True]
