"""A run of Lightning, alone or of two processes over gloo, killed as a whole or in part."""

from __future__ import annotations

import os
import random
import socket
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from campaign_kills import Say, Tally, void
from campaign_parts import BATTERY, STEPS, Saying, chains
from lightning.pytorch.strategies import DDPStrategy
from loop import word_tokenizer
from loops import by_lightning, small_model

from observatory import SpecializationMonitor

PATIENCE = timedelta(seconds=30)
"""Of training, for a process that does not come to a collective; of an observation it is `time_limit`."""


def train(folder: Path, say: Say, **settings: Any) -> None:
    """Saves after every step, and goes on from the last one saved."""
    tempfile.tempdir = str(folder)  # Lightning writes there first: on another file system it is not moved, but copied
    saved = sorted(int(path.stem.partition("=")[2]) for path in folder.glob("step=*.ckpt"))
    begun = saved[-1] if saved else None
    say(f"from {begun or 0} {begun is not None}")
    monitor = SpecializationMonitor(
        word_tokenizer(),
        folder / "observations.h5",
        "every 1",
        battery=BATTERY,
        recorders=[Saying(say)],
        twins=2,
        time_limit=15.0,
    )
    by_lightning(folder, monitor, lambda: small_model(0.1), STEPS, resume=begun, **settings)


def alone(folder: Path, say: Say) -> None:
    train(folder, say)
    say("closed")


def together(folder: Path, say: Say) -> None:
    """The second process is a child of the first, as of a launcher; either says so when it has lost the other."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE="2", NODE_RANK="0", LOCAL_RANK="0")
    if (second := os.fork()) == 0:
        os.environ["LOCAL_RANK"] = "1"
        say("second begins")
        say(f"second {_end(folder, void)}")
        os._exit(0)
    words = _end(folder, say)
    os.waitpid(second, 0)
    say(words)


def _end(folder: Path, say: Say) -> str:
    try:
        train(folder, say, devices=2, strategy=DDPStrategy(process_group_backend="gloo", timeout=PATIENCE))
    except Exception as error:
        return f"told {error!r}"
    return "closed"


def kill_lightning(folder: Path, kills: int, chance: random.Random) -> Tally:
    """Each chain is one run, killed until it is through."""
    return chains(folder, kills, chance, alone)


def kill_ddp(folder: Path, kills: int, chance: random.Random) -> Tally:
    """The same of two processes, of which now the one that writes is killed and now the other."""
    return chains(folder, kills, chance, together, together=True)
