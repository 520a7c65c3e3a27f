"""The commands: what a person types, and what they are told when it was not right."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from loop import fit, small_battery, word_tokenizer

from observatory import load_battery, open_logbook
from observatory.callbacks import PythiaCheckpoints
from observatory.cli import _with_values, main
from observatory.replay.engine import replay
from observatory.stimuli.battery_file import domain_text

# Lightning asks torch's tree, and sets up jsonargparse, in ways that these have renamed.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning"),
    pytest.mark.filterwarnings(
        "ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning"
    ),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of steps 0, 2 and 3, and the battery as a folder of files."""
    folder = tmp_path_factory.mktemp("run")
    fit(folder, [PythiaCheckpoints(folder / "checkpoints", "every 2", tokenizer=word_tokenizer())], steps=3)
    (folder / "battery").mkdir()
    for domain in small_battery().domains:
        (folder / "battery" / f"{domain.name}.json").write_text(domain_text(domain))
    return folder


@pytest.fixture(scope="module")
def logbook(run: Path) -> Path:
    return replay(run / "checkpoints", run / "observations.h5", battery=run / "battery")


def spoken(error: SystemExit) -> str:
    """What Python prints on stderr when the error ends it with code 1."""
    assert isinstance(error.code, str)
    return error.code


HELP = {
    "": [
        "demo",
        "train",
        "replay",
        "doctor",
        "import",
        "plot",
        "emergence",
        "lead",
        "compare",
        "circuits",
        "lesions",
        "battery",
    ],
    "demo": ["--out", "--seed", "--config", "runs/demo", "the next free name"],
    "train": ["fit"],
    "replay": ["source", "--out", "--battery", "--tokenizer", "--config", "[built-in, music.json]"],
    "doctor": ["source", "--steps", "--stage", "--quick", "--json", "--config", "is each of the step that it says?"],
    "import": ["logbook results [results ...]", "--step", "--model", "--config", "it is made if it is missing"],
    "plot": ["logbook", "--out", "--config", "figures"],
    "emergence": ["logbook", "--json", "--alpha", "--delta", "--config", "the error rate of the whole logbook"],
    "lead": ["logbook first second", "--config", "piqa/acc", "margin/math"],
    "lesions": ["logbook", "--json", "--alpha", "--name", "--config", "the error rate of one matrix"],
    "compare": ["logbooks [logbooks ...]", "--out", "--alpha", "--delta", "--config", "of one battery"],
    "circuits": ["logbook", "--json", "--space", "--share", "--alpha", "--config", "mlp or heads"],
    "battery": ["show", "audit"],
    "battery show": ["--battery", "--config"],
    "battery audit": ["--battery", "--tokenizer", "--config"],
}


@pytest.mark.parametrize("command", HELP)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command.split(), "--help"])
    assert caught.value.code == 0
    told = re.sub(r"\s+", " ", capsys.readouterr().out)
    for words in HELP[command]:
        assert words in told


def test_checkpoints_are_replayed_and_the_logbook_is_drawn(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, figures = tmp_path / "o.h5", tmp_path / "figures"
    main(["replay", str(run / "checkpoints"), "--out", str(out), "--battery", str(run / "battery")])
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"An observation takes contrast [\d.]+ s.*; 3 observations take [\d.]+ s in all\.", lines.pop(1)
    )
    assert [line.split()[:2] for line in lines] == [["step", "0"], ["step", "2"], ["step", "3"]]
    assert all("E[mlp: last mean]  alpha" in line for line in lines)
    assert open_logbook(out)["step"].values.tolist() == [0, 2, 3]
    main(["plot", str(out), "--out", str(figures)])
    printed = capsys.readouterr().out.splitlines()
    drawn = ("strength", "onsets", "layers", "region_stability", "robustness")
    assert printed == [str(figures / f"{name}.{kind}") for name in drawn for kind in ("png", "svg")]
    assert all(Path(line).stat().st_size > 3_000 for line in printed)
    main(["replay", str(run / "checkpoints"), "--out", str(out), "--battery", str(run / "battery")])
    assert capsys.readouterr().out == ""  # nothing is left to do


def test_the_doctor_passes_a_good_suite_and_fails_one_with_a_wrong_checkpoint(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["doctor", str(run / "checkpoints")])
    assert capsys.readouterr().out == "3 checkpoints: 0 errors, 0 warnings, 0 notes.\n"
    shutil.copytree(run / "checkpoints", tmp_path / "c")
    shutil.copy(tmp_path / "c" / "step3" / "model.safetensors", tmp_path / "c" / "step2" / "model.safetensors")
    with pytest.raises(SystemExit) as caught:
        main(["doctor", str(tmp_path / "c"), "--quick", "true", "--json"])
    assert caught.value.code == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["steps"]) == ("final weights", [2])


