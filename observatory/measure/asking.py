"""What a model is asked: prompts with the answers to choose from, and texts to be continued."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from observatory.measure.anatomy import Anatomy
from observatory.stimuli.battery import Task
from observatory.stimuli.tokens import Ids, encode, encode_answers

PROMPTS = ("clean", "corrupted")
ANSWERS = ("correct", "incorrect")
LOGITS_AT_ONCE = 2**25
"""How many logits are held together, 128 MiB of them."""


@dataclass(frozen=True)
class Asking:
    """A prompt and what may follow it. Each answer is scored whole, token after token."""

    prompt: Ids
    answers: tuple[Ids, ...]


@dataclass(frozen=True)
class Questions:
    """Tasks as a tokenizer has them: the askings of every pair, its clean prompt's before its corrupted one's."""

    tasks: tuple[Task, ...]
    askings: tuple[Asking, ...]

    @cached_property
    def task_of_pair(self) -> Int[Tensor, " pair"]:
        return torch.tensor([row for row, task in enumerate(self.tasks) for _ in task.pairs], dtype=torch.long)

    @cached_property
    def half_of_pair(self) -> Int[Tensor, " pair"]:
        """0 or 1: two halves of each task that share no template, if it has two."""
        halves: list[int] = []
        for task in self.tasks:
            templates = sorted({pair.template for pair in task.pairs})
            halves += [
                (templates.index(pair.template) if len(templates) > 1 else number) % 2
                for number, pair in enumerate(task.pairs)
            ]
        return torch.tensor(halves, dtype=torch.long)

    def only(self, chosen: Bool[Tensor, " pair"]) -> Questions:
        """Of some of the pairs."""
        kept = iter(chosen.tolist())
        tasks = [replace(task, pairs=tuple(pair for pair in task.pairs if next(kept))) for task in self.tasks]
        rows = chosen.repeat_interleave(len(PROMPTS)).tolist()
        return Questions(tuple(tasks), tuple(one for one, row in zip(self.askings, rows, strict=True) if row))

    def part(self, tasks: range) -> Questions:
        """Of some of the tasks."""
        before = 2 * sum(len(task.pairs) for task in self.tasks[: tasks.start])
        count = 2 * sum(len(task.pairs) for task in self.tasks[tasks.start : tasks.stop])
        return Questions(self.tasks[tasks.start : tasks.stop], self.askings[before : before + count])


def questions(tokenizer: object, tasks: Sequence[Task], context: int | None = None) -> Questions:
    """The tasks in tokens."""
    if not tasks:
        raise ValueError("the battery has no tasks, so there is nothing to ask; give one with tasks")
    pairs = [pair for task in tasks for pair in task.pairs]
    prompts = [prompt for pair in pairs for prompt in (pair.clean, pair.corrupted)]
    asked = encode(tokenizer, prompts, context)
    correct = encode_answers(tokenizer, prompts, [pair.correct for pair in pairs for _ in PROMPTS], context)
    incorrect = encode_answers(tokenizer, prompts, [pair.incorrect for pair in pairs for _ in PROMPTS], context)
    askings = [Asking(prompt, (one, other)) for prompt, one, other in zip(asked, correct, incorrect, strict=True)]
    return Questions(tuple(tasks), tuple(askings))


def continuations(texts: Sequence[Ids]) -> tuple[Asking, ...]:
    """Texts that are to be continued from their first token on."""
    return tuple(Asking(text[:1], (text[1:],)) for text in texts)


@dataclass(frozen=True)
class Batch:
    """Sequences of one length with prompts of one length, so nothing is padded."""

    askings: Int[Tensor, " row"]
    """Whose sequence it is."""
    ids: Int[Tensor, "row token"]
    prompt: int
    """Tokens of the prompt; the last of them is where units are read."""
    targets: Int[Tensor, "row answer following"]
    """The tokens of the answers, for the last positions to predict; -1 where another row scores the answer."""

    @property
    def following(self) -> int:
        return self.targets.shape[-1]

    @property
    def first(self) -> Bool[Tensor, " row"]:
        """The rows that score the first answer, one for each asking."""
        return self.targets[:, 0, 0] >= 0

    def scores(self, logits: Float[Tensor, "row following vocabulary"]) -> Float[Tensor, "row answer"]:
        """The log-probability of each answer; 0 for one that another row scores."""
        wanted: Bool[Tensor, "row answer following"] = self.targets.to(logits.device) >= 0
        at = self.targets.to(logits.device).clamp(min=0).transpose(1, 2)
        found = logits.float().log_softmax(-1).gather(-1, at).transpose(1, 2)
        return torch.where(wanted, found, 0.0).sum(-1)


def batches(askings: Sequence[Asking], limit: int, vocabulary: int) -> Iterator[Batch]:
    """Buckets by length, each cut to at most `limit` tokens and a bound of logits (at least one row).

    Answers that differ in their last token alone are scored in one row.
    """
    slots = max(len(asking.answers) for asking in askings)
    buckets: dict[tuple[int, int], list[tuple[int, Ids, list[Ids]]]] = defaultdict(list)
    for number, asking in enumerate(askings):
        shown: dict[Ids, list[Ids]] = {}
        for slot, answer in enumerate(asking.answers):
            shown.setdefault(answer[:-1], [()] * slots)[slot] = answer
        for beginning, scored in shown.items():
            sequence = (*asking.prompt, *beginning)
            buckets[len(sequence), len(asking.prompt)].append((number, sequence, scored))
    for (length, prompt), rows in sorted(buckets.items()):
        following = length - prompt + 1
        size = max(1, min(limit // length, LOGITS_AT_ONCE // (following * vocabulary)))
        for start in range(0, len(rows), size):
            chunk = rows[start : start + size]
            yield Batch(
                torch.tensor([number for number, _, _ in chunk]),
                torch.tensor([sequence for _, sequence, _ in chunk]),
                prompt,
                torch.tensor([[answer or (-1,) * following for answer in scored] for _, _, scored in chunk]),
            )


During = Callable[[Batch], AbstractContextManager[None]]
"""What is entered while a batch is run."""


def alone(_: Batch) -> AbstractContextManager[None]:
    """Nothing else happens."""
    return nullcontext()


def ask(
    anatomy: Anatomy,
    askings: Sequence[Asking],
    batch_tokens: int,
    during: During = alone,
) -> Float[Tensor, "asking answer"]:
    """The log-probability of every answer, summed over its tokens."""
    found = torch.zeros(len(askings), max(len(asking.answers) for asking in askings))
    for batch in anatomy.ranks.own(list(batches(askings, batch_tokens, anatomy.voice.vocabulary))):
        with during(batch):
            scores = batch.scores(anatomy.voice.logits(batch.ids.to(anatomy.device), batch.following))
        found.index_add_(0, batch.askings, scores.cpu())
    return anatomy.ranks.total(found)
