"""Plain text files as a data module."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from glob import glob
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from observatory.train.data import SequenceData, padded
from observatory.train.sequences import Ids, PackedSequences, Sequences
from observatory.train.tokenizer import train_tokenizer


class TextData(SequenceData):
    """Trains on `.txt` files; each file is a document."""

    tokenizer: PreTrainedTokenizerBase

    def __init__(
        self,
        files: str,
        tokenizer: str | None = None,
        sequence_length: int = 128,
        batch_size: int = 32,
        seed: int = 0,
        vocab_size: int = 4096,
        workers: int = 0,
    ) -> None:
        """
        Args:
            files: A folder (all .txt files in it, at any depth), a file, or a pattern such as 'books/*.txt'.
            tokenizer: A folder or hub name of a tokenizer. If not given, one is trained on these files.
            sequence_length: Tokens in a sequence.
            batch_size: Sequences in a batch of one rank.
            seed: Seed of the order in which sequences come.
            vocab_size: Size of the tokenizer that is trained; without effect if one is given.
            workers: Processes that make batches ahead; 0 makes them in the training process.
        """
        super().__init__(sequence_length, batch_size, workers)
        self.seed = seed
        self._documents = read_documents(find_files(files))
        self.tokenizer = load_tokenizer(tokenizer) if tokenizer else train_tokenizer(self._documents, vocab_size)
        self.vocab_size = padded(len(self.tokenizer))

    @cached_property
    def sequences(self) -> Sequences:
        return PackedSequences(pack(self._documents, self.tokenizer), self.sequence_length, self.seed)


def find_files(pattern: str) -> list[Path]:
    """The files that a folder, a path or a pattern stands for, sorted."""
    path = Path(pattern)
    found = sorted(path.rglob("*.txt")) if path.is_dir() else sorted(map(Path, glob(pattern, recursive=True)))
    if not found:
        raise FileNotFoundError(
            f"no text file at {pattern!r}; give a folder with .txt files, a file, or a pattern such as 'books/*.txt'"
        )
    return found


def read_documents(files: Iterable[Path]) -> list[str]:
    """The documents of the files, without empty ones."""
    files = list(files)
    documents = []
    for file in files:
        try:
            documents.append(file.read_text(encoding="utf-8").strip())
        except UnicodeDecodeError as error:
            raise ValueError(f"{file} is not UTF-8 text; convert it first") from error
    documents = [document for document in documents if document]
    if not documents:
        raise ValueError(f"all {len(files)} text files are empty, the first of them {files[0]}")
    return documents


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """A tokenizer with an end-of-text token, from a folder or the hub."""
    tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    if tokenizer.eos_token_id is None:
        raise ValueError(f"the tokenizer {name!r} has no end-of-text token (eos_token) to put between documents")
    return tokenizer


def pack(documents: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> Ids:
    """All documents in one row, the end-of-text token before the first and after each."""
    end = tokenizer.eos_token_id
    rows = (np.array([*tokenizer.encode(text, add_special_tokens=False), end]) for text in documents)
    return np.concatenate([np.array([end]), *rows])
