"""A process that runs commands of ours on whatever it is given: forks, on each line read, a child for one of them.

Run as a script. A line is a JSON list, the folder to work in and the arguments of a command; the answer is a JSON list
of how it ended and what it said. A child may take so many seconds, and so much memory beyond what it starts with.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import tempfile
import traceback
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

from tqdm import tqdm

from observatory.cli import main

SECONDS, MEMORY, DISK = 60, 3 * 2**30, 2**28


def run(arguments: list[str]) -> tuple[str, str]:
    """How it ended: fine, refused in words, refused with the usage, or with an error that nobody caught."""
    out, err = StringIO(), StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main(arguments)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            return "refused", ended.code
        return ("usage", err.getvalue()) if ended.code == 2 else ("fine", out.getvalue()[:1000])
    except BaseException as error:
        ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "observatory" in frame.filename]
        where = ours[-1] if ours else traceback.extract_tb(error.__traceback__)[-1]
        return "traceback", f"{error!r:.400} at {Path(where.filename).name}:{where.lineno}"
    return "fine", out.getvalue()[:1000]


def child(folder: str, arguments: list[str], answer: Path) -> None:
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(quiet, descriptor)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK, DISK))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(SECONDS)
    os.chdir(folder)
    answer.write_text(json.dumps(run(arguments)))


def ended(status: int, answer: Path) -> Any:
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return ("hang", f"{SECONDS} s") if name == "SIGALRM" else ("crash", name)
    return json.loads(answer.read_text()) if answer.exists() else ("crash", "no answer")


if __name__ == "__main__":
    tqdm.monitor_interval = 0  # its thread may hold a lock when a child is forked, who then waits for ever
    for line in Path(sys.argv[1]).read_text().splitlines() if sys.argv[1:] else ():
        with suppress(SystemExit):  # so that no child spends its short life on imports
            folder, arguments = json.loads(line)
            os.chdir(folder)
            run(arguments)
    gc.freeze()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as name:
        for line in sys.stdin:
            answer = Path(name, "answer")
            answer.unlink(missing_ok=True)
            folder, arguments = json.loads(line)
            pid = os.fork()
            if pid == 0:
                try:
                    child(folder, arguments, answer)
                finally:
                    os._exit(0)
            _, status = os.waitpid(pid, 0)
            sys.stdout.write(json.dumps(ended(status, answer)) + "\n")
            sys.stdout.flush()
