"""Where the time of an observation goes: `python benchmarks/stages.py [--models ...] [--items N]`.

CPU time of torch's own operations, by what they do, from its profiler; what is left of the process's time is Python and
numpy. The same of a bare pass of the body over the same batches stands beside it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable

import torch
from contrast import bare
from subjects import SUBJECTS, battery
from torch.profiler import ProfilerActivity, profile

from observatory import Observatory

KINDS = {
    "matrix products": ("addmm", "mm", "bmm", "baddbmm", "linear"),
    "attention": ("attention", "flash"),
    "activations, norms": ("gelu", "silu", "norm", "softmax", "rsqrt", "pow"),
    "largest of": ("topk", "sort", "max", "kthvalue", "searchsorted"),
    "sums, means": ("sum", "mean", "abs", "var"),
    "copies": ("copy", "clone", "cat", "index", "gather", "scatter", "fill", "zero", "stack"),
}


def kind(operation: str) -> str:
    name = operation.removeprefix("aten::").strip("_")
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), "other operations")


def seconds(do: Callable[[], object]) -> tuple[Counter[str], float]:
    """By kind of operation, and of the whole process without the profiler."""
    began = time.process_time()
    do()
    whole = time.process_time() - began
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        do()
    found: Counter[str] = Counter()
    for event in seen.key_averages():
        if event.key.startswith("aten::"):
            found[kind(event.key)] += event.self_cpu_time_total / 1e6
    return found, whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["pythia-14m", "pythia-70m"], choices=SUBJECTS)
    parser.add_argument("--items", type=int, help="of a family; all unless given")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | what | observation | bare pass |\n|---|---|---|---|")
    for name in given.models:
        subject = SUBJECTS[name]()
        observatory = Observatory(subject.tokenizer, battery=battery(given.items), twins=0)
        observatory.observe(subject.model, 0)  # the tokens are encoded once a run
        ours, all_ours = seconds(lambda: observatory.observe(subject.model, 0))  # noqa: B023
        pass_, all_pass = seconds(bare(subject, observatory))
        for what in [*KINDS, "other operations"]:
            print(f"| {name} | {what} | {ours[what]:.2f} s | {pass_[what]:.2f} s |")
        print(f"| {name} | Python, numpy | {all_ours - ours.total():.2f} s | {all_pass - pass_.total():.2f} s |")
        print(f"| {name} | **all** | **{all_ours:.2f} s** | **{all_pass:.2f} s** |", flush=True)


if __name__ == "__main__":
    main()
