"""What lies beside the weights and should be the same throughout a suite: the configuration and the tokenizer."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from observatory.replay.findings import Finding, at_steps

_CONFIG = "config.json"
_NO_MATTER = (
    "transformers_version",
    "_name_or_path",
    "_commit_hash",
    "_attn_implementation_autoset",
    "_attn_implementation",
    "torch_dtype",
    "dtype",
    "use_cache",
)
"""Keys that change nothing of what the weights compute in the dtype that a replay asks for."""
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt", "spiece.model")
_NOTES = {"progress.json": "step", "trainer_state.json": "global_step"}
"""Files that say of which step the folder is."""


def changes_beside(folders: Mapping[int, Path]) -> list[Finding]:
    """Of checkpoints that are folders, by step."""
    here = {step: path for step, path in folders.items() if path.is_dir()}
    return [*_configs(here), *_tokenizers(here), *_noted(here)]


def _configs(folders: Mapping[int, Path]) -> Iterator[Finding]:
    read = {step: _json(path / _CONFIG) for step, path in folders.items() if (path / _CONFIG).exists()}
    if read and (lacking := tuple(sorted(folders.keys() - read.keys()))):
        told = f"{at_steps(lacking)} without the {_CONFIG} that the others have; copy it from one of those"
        yield Finding("config", lacking, told, "warning")
    if broken := tuple(sorted(step for step, config in read.items() if not isinstance(config, dict))):
        yield Finding("config", broken, f"{_CONFIG} of {at_steps(broken)} is not a JSON object; restore it", "warning")
    configs = {step: config for step, config in read.items() if isinstance(config, dict)}
    for key in sorted({key for config in configs.values() for key in config}.difference(_NO_MATTER)):
        told_by = {step: json.dumps(config.get(key), sort_keys=True) for step, config in configs.items()}
        usual, odd = _odd(told_by)
        if odd:
            others = ", ".join(sorted({told_by[step] for step in odd}))
            absent = "null" in (usual, *(told_by[step] for step in odd))  # written out by some versions alone
            told = (
                f"{key} in {_CONFIG} is {others} at {at_steps(odd)} and {usual} elsewhere; the weights of a step are "
                f"measured with its own configuration, so make sure that both are right"
            )
            yield Finding("config", odd, told, "note" if absent else "warning")


def _tokenizers(folders: Mapping[int, Path]) -> Iterator[Finding]:
    meanings: dict[bytes, str] = {}
    for name in _TOKENIZER:
        words = {}
        for step, path in folders.items():
            if (file := path / name).exists():
                content = file.read_bytes()
                digest = hashlib.sha256(content).digest()
                if digest not in meanings:
                    meanings[digest] = _meaning(content)
                words[step] = meanings[digest]
        _, odd = _odd(words)
        if odd:
            told = (
                f"{name} of {at_steps(odd)} is another than elsewhere; a replay reads its stimuli with one tokenizer, "
                f"that of the last checkpoint unless it is told, so make sure that this is the one of the training"
            )
            yield Finding("tokenizer", odd, told, "warning")


def _noted(folders: Mapping[int, Path]) -> Iterator[Finding]:
    for name, key in _NOTES.items():
        for step, path in sorted(folders.items()):
            found = _json(path / name)
            noted = found.get(key) if isinstance(found, dict) else None
            if isinstance(noted, int) and noted != step:
                told = (
                    f"{path.name} is called step {step}, and its {name} says step {noted}; give the folder the name of "
                    f"the step that it is of"
                )
                yield Finding("step noted", (step,), told, "error")


def _odd(words: Mapping[int, str]) -> tuple[str, tuple[int, ...]]:
    """The usual word, and the steps that have another."""
    usual = Counter(words.values()).most_common(1)[0][0] if words else ""
    return usual, tuple(sorted(step for step, word in words.items() if word != usual))


def _meaning(content: bytes) -> str:
    """Alike for JSON that is laid out otherwise, and for merges written as pairs or as lines."""
    try:
        found = json.loads(content)
        if isinstance(found, dict) and isinstance(model := found.get("model"), dict):
            for passing in ("truncation", "padding"):  # set by whoever used it last
                found.pop(passing, None)
            model["merges"] = [pair if isinstance(pair, str) else " ".join(pair) for pair in model.get("merges") or ()]
        return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    except (ValueError, TypeError, RecursionError):
        return hashlib.sha256(content).hexdigest()


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return None
