"""A run that writes a logbook slowly, for `observatory watch`: path, seconds between, steps, how it ends."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from verdicts import planted, step_up

from observatory import Logbook
from observatory.observation import Gap, Observation, Variable

STEPS = [0, 1, 3, 10, 30, 100, 300]
CURVES = {"math": step_up(STEPS, 3), "social": step_up(STEPS, 9999)}


def main(path: Path, pause: float, count: int, ending: str) -> None:
    logbook = planted(STEPS, CURVES)
    with Logbook(path, {"schedule": f"at {' '.join(map(str, STEPS))}", "max_steps": STEPS[-1]}) as book:
        for place, step in enumerate(STEPS[:count]):
            here = {str(name): v.isel(step=place) for name, v in logbook.data_vars.items() if "step" in v.dims}
            used = {dim for one in here.values() for dim in one.dims}
            book.record(
                Observation(
                    step=step,
                    tokens=2048 * step,
                    variables={name: Variable(tuple(map(str, one.dims)), one.values) for name, one in here.items()},
                    coordinates={str(name): v.values for name, v in logbook.coords.items() if name in used},
                    provenance={"battery": "b"},
                )
            )
            time.sleep(pause)
        if ending == "killed":
            book.gap(Gap(STEPS[count], "out of luck"))
            os.kill(os.getpid(), signal.SIGKILL)
        if ending == "waiting":
            time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
