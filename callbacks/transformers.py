"""The monitor for the Trainer of transformers."""

from __future__ import annotations

import warnings
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from observatory.monitor import Monitor


class TransformersMonitor(Monitor, TrainerCallback):
    """A monitor that goes into the Trainer's `callbacks`; left without a tokenizer, it takes the Trainer's.

    Tokens are those that the Trainer counts if its arguments say `include_num_input_tokens_seen="all"`. The training
    loss stands at the steps at which the Trainer logs it: the mean since it logged before. The Trainer's checkpoints
    carry the monitor's state, and training that resumes from one goes on in its logbook.
    """

    _awaits_loss = False

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: nn.Module | None = None,
        processing_class: object = None,
        **others: Any,
    ) -> None:
        assert model is not None
        if self.tokenizer is None and isinstance(processing_class, PreTrainedTokenizerBase):
            self.tokenizer = processing_class
        if args.include_num_input_tokens_seen == "no":
            warnings.warn(
                "the Trainer does not count tokens, and the logbook will say 0 at every step; "
                "TrainingArguments(include_num_input_tokens_seen='all') lets it count them",
                stacklevel=2,
            )
        self._awaits_loss = False
        if self._key in _states(state):
            self.load_state_dict(_states(state)[self._key])
        self.begin(model, state.global_step, max_steps=state.max_steps, tokens=state.num_input_tokens_seen)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        self._stop_waiting(state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        # The loss is told to `on_log`, before the Trainer evaluates or saves.
        self._awaits_loss = control.should_log
        if not self._awaits_loss:
            self._stepped(state)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        logs: dict[str, Any] | None = None,
        **others: Any,
    ) -> None:
        logs = logs or {}
        if self._awaits_loss and "loss" in logs:
            self._awaits_loss = False
            self._stepped(state, logs["loss"])
        if "train_steps_per_second" in logs:  # of the whole run, told before the best checkpoint is put back
            self._stop_waiting(state)
            self.end()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        if not args.load_best_model_at_end:  # if nothing was told, as by a Trainer that logs in its own way
            self._stop_waiting(state)
            self.end()
        self.close()

    @property
    def _key(self) -> str:
        """Not the name of a class: of such the Trainer makes callbacks anew, from what JSON can hold."""
        return f"observatory: {self._out}"

    def _stop_waiting(self, state: TrainerState) -> None:
        if self._awaits_loss:
            self._awaits_loss = False
            self._stepped(state)

    def _stepped(self, state: TrainerState, loss: float | None = None) -> None:
        self.step(state.global_step, tokens=state.num_input_tokens_seen, loss=loss)
        _states(state)[self._key] = self.state_dict()


def _states(state: TrainerState) -> dict[str, Any]:
    """What is written into each checkpoint's `trainer_state.json`."""
    states: dict[str, Any] = state.stateful_callbacks  # type: ignore[assignment]
    return states
