"""The doctor on suites really trained: silent on clean ones, and each planted fault is found where it is."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path

import planted_faults as plant
import pytest
import torch
from loop import word_tokenizer
from planted_faults import FILE, Plant, read, steps_of, train
from safetensors.torch import save_file

from observatory.replay.checkpoints import find_checkpoints
from observatory.replay.doctor import examine, examine_quickly
from observatory.replay.findings import Finding, findings_table, listed
from observatory.replay.fingerprints import fingerprint, identities
from observatory.replay.known_faults import KNOWN_FAULTS
from observatory.replay.places import Checkpoint, Remote
from observatory.replay.samples import sample

pytestmark = pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning")

SUITES = {
    "logarithmic": {"schedule": "logarithmic 6", "steps": 120, "optimiser": "fast"},
    "even": {"schedule": "every 8", "steps": 96, "optimiser": "SGD", "noisy": True},
}
CLEAN = {
    "slow": {"schedule": "every 10", "steps": 40, "optimiser": "slow"},
    "nearly diverging": {"schedule": "logarithmic 8", "steps": 100, "optimiser": "nearly diverging"},
    "nearly diverging, then fading": {
        "schedule": "every 5",
        "steps": 100,
        "optimiser": "nearly diverging",
        "fading": True,
    },
    "momentum": {"schedule": "every 1", "steps": 12, "optimiser": "momentum", "noisy": True},
    "weight decay": {"schedule": "logarithmic 12", "steps": 100, "optimiser": "weight decay", "fading": True},
    "three checkpoints": {"schedule": "at 0 50", "steps": 100, "optimiser": "SGD", "fading": True},
}
NOT_TO_BE_TOLD = {("even", "backwards"), ("logarithmic", "a_layer_of_another_run")}
"""Evenly spaced checkpoints of a model that began with noise on every weight look alike either way; and in a fast run
single layers of clean checkpoints make detours as long as this one.
"""


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Each suite, and another run of its schedule."""
    folder = tmp_path_factory.mktemp("suites")
    return {
        name: (
            train(folder / name, seed=0, **settings),  # type: ignore[arg-type]
            train(folder / f"{name} other", seed=1, **settings),  # type: ignore[arg-type]
        )
        for name, settings in SUITES.items()
    }


def copied(suite: Path, folder: Path) -> Path:
    return Path(shutil.copytree(suite, folder / "suite"))


def grave(findings: tuple[Finding, ...]) -> list[Finding]:
    return [one for one in findings if one.severity != "note"]


def spoilt(planted: Plant, suite: tuple[Path, Path], folder: Path, quick: bool) -> None:
    work = copied(suite[0], folder)
    expected = planted(work, suite[1])
    found = (examine_quickly if quick else examine)(find_checkpoints(work))
    right = [one for one in found if one.kind in expected.kinds and one.severity == expected.severity]
    assert {step for one in right for step in one.steps} == set(expected.steps), found
    assert not [one for one in grave(found) if not set(one.steps) <= set(expected.steps)], found
    assert all(re.fullmatch(r"[^\n]+[^.\n]", one.text) for one in found)


@pytest.mark.parametrize("name", SUITES)
def test_nothing_is_found_in_a_clean_suite(name: str, suites: dict[str, tuple[Path, Path]]) -> None:
    for suite in suites[name]:
        assert examine(find_checkpoints(suite)) == ()


@pytest.mark.parametrize("name", CLEAN)
def test_nothing_is_invented_however_the_model_was_trained(name: str, tmp_path: Path) -> None:
    suite = train(tmp_path / "suite", **CLEAN[name])  # type: ignore[arg-type]
    assert grave(examine(find_checkpoints(suite))) == []


