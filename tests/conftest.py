"""What all tests share: one torch thread, quiet libraries, no network, and shapes that are enforced."""

import os
import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell, for all that is started, too
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", WANDB_MODE="offline", MPLBACKEND="agg")

import pytest
import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)
install_import_hook("observatory.measure", "checked.once")  # before anything imports it


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Again for every module: Lightning gives a process that has run a strategy as many threads as there are cores."""
    torch.set_num_threads(1)
