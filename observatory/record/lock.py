"""One writer at a time: an advisory lock on a file beside the logbook, which says who holds it."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

_UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


class WriterLock:
    """Held from construction to `release`, or until the process ends, however it ends.

    The file itself stays: removing it would let two writers lock two files of the same name.
    """

    def __init__(self, path: Path, subject: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                logger.warning(
                    "the file system of %s cannot lock files (%s): make sure yourself that only one process "
                    "writes this logbook",
                    path,
                    error.strerror,
                )
                return
            holder = _holder(self._descriptor)
            os.close(self._descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                raise
            raise BlockingIOError(
                error.errno,
                f"another writer has this logbook open ({holder}); end it, or choose another file",
                str(subject),
            ) from None
        # Who holds it is a courtesy to the next writer; a full disk must not cost us the lock itself.
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, _introduction(), 0)

    def release(self) -> None:
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        # Unlocked by word and not only by closing: a forked data loader may hold the same description open.
        with suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)


def _introduction() -> bytes:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}).encode()


def _holder(descriptor: int) -> str:
    try:
        who = json.loads(os.pread(descriptor, 4096, 0))
        me = who["pid"] == os.getpid() and who["host"] == socket.gethostname()
        return f"{'this very process' if me else 'process'} {who['pid']} on {who['host']} since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not said who it is"
