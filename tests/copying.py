"""A model built by hand whose heads do what each is named for, and which copies what followed a token the last time."""

from __future__ import annotations

import torch
from models import VOCABULARY
from torch import Tensor, nn

FIRST, INDUCTION, PREVIOUS, LATER = range(4)
"""Its heads: all on the first token; on what followed this token the last time; on the token before; on token 3."""
SINK_BEHIND = 3
SURE = 12.0


def wanted(tokens: Tensor) -> Tensor:
    """(item, head, query, key): where each head looks, 1 there and 0 elsewhere, if it finds anything."""
    length = tokens.shape[1]
    at = torch.arange(length)
    first = (at == 0).float().expand(length, -1)
    previous = (at == at[:, None] - 1).float()
    later = ((at == SINK_BEHIND) & (at[:, None] >= SINK_BEHIND)).float()
    before = torch.cat((torch.full_like(tokens[:, :1], -1), tokens[:, :-1]), 1)
    induction = (before[:, None] == tokens[..., None]).float()
    always = (one.expand(len(tokens), -1, -1) for one in (first, previous, later))
    first, previous, later = always
    return torch.stack((first, induction, previous, later), 1)


class Heads(nn.Module):
    """Tokens stand one-hot in the first half of the stream; the second head writes what it sees into the other half."""

    def __init__(self, copies: bool) -> None:
        super().__init__()
        self.num_heads = 4
        self.c_proj = nn.Linear(4 * VOCABULARY, 2 * VOCABULARY, bias=False)
        self.c_proj.weight.data.zero_()
        if copies:
            own = slice(INDUCTION * VOCABULARY, (INDUCTION + 1) * VOCABULARY)
            self.c_proj.weight.data[VOCABULARY:, own] = torch.eye(VOCABULARY)

    def forward(self, x: Tensor) -> Tensor:
        shown = x[..., :VOCABULARY]
        scores = 50 * wanted(shown.argmax(-1))
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        weights = scores.masked_fill(later, -torch.inf).softmax(-1)
        out: Tensor = self.c_proj((weights @ shown[:, None]).transpose(1, 2).flatten(-2))
        return out


class Block(nn.Module):
    def __init__(self, copies: bool) -> None:
        super().__init__()
        self.attn = Heads(copies)
        self.mlp = nn.Sequential(nn.Linear(2 * VOCABULARY, 20), nn.GELU(), nn.Linear(20, 2 * VOCABULARY))
        for parameter in self.mlp.parameters():
            parameter.data.zero_()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(x)
        out: Tensor = x + self.mlp(x)
        return out


class Copying(nn.Module):
    """Two blocks with the same heads, of which the first copies; it takes 64 tokens."""

    def __init__(self, copies: bool = True) -> None:
        super().__init__()
        self.block_size = 64
        self.embed = nn.Embedding(VOCABULARY, 2 * VOCABULARY)
        self.embed.weight.data = torch.cat((torch.eye(VOCABULARY), torch.zeros(VOCABULARY, VOCABULARY)), 1)
        self.blocks = nn.ModuleList([Block(copies), Block(False)])
        self.head = nn.Linear(2 * VOCABULARY, VOCABULARY, bias=False)
        self.head.weight.data = torch.cat((torch.zeros(VOCABULARY, VOCABULARY), SURE * torch.eye(VOCABULARY)), 1)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.head(x)
        return out
