"""Loading a tokenizer from where its model was saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_NONE_THERE = "holds no tokenizer; give the folder or the hub name of the one the model was trained with"


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """From a folder or a name on the hub; code that comes with it is never run."""
    from transformers import AutoTokenizer

    try:
        loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"{source} {_NONE_THERE}") from error
    except Exception as error:  # what is in its files fails in every way there is
        words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ValueError(f"{source} holds a tokenizer that cannot be loaded ({words}); save it anew") from error
    if not loaded("a", add_special_tokens=False)["input_ids"]:  # what transformers makes of a folder without one
        raise ValueError(f"{source} {_NONE_THERE}")
    return loaded
