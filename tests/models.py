"""Tiny random models of every kind the tests look at."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

VOCABULARY = 48
LAYERS, HEADS = 3, 4

_SHARED = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
_NEOX = {"hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
_LLAMA = {**_NEOX, "num_key_value_heads": 2, "max_position_embeddings": 32}
_WIDE_HEADS = {**_LLAMA, "head_dim": 6}
"""The heads side by side are wider than the residual stream."""

CONFIGS: dict[str, dict[str, Any]] = {
    "gpt_neox": {**_NEOX, "max_position_embeddings": 32},
    "gpt2": {"n_embd": 16, "n_inner": 20, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 32},
    "llama": _WIDE_HEADS,
    "mistral": _WIDE_HEADS,
    "qwen2": _LLAMA,
    "qwen3": _WIDE_HEADS,
    "olmo": _LLAMA,
    "olmo2": _LLAMA,
    "gemma": {**_WIDE_HEADS, "num_key_value_heads": 1},
    "gemma3_text": {**_WIDE_HEADS, "sliding_window": 4},
    "phi": {**_LLAMA, "num_key_value_heads": HEADS},
    "phi3": _LLAMA,
    "falcon": {"hidden_size": 16, "ffn_hidden_size": 20, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS},
    "opt": {
        "hidden_size": 16,
        "ffn_dim": 20,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "max_position_embeddings": 32,
        "word_embed_proj_dim": 8,
    },
    "gpt_neo": {
        "hidden_size": 16,
        "intermediate_size": 20,
        "num_layers": LAYERS,
        "num_heads": HEADS,
        "max_position_embeddings": 32,
        "attention_types": [[["global"], LAYERS]],
    },
    "mixtral": {**_LLAMA, "num_local_experts": 4},
    "qwen2_moe": {
        **_LLAMA,
        "num_experts": 4,
        "decoder_sparse_step": 1,
        "moe_intermediate_size": 10,
        "shared_expert_intermediate_size": 12,
    },
    "deepseek_v3": {**_LLAMA, "first_k_dense_replace": 1, "n_routed_experts": 8, "moe_intermediate_size": 8},
    "mamba": {"hidden_size": 16, "num_hidden_layers": LAYERS, "state_size": 4},
}


def tiny(architecture: str, seed: int = 0, attention: str = "eager", **changes: Any) -> PreTrainedModel:
    """A fresh model of an architecture of transformers, in training mode, as one that is about to be trained."""
    config = AutoConfig.for_model(architecture, **{**_SHARED, **CONFIGS[architecture], **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
        with torch.no_grad():  # the usual initialisation leaves biases at zero and norms at one, which hides mistakes
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.train()


def random_tokens(*lengths: int, seed: int = 0) -> list[tuple[int, ...]]:
    """One sequence of each length."""
    generator = torch.Generator().manual_seed(seed)
    return [tuple(torch.randint(1, VOCABULARY, (length,), generator=generator).tolist()) for length in lengths]


class SelfAttention(nn.Module):
    """As in nanoGPT: one projection in, one out."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)
        self.n_head = heads

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.n_head, -1)).transpose(1, 2) for part in self.c_attn(x).chunk(3, dim=-1))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)  # (item, head, token, component)
        out: Tensor = self.drop(self.c_proj(y.transpose(1, 2).flatten(-2)))
        return out


class MLP(nn.Module):
    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, inner)
        self.c_proj = nn.Linear(inner, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.drop(self.c_proj(functional.gelu(self.c_fc(x))))
        return out


class Block(nn.Module):
    def __init__(self, width: int, inner: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = SelfAttention(width, heads, dropout), MLP(width, inner, dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class NanoGPT(nn.Module):
    """As in nanoGPT: everything stands in a ModuleDict, and the model itself is what embeds the tokens."""

    def __init__(
        self, width: int = 16, inner: int = 20, heads: int = HEADS, layers: int = LAYERS, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.block_size = 32
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(VOCABULARY, width),
                "wpe": nn.Embedding(self.block_size, width),
                "drop": nn.Dropout(dropout),
                "h": nn.ModuleList([Block(width, inner, heads, dropout) for _ in range(layers)]),
                "ln_f": nn.LayerNorm(width),
            }
        )
        self.lm_head = nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Tensor:
        part = self.transformer
        x = part["drop"](part["wte"](idx) + part["wpe"](torch.arange(idx.shape[1], device=idx.device)))
        for block in part["h"]:
            x = block(x)
        logits: Tensor = self.lm_head(part["ln_f"](x))
        return logits if targets is None else functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


class FlatGPT(nn.Module):
    """The same blocks in a plain ModuleList of a body of its own, which the head stands beside."""

    class Body(nn.Module):
        def __init__(self, dropout: float) -> None:
            super().__init__()
            self.embed = nn.Embedding(VOCABULARY, 16)
            self.blocks = nn.ModuleList([Block(16, 20, HEADS, dropout) for _ in range(LAYERS)])
            self.norm = nn.LayerNorm(16)

        def forward(self, ids: Tensor) -> Tensor:
            x = self.embed(ids)
            for block in self.blocks:
                x = block(x)
            out: Tensor = self.norm(x)
            return out

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.body, self.head = FlatGPT.Body(dropout), nn.Linear(16, VOCABULARY)

    def forward(self, ids: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(ids))
        return out


class Wrapped(nn.Module):
    """A parent with a training step and no forward of its own, as LightningModules often are."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.metrics = nn.ModuleDict({"perplexity": nn.Identity()})

    def training_step(self, batch: Tensor) -> Tensor:
        loss: Tensor = self.model(batch[:, :-1]).flatten(0, 1).logsumexp(-1).mean()
        return loss


def seeded(build: type[nn.Module], seed: int = 0, **arguments: Any) -> nn.Module:
    """A hand-written model whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(**arguments)
