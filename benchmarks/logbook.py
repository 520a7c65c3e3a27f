"""What recording costs: `python benchmarks/logbook.py [FOLDER]`; FOLDER is on the disk to be measured.

The scores are random normal numbers, one scale a layer: the hardest to compress that an instrument can give.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from observatory.observation import Observation, Variable
from observatory.record import logbook as recording
from observatory.record.journal import Journal
from observatory.record.ledger import observation_frame
from observatory.record.logbook import Logbook
from observatory.record.product import image
from observatory.record.reader import open_logbook

LAYERS, DOMAINS = 6, 4


def observation(step: int, units: int, dtype: str = "float32") -> Observation:
    random = np.random.default_rng(step)
    scores = random.standard_normal((2, DOMAINS, LAYERS, units)) * np.arange(1, LAYERS + 1)[:, None]
    index = random.standard_normal((2, 2, DOMAINS)).astype(np.float32)
    scalars = {f"probe_{i}": Variable((), random.standard_normal()) for i in range(20)}
    maps = {"contrast_score": Variable(("pooling", "domain", "layer", "unit"), scores.astype(dtype))}
    return Observation(
        step,
        {"contrast_index": Variable(("space", "pooling", "domain"), index), **maps, **scalars},
        {"domain": np.array(["language", "mathematics", "social", "physical"])},
        tokens=step * 65536,
    )


def milliseconds(do: Callable[[], object], times: int = 5) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        do()
        taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken)


def compression() -> None:
    print("\nDeflate level, on one observation's shuffled scores (1536 KiB as float32): share of the size, time")
    for dtype in ("float32", "float16"):
        values = observation(1, 8192, dtype)["contrast_score"]
        shuffled = values.view(np.uint8).reshape(-1, values.itemsize).T.tobytes()
        for level in (1, 2, 4):
            share = len(zlib.compress(shuffled, level)) / values.nbytes
            print(
                f"  {dtype} level {level}  {share:.3f}  {milliseconds(partial(zlib.compress, shuffled, level)):6.1f} ms"
            )


def append(folder: Path) -> None:
    print("\nAn append to the journal: packing, then write and fsync")
    for units in (128, 1024, 8192):
        path = folder / f"append-{units}.h5"
        Logbook(path).close()
        journal = Journal(path.with_name(path.name + ".journal"))
        list(journal.replay())
        made = observation(0, units)
        frame = observation_frame(made)
        packing = milliseconds(partial(observation_frame, made), 20)
        writing = milliseconds(partial(journal.append, [frame]), 20)
        raw, stored = made["contrast_score"].nbytes // 1024, len(frame.payload) // 1024
        print(f"  {raw:5d} KiB of scores, {stored:5d} KiB stored  {packing:6.1f} ms + {writing:6.1f} ms")
        journal.close()


def publish(folder: Path) -> None:
    print("\nMaking the whole file anew: in memory, and with writing, fsync and rename; then reading it")
    recording.ALWAYS_BELOW, recording.AT_LEAST_EVERY = 0, 10**9  # fill it without publishing on the way
    for units, counts in ((256, (10, 100, 1000)), (8192, (10, 40, 160))):
        path = folder / f"publish-{units}.h5"
        logbook = Logbook(path)
        for count in counts:
            for step in range(len(logbook.steps), count):
                logbook.record(observation(step, units))
            memory = milliseconds(partial(image, logbook._ledger, logbook._journal.end, logbook._journal.read), 3)
            disk = milliseconds(logbook.publish, 3)
            read = milliseconds(partial(open_logbook, path), 3)
            size = path.stat().st_size / 1e6
            print(f"  {count:4d} steps, {size:6.1f} MB  {memory:6.1f} ms, {disk:6.1f} ms  read {read:6.1f} ms")
        logbook.close()
        reopening = milliseconds(lambda: Logbook(path).close(), 3)  # noqa: B023 (called at once)
        print(f"    opening it again, checking every byte and publishing: {reopening:.0f} ms")
    print(f"\nPeak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as place:
        compression()
        append(Path(place))
        publish(Path(place))
