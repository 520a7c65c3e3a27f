"""A model in which a task's variable is known to be there or not, and to reach the answers or not."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from observatory.stimuli.battery import Pair, Task

WIDTH, VOCABULARY = 24, 48
POLE, COPIED, ANSWER = 0, 1, 2
TEMPLATES = 8
_PLUS, _MINUS, _REST = range(4), range(4, 8), range(8, 20)
_FIRST_ID = 2
"""The word tokenizer has two tokens before w0."""


class _Attention(nn.Module):
    """Looks at everything so far alike."""

    def __init__(self) -> None:
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.n_head = 1

    def forward(self, x: Tensor) -> Tensor:
        seen = x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]
        out: Tensor = self.c_proj(seen)
        return out


class _Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(WIDTH, 4), nn.Linear(4, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c_proj(torch.relu(self.c_fc(x)))
        return out


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn, self.mlp = _Attention(), _Mlp()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(x)
        out: Tensor = x + self.mlp(x)
        return out


class Planted(nn.Module):
    """Block 0 copies the pole of a word to the end of the prompt; block 2 tells the answers of it beyond a threshold.

    Words and answers have much else about them, which is carried along and moves the answers a little.
    """

    def __init__(self, encoded: float, threshold: float, seed: int = 0) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.ModuleList([_Block() for _ in range(4)])
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for block in self.blocks:
                for parameter in block.parameters():
                    parameter.zero_()
            self.embed.weight.normal_(generator=draw)[:, : ANSWER + 1] = 0
            for words, pole in ((_PLUS, 1.0), (_MINUS, -1.0)):
                self.embed.weight[[word + _FIRST_ID for word in words], POLE] = pole
            copies = self.blocks[0].attn.c_proj.weight
            copies[ANSWER + 1 :, ANSWER + 1 :] = torch.eye(WIDTH - ANSWER - 1)
            copies[COPIED, POLE] = encoded
            tells = self.blocks[2].mlp
            tells.c_fc.weight[0, COPIED], tells.c_fc.weight[1, COPIED] = 1.0, -1.0
            tells.c_fc.bias[:2] = -threshold
            tells.c_proj.weight[ANSWER, 0], tells.c_proj.weight[ANSWER, 1] = 3.0, -3.0
            self.head.weight.normal_(std=0.02, generator=draw)
            for template in range(TEMPLATES):
                self.head.weight[20 + template + _FIRST_ID, ANSWER] = 1.0
                self.head.weight[30 + template + _FIRST_ID, ANSWER] = -1.0

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(x)
        return logits


def poles(domain: str = "alpha", name: str = "poles", pairs: int = 48) -> Task:
    """Which of two kinds of words is in the prompt; every template has two answers of its own."""
    draw = np.random.default_rng(list(name.encode()))

    def pair(number: int) -> Pair:
        template, turned = number % TEMPLATES, draw.random() < 0.5
        before, after = (f"w{word}" for word in draw.choice(_REST, 2))
        prompts = [f"{before} w{draw.choice(words)} {after}" for words in (_PLUS, _MINUS)]
        answers = [f" w{20 + template}", f" w{30 + template}"]
        ends = prompts[::-1] + answers[::-1] if turned else prompts + answers
        return Pair(f"{name}-{number}", *ends, f"t{template}")

    return Task(domain, name, "plain", tuple(pair(number) for number in range(pairs)))
