"""The command line: each command is a typed function, and every one of them takes --config FILE.yaml too."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from itertools import zip_longest
from pathlib import Path
from typing import Any

from observatory.commands.battery import battery_audit, battery_show
from observatory.commands.circuits import circuits, lesions, overlap
from observatory.commands.configuration import refuse_deep_configurations
from observatory.commands.report import report
from observatory.commands.runs import demo, doctor, replay, train
from observatory.commands.sync import sync
from observatory.commands.verdicts import compare, emergence, import_, lead, plot
from observatory.commands.watch import watch

_COMMANDS: dict[str, Callable[..., None] | dict[str, Any]] = {
    "demo": demo,
    "train": train,
    "replay": replay,
    "doctor": doctor,
    "import": import_,
    "plot": plot,
    "report": report,
    "watch": watch,
    "emergence": emergence,
    "lead": lead,
    "compare": compare,
    "sync": sync,
    "overlap": overlap,
    "circuits": circuits,
    "lesions": lesions,
    "battery": {"show": battery_show, "audit": battery_audit},
}

_MANY_PATHS = {
    "import": ("results", "result files, and folders of them."),
    "compare": ("logbooks", "the logbooks, two or more, of one battery."),
}
"""Commands that take one path or more at their end."""


_LONGEST = 1000
"""Letters of a message; a name can be of any length."""


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; a user's mistake ends it with one sentence instead of a traceback."""
    from jsonargparse import auto_cli

    import observatory

    arguments = _with_values(sys.argv[1:] if arguments is None else arguments)
    try:
        refuse_deep_configurations(arguments)
        if arguments[:1] == ["train"]:
            _train(arguments[1:])
        elif arguments[:1] and arguments[0] in _MANY_PATHS:
            _with_many_paths(arguments[0], arguments[1:])
        else:
            auto_cli(_COMMANDS, args=arguments, prog="observatory", description=observatory.__doc__)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        raise SystemExit(f"observatory: {_told(error)}") from error
    except OverflowError as error:  # of jsonargparse, and then of what a file holds
        raise SystemExit(f"observatory: a number is too large to be computed with ({_told(error)})") from error


def _with_values(arguments: list[str]) -> list[str]:
    """A switch may stand alone, as `--json`; jsonargparse wants `--json true`."""
    switches = {f"--{name}" for command in _functions(_COMMANDS) for name in _switches(command)}
    return [
        f"{one}=true" if one in switches and after not in ("true", "false") else one
        for one, after in zip_longest(arguments, arguments[1:])
    ]


def _functions(commands: Mapping[str, Any]) -> Iterator[Callable[..., None]]:
    for command in commands.values():
        yield from _functions(command) if isinstance(command, Mapping) else (command,)


def _switches(command: Callable[..., None]) -> list[str]:
    return [name for name, given in signature(command).parameters.items() if isinstance(given.default, bool)]


def _train(arguments: list[str]) -> None:
    """Lightning's own command line, with its own subcommands."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from observatory.train.cli import main as train_main

    try:
        train_main(arguments)
    except MisconfigurationException as error:  # no GPU where one was asked for, say
        raise ValueError(str(error)) from error


def _with_many_paths(name: str, arguments: list[str]) -> None:
    """auto_cli would take the paths as one argument, a list in YAML; a shell's glob gives many."""
    from jsonargparse import ArgumentParser

    command, (paths, meaning) = _COMMANDS[name], _MANY_PATHS[name]
    assert callable(command)
    parser = ArgumentParser(prog=f"observatory {name}")
    parser.add_argument("--config", action="config", help="Path to a configuration file.")
    parser.add_function_arguments(command, as_positional=True, skip={paths})
    parser.add_argument(paths, nargs="+", type=Path, help=meaning)
    given = parser.parse_args(arguments).as_dict()
    del given["config"]
    command(**given)


def _told(error: Exception) -> str:
    """In one line, whatever names are in it; without the number of an OSError, and with what was noted on the way."""
    words = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        words = f"{error.filename}: {error.strerror}"
    line = " ".join("; ".join([words, *getattr(error, "__notes__", [])]).split())
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 200]} ... {shown[-150:]}"
