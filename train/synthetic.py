"""The synthetic corpus as a data module."""

from __future__ import annotations

import random
from functools import cache, cached_property
from itertools import islice

import numpy as np
from transformers import PreTrainedTokenizerFast

from observatory.stimuli.battery import load_battery
from observatory.stimuli.generators import GRAMMARS, TASK_GRAMMARS
from observatory.train.corpus import Corpus
from observatory.train.data import SequenceData, padded
from observatory.train.held_out import HeldOut
from observatory.train.mixture import Mixture, Source
from observatory.train.sequences import Ids, Sequences
from observatory.train.tokenizer import END, WordEncoder, train_tokenizer

_TOKENIZER_DOCUMENTS = 4000


class CorpusSequences(Sequences):
    """Packs fresh documents into every sequence; the last one is cut off where the sequence ends."""

    def __init__(self, corpus: Corpus, tokenizer: PreTrainedTokenizerFast, length: int, seed: int) -> None:
        self.length = length
        self._corpus = corpus
        self._encode = WordEncoder(tokenizer)
        self._end = tokenizer.backend_tokenizer.token_to_id(END)
        self._seed = seed

    def __call__(self, number: int, step: int) -> Ids:
        rng = random.Random(f"{self._seed}/{number}")
        ids = [self._end]
        while len(ids) < self.length:
            ids += self._encode(self._corpus.document(rng, step).text)
            ids.append(self._end)
        return np.array(ids[: self.length], dtype=np.int64)


class SyntheticData(SequenceData):
    """Text with a known ground truth: which domains occur, from which step, and in which state.

    Sentences of the battery never occur. The tokenizer depends on the grammars alone, not on the mixture or
    the seed, so runs with and without a domain are compared on the same tokens.
    """

    tokenizer: PreTrainedTokenizerFast

    def __init__(
        self,
        mixture: Mixture | None = None,
        sequence_length: int = 128,
        batch_size: int = 32,
        seed: int = 0,
        vocab_size: int = 4096,
        workers: int = 0,
    ) -> None:
        """
        Args:
            mixture: Which domains, how much of each, from which step. All four in equal parts if not given.
            sequence_length: Tokens in a sequence.
            batch_size: Sequences in a batch of one rank.
            seed: Seed of the text. Each seed is another text from the same distribution.
            vocab_size: The most entries that the tokenizer may have; at some 2600 every word is one token.
            workers: Processes that make batches ahead; 0 makes them in the training process.
        """
        super().__init__(sequence_length, batch_size, workers)
        self.corpus = Corpus(GRAMMARS, TASK_GRAMMARS, mixture or Mixture(), HeldOut(load_battery().texts))
        self.seed = seed
        self.tokenizer = corpus_tokenizer(vocab_size)
        self.vocab_size = padded(len(self.tokenizer))

    @cached_property
    def sequences(self) -> Sequences:
        return CorpusSequences(self.corpus, self.tokenizer, self.sequence_length, self.seed)


@cache
def corpus_tokenizer(vocab_size: int = 4096) -> PreTrainedTokenizerFast:
    """The tokenizer for all that the grammars can write, in equal parts."""
    corpus = Corpus(GRAMMARS, TASK_GRAMMARS, Mixture({name: Source() for name in GRAMMARS}), HeldOut())
    documents = islice(corpus.documents(random.Random("tokenizer"), step=0), _TOKENIZER_DOCUMENTS)
    return train_tokenizer((document.text for document in documents), vocab_size)