def test_a_command_takes_its_arguments_from_a_file(
    run: Path, logbook: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def config(**settings: object) -> list[str]:
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
        return ["--config", str(tmp_path / "config.yaml")]

    main(["plot", *config(logbook=str(logbook), out=str(tmp_path / "drawn"))])
    assert (tmp_path / "drawn" / "layers.svg").exists()
    arguments = {"source": str(run / "checkpoints"), "out": str(tmp_path / "o.h5"), "battery": str(run / "battery")}
    main(["replay", *config(**arguments)])
    assert open_logbook(tmp_path / "o.h5").sizes["step"] == 3
    capsys.readouterr()
    main(["battery", "show", *config(battery=[str(run / "battery" / f"{name}.json") for name in ("alpha", "beta")])])
    assert small_battery().hash in capsys.readouterr().out
    main(["battery", "audit", *config(battery=str(music(tmp_path / "music", leaks=False)))])
    assert "The battery passes." in capsys.readouterr().out


def test_the_battery_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    main(["battery", "show"])
    told = capsys.readouterr().out
    assert load_battery().hash in told
    for name in ("language: contrasts", "social: tasks", "relative_clauses"):
        assert name in told


@pytest.mark.parametrize("way", ["built-in", "[built-in]", '["built-in"]'])
def test_the_built_in_battery_can_be_named(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["battery", "show", "--battery", way])
    assert load_battery().hash in capsys.readouterr().out


def test_several_sources_make_one_battery(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["battery", "show", "--battery", f"[built-in, {run / 'battery' / 'beta.json'}]"])
    assert load_battery(["built-in", run / "battery" / "beta.json"]).hash in capsys.readouterr().out


def music(folder: Path, leaks: bool) -> Path:
    """A battery of two families; where it leaks, each target begins with the same word in both."""

    def family(name: str) -> dict[str, object]:
        hum, sit = ("hum", "sit") if leaks else (f"hum{name}", f"sit{name}")
        items = [{"id": f"{name}-{i}", "target": f"{hum} {name}{i}", "control": f"{sit} {name}{i}"} for i in range(9)]
        return {"name": name, "control": "silence", "items": items}

    content = {"format": "observatory-battery/1", "domain": "music", "families": [family("a"), family("b")]}
    folder.mkdir(exist_ok=True)
    (folder / "music.json").write_text(json.dumps(content))
    return folder


def test_the_audit_passes_the_built_in_battery_and_fails_a_leaky_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["battery", "audit"])
    assert "The battery passes." in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["battery", "audit", "--battery", str(music(tmp_path / "music", leaks=True))])
    assert caught.value.code == 1
    told = capsys.readouterr().out
    assert "its words alone tell the targets of 'b'" in told
    assert "The battery does not pass." in told


