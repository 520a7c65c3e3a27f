"""What README shows runs, and what the docs point at exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from loop import Language, loader, small_battery, word_tokenizer

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

pytestmark = [
    pytest.mark.filterwarnings("ignore:Starting from v1.9.0, `tensorboardX` has been removed:UserWarning"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty:UserWarning"),
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers:UserWarning"),
]


def test_the_python_of_the_readme_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("observatory.observe.load_battery", lambda _: small_battery())  # its size, not its workings
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 6
    module = Language()
    names = {"tokenizer": word_tokenizer(), "module": module, "model": module.model, "data": loader()}
    for number, block in enumerate(blocks):
        exec(compile(block, f"README block {number}", "exec"), names)
    printed = capsys.readouterr().out
    assert "step" in printed
    assert "alpha" in printed
    assert (tmp_path / "checkpoints" / "step16" / "model.safetensors").exists()


def test_the_python_of_the_page_on_circuits_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "circuits.md").read_text(), re.DOTALL)
    model = Language().model
    mask = np.zeros((3, 20), bool)
    mask[1, ::2] = True
    names = {"tokenizer": word_tokenizer(), "model": model, "mask": mask}
    exec(compile(block, "circuits.md", "exec"), names)
    assert capsys.readouterr().out.startswith("w1 w2 w3")
    assert names["logits"].shape[:2] == (1, 3)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    for target in targets:
        assert target.startswith("https://") or (page.parent / target).exists(), target


COMMANDS = sorted(
    {
        tuple(line.split()[:3])
        for page in PAGES
        for line in re.findall(r"^    (?:\.venv/bin/)?(observatory [a-z].*)$", page.read_text(), re.MULTILINE)
    }
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_shown_exists(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    from observatory.cli import main

    plain = [word for word in words[1:] if re.fullmatch("[a-z]+", word)]
    with pytest.raises(SystemExit) as ended:
        main([*plain, "--help"])
    assert ended.value.code == 0
    assert "usage: observatory" in capsys.readouterr().out


WHOLE = r"^    observatory ((?:replay|doctor|plot|emergence|report) .*?)(?: +#.*)?$"
SHOWN = sorted({line for page in PAGES for line in re.findall(WHOLE, page.read_text(), re.MULTILINE)})


@pytest.mark.parametrize("line", SHOWN)
def test_every_option_shown_is_one(line: str) -> None:
    """Of the commands that take many; those are read, and not run."""
    from jsonargparse import auto_cli, capture_parser

    from observatory.cli import _COMMANDS, _with_values

    name, *words = shlex.split(line)
    parser = capture_parser(auto_cli, _COMMANDS[name], args=[])
    assert parser.parse_args(_with_values(words))  # or SystemExit
