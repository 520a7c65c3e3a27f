"""What sinks, induction and concept depth cost: `python benchmarks/attention.py [--models ...] [--repeats N]`.

An observation with the contrast localizer alone and one with an instrument beside it run in turns; the figure is the
median over the turns of their ratio, and beside it stand the seconds that the record says the instrument took.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from contrast import compare
from subjects import SUBJECTS, Subject, battery

from observatory import Observatory
from observatory.stimuli.battery import Battery

INSTRUMENTS = ("attention", "induction", "depth")


def observatory(subject: Subject, shown: Battery, *instruments: str) -> Observatory:
    return Observatory(subject.tokenizer, battery=shown, instruments=["contrast", *instruments], twins=0)


def beside(name: str, subject: Subject, shown: Battery, instrument: str, repeats: int) -> None:
    alone, both = observatory(subject, shown), observatory(subject, shown, instrument)
    taken: list[float] = []

    def run() -> None:
        taken.append(both.observe(subject.model, 0).costs[instrument])

    alone.observe(subject.model, 0)  # the tokens are encoded once a run
    run()
    comparison = compare(run, lambda: alone.observe(subject.model, 0), repeats)
    print(f"{name:13} {instrument:10} {comparison}   its own {statistics.median(taken[1:]):.3f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["pythia-14m"], help=f"of {', '.join(SUBJECTS)}")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each comparison")
    parser.add_argument("--items", type=int, help="items a family; all of them unless given")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    print("An observation with the instrument over one with the contrast localizer alone")
    for name in chosen.models:
        subject, shown = SUBJECTS[name](), battery(chosen.items)
        for instrument in INSTRUMENTS:
            beside(name, subject, shown, instrument, chosen.repeats)


if __name__ == "__main__":
    main()
