"""Commands that measure: a training run, or checkpoints that one saved."""

from __future__ import annotations

from pathlib import Path

from observatory.commands.battery import Sources
from observatory.observation import Instrument


def demo(out: Path = Path("runs/demo"), seed: int = 0) -> None:
    """Train a small model on the built-in corpus, watched live, and show when regions appear. Takes minutes on a CPU.

    Args:
        out: the run folder; if it exists, the next free name after it.
        seed: of the model and of the corpus.
    """
    from observatory.train.demo import demo

    demo(out, seed)


def train() -> None:
    """Train with any recipe: `observatory train fit --config configs/X.yaml`; more under `observatory train --help`."""
    # Only its help is used, unless a configuration of the whole command line names it.
    raise ValueError("training has a command line of its own: observatory train fit --config FILE.yaml")


def replay(
    source: str,
    out: Path = Path("observations.h5"),
    steps: str = "all",
    stage: str | None = None,
    battery: Sources = None,
    tokenizer: str | None = None,
    instruments: list[str | Instrument] | None = None,
    twins: int | None = None,
    model: str | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    workers: int = 1,
    ray: str | None = None,
    disk_gb: float | None = None,
    tokens_per_step: int | None = None,
    trust_remote_code: bool = False,
    despite_faults: bool = False,
    wandb: str | None = None,
) -> None:
    """Measure the saved checkpoints of a run; what the logbook holds already is not done again.

    Args:
        source: the folder of the checkpoints, or EleutherAI/pythia-70m, ...@step1000, @step0,step512, @step0..step1000.
        out: the logbook to write or to continue.
        steps: all, or a schedule that selects, such as "logarithmic 4" or "at 0 512 143000".
        stage: of a run whose steps start anew in every stage, the one that is meant.
        battery: a folder of data files or one such file, if not the built-in one; several as [built-in, music.json].
        tokenizer: where to load it from, if not from the checkpoints.
        instruments: what to measure, as [contrast, competence] (docs/instruments.md); contrast alone unless given.
        twins: how many re-initialised twins of the model to hold it against; 16, or fewer of a large model.
        model: package.module:function that makes the model, where the checkpoints do not say how.
        dtype: float32, bfloat16 or float16, of the weights while they are measured.
        device: cpu, cuda or cuda:1.
        workers: processes on this machine.
        ray: the address of a Ray cluster whose workers do it, or local; as many as workers says.
        disk_gb: remove downloads once they are measured, and never let them take more than this.
        tokens_per_step: where neither names nor files tell.
        trust_remote_code: run code that comes with a checkpoint.
        despite_faults: measure those too of which the doctor says that they are not what their step says.
        wandb: show it in this project of Weights & Biases, with what the logbook holds already.
    """
    from observatory.publish.wandb_recorder import WandbRecorder
    from observatory.record.console import ConsoleRecorder
    from observatory.replay.engine import replay

    replay(
        source,
        out,
        steps=steps,
        stage=stage,
        battery=battery,
        tokenizer=tokenizer,
        instruments=instruments,
        twins=twins,
        model=model,
        dtype=dtype,
        device=device,
        workers=workers,
        ray=ray,
        disk_gb=disk_gb,
        tokens_per_step=tokens_per_step,
        trust_remote_code=trust_remote_code,
        despite_faults=despite_faults,
        recorders=(ConsoleRecorder(), *([WandbRecorder(wandb)] if wandb else [])),
        progress=True,
    )


def doctor(source: str, steps: str = "all", stage: str | None = None, quick: bool = False, json: bool = False) -> None:
    """Examine the saved checkpoints of a run: is each of the step that it says? Fails if one is not.

    Args:
        source: the folder of the checkpoints, or EleutherAI/pythia-70m, of which nothing is downloaded.
        steps: all, or a schedule that selects, such as "logarithmic 4" or "at 0 512 143000".
        stage: of a run whose steps start anew in every stage, the one that is meant.
        quick: look at the files alone, and read no weights.
        json: print everything as JSON instead of a table.
    """
    from dataclasses import asdict
    from json import dumps

    from rich.console import Console

    from observatory.replay.checkpoints import find_checkpoints
    from observatory.replay.doctor import examine, examine_quickly
    from observatory.replay.findings import findings_table
    from observatory.replay.hub_hashes import hub_hashes

    checkpoints = find_checkpoints(source, steps, stage)
    hashes = hub_hashes(checkpoints)
    found = examine_quickly(checkpoints, hashes) if quick or hashes else examine(checkpoints)
    if json:
        print(dumps([asdict(one) for one in found], indent=1))
    else:
        Console().print(findings_table(found, len(checkpoints)))
    if any(one.severity == "error" for one in found):
        raise SystemExit(1)
