"""A process that runs commands of ours on whatever it is given, many in one life, as a notebook would.

Run as a script. A line is a JSON list, the folder to work in and the arguments of a command; the answer is a JSON list
of how it ended and what it said. One command may take so many seconds, and whoever runs them so much memory beyond
what it starts with: a child, and when it dies of one or has run so many, another one goes on.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path

from tqdm import tqdm

from observatory.cli import main

SECONDS, MEMORY, DISK = 60, 3 * 2**30, 2**28
LIFE = 200
"""Commands of one child."""
OVER = 3
"""The exit status of a child that nobody asks any more."""


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


def held(folder: str) -> list[str]:
    """Files in this folder that this process has open."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return [name for link in links if os.path.lexists(link) and (name := os.readlink(link)).startswith(folder)]


def left_open(folder: str) -> list[str]:
    """What a command that has ended still holds, and with it perhaps a lock."""
    if held(folder):
        gc.collect()
    return held(folder)


def serve() -> int:
    """In a child: commands one after another, with nothing left of standard input and output but for the answers."""
    asked, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(quiet, descriptor)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK, DISK))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for _ in range(LIFE):
        if not (line := asked.readline()):
            return OVER
        folder, arguments = json.loads(line)
        os.chdir(folder)
        signal.alarm(SECONDS)
        ended, words = run(arguments)
        signal.alarm(0)
        if kept := left_open(folder):
            ended, words = "left open", f"{kept} ({words})"
        answers.write(json.dumps((ended, words)) + "\n")
        answers.flush()
    return 0


def child() -> int:
    """The exit status of one that has lived its life; an answer on behalf of one that has not."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = serve()
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code in (0, OVER):
        return code
    name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
    answer = ("hang", f"{SECONDS} s") if name == "SIGALRM" else ("crash", name)
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    return 0


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
    while child() != OVER:
        pass
