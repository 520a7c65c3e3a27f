"""What a logbook survives: `python benchmarks/campaign.py --kills 1000 --seed 1`; docs/reliability.md has the figures.

Writers, training runs and replays are killed with SIGKILL at random instants, again and again on the same files, and
after each kill every acknowledged observation is looked for. Then come disks that are full, folders that vanish, other
writers and readers. `HOSTILE=10000 pytest -n 0 tests/test_hostile.py` is the other half, on what users bring.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import random
import sys
import tempfile
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")
sys.path.append(str(Path(__file__).parents[1] / "tests"))  # whose children and cases are the same

import torch
from campaign_kills import Tally
from campaign_lightning import kill_ddp, kill_lightning
from campaign_parts import kill_replays, kill_runs, kill_writers
from campaign_places import PLACES, Counts
from logbook_cases import observation

from observatory import Logbook

PARTS = {
    "logbook": kill_writers,
    "live": kill_runs,
    "replay": kill_replays,
    "lightning": kill_lightning,
    "ddp": kill_ddp,
    "crew": partial(kill_replays, workers=2),
}
QUICK = ["logbook", "live", "replay", "places"]
"""Those of which a life takes less than a second."""
SHARES = {"logbook": 0.7, "live": 0.15, "replay": 0.15, "lightning": 0.15, "ddp": 0.15, "crew": 0.05}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--places", type=int, default=60, help="how often each place is tried")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--parts", nargs="+", choices=[*PARTS, "places"], default=["logbook", "live", "replay", "places"]
    )
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="on what file system")
    parser.add_argument("--out", type=Path, help="a file for the counts, as JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, object]] = {}
    shares = sum(SHARES.get(part, 0) for part in given.parts)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        home = Path(name)
        with Logbook(home / "warm.h5") as warm:
            warm.record(observation(0))  # so that no child spends its short life on imports
        gc.freeze()
        for part in (part for part in given.parts if part in PARTS):
            (home / part).mkdir()
            kills, began = round(given.kills * SHARES[part] / shares), time.perf_counter()
            tally = PARTS[part](home / part, kills, random.Random(f"{given.seed} {part}"))
            found[part] = {**asdict(tally), "seconds": round(time.perf_counter() - began)}
            print(row(part, tally), flush=True)
        logging.disable(logging.WARNING)  # each of them warns, as it should
        if "places" in given.parts:
            for title, place in PLACES.items():
                (at := home / place.__name__).mkdir()
                counts = place(at, random.Random(f"{given.seed} {title}"), given.places)
                found[title] = asdict(counts)
                print(place_row(title, counts), flush=True)
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=1))
    if faults := [fault for one in found.values() for fault in one["faults"]]:  # type: ignore[attr-defined]
        raise SystemExit("\n".join([f"{len(faults)} faults:", *faults]))


def row(part: str, tally: Tally) -> str:
    return (
        f"| {part} | {tally.kills} | {tally.of_others} | {tally.lives} | {tally.acknowledged} | {tally.opened} | "
        f"{tally.ends} of {tally.chains} | {len(tally.faults)} |"
    )


def place_row(title: str, counts: Counts) -> str:
    return f"| {title} | {counts.tried} | {counts.refused} | {counts.kept} | {len(counts.faults)} |"


if __name__ == "__main__":
    main()
