"""Asking the hub again while it is busy or the line is bad, and one sentence on why that did not help.

The library's own retries come first: of a file it asks six times, at most 8 seconds apart or as long as the hub wants,
and it goes on where a body broke off. It asks once where a connection is reset or a body is refused with a 5xx, and of
listings it has no time limit.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from json import JSONDecodeError
from typing import TypeVar

from huggingface_hub import constants
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
)

_Answer = TypeVar("_Answer")
_HttpError = next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
"""Of httpx or httpx2, whichever the library is built on; what is one and no HfHubHTTPError is of the line."""


@dataclass(frozen=True)
class Patience:
    """How often the hub is asked, and how long the waits between are."""

    attempts: int = 6
    longest: float = 300.0
    """In seconds, whatever the hub asks for; its own limits start anew every five minutes."""
    sleep: Callable[[float], object] = time.sleep
    chance: Callable[[], float] = random.Random().random
    """Many workers that are refused together should not come back together."""

    def wait(self, attempt: int, wanted: float) -> None:
        """Twice as long after every attempt, up to a minute, and at least what is wanted."""
        backoff = min(2.0 ** (attempt - 1), 60.0) * (1 + self.chance()) / 2
        self.sleep(min(max(backoff, wanted), self.longest))


PATIENT = Patience()
HURRIED = Patience(attempts=3)
"""For what somebody waits for."""


def answered(ask: Callable[[], _Answer], what: str, repository: str, patience: Patience) -> _Answer:
    """What is asked for; ValueError if it is not to be had, ConnectionError if it might be at another time."""
    attempt = 1
    while True:
        try:
            return ask()
        except Exception as error:
            cause = _cause(error)
            if not _passes(cause):
                if told := _refusal(cause, what, repository):
                    raise ValueError(told) from error
                raise
            if attempt >= patience.attempts:
                raise ConnectionError(
                    f"{constants.ENDPOINT} was asked {attempt} times for {what}; the last time: {_told(cause)}"
                ) from error
            patience.wait(attempt, _wanted_wait(cause))
            attempt += 1


def _cause(error: Exception) -> Exception:
    """The library calls a file that it could not ask for not found."""
    while isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def _passes(error: Exception) -> bool:
    """Whether it may be otherwise in a while."""
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return status in (408, 429) or status >= 500
    if isinstance(error, OfflineModeIsEnabled):
        return False
    if type(error) is OSError:
        return error.errno is None  # the library's word for a body that is not as long as it was said to be
    # RuntimeError: another thread has closed the library's session, or its other way of transfer, xet, has failed
    return isinstance(error, (_HttpError, ConnectionError, TimeoutError, JSONDecodeError, RuntimeError))


def _wanted_wait(error: Exception) -> float:
    """In seconds, as the hub says it: in its own header, or in the one that everybody has."""
    if not isinstance(error, HfHubHTTPError):
        return 0.0
    headers = error.response.headers
    if match := re.search(r"\br=0\b.*\bt=(\d+)", headers.get("RateLimit", "")):
        return float(match[1])
    after = headers.get("Retry-After", "")
    return float(after) if after.isdigit() else 0.0


def _refusal(error: Exception, what: str, repository: str) -> str | None:
    if isinstance(error, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, so that {what} cannot be asked for; unset it, or give a folder that is here"
    if isinstance(error, FileMetadataError):
        return f"{constants.ENDPOINT} does not answer as a hub does: {_first_line(error)}"
    if not isinstance(error, HfHubHTTPError):
        return None
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return (
            f"{repository} is gated: ask for access at {constants.ENDPOINT}/{repository}, then log in with "
            f"`hf auth login`"
        )
    if isinstance(error, RemoteEntryNotFoundError):
        return f"the hub lists {what}, and then says that there is no such file"
    if status in (401, 404):
        return (
            f"there is no repository {repository} at {constants.ENDPOINT} that may be read from here; if it is "
            f"private, log in with `hf auth login`, and if a folder was meant, there is none of that name"
        )
    return f"{constants.ENDPOINT} refused {what}: {_told(error)}"


def _told(error: Exception) -> str:
    if isinstance(error, HfHubHTTPError):
        response = error.response
        return " ".join(filter(None, (str(response.status_code), response.reason_phrase, error.server_message)))
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no more is known")
