"""GPT-NeoX, the architecture of Pythia, as a LightningModule."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from observatory.train.feed import Batch


class Shape(NamedTuple):
    """What tells the models of the Pythia suite apart."""

    hidden_size: int
    layers: int
    heads: int
    learning_rate: float


PYTHIA = {
    "14m": Shape(128, 6, 4, 1e-3),
    "31m": Shape(256, 6, 8, 1e-3),
    "70m": Shape(512, 6, 8, 1e-3),
    "160m": Shape(768, 12, 12, 6e-4),
}
"""From the training configurations in EleutherAI/pythia, models/*/pythia-*.yml."""


class GPTNeoX(L.LightningModule):
    """A GPT-NeoX language model with Pythia's initialisation, optimizer and learning rate schedule."""

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int = 128,
        layers: int = 6,
        heads: int = 4,
        context: int = 2048,
        rotary_share: float = 0.25,
        parallel_residual: bool = True,
        dropout: float = 0.0,
        learning_rate: float = 1e-3,
        final_share: float = 0.1,
        warmup_share: float = 0.01,
        weight_decay: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        seed: int | None = None,
    ) -> None:
        """
        Args:
            vocab_size: Number of token ids; the entry point takes it from the data.
            hidden_size: Width of the residual stream; the MLPs are four times as wide.
            layers: Number of blocks.
            heads: Attention heads of a block.
            context: The longest sequence.
            rotary_share: Share of each head's dimensions that carry the rotary position.
            parallel_residual: Attention and MLP both read the block's input, as in GPT-J and Pythia.
            dropout: Dropout in the blocks and on attention weights.
            learning_rate: The highest learning rate.
            final_share: The lowest one at the end, as a share of the highest.
            warmup_share: Share of the steps over which it rises.
            weight_decay: Weight decay of matrices; biases and norms have none.
            betas: Adam's decay rates.
            eps: Adam's epsilon.
            seed: Seed of the initial weights. If not given, they follow the global seed.
        """
        super().__init__()
        if hidden_size % heads:
            raise ValueError(f"hidden_size {hidden_size} is not divisible by {heads} heads")
        if learning_rate <= 0:
            raise ValueError(f"learning_rate must be positive, got {learning_rate}")
        for name, share in (("final_share", final_share), ("warmup_share", warmup_share)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is a share between 0 and 1, got {share}")
        self.save_hyperparameters()
        config = GPTNeoXConfig(
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden_size,
            max_position_embeddings=context,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "partial_rotary_factor": rotary_share,
            },
            use_parallel_residual=parallel_residual,
            hidden_dropout=dropout,
            attention_dropout=dropout,
            initializer_range=math.sqrt(2 / (5 * hidden_size)),
            tie_word_embeddings=False,
            use_cache=False,
            bos_token_id=0,
            eos_token_id=0,
        )
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            self.model = initialised(config)

    @classmethod
    def pythia(cls, size: str, vocab_size: int = 50304, **settings: Any) -> GPTNeoX:
        """A model of the Pythia suite: '14m', '31m', '70m' or '160m'."""
        try:
            shape = PYTHIA[size.lower()]
        except KeyError:
            raise ValueError(f"no Pythia shape {size!r} here; there are {', '.join(PYTHIA)}") from None
        return cls(**{"vocab_size": vocab_size, **shape._asdict(), **settings})

    def forward(self, input_ids: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids=input_ids).logits
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss: Tensor = self.model(input_ids=batch["input_ids"], labels=batch["input_ids"]).loss
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        settings = self.hparams
        optimizer = torch.optim.AdamW(
            decay_groups(self.model, settings["weight_decay"]),
            lr=settings["learning_rate"],
            betas=settings["betas"],
            eps=settings["eps"],
        )
        total = self.trainer.estimated_stepping_batches
        if total < 0 or math.isinf(total):  # the data has no end, so the number of epochs decides nothing
            raise ValueError("the learning rate falls until the last step, so the Trainer needs max_steps")

        def share(step: int) -> float:
            return learning_rate_share(step, total, settings["warmup_share"], settings["final_share"])

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def initialised(config: GPTNeoXConfig) -> GPTNeoXForCausalLM:
    """A model with GPT-NeoX's `small_init`, and `wang_init` for what writes to the residual stream.

    The first is sqrt(2 / 5d) (Nguyen and Salazar 2019, arXiv:1910.05895) and lies in the configuration's
    `initializer_range`; the second is 2 / (layers * sqrt(d)).
    """
    model = GPTNeoXForCausalLM(config)
    std = 2 / (config.num_hidden_layers * math.sqrt(config.hidden_size))
    for name, parameter in model.named_parameters():
        if name.endswith(("attention.dense.weight", "mlp.dense_4h_to_h.weight")):
            nn.init.normal_(parameter, std=std)
    return model


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two parameter groups: matrices, which decay, then biases and norms, which do not, as in GPT-NeoX."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def learning_rate_share(step: int, total: float, warmup_share: float, final_share: float) -> float:
    """The learning rate of the step after `step`, as a share of the highest: a linear rise, then a cosine.

    The first step already learns; GPT-NeoX's own rate is 0 there, so that its step 1 equals its step 0.
    """
    warmup = math.ceil(warmup_share * total)
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return final_share + (1 - final_share) * (1 + math.cos(math.pi * progress)) / 2
