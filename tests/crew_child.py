"""A replay by two workers, to be interrupted: says who works for it once the first checkpoint is recorded.

Run as a script with a source and a logbook.
"""

from __future__ import annotations

import multiprocessing
import sys

import torch
from saved import BATTERY, TWINS

from observatory import Recorder
from observatory.observation import Observation
from observatory.replay.engine import replay


class Telling(Recorder):
    def record(self, observation: Observation) -> None:
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    replay(sys.argv[1], sys.argv[2], battery=BATTERY, twins=TWINS, workers=2, recorders=[Telling()])
    print("done", flush=True)
