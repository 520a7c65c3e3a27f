"""Benchmark results from elsewhere stand beside the regions: all of them or none, and never as observations."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st
from logbook_cases import assert_same, observation

from observatory.cli import main
from observatory.observation import Gap, Variable
from observatory.record import Benchmarks, BenchmarkScore, Logbook, names, open_logbook
from observatory.record.lm_eval import read_results
from observatory.record.product import tokens_per_step

PYTHIA = Path(__file__).parents[2] / "shared" / "data" / "pythia_evals"
needs_pythia = pytest.mark.skipif(not PYTHIA.is_dir(), reason=f"Pythia's published results do not lie in {PYTHIA}")

OLD_TASKS = {"piqa": {"acc": 0.6, "acc_stderr": 0.01, "acc_norm": 0.5}, "lambada_openai": {"ppl": 3.5e6}}
NEW_TASKS = {
    "piqa": {"alias": "piqa", "acc,none": 0.6, "acc_stderr,none": 0.01, "acc_norm,none": 0.5, "sample_len": 1838},
    "lambada_openai": {"alias": " - lambada", "ppl,none": 3.5e6, "ppl_stderr,none": "N/A"},
}
SCORES = (("lambada_openai/ppl", 3.5e6, None), ("piqa/acc", 0.6, 0.01), ("piqa/acc_norm", 0.5, None))


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def result(arguments: object = "pretrained=me/mine,revision=step1000", tasks: object = None, **more: object) -> Any:
    return {"results": OLD_TASKS if tasks is None else tasks, "config": {"model_args": arguments}, **more}


def scores(*steps: int, **values: float) -> Benchmarks:
    """The same scores at each step."""
    return Benchmarks(tuple(BenchmarkScore(step, name, value) for step in steps for name, value in values.items()))


# Reading


@needs_pythia
@pytest.mark.parametrize("model", ["pythia-160m", "pythia-1.4b"])
def test_the_published_results_of_pythia_are_imported_number_by_number(model: str, tmp_path: Path) -> None:
    path = tmp_path / "o.h5"
    main(["import", str(path), str(PYTHIA / model)])
    dataset = open_logbook(path)
    files = list((PYTHIA / model).glob("*.json"))
    assert dataset["benchmark_step"].values.tolist() == sorted(int(file.stem.split("step")[1]) for file in files)
    found = 0
    for file in files:
        at = dataset.sel(benchmark_step=int(file.stem.split("step")[1]))
        for task, metrics in json.loads(file.read_text())["results"].items():
            for metric in [name for name in metrics if not name.endswith("stderr")]:
                cell = at.sel(benchmark=f"{task}/{metric}")
                assert cell["benchmark_score"].item() == metrics[metric]
                assert cell["benchmark_error"].item() == metrics[f"{metric}_stderr"]
                found += 1
    assert found == dataset["benchmark_score"].size == 27 * 12
    assert dataset["benchmark_score"].attrs["model"] == f"EleutherAI/{model.replace('pythia', 'pythia-v1.1')}"


FORMATS = {
    "old": result(),
    "new, the model as text": result(tasks=NEW_TASKS),
    "new, the model as a mapping": result({"pretrained": "me/mine", "revision": "step1000", "dtype": None}, NEW_TASKS),
    "new, the revision apart": {
        "results": NEW_TASKS,
        "config": {"model": "hf", "model_args": "pretrained=me/mine", "model_revision": "step1000"},
        "model_name": "me/mine",
    },
    "new, with groups": result(tasks={"piqa": NEW_TASKS["piqa"]}, groups=NEW_TASKS),
}


@pytest.mark.parametrize("content", FORMATS.values(), ids=list(FORMATS))
def test_every_format_says_the_same(content: object, tmp_path: Path) -> None:
    found = read_results([write(tmp_path / "results.json", content)])
    assert found.model == "me/mine"
    assert found.scores == tuple(BenchmarkScore(1000, *each) for each in SCORES)


def test_a_filter_is_part_of_the_name_unless_it_filters_nothing(tmp_path: Path) -> None:
    tasks = {"gsm8k": {"exact_match,strict-match": 0.1, "exact_match_stderr,strict-match": 0.02, "f1,none": 0.3}}
    assert read_results([write(tmp_path / "r.json", result(tasks=tasks))]).scores == (
        BenchmarkScore(1000, "gsm8k/exact_match,strict-match", 0.1, 0.02),
        BenchmarkScore(1000, "gsm8k/f1", 0.3),
    )


def test_an_error_that_is_no_number_is_not_known_and_a_text_or_a_truth_is_no_score(tmp_path: Path) -> None:
    tasks = {"a": {"acc,none": 1, "acc_stderr,none": math.nan, "b,none": "N/A", "c,none": True, "d,none": None}}
    assert read_results([write(tmp_path / "r.json", result(tasks=tasks))]).scores == (BenchmarkScore(1000, "a/acc", 1),)


PLACES = {
    ("pretrained=m,revision=step512", "r.json"): 512,
    ("pretrained=m,revision=step1000-tokens4B", "r.json"): 1000,
    ("pretrained=m,revision=stage1-step0-tokens0B", "r.json"): 0,
    ("pretrained=runs/checkpoints/step64", "r.json"): 64,
    ("pretrained=m,peft=out/checkpoint-20,revision=main", "r.json"): 20,
    ("pretrained=m,revision=main", "160m_step1000.json"): 1000,
    ("pretrained=m", "step8/m/results_2024-08-01T10-00-00.5.json"): 8,
    ("pretrained=m", "runs__checkpoints__step16/results_2024-08-01.json"): 16,
    ("pretrained=m", "global_step32/r.json"): 32,
    ("pretrained=m", "checkpoint-1000/r.json"): 1000,
    ("pretrained=m", "epoch=0-step=000300.json"): 300,
    ("pretrained=m", "step5-sweep/step7/timestep9/r.json"): 7,
    ("pretrained=m,revision=step512", "step512.json"): 512,
    (None, "step6.json"): 6,
}


@pytest.mark.parametrize(("arguments", "name"), PLACES, ids=[f"{arguments} {name}" for arguments, name in PLACES])
def test_the_step_is_found_where_people_write_it(
    arguments: object, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path(name), result(arguments))
    for path in (Path(name), Path(Path(name).parts[0])):
        assert {score.step for score in read_results([path]).scores} == {PLACES[arguments, name]}


def test_a_folder_is_read_to_its_ends_and_other_files_in_it_are_passed_over(tmp_path: Path) -> None:
    for step in (1, 20):
        write(tmp_path / f"step{step}" / "me__mine" / "results_2024.json", result("pretrained=me/mine"))
    write(tmp_path / "step1" / "config.json", {"model_type": "gpt_neox"})
    write(tmp_path / "step1" / "samples_piqa.jsonl", "{}\n{}\n")
    (tmp_path / "step1" / "folder.json").mkdir()
    assert {score.step for score in read_results([tmp_path]).scores} == {1, 20}


def test_the_step_that_is_given_is_that_of_files_which_do_not_say_it(tmp_path: Path) -> None:
    silent = [write(tmp_path / name, result("pretrained=m", {name: {"acc": 1}})) for name in ("a.json", "b.json")]
    assert {score.step for score in read_results(silent, step=9).scores} == {9}


def test_checkpoints_in_folders_are_one_model_without_their_steps(tmp_path: Path) -> None:
    for step in (1, 2):
        write(tmp_path / f"{step}.json", result(f"pretrained=runs/mine/step{step}-tokens{step}M"))
    found = read_results([tmp_path])
    assert (found.model, {score.step for score in found.scores}) == ("runs/mine/*", {1, 2})


def test_one_model_of_two_names_is_imported_under_the_name_that_is_given(tmp_path: Path) -> None:
    for step, model in enumerate(("/scratch/mine", "/home/mine")):
        write(tmp_path / f"step{step}.json", result(f"pretrained={model}"))
    assert read_results([tmp_path], model="mine").model == "mine"


def test_the_same_score_twice_is_one_score(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, result()) for name in ("a.json", "b.json")]
    assert len(read_results([*paths, tmp_path]).scores) == 3


# The command


def test_results_are_imported_by_file_and_folder_and_told_in_a_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "o.h5"
    files = [write(tmp_path / f"step{step}.json", result("pretrained=m", {"a": {"acc": step / 8}})) for step in (0, 4)]
    more = write(tmp_path / "more" / "step2000.json", result("pretrained=m", {"a": {"acc": 1}, "bb": {"mc1": 0.25}}))
    main(["import", str(path), *map(str, files), str(more.parent)])
    assert capsys.readouterr().out.splitlines() == [
        "a/acc      3 steps  0 at 0 .. 1 at 2,000",
        "bb/mc1     1 step   0.25 at 2,000",
    ]
    np.testing.assert_array_equal(open_logbook(path)["benchmark_score"], [[0, np.nan], [0.5, np.nan], [1, 0.25]])


def test_the_command_takes_its_arguments_from_a_file(tmp_path: Path) -> None:
    write(tmp_path / "r.json", result("pretrained=m"))
    wanted = {"logbook": str(tmp_path / "o.h5"), "results": [str(tmp_path / "r.json")], "step": 7, "model": "mine"}
    main(["import", "--config", str(write(tmp_path / "config.yaml", wanted))])
    dataset = open_logbook(tmp_path / "o.h5")
    assert dataset["benchmark_step"].values.tolist() == [7]
    assert dataset["benchmark_score"].attrs["model"] == "mine"


def test_benchmarks_alone_are_a_logbook_in_which_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with Logbook(tmp_path / "o.h5") as logbook:
        logbook.add_benchmarks(scores(1, acc=0.5))
    with pytest.raises(SystemExit, match="the logbook holds no observation yet, so there is nothing to draw"):
        main(["plot", str(tmp_path / "o.h5")])


def test_a_logbook_that_is_being_written_is_refused_with_who_writes_it(tmp_path: Path) -> None:
    file = write(tmp_path / "r.json", result())
    with Logbook(tmp_path / "o.h5") as logbook:
        with pytest.raises(SystemExit, match=r"o\.h5: another writer has this logbook open \(.*end it, or choose"):
            main(["import", str(tmp_path / "o.h5"), str(file)])
        assert not logbook.benchmarks.scores


def model_as(name: str) -> str:
    return json.dumps(result(f"pretrained={name},revision=step1"))


def scored(value: str) -> str:
    """A file whose one score is these letters of JSON."""
    return '{"results": {"a": {"acc": ' + value + '}}, "config": {"model_args": "revision=step1"}}'


# The files -> what is said of them.
BAD: dict[str, tuple[dict[str, str], str]] = {
    "not JSON": ({"r.json": "acc = 0.5"}, r"r\.json is not a result file: it is not JSON, or not all of it \("),
    "cut short": ({"r.json": model_as("m")[:-9]}, "it is not JSON, or not all of it"),
    "bytes": ({"r.json": "\x89PNG\x00\x7f"}, "it is not JSON, or not all of it"),
    "bottomless": ({"r.json": "[" * 200_000}, "it is not JSON, or not all of it"),
    "a list": ({"r.json": "[1]"}, "is not a result file: it has no 'results' by task; give files that"),
    "no results": ({"r.json": '{"config": {}}'}, "is not a result file: it has no 'results' by task"),
    "results of another kind": ({"r.json": '{"results": [1]}'}, "is not a result file: it has no 'results' by task"),
    "no tasks": ({"step1.json": '{"results": {}}'}, r"it holds no score: none of its 0 tasks has a number; mend that"),
    "no numbers": ({"step1.json": '{"results": {"a": {"alias": "a", "n": {}}, "b": 1}}'}, "none of its 2 tasks has"),
    "a folder without files": ({"folder/a.txt": ""}, r"holds no result file: of its 0 \.json files none has 'results'"),
    "a folder of others": ({"folder/a.json": "{}"}, r"holds no result file: of its 1 \.json files none has 'results'"),
    "a damaged file in a folder": ({"folder/a.json": model_as("m"), "folder/b.json": "{"}, r"b\.json is not a result"),
    "nothing": ({}, "missing.json: there is no such result file or folder"),
    "NaN": ({"r.json": scored("NaN")}, r"r\.json: the score of a/acc is nan, and a score is a finite .*; mend"),
    "infinite": ({"r.json": scored("1e999")}, "the score of a/acc is inf, and a score is a finite number"),
    "huge": ({"r.json": scored("1" + "0" * 400)}, "the score of a/acc is inf, and a score is a finite number"),
    "a negative error": ({"r.json": scored('1, "acc_stderr": -1')}, "standard error of a/acc is -1.0; it is from 0 on"),
    "an invisible task": ({"r.json": scored("1").replace('"a"', r'"a\u001b[2J"')}, r"'a\\x1b\[2J/acc' cannot be a"),
    "half a letter": ({"r.json": scored("1").replace('"a"', r'"\ud800"')}, "is not valid Unicode"),
    "an invisible model": ({"r.json": model_as("a\u202eb")}, r"r\.json: 'a\\u202eb' cannot be a label: .* invisible"),
    "no step": (
        {"r.json": json.dumps(result("pretrained=m,revision=main"))},
        r"r\.json: it does not say of which step it is: its revision is 'main', and no name .*\(--step 1000\)",
    ),
    "two steps": (
        {"step2.json": model_as("m")},
        r"step2\.json: it is of step 1 by its revision 'step1' and of step 2 by the name 'step2\.json'",
    ),
    "two steps in a name": ({"step3-step4.json": '{"results": {}}'}, "of step 3 by the name .* of step 4 by the name"),
    "a step beyond all": ({f"step{2**63}.json": scored("1").replace("step1", "")}, "a step is a whole number from 0"),
    "two models": (
        {"a.json": model_as("me/one"), "b.json": model_as("me/two")},
        r"of two models, me/one in .*a\.json and me/two in .*b\.json; import each .*\(--model\)",
    ),
    "two values": (
        {"a.json": scored("0.5"), "b.json": scored('0.6, "acc_stderr": 0.1')},
        r"a/acc at step 1 is 0\.5 in .*a\.json and 0\.6 ± 0\.1 in .*b\.json; give only one of the two",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("files", "words"), BAD.values(), ids=list(BAD))
def test_what_cannot_be_imported_is_told_in_a_sentence_and_leaves_no_logbook(
    files: dict[str, str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        write(Path(name), text)
    with pytest.raises(SystemExit) as caught:
        main(["import", "o.h5", *sorted({Path(name).parts[0] for name in files} or {"missing.json"})])
    told = caught.value.code
    assert isinstance(told, str)
    assert re.search(words, told), told
    assert "\n" not in told
    assert not list(Path().glob("o.h5*"))


def test_a_step_that_is_given_and_another_in_the_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="it is of step 5 by what was given and of step 1000 by its revision 'step1000'"
    ):
        read_results([write(tmp_path / "r.json", result())], step=5)


# In the logbook


def test_benchmarks_change_nothing_of_what_was_observed(tmp_path: Path) -> None:
    path = tmp_path / "o.h5"
    with Logbook(path) as logbook:
        logbook.record(observation(4))
        logbook.gap(Gap(8, "out of memory", time=1.0))
    before = open_logbook(path)
    with Logbook(path) as logbook:
        logbook.add_benchmarks(scores(0, 8, 16, acc=0.5))
        assert (logbook.steps, [gap.step for gap in logbook.gaps]) == ((4,), [8])
        assert_same(logbook.last(), observation(4))
    after = open_logbook(path)
    assert after[list(before.variables)].drop_attrs().identical(before.drop_attrs())
    assert set(after.variables) - set(before.variables) == set(names.BENCHMARKS)


ENGINES = [
    "h5netcdf",
    pytest.param(
        "netcdf4", marks=pytest.mark.skipif(not importlib.util.find_spec("netCDF4"), reason="netCDF4 is not installed")
    ),
]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_reader_finds_scores_errors_tokens_and_what_is_missing(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "o.h5"
    with Logbook(path) as logbook:
        logbook.record(observation(0))
        logbook.record(observation(3))
        given = (
            BenchmarkScore(9, "b/acc", 0.5, 0.25),
            BenchmarkScore(1, "a/ppl ø", 3e6),
            BenchmarkScore(1, "b/acc", 0),
        )
        logbook.add_benchmarks(Benchmarks(given, "me/mine"))
    with xarray.open_dataset(path, engine=engine) as dataset:
        assert dataset["benchmark_step"].dtype == np.int64
        assert dataset["benchmark_step"].values.tolist() == [1, 9]
        assert dataset["benchmark"].values.tolist() == ["a/ppl ø", "b/acc"]
        for name, values in {"score": [[3e6, 0], [np.nan, 0.5]], "error": [[np.nan, np.nan], [np.nan, 0.25]]}.items():
            table = dataset[f"benchmark_{name}"]
            assert (table.dims, table.dtype) == (("benchmark_step", "benchmark"), np.float64)
            np.testing.assert_array_equal(table, values)
        assert dataset["benchmark_score"].attrs["model"] == "me/mine"
        assert dataset["benchmark_tokens"].dims == ("benchmark_step",)
        assert dataset["benchmark_tokens"].values.tolist() == [4096, 9 * 4096]
        assert {"tokens", "time", "seconds", "benchmark_tokens"} <= set(dataset.coords)


def test_a_logbook_without_benchmarks_has_nothing_of_them(tmp_path: Path) -> None:
    with Logbook(tmp_path / "o.h5") as logbook:
        logbook.record(observation(3))
        logbook.add_benchmarks(Benchmarks())
    dataset = open_logbook(tmp_path / "o.h5")
    assert not [name for name in (*dataset.variables, *dataset.sizes) if "benchmark" in str(name)]


RATES: dict[str, tuple[list[int], list[int], int | None]] = {
    "even": ([0, 1, 50], [0, 512, 25600], 512),
    "from the middle": ([50], [25600], 512),
    "no observation": ([], [], None),
    "the start alone": ([0], [0], None),
    "not counted": ([0, 1, 2], [0, 0, 0], None),
    "a warm-up of the batch": ([0, 1, 2], [0, 512, 2048], None),
    "not whole": ([2], [5], None),
    "trained before": ([0, 1, 2], [100, 512, 1024], None),
}


@pytest.mark.parametrize(("steps", "tokens", "rate"), RATES.values(), ids=list(RATES))
def test_tokens_are_told_only_where_every_observation_agrees_on_them(
    steps: list[int], tokens: list[int], rate: int | None
) -> None:
    assert tokens_per_step(steps, tokens) == rate


def test_tokens_beyond_what_a_file_can_count_are_left_out(tmp_path: Path) -> None:
    with Logbook(tmp_path / "o.h5") as logbook:
        logbook.record(observation(1))
        logbook.add_benchmarks(scores(2**60, acc=0.5))
    assert "benchmark_tokens" not in open_logbook(tmp_path / "o.h5")


def test_a_later_import_replaces_what_it_has_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "o.h5"
    with Logbook(path) as logbook:
        logbook.add_benchmarks(scores(1, 2, a=0.1, b=0.2))
        logbook.add_benchmarks(scores(2, 3, b=0.9, c=0.3))
        size = path.with_name("o.h5.journal").stat().st_size
        logbook.add_benchmarks(scores(2, b=0.9))
        assert path.with_name("o.h5.journal").stat().st_size == size, "nothing new, so nothing is written"
    expected = [("a", 1, 0.1), ("a", 2, 0.1), ("b", 1, 0.2), ("b", 2, 0.9), ("b", 3, 0.9), ("c", 2, 0.3), ("c", 3, 0.3)]
    with Logbook(path) as logbook:
        assert sorted((each.benchmark, each.step, each.score) for each in logbook.benchmarks.scores) == expected


def test_scores_of_another_model_than_the_earlier_ones_are_refused_with_both(tmp_path: Path) -> None:
    with Logbook(tmp_path / "o.h5") as logbook:
        logbook.add_benchmarks(scores(1, a=0.5))
        logbook.add_benchmarks(Benchmarks(scores(2, a=0.5).scores, "me/one"))
        logbook.add_benchmarks(scores(3, a=0.5))
        with pytest.raises(
            ValueError, match=r"of me/two, where .*o\.h5 has scores of me/one; import them into another"
        ):
            logbook.add_benchmarks(Benchmarks(scores(4, a=0.5).scores, "me/two"))
        assert [each.step for each in logbook.benchmarks.scores] == [1, 2, 3]
        assert logbook.benchmarks.model == "me/one"


def test_a_rewind_drops_no_benchmark(tmp_path: Path) -> None:
    with Logbook(tmp_path / "o.h5") as logbook:
        logbook.record(observation(5))
        logbook.add_benchmarks(scores(1, 9, acc=0.5))
        logbook.rewind(-1)
        assert logbook.steps == ()
    with Logbook(tmp_path / "o.h5") as logbook:
        assert logbook.benchmarks == scores(1, 9, acc=0.5)
    assert open_logbook(tmp_path / "o.h5")["benchmark_step"].values.tolist() == [1, 9]


def test_a_journal_cut_at_any_byte_of_an_import_has_it_whole_or_not_at_all(tmp_path: Path) -> None:
    path, journal = tmp_path / "o.h5", tmp_path / "o.h5.journal"
    before, after = scores(1, a=0.5), scores(1, 2, a=0.75, b=0.25)
    with Logbook(path) as logbook:
        logbook.add_benchmarks(before)
        start = journal.stat().st_size
        logbook.add_benchmarks(after)
    whole = journal.read_bytes()
    assert len(whole) - start > 200
    for length in range(start, len(whole) + 1):
        path.unlink(missing_ok=True)
        journal.write_bytes(whole[:length])
        with Logbook(path) as logbook:
            assert logbook.benchmarks == (after if length == len(whole) else before), length


def test_benchmarks_survive_the_loss_of_the_journal_beside_everything_else(tmp_path: Path) -> None:
    path = tmp_path / "o.h5"
    kept = Benchmarks((BenchmarkScore(0, "a/ppl", 0.1 + 0.2, 0.0), BenchmarkScore(7, "ø, b/acc", -1e-300)), "me/mine")
    with Logbook(path) as logbook:
        logbook.record(observation(3))
        logbook.add_benchmarks(kept)
        logbook.gap(Gap(9, "why", time=1.0))
    before = open_logbook(path)
    path.with_name("o.h5.journal").unlink()
    with Logbook(path) as logbook:
        assert logbook.benchmarks == kept
        assert_same(logbook.last(), observation(3))
    assert open_logbook(path).drop_attrs().identical(before.drop_attrs())


texts = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)
finite = st.floats(allow_nan=False, allow_infinity=False)
anything = st.builds(
    BenchmarkScore, st.integers(0, 2**63 - 1), texts, finite, st.none() | st.floats(0, allow_infinity=False)
)


@given(st.lists(anything, max_size=6), texts | st.just(""))
@settings(max_examples=20, deadline=None)
def test_any_benchmarks_survive_the_journal_the_file_and_the_way_back(
    tmp_path_factory: pytest.TempPathFactory, given: list[BenchmarkScore], model: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.h5"
    kept = Benchmarks().with_later(Benchmarks(tuple(given), model if given else ""))
    with Logbook(path) as logbook:
        logbook.add_benchmarks(kept)
    for lose_journal in (False, True):
        if lose_journal:
            path.with_name("a.h5.journal").unlink()
        with Logbook(path) as logbook:
            assert logbook.benchmarks == kept


# Names


@pytest.mark.parametrize("name", names.BENCHMARKS)
def test_no_instrument_takes_the_name_of_an_imported_variable(name: str, tmp_path: Path) -> None:
    with Logbook(tmp_path / "o.h5") as logbook, pytest.raises(ValueError, match=f"'{name}' cannot name a variable"):
        logbook.record(observation(0, **{name: Variable((), np.float32(1))}))


def test_an_instrument_may_be_called_benchmark(tmp_path: Path) -> None:
    with Logbook(tmp_path / "o.h5") as logbook:
        logbook.record(observation(0, benchmark_probe=Variable(("benchmarks",), np.ones(2))))
        logbook.add_benchmarks(scores(0, acc=0.5))
    assert open_logbook(tmp_path / "o.h5")["benchmark_probe"].shape == (1, 2)


def test_a_logbook_of_version_1_0_in_which_an_instrument_has_such_a_name_is_kept_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, mine = tmp_path / "o.h5", observation(0, benchmark_score=Variable(("benchmark",), np.ones(2)))
    with monkeypatch.context() as earlier:
        earlier.setattr(names, "RESERVED", names.RESERVED - set(names.BENCHMARKS))
        with Logbook(path) as logbook:
            logbook.record(mine)
    path.with_name("o.h5.journal").unlink()
    with Logbook(path) as logbook:
        assert_same(logbook.last(), mine)
        with pytest.raises(ValueError, match=r"an instrument of .* has taken the name 'benchmark', .* another file"):
            logbook.add_benchmarks(scores(0, acc=0.5))
        assert not logbook.benchmarks.scores