def test_the_audit_does_not_fail_for_notes_and_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It used to say that the battery passes, and to end with 1."""
    main(["battery", "audit", "--battery", str(music(tmp_path / "music", leaks=False))])
    told = capsys.readouterr().out
    assert "warning" in told
    assert "The battery passes." in told


def test_the_audit_reads_the_tokenizer_of_a_checkpoint(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--battery",
        str(music(tmp_path / "music", leaks=False)),
        "--tokenizer",
        str(run / "checkpoints" / "step0"),
    ]
    main(["battery", "audit", *arguments])
    assert "first token 0" in capsys.readouterr().out


MISTAKES = {
    "replay {tmp}/nowhere --out {tmp}/o.h5": r"nowhere; give a folder of checkpoints, or a repository on the hub",
    "replay {tmp} --out {tmp}/o.h5": r"holds no checkpoints: looked for folders and files named step1000",
    "replay {run}/checkpoints --out {tmp}/file/o.h5": r"{tmp}/file",
    "replay {run}/checkpoints --out {tmp}/file": r"file is not a logbook: it is not an HDF5 file",
    "replay {run}/checkpoints --out {tmp}/o.h5 --tokenizer {tmp}": r"holds no tokenizer; give the folder or the hub",
    "replay {run}/checkpoints --out {tmp}/o.h5 --battery {tmp}": r"holds no battery file; it needs at least one",
    "replay {run}/checkpoints --out {log}": r"the logbook was written with battery \w+, and this run has battery",
    "plot {tmp}/nowhere.h5": r"nowhere.h5: there is no logbook",
    "emergence {tmp}/nowhere.h5": r"nowhere.h5: there is no logbook",
    "emergence {log} --alpha 1": r"alpha is an error rate between 0 and 0.5; got 1",
    "lead {log} alpha gamma": r"no curve 'gamma' in this logbook; there are alpha, beta",
    "compare {log} {log}": r"a comparison needs two logbooks or more; got 1",
    "compare {log} {tmp}/file": r"file is not a logbook: it is not an HDF5 file",
    "plot {tmp}": r": a logbook is a file, and this is a folder",
    "plot {tmp}/file": r"file is not a logbook: it is not an HDF5 file",
    "plot {log} --out {tmp}/file": r"file is a file; give a folder for the figures",
    "plot {log} --out {tmp}/file/figures": r"file/figures: Not a directory",
    "battery show --battery {tmp}/nowhere": r"there is no battery at .*; give a folder of battery files",
    "battery show --battery {tmp}/misspelt": r"misspelt.json.*'tragets'.*'target'",
    "battery audit --tokenizer {tmp}": r"holds no tokenizer; give the folder or the hub name",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_ends_with_one_sentence(command: str, run: Path, logbook: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "misspelt").mkdir()
    text = (run / "battery" / "alpha.json").read_text()
    (tmp_path / "misspelt" / "misspelt.json").write_text(text.replace('"target"', '"tragets"', 1))
    places = {"tmp": tmp_path, "run": run, "log": logbook}
    with pytest.raises(SystemExit) as caught:
        main([word.format(**places) for word in command.split()])
    told = spoken(caught.value)
    assert told.startswith("observatory: ")
    assert "\n" not in told
    assert re.search(MISTAKES[command].replace("{tmp}", str(tmp_path)), told), told
    assert (tmp_path / "file").read_text() == "mine"
    assert open_logbook(logbook).sizes["step"] == 3


UNUSABLE = {
    "nonsense": "invalid choice: 'nonsense' (choose from 'demo', 'train', 'replay', 'doctor', 'import', 'plot', ",
    "": "it was not provided",
    "import": "the following arguments are required: logbook, results",
    "import o.h5": "the following arguments are required: results",
    "import o.h5 a.json --step soon": "value: soon",
    "plot": "the following arguments are required: plot.logbook",
    "compare": "the following arguments are required: logbooks",
    "compare a.h5 b.h5 --alpha much": "value: much",
    "compare a.h5 --output figures": "unrecognized arguments: --output figures",
    "lead o.h5 math": "the following arguments are required: lead.second",
    "emergence": "the following arguments are required: emergence.logbook",
    "plot log.h5 --output figures": "unrecognized arguments: --output figures",
    "plot --config nowhere.yaml": "File does not exist",
    "demo --seed many": "Got value: many",
    "battery": "it was not provided",
    "train": "it was not provided",
    "train test": "invalid choice: 'test' (choose from 'fit')",
    "train fit --config nowhere.yaml": "File does not exist",
}


@pytest.mark.parametrize("command", UNUSABLE)
def test_what_cannot_be_read_ends_with_the_usage(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(command.split())
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert UNUSABLE[command] in told
    assert "Traceback" not in told


# The first two are refused by Lightning, with errors of its own kind; the last lacks a package.
TRAINING = {
    "--trainer.fast_dev_run=-1": "fast_dev_run=-1 is not a valid configuration",
    "--trainer.strategy=none": "invalid strategy name",
    "--trainer.accelerator=tpu": "torch_xla",
}


@pytest.mark.parametrize("setting", TRAINING)
def test_training_that_cannot_be_set_up_ends_with_a_sentence(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = Path(__file__).parents[1] / "configs" / "demo.yaml"
    with pytest.raises(SystemExit) as caught:
        main(["train", "fit", "--config", str(recipe), setting])
    assert TRAINING[setting] in spoken(caught.value)


def test_training_named_in_a_configuration_of_everything_is_not_skipped_silently(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text("subcommand: train\ntrain: {}\n")
    with pytest.raises(SystemExit) as caught:
        main(["--config", str(tmp_path / "all.yaml")])
    assert "observatory train fit --config FILE.yaml" in spoken(caught.value)


WAYS = {
    "module": [sys.executable, "-m", "observatory"],
    "installed": [str(Path(sys.executable).with_name("observatory"))],
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_same_command_as_a_module_and_as_a_script(way: str, tmp_path: Path) -> None:
    if not Path(WAYS[way][0]).exists():
        pytest.skip("the package is not installed")

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*WAYS[way], *arguments], capture_output=True, text=True, cwd=tmp_path)

    helped = call("--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert helped.stdout.startswith("usage: observatory ")
    wrong = call("plot", "nowhere.h5")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "observatory: nowhere.h5: there is no logbook\n"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["emergence", "a.h5", "--json"], ["emergence", "a.h5", "--json=true"]),
        (["emergence", "a.h5", "--json", "--alpha", "0.1"], ["emergence", "a.h5", "--json=true", "--alpha", "0.1"]),
        (["doctor", "--quick", "false", "s"], ["doctor", "--quick", "false", "s"]),
        (["doctor", "--quick", "s"], ["doctor", "--quick=true", "s"]),
        (["replay", "s", "--steps", "all"], ["replay", "s", "--steps", "all"]),
    ],
)
def test_a_switch_may_stand_alone(given: list[str], taken: list[str]) -> None:
    assert _with_values(given) == taken
