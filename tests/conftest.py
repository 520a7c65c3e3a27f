"""What all tests share: one torch thread, quiet libraries, no network, and shapes that are enforced."""

import os

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", WANDB_MODE="offline", MPLBACKEND="agg")

import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)
install_import_hook("observatory.measure", "beartype.beartype")  # before anything imports it
