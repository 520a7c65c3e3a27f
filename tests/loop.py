"""One tiny training loop: a model with dropout and a frozen part, a battery of a few words, Lightning round them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from models import tiny
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerFast

from observatory.stimuli.battery import Battery, Domain, Family, Item

WORDS = [f"w{number}" for number in range(40)]
FAMILIES = {"alpha": ("a1", "a2", "a3"), "beta": ("b1", "b2")}
TOKENS_PER_BATCH = 4 * 8


def small_battery(items: int = 6, name: str = "small") -> Battery:
    """Random words: nothing to find, all there is to measure."""
    draw = np.random.default_rng(list(name.encode()))

    def text(length: int) -> str:
        return " ".join(draw.choice(WORDS, length))

    def family(domain: str, label: str) -> Family:
        return Family(
            domain,
            label,
            "other words",
            tuple(Item(f"{label}-{i}", text(4 + i % 2), text(4 + i % 2)) for i in range(items)),
        )

    return Battery(
        name,
        tuple(Domain(d, "random words", tuple(family(d, f) for f in families), ()) for d, families in FAMILIES.items()),
    )


def word_tokenizer() -> PreTrainedTokenizerFast:
    """A token a word."""
    vocabulary = {token: number for number, token in enumerate(["<end>", "<unknown>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unknown>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", unk_token="<unknown>")


class Sequences(Dataset[dict[str, Tensor]]):
    def __init__(self, count: int) -> None:
        self.ids = torch.randint(0, 42, (count, 8), generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": self.ids[index]}


class Language(L.LightningModule):
    """Dropout draws random numbers in every step; the first block is frozen in eval mode on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.model = tiny("gpt_neox", hidden_dropout=0.1, attention_dropout=0.1)
        self.frozen = self.model.gpt_neox.layers[0]
        self.frozen.requires_grad_(False)

    def on_train_start(self) -> None:
        self.frozen.eval()

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        assert not self.frozen.training
        noise = np.random.random() * 1e-3  # the loop itself draws from numpy, too
        loss: Tensor = self.model(**batch, labels=batch["input_ids"]).loss
        return loss * (1 + noise)

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        self.model(**batch)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW([p for p in self.parameters() if p.requires_grad], lr=1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class TwoOptimizers(Language):
    """Manual optimisation: Lightning counts a global step for either optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        loss: Tensor = self.model(**batch, labels=batch["input_ids"]).loss
        optimizers = self.optimizers()
        for optimizer in optimizers:
            optimizer.zero_grad()
        self.manual_backward(loss)
        for optimizer in optimizers:
            optimizer.step()
        return loss

    def configure_optimizers(self) -> Any:
        body, head = self.model.gpt_neox, self.model.get_output_embeddings()
        return [
            torch.optim.SGD([p for p in body.parameters() if p.requires_grad], lr=1e-2),
            torch.optim.SGD(head.parameters(), lr=1e-2),
        ]


def loader(batches: int = 100) -> DataLoader[dict[str, Tensor]]:
    return DataLoader(Sequences(4 * batches), batch_size=4)


def trainer(folder: Path, steps: int = 6, **settings: Any) -> L.Trainer:
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    return L.Trainer(accelerator="cpu", max_steps=steps, default_root_dir=folder, **{**quiet, **settings})


def fit(
    folder: Path,
    callbacks: list[L.Callback],
    steps: int = 6,
    module: L.LightningModule | None = None,
    resume: Path | None = None,
    **settings: Any,
) -> tuple[L.LightningModule, L.Trainer]:
    """Trains from the same seed every time and returns what came of it."""
    L.seed_everything(1, verbose=False)
    module = module or Language()
    run = trainer(folder, steps, callbacks=callbacks, **settings)
    run.fit(module, loader(), loader(1), ckpt_path=resume)
    return module, run


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
