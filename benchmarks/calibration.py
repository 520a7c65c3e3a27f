"""How often the verdict is wrong, and what it finds: `python benchmarks/calibration.py [--parts ...] [--write FILE]`.

What is measured is kept in --folder, a file each, so that a run that was stopped goes on and a second one judges anew
without measuring. The counts go into --counts, and from there into the tables: `--parts` with nothing after it only
draws them again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from counted import Table, keep, load, written
from errors import scrambles, untrained
from ground_truth import finished, judged, train
from intervals import covered
from introduced import introduced
from power import deceived, plants
from transformers.utils.logging import disable_progress_bar

from observatory.review.judge.evidence import Criteria

PARTS = ["untrained", "scrambled", "introduced", "plants", "decoys", "intervals"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=["train", *PARTS], default=PARTS, help="all but train")
    parser.add_argument("--folder", type=Path, default=Path("runs/calibration"), help="of what was measured")
    parser.add_argument("--runs", type=Path, help="of the training runs; runs/ in that folder unless given")
    parser.add_argument("--counts", type=Path, default=Path(__file__).with_name("calibration.json"))
    parser.add_argument("--write", type=Path, help="a text; the tables go between its two marks")
    parser.add_argument("--seeds", type=int, default=200, help="untrained models")
    parser.add_argument("--scrambles", type=int, default=45, help="runs with scrambled weights")
    parser.add_argument("--trials", type=int, default=24, help="sets of planted units")
    parser.add_argument("--resamples", type=int, default=40, help="of the stimuli, for the interval")
    parser.add_argument("--alpha", type=float, default=Criteria().alpha, help="of the verdict")
    parser.add_argument("--delta", type=float, default=Criteria().delta, help="of the verdict")
    chosen = parser.parse_args()
    criteria = Criteria(chosen.alpha, chosen.delta)
    torch.set_num_threads(1)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = chosen.folder
    runs = chosen.runs or folder / "runs"
    if "train" in chosen.parts:
        train(runs)
    measure: dict[str, Callable[[], list[Table]]] = {
        "untrained": lambda: untrained(folder, chosen.seeds, criteria),
        "scrambled": lambda: scrambles(folder, finished(runs), chosen.scrambles, criteria),
        "introduced": lambda: introduced([judged(run, criteria) for run in finished(runs)]),
        "plants": lambda: plants(folder, chosen.trials, criteria),
        "decoys": lambda: deceived(folder, chosen.trials, criteria),
        "intervals": lambda: covered(folder, finished(runs), chosen.resamples),
    }
    for part in PARTS:
        if part in chosen.parts:
            keep(chosen.counts, part, tables := measure[part]())
            print("\n".join(map(str, tables)), flush=True)
    if chosen.write:
        counted = load(chosen.counts)
        text = chosen.write.read_text() if chosen.write.exists() else ""
        tables = [table for part in PARTS for table in counted.get(part, [])]
        chosen.write.write_text(written(text, "\n".join(map(str, tables))))


if __name__ == "__main__":
    main()
