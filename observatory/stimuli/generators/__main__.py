"""`python -m observatory.stimuli.generators`: writes the built-in battery's files, always the same bytes."""

from __future__ import annotations

from observatory.stimuli.battery import BUILT_IN_FOLDER
from observatory.stimuli.generators.battery_writer import write

if __name__ == "__main__":
    for path in write(BUILT_IN_FOLDER):
        print(path)
