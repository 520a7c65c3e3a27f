"""Data modules: what they read, what they refuse, and that batches depend on nothing but their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict

from observatory.train import HuggingFaceData, TextData, TokenFileData
from observatory.train.feed import Feed, Position
from observatory.train.sequences import Ids, PackedSequences, Sequences

TEXT = "The cat sat on the mat. A dog ran by, and then it was gone.\n" * 40


class Numbered(Sequences):
    """Sequence n is n and its step."""

    length = 2

    def __call__(self, number: int, step: int) -> Ids:
        return np.array([number, step])


def rows(feed: Feed, batches: int) -> list[list[int]]:
    return [row for _, batch in zip(range(batches), feed, strict=False) for row in batch["input_ids"].tolist()]


def test_a_feed_goes_on_where_training_stands() -> None:
    whole = rows(Feed(Numbered(), 3, Position), 6)
    rest = rows(Feed(Numbered(), 3, lambda: Position(step=4)), 2)
    assert whole == [[n, n // 3] for n in range(18)]
    assert rest == whole[12:]


def test_a_feed_asks_for_the_position_at_every_pass() -> None:
    steps = iter([0, 5])
    feed = Feed(Numbered(), 1, lambda: Position(step=next(steps)))
    assert rows(feed, 2) == [[0, 0], [1, 1]]
    assert rows(feed, 2) == [[5, 5], [6, 6]]


@pytest.mark.parametrize(("world", "accumulate", "batch"), [(1, 1, 12), (2, 1, 6), (4, 3, 1), (1, 4, 3), (3, 2, 2)])
def test_a_step_takes_the_same_sequences_however_it_is_split(world: int, accumulate: int, batch: int) -> None:
    steps: dict[int, set[int]] = {0: set(), 1: set()}
    for rank in range(world):

        def position(rank: int = rank) -> Position:
            return Position(rank=rank, world=world, accumulate=accumulate)

        for number, step in rows(Feed(Numbered(), batch, position), 2 * accumulate):
            steps[step].add(number)
    assert steps == {0: set(range(12)), 1: set(range(12, 24))}


def test_worker_processes_keep_the_order() -> None:
    alone = rows(Feed(Numbered(), 2, Position), 7)
    assert rows(Feed(Numbered(), 2, Position, workers=2), 7) == alone


def test_packed_sequences_take_every_token_once_an_epoch_in_a_new_order() -> None:
    packed = PackedSequences(np.arange(103), length=10, seed=1)
    first = [packed(n, 0)[0] for n in range(10)]
    second = [packed(n, 0)[0] for n in range(10, 20)]
    assert sorted(first) == sorted(second) == list(range(0, 100, 10))
    assert first != second
    assert np.array_equal(packed(3, 0), PackedSequences(np.arange(103), length=10, seed=1)(3, 7))


def test_text_files_become_packed_sequences_between_end_tokens(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "deep" / "b.txt").write_text("Ünïcode, too. " * 50)
    data = TextData(str(tmp_path), sequence_length=16, batch_size=4, vocab_size=300)
    batch = next(iter(data.train_dataloader()))["input_ids"]
    assert batch.shape == (4, 16)
    assert batch.dtype == torch.int64
    assert data.vocab_size == 384
    packed = data.sequences
    assert isinstance(packed, PackedSequences)
    text = "".join(data.tokenizer.decode(sorted_row) for sorted_row in [packed._tokens])
    assert text.count("<|endoftext|>") == 3
    assert "Ünïcode, too." in text
    assert TEXT.strip() in text


def test_a_pattern_names_the_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "b.md").write_text("not this")
    data = TextData(str(tmp_path / "*.txt"), sequence_length=8, batch_size=1, vocab_size=300)
    assert len(data._documents) == 1


def test_missing_text_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no text file at .*nowhere.*give a folder"):
        TextData(str(tmp_path / "nowhere"))


def test_empty_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("  \n")
    with pytest.raises(ValueError, match=r"all 1 text files are empty.*a\.txt"):
        TextData(str(tmp_path))


def test_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match="is not UTF-8"):
        TextData(str(tmp_path))


def test_text_shorter_than_a_sequence_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Just this.")
    data = TextData(str(tmp_path), sequence_length=64, vocab_size=300)
    with pytest.raises(ValueError, match=r"fewer than one sequence of 64"):
        data.train_dataloader()


@pytest.mark.parametrize("split", [None, "train", "test"])
def test_a_saved_dataset_is_read_with_or_without_splits(tmp_path: Path, split: str | None) -> None:
    rows = Dataset.from_dict({"text": [TEXT, "", "More of it. " * 20]})
    (DatasetDict({split: rows}) if split else rows).save_to_disk(str(tmp_path / "set"))
    data = HuggingFaceData(
        str(tmp_path / "set"), split=split or "train", sequence_length=16, batch_size=2, vocab_size=300
    )
    assert next(iter(data.train_dataloader()))["input_ids"].shape == (2, 16)


def test_a_missing_column_or_split_is_named(tmp_path: Path) -> None:
    DatasetDict({"train": Dataset.from_dict({"body": [TEXT]})}).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(ValueError, match=r"no column 'text'; it has body"):
        HuggingFaceData(str(tmp_path / "set"))
    with pytest.raises(ValueError, match=r"no split 'test'; it has train"):
        HuggingFaceData(str(tmp_path / "set"), split="test")


def test_a_dataset_without_text_is_refused(tmp_path: Path) -> None:
    Dataset.from_dict({"text": ["", " "]}).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(ValueError, match="holds no text in any of 2 rows"):
        HuggingFaceData(str(tmp_path / "set"))


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_token_files_are_mapped_and_not_read(tmp_path: Path, dtype: str) -> None:
    ids = np.arange(1000, dtype=dtype) % 50
    ids.tofile(tmp_path / "tokens.bin")
    data = TokenFileData(str(tmp_path / "tokens.bin"), 50, dtype, sequence_length=100, batch_size=10)  # type: ignore[arg-type]
    batch = next(iter(data.train_dataloader()))["input_ids"]
    assert torch.bincount(batch.flatten()).tolist() == [20] * 50
    assert data.vocab_size == 50


def test_without_a_seed_the_order_is_that_of_the_file(tmp_path: Path) -> None:
    np.arange(50, dtype="uint16").tofile(tmp_path / "tokens.bin")
    data = TokenFileData(str(tmp_path / "tokens.bin"), 50, sequence_length=10, batch_size=5, seed=None)
    assert next(iter(data.train_dataloader()))["input_ids"].flatten().tolist() == list(range(50))


def test_token_ids_beyond_the_vocabulary_are_refused(tmp_path: Path) -> None:
    np.full(64, 50, dtype="uint16").tofile(tmp_path / "tokens.bin")
    data = TokenFileData(str(tmp_path / "tokens.bin"), vocab_size=50, sequence_length=16, batch_size=1)
    with pytest.raises(ValueError, match=r"contains the token id 50 but vocab_size is 50"):
        next(iter(data.train_dataloader()))


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (None, FileNotFoundError, "no token file at"),
        (b"", ValueError, "has 0 bytes"),
        (b"abc", ValueError, "has 3 bytes, which is no whole number of uint16"),
        (b"abcd", ValueError, "has 2 tokens, fewer than one sequence of 16"),
    ],
)
def test_bad_token_files_are_refused_before_training(
    tmp_path: Path, content: bytes | None, error: type[Exception], words: str
) -> None:
    if content is not None:
        (tmp_path / "tokens.bin").write_bytes(content)
    with pytest.raises(error, match=words):
        TokenFileData(str(tmp_path / "tokens.bin"), vocab_size=50, sequence_length=16, batch_size=1)


@pytest.mark.parametrize("settings", [{"sequence_length": 1}, {"batch_size": 0}])
def test_impossible_batches_are_refused(tmp_path: Path, settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        TokenFileData(str(tmp_path / "tokens.bin"), vocab_size=50, **settings)  # type: ignore[arg-type]
