"""What observing costs: `python benchmarks/contrast.py [--models ...] [--repeats N] [--items N]`.

All ratios are taken in one run: what is compared runs in turns, and the figure is the median over the turns.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
import transformers
from localization import Localized, localize
from subjects import SUBJECTS, Missing, Subject, battery, pythia

from observatory import Observatory
from observatory.measure import regions
from observatory.measure.anatomy import anatomy
from observatory.measure.instruments.contrast import ContrastLocalizer, gather
from observatory.measure.pooling import POOLINGS
from observatory.measure.reading import SharedPass, batches
from observatory.measure.scene import contrasts, texts
from observatory.measure.undisturbed import undisturbed
from observatory.stimuli.battery import Battery
from observatory.stimuli.tokens import encode

SHARE = ContrastLocalizer().share
TABLES = ["forward", "localization", "memory", "batches"]
ITEMS_FORWARD = {"pythia-160m": 8, "smollm2-135m": 8}
"""Items a family in the first table, where all of them would take many minutes."""
ITEMS_LOCALIZATION = {"pythia-160m": 4, "smollm2-135m": 4}
"""Items a family in the second table; 8 for the others."""
BATCHES = (512, 1024, 2048, 4096)


@dataclass(frozen=True)
class Turn:
    """What one run took."""

    wall: float
    cpu: float
    """Of all threads; other jobs on the machine raise it little, where they raise the wall time much."""


@dataclass(frozen=True)
class Comparison:
    """Two procedures run in turns."""

    one: Sequence[Turn]
    other: Sequence[Turn]

    def __str__(self) -> str:
        wall = sorted(a.wall / b.wall for a, b in zip(self.one, self.other, strict=True))
        cpu = statistics.median(a.cpu / b.cpu for a, b in zip(self.one, self.other, strict=True))
        return (
            f"{statistics.median(wall):6.2f}  ({wall[0]:.2f} to {wall[-1]:.2f}; cpu {cpu:.2f})"
            f"   {statistics.median(t.wall for t in self.one):8.3f} s / "
            f"{statistics.median(t.wall for t in self.other):.3f} s"
        )


def turn(do: Callable[[], object]) -> Turn:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    do()
    return Turn(time.perf_counter() - wall, time.process_time() - cpu)


def compare(one: Callable[[], object], other: Callable[[], object], repeats: int) -> Comparison:
    """Runs both in turns, each first half of the times."""
    taken: tuple[list[Turn], list[Turn]] = ([], [])
    for repeat in range(repeats):
        for which in (0, 1) if repeat % 2 else (1, 0):
            taken[which].append(turn((one, other)[which]))
    return Comparison(*taken)


def without_chance(subject: Subject, shown: Battery, draws: int | None = 0, **settings: Any) -> Observatory:
    """What benchmarks/nulls.py measures left out, and with it the twins, which are measured once a run."""
    instruments = [ContrastLocalizer(draws=draws)]
    return Observatory(subject.tokenizer, battery=shown, instruments=instruments, twins=0, **settings)


def bare(subject: Subject, observatory: Observatory) -> Callable[[], None]:
    """The body alone, on the batches that the observatory makes."""
    found = anatomy(subject.model)
    tokens = encode(subject.tokenizer, texts(observatory.battery), found.context)
    parts = batches(tokens, observatory._batch_tokens)

    def run() -> None:
        with torch.no_grad():
            for part in parts:
                found.body(part.ids, use_cache=False)

    return run


def forward(name: str, subject: Subject, items: int | None, repeats: int) -> None:
    observatory = without_chance(subject, battery(items))
    run = bare(subject, observatory)
    observatory.observe(subject.model, 0)  # the tokens are encoded once a run
    comparison = compare(lambda: observatory.observe(subject.model, 0), run, repeats)
    print(f"{name:13} {items or 'all':>3} items {comparison}", flush=True)


def batch_sizes(name: str, subject: Subject, items: int | None, repeats: int) -> None:
    """What a bare pass takes by how many tokens go through the model at a time."""
    runs = {size: bare(subject, without_chance(subject, battery(items), batch_tokens=size)) for size in BATCHES}
    taken = {size: [turn(run).cpu for _ in range(repeats)] for size, run in runs.items()}
    told = ", ".join(f"{size} tokens {statistics.median(each):.2f} s" for size, each in taken.items())
    print(f"{name:13} {items or 'all':>3} items {told}", flush=True)


def against_localization(name: str, subject: Subject, items: int, repeats: int) -> None:
    shown = battery(items)
    observatory = without_chance(subject, shown)
    found = anatomy(subject.model)
    tokens = encode(subject.tokenizer, texts(shown), found.context)
    blocks = [site.module for site in found.sites["residual"]]
    count = regions.size(SHARE, sum(found.widths("residual")))
    localized: list[Localized] = []

    def procedure() -> None:
        localized[:] = [
            localize(subject.model, blocks, tokens[contrast.targets], tokens[contrast.controls], count)
            for contrast in contrasts(shown)
        ]

    observatory.observe(subject.model, 0)
    comparison = compare(procedure, lambda: observatory.observe(subject.model, 0), repeats)
    print(f"{name:13} {items:>3} items {comparison}\n{'':14}{agreement(subject, shown, localized, count)}", flush=True)


def agreement(subject: Subject, shown: Battery, localized: Sequence[Localized], count: int) -> str:
    """How our masks of each family, residual stream and last token, compare with those of the procedure."""
    found = anatomy(subject.model)
    tokens = encode(subject.tokenizer, texts(shown), found.context)
    with undisturbed(subject.model):
        shared = SharedPass(found, tokens, ContrastLocalizer().readings(), batch_tokens=4096, memory=2**30)
        t = gather(shared, found, contrasts(shown), SHARE, draws=0)["residual"].selectivity.t[POOLINGS.index("last")]
    masks = regions.top(t, count).numpy()
    same, ties, apart = 0, 0, 0.0
    for ours, score, theirs in zip(masks, t.numpy(), localized, strict=True):
        mask, reference = theirs.mask.ravel(), theirs.t.ravel()
        same += bool((ours == mask).all())
        threshold = np.partition(reference, -count)[-count]
        # Batched arithmetic rounds differently from one stimulus at a time: t within this is a tie.
        ties += int((ours != mask).any() and (abs(reference[ours != mask] - threshold) < 1e-3).all())
        apart = max(apart, float(np.nanmax(abs(score - reference))))
    return f"{same} of {len(masks)} masks the same, {ties} but for ties; largest difference in t {apart:.0e}"


def peak(name: str, what: str, items: int | None = None) -> float:
    """The peak memory in MiB of a process that does nothing else."""
    command = [sys.executable, __file__, "--peak", what, "--models", name]
    if items is not None:
        command += ["--items", str(items)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_here(name: str, what: str, items: int | None) -> None:
    subject = _deep(int(name.partition("-x")[2])) if "-x" in name else SUBJECTS[name]()
    observatory = without_chance(subject, battery(items), draws=None if what == "nulls" else 0)
    run = bare(subject, observatory)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak that loading had
    if what == "bare":
        run()
    else:
        observatory.observe(subject.model, 0)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) / 1024)


def _deep(layers: int) -> Subject:
    return pythia(128, 4, layers)


def kept(name: str, items: int | None) -> float:
    """MiB of the pooled values of one pass."""
    found = anatomy(_deep(int(name.partition("-x")[2])).model if "-x" in name else SUBJECTS[name]().model)
    units = sum(sum(found.widths(space)) for space in found.sites)
    return 4 * len(POOLINGS) * len(texts(battery(items))) * units / 2**20


def memory(names: Sequence[str], items: int | None) -> None:
    cases = [(name, items or ITEMS_FORWARD.get(name)) for name in names]
    if "pythia-14m" in names:
        cases += [("pythia-14m", 12), ("pythia-14m", 24), ("pythia-14m-x12", 12), ("pythia-14m-x24", 12)]
    for name, some in cases:
        alone, observing = peak(name, "bare", some), peak(name, "observe", some)
        print(
            f"{name:15} {some or 'all':>5} items {alone:7.0f} MiB {observing:7.0f} MiB"
            f"  + {observing - alone:6.0f} MiB ({observing / alone:.2f}); pooled values {kept(name, some):6.0f} MiB",
            flush=True,
        )


def load(names: Sequence[str]) -> dict[str, Subject]:
    subjects = {}
    for name in names:
        try:
            subjects[name] = SUBJECTS[name]()
        except Missing as reason:
            print(f"{name} is left out: {reason}")
    return subjects


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(SUBJECTS), help=f"of {', '.join(SUBJECTS)}")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each comparison")
    parser.add_argument("--items", type=int, help="items a family in every table, instead of those that each says")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--peak", choices=("bare", "observe", "nulls"), help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help="of torch; with more, other jobs disturb the times")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.peak:
        return peak_here(chosen.models[0], chosen.peak, chosen.items)

    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}, "
        f"numpy {np.__version__}, scipy {scipy.__version__}"
    )
    subjects = load(chosen.models)
    if "forward" in chosen.tables:
        print(f"\nAn observation over a bare forward pass of the body; {torch.get_num_threads()} thread(s)")
        for name, subject in subjects.items():
            forward(name, subject, chosen.items or ITEMS_FORWARD.get(name), chosen.repeats)
    if "localization" in chosen.tables:
        torch.set_num_threads(1)
        print("\nllm-localization's procedure over an observation; 1 thread")
        for name, subject in subjects.items():
            items = chosen.items or ITEMS_LOCALIZATION.get(name, 8)
            against_localization(name, subject, items, chosen.repeats)
    if "memory" in chosen.tables and not Path("/proc/self/clear_refs").exists():
        print("\nPeak memory is left out: only Linux lets a process forget an earlier peak")
    elif "memory" in chosen.tables:
        print("\nPeak memory of a process: a bare forward pass, an observation")
        memory(list(subjects), chosen.items)
    if "batches" in chosen.tables:
        print("\nCPU time of a bare pass in batches of")
        for name, subject in subjects.items():
            batch_sizes(name, subject, chosen.items or ITEMS_LOCALIZATION.get(name), chosen.repeats)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")
    return None


if __name__ == "__main__":
    main()