@pytest.mark.parametrize("planted", plant.IN_FILES, ids=lambda planted: planted.__name__)
@pytest.mark.parametrize("name", SUITES)
def test_a_fault_of_the_files_is_found_without_reading_a_tensor(
    name: str, planted: Plant, suites: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    spoilt(planted, suites[name], tmp_path, quick=True)


@pytest.mark.parametrize("planted", plant.IN_WEIGHTS, ids=lambda planted: planted.__name__)
@pytest.mark.parametrize("name", SUITES)
def test_a_fault_of_the_weights_is_found(
    name: str, planted: Plant, suites: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    if (name, planted.__name__) in NOT_TO_BE_TOLD:
        work = copied(suites[name][0], tmp_path)
        planted(work, suites[name][1])
        assert examine(find_checkpoints(work)) == ()
    else:
        spoilt(planted, suites[name], tmp_path, quick=False)


def in_shards(folder: Path, pickled: bool) -> None:
    """Two files and an index, as transformers writes them."""
    for step in steps_of(folder):
        tensors, home = read(folder, step), folder / f"step{step}"
        names = sorted(tensors)
        end, weights = ("bin", "pytorch_model") if pickled else ("safetensors", "model")
        index = {}
        for number, part in enumerate((names[: len(names) // 2], names[len(names) // 2 :]), 1):
            file = f"{weights}-0000{number}-of-00002.{end}"
            own = {name: tensors[name] for name in part}
            torch.save(own, home / file) if pickled else save_file(own, home / file)
            index |= dict.fromkeys(part, file)
        (home / f"{weights}.{end}.index.json").write_text(json.dumps({"weight_map": index}))
        (home / FILE).unlink()


@pytest.mark.parametrize("pickled", [False, True])
def test_a_shard_of_another_step_is_found_by_the_file(
    pickled: bool, suites: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    """As in pythia-12b."""
    work = copied(suites["logarithmic"][0], tmp_path)
    in_shards(work, pickled)
    assert examine(find_checkpoints(work)) == ()
    steps = steps_of(work)
    shard = f"{'pytorch_model' if pickled else 'model'}-00001-of-00002.{'bin' if pickled else 'safetensors'}"
    shutil.copy(work / f"step{steps[-1]}" / shard, work / f"step{steps[6]}" / shard)
    for found in (examine_quickly(find_checkpoints(work)), examine(find_checkpoints(work))):
        assert [(one.kind, one.steps, one.severity) for one in found] == [("foreign part", (steps[6],), "error")]
        assert f"1 file ({shard})" in found[0].text
    (work / f"step{steps[3]}" / shard).unlink()
    found = examine_quickly(find_checkpoints(work))
    assert ("unreadable", (steps[3],)) in [(one.kind, one.steps) for one in found]


def test_weights_in_one_pickled_file_are_judged_as_well(suites: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    work = copied(suites["logarithmic"][0], tmp_path)
    for step in steps_of(work):
        torch.save(read(work, step), work / f"step{step}" / "pytorch_model.bin")
        (work / f"step{step}" / FILE).unlink()
    assert examine(find_checkpoints(work)) == ()
    steps = steps_of(work)
    torch.save(torch.nn.Linear(2, 2), work / f"step{steps[2]}" / "pytorch_model.bin")
    shutil.copy(work / f"step{steps[-1]}" / "pytorch_model.bin", work / f"step{steps[5]}" / "pytorch_model.bin")
    found = examine_quickly(find_checkpoints(work))
    assert [(one.kind, one.steps) for one in found] == [("final weights", (steps[5],)), ("unreadable", (steps[2],))]
    assert "is a pickle that would run code of its own" in found[1].text


def test_a_part_that_is_frozen_throughout_is_no_fault(suites: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    work = copied(suites["even"][0], tmp_path)
    first = plant.layer(0, read(work, 0))
    for step in steps_of(work):
        plant.change(work, step, lambda own: own | first)
    in_shards(work, pickled=False)
    assert examine(find_checkpoints(work)) == ()


def test_a_tokenizer_that_changes_is_found_and_one_that_is_laid_out_otherwise_is_not(
    suites: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    work = copied(suites["even"][0], tmp_path)
    for step in steps_of(work):
        word_tokenizer().save_pretrained(work / f"step{step}")
    file = work / "step8" / "tokenizer.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content, indent=7))
    assert examine_quickly(find_checkpoints(work)) == ()
    content["model"]["vocab"] |= {"w1": content["model"]["vocab"]["w2"], "w2": content["model"]["vocab"]["w1"]}
    file.write_text(json.dumps(content))
    assert [(one.kind, one.steps) for one in examine_quickly(find_checkpoints(work))] == [("tokenizer", (8,))]


def test_a_key_that_changes_nothing_of_the_weights_is_no_fault(
    suites: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    work = copied(suites["even"][0], tmp_path)
    file = work / "step8" / "config.json"
    changed = {"transformers_version": "4.1", "_name_or_path": "elsewhere", "torch_dtype": "float16", "rope": None}
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    assert examine_quickly(find_checkpoints(work)) == ()


def test_what_a_file_says_beside_its_weights_does_not_count(tmp_path: Path) -> None:
    tensors = {"w": torch.arange(300_000.0)}
    for name in ("one", "other"):
        save_file(tensors, tmp_path / f"{name}.safetensors", metadata={"step": name})
        torch.save(tensors, tmp_path / f"{name}.bin")
    for end in ("safetensors", "bin"):
        files = [tmp_path / f"{name}.{end}" for name in ("one", "other")]
        assert files[0].read_bytes() != files[1].read_bytes()
        assert fingerprint(files[0]) == fingerprint(files[1])
        assert len(set(identities(files).values())) == 1


def test_files_that_differ_where_no_block_is_sampled_are_told_apart(tmp_path: Path) -> None:
    tensors = {"w": torch.zeros(2_000_000)}
    save_file(tensors, tmp_path / "one.safetensors")
    tensors["w"][20_000] = 1
    save_file(tensors, tmp_path / "other.safetensors")
    files = [tmp_path / "one.safetensors", tmp_path / "other.safetensors"]
    assert fingerprint(files[0]) == fingerprint(files[1])
    assert len(set(identities(files).values())) == 2


def test_damage_between_the_sampled_weights_shows_in_the_norm(
    suites: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    work = copied(suites["even"][0], tmp_path)
    wide = torch.randn(50_000, generator=torch.Generator().manual_seed(0))
    for step in steps_of(work):
        plant.change(work, step, lambda own, step=step: own | {"wide": wide + step * 1e-4})  # type: ignore[misc]
    assert examine(find_checkpoints(work)) == ()
    before = sample(work / "step40")["wide"]
    for place in range(50_000):
        damaged = wide + 40 * 1e-4
        damaged[place] = 1e6
        plant.change(work, 40, lambda own, damaged=damaged: own | {"wide": damaged})  # type: ignore[misc]
        if (sample(work / "step40")["wide"].values == before.values).all():
            break
    assert [(one.kind, one.steps) for one in examine(find_checkpoints(work))] == [("norm", (40,))]


def on_hub(repository: str, *steps: int) -> list[Checkpoint]:
    return [Checkpoint(step, 0, Remote(repository, f"step{step}"), f"step{step}") for step in steps]


def test_known_faults_are_told_without_a_download() -> None:
    found = examine_quickly(on_hub("EleutherAI/pythia-12b", 49_000, 50_000, 58_000, 143_000))
    assert [(one.kind, one.steps, one.severity) for one in found] == [("known fault", (50_000, 58_000), "error")]
    assert "issue 206" in found[0].text
    assert examine_quickly(on_hub("someone/pythia-12b", 50_000, 58_000)) == ()


def test_a_known_fault_whose_file_was_replaced_is_a_note() -> None:
    one = on_hub("EleutherAI/pythia-2.8b", 1000)
    bad = "ab496f1c3fd79e3c749a9d5414136a2c8e4224f94eecb261970315cdb0f813fe"
    for digest, severity in ((bad, "error"), ("0" * 64, "note")):
        found = examine_quickly(one, {one[0]: {"model.safetensors": digest}})
        assert [(finding.kind, finding.severity) for finding in found] == [("known fault", severity)]


def test_the_table_of_known_faults_counts_as_its_sources_do() -> None:
    """86 of 154 revisions, the last of which is right to hold the end of training."""
    steps = {fault.source: fault.steps for fault in KNOWN_FAULTS}
    wrong = steps["EleutherAI/pythia issues 205 and 195"]
    assert len(set(wrong)) == len(wrong) == 85
    assert {0, 512, 1000, 53_000, 64_000, 140_000} <= set(wrong)
    assert not {66_000, 142_000, 143_000} & set(wrong)
    assert all(step < 1000 or step % 1000 == 0 for step in wrong)


def test_equal_hashes_on_the_hub_are_equal_weights() -> None:
    found = on_hub("a/b", 0, 1, 2, 3)
    hashes = {
        one: {"model-00001-of-00002.safetensors": f"{one.step}", "model-00002-of-00002.safetensors": f"x{one.step}"}
        for one in found
    }
    assert examine_quickly(found, hashes) == ()
    hashes[found[1]] = {**hashes[found[1]], "model-00001-of-00002.safetensors": "3"}
    assert [(one.kind, one.steps) for one in examine_quickly(found, hashes)] == [("foreign part", (1,))]
    hashes[found[1]] = hashes[found[3]]
    assert [(one.kind, one.steps) for one in examine_quickly(found, hashes)] == [("final weights", (1,))]


def test_copies_of_weights_that_are_not_numbers_are_of_a_run_that_diverged(
    suites: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    suite = copied(suites["even"][0], tmp_path)
    steps = steps_of(suite)
    for step in steps[-3:]:
        plant.change(suite, step, lambda tensors: {name: value * torch.nan for name, value in tensors.items()})
    for look in (examine_quickly, examine):
        assert {(one.kind, one.severity) for one in look(find_checkpoints(suite))} == {("not finite", "warning")}


def test_two_checkpoints_of_one_step_are_refused() -> None:
    one = on_hub("a/b", 4)[0]
    with pytest.raises(ValueError, match="this one has several of step 4"):
        examine_quickly([one, replace(one, name="again")])


def test_progress_is_told(suites: dict[str, tuple[Path, Path]]) -> None:
    told: list[str] = []
    checkpoints = find_checkpoints(suites["even"][0])
    examine(checkpoints, told.append)
    assert told[0] == f"step 0 read, 1 of {len(checkpoints)}"
    assert len(told) == len(checkpoints)


def test_the_table_shows_every_finding() -> None:
    from rich.console import Console

    found = [Finding("duplicate", (1, 2), "steps 1, 2 have the same weights", "error")]
    console = Console(width=150, record=True, file=StringIO())
    console.print(findings_table(found, 7))
    told = console.export_text()
    for words in ("error", "duplicate", "1, 2", "steps 1, 2 have", "7 checkpoints: 1 error, 0 warnings, 0 notes."):
        assert words in told
    assert listed(range(86)) == "0, 1, 2, 3, 4, 5, 6, 7, ... (86 in all)"
