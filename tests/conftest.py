"""What all tests share: one torch thread, quiet libraries, no network."""

import os

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", WANDB_MODE="offline", MPLBACKEND="agg")

import torch

torch.set_num_threads(1)
