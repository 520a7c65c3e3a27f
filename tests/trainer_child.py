"""One of several processes in which the Trainer of transformers trains a model, as torchrun starts them.

Run as a script with a folder: once watched, once not. The weights of both stand in it afterwards, as each process has
them.
"""

from __future__ import annotations

import os
import sys
import warnings
from functools import partial
from pathlib import Path

import torch
from loops import by_trainer, monitor, small_model

STEPS = 2
dropping = partial(small_model, 0.1)

if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    shared = Path(sys.argv[1])
    watched = by_trainer(shared / "watched", monitor("trainer", shared / "watched"), dropping, STEPS)
    alone = by_trainer(shared / "alone", None, dropping, STEPS)
    torch.save([watched.weights, alone.weights], shared / f"{os.environ['RANK']}.pt")
