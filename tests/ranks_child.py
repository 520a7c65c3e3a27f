"""One of several processes that train a model together and observe it together.

Run as a script with its rank, the number of ranks, a folder they share, and the ways of training to go through. What it
saw stands in `{way}-{rank}.npz` afterwards, or what went wrong in `{way}-{rank}.txt`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from loop import word_tokenizer
from models import tiny
from outside_planted import of_noise
from tasks import battery_with_tasks
from torch import nn

from observatory import Instrument, Monitor, Observatory, Variable, open_logbook
from observatory.measure.instruments import Lesions
from observatory.measure.instruments.alignment import Alignment
from observatory.measure.ranks import ALONE, Ranks, all_ranks
from observatory.measure.scene import Scene
from observatory.observation import Observation

ALL = (
    "contrast",
    "competence",
    "circuits",
    Lesions(of="contrast", controls=2),  # which has regions at every step
    Lesions(of="contrast", to="corrupted", controls=2, name="corrupted"),
    Alignment(of_noise(), controls=2),
    "massive",
    "sparsity",
    "rank",
    "weights",
    "pruning",
    "hidden",
    "modules",
    "attention",
    "induction",
    "depth",
)
STEPS = 1
WAYS = ("plain", "ddp", "fsdp", "sharded")
LIMIT = 1.0


@dataclass(frozen=True)
class Faulty(Instrument):
    """Goes wrong on one rank alone, at some time between the passes of others."""

    how: str
    name: str = "faulty"

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        if scene.anatomy.ranks.rank == 1:
            if self.how == "error":
                raise ZeroDivisionError("all is lost")
            time.sleep(2 * LIMIT)
        return {}


def model() -> nn.Module:
    return tiny("gpt_neox", attention="sdpa").train()


def spread(whole: nn.Module, way: str) -> nn.Module:
    """As each strategy prepares a model."""
    if way == "ddp":
        return nn.parallel.DistributedDataParallel(whole)
    if way == "fsdp":
        from torch.distributed.fsdp import FullyShardedDataParallel
        from torch.distributed.fsdp.wrap import ModuleWrapPolicy

        policy = ModuleWrapPolicy({type(whole.gpt_neox.layers[0])})  # type: ignore[union-attr, index, arg-type]
        return FullyShardedDataParallel(whole, auto_wrap_policy=policy, device_id=torch.device("cpu"))
    if way == "sharded":
        from torch.distributed.fsdp import fully_shard

        for block in whole.gpt_neox.layers:  # type: ignore[union-attr]
            fully_shard(block)
        return fully_shard(whole)
    return whole


def held(network: nn.Module) -> list[int]:
    """How many values of each weight this process keeps."""
    return [getattr(weight, "to_local", lambda w=weight: w)().numel() for weight in network.parameters()]


def trained(way: str, ranks: Ranks, watched: bool) -> tuple[list[Observation], torch.Tensor]:
    """Observations at step 0 and after every step, and the loss at the end, in which every weight has a part."""
    torch.manual_seed(0)
    network = spread(model(), way)
    own = held(network)
    observatory = Observatory(
        word_tokenizer(), battery=battery_with_tasks(), instruments=ALL, twins=2, batch_tokens=64, ranks=ranks
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    ids = torch.randint(0, 42, (4, 8), generator=torch.Generator().manual_seed(0))
    seen = [observatory.observe(network, 0)] if watched else []
    loss = torch.tensor(0.0)
    for step in range(1, STEPS + 1):
        loss = network(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if watched:
            seen.append(observatory.observe(network, step, previous=seen[-1]))
            assert held(network) == own
    return seen, network(input_ids=ids, labels=ids).loss.detach()


def flat(seen: list[Observation]) -> dict[str, np.ndarray]:
    return {f"{one.step}/{name}": one[name] for one in seen for name in one.variables}


def go_wrong(how: str, ranks: Ranks) -> str:
    """The words of the error, and that all is well afterwards."""
    network = model()
    observatory = Observatory(
        word_tokenizer(), battery=battery_with_tasks(), instruments=["contrast", Faulty(how), "competence"], ranks=ranks
    )
    try:
        observatory.observe(network, 0)
    except Exception as error:
        words = f"{type(error).__name__}: {error}"
    after = Observatory(word_tokenizer(), battery=battery_with_tasks(), twins=0, ranks=ranks).observe(network, 0)
    return f"{words}\n{len(after.variables)}"


def mean_loss(folder: Path, rank: int) -> None:
    """Each process reports a loss of its own."""
    path = folder / "losses.h5"
    monitor = Monitor(word_tokenizer(), path, "every 1", battery=battery_with_tasks(), recorders=(), twins=0)
    with monitor.begin(model(), max_steps=1):
        monitor.step(1, loss=float(rank))
    (folder / f"losses-{rank}.txt").write_text(str(open_logbook(path)["train_loss"].values[-1]) if rank == 0 else "")


if __name__ == "__main__":
    rank, size, folder, *ways = sys.argv[1:]
    torch.set_num_threads(1)
    shared = Path(folder)
    if int(size) > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{shared / 'rendezvous'}", rank=int(rank), world_size=int(size)
        )
    for way in ways:
        together = all_ranks(LIMIT if way == "late" else None) if int(size) > 1 else ALONE
        if way in WAYS:
            observed, loss = trained(way, together, watched=True)
            _, alone = trained(way, together, watched=False)
            found = {**flat(observed), "loss": loss.numpy(), "unwatched": alone.numpy()}
            np.savez(shared / f"{way}-{rank}.npz", **found)  # type: ignore[arg-type]
        elif way == "losses":
            mean_loss(shared, int(rank))
        else:
            (shared / f"{way}-{rank}.txt").write_text(go_wrong(way, together))
    if int(size) > 1:
        dist.destroy_process_group()
