"""Opening for writing: find the journal, or make it again from the product, so that nothing recorded is lost."""

from __future__ import annotations

import errno
import logging
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from observatory.record import restore
from observatory.record.header import Header, Stamp
from observatory.record.identity import DamagedLogbook, identify_or_none
from observatory.record.journal import Journal, set_aside
from observatory.record.ledger import Ledger, header_frame
from observatory.record.names import Attribute

logger = logging.getLogger(__name__)


def refuse_unusable(path: Path) -> None:
    """Before anything is created beside it: is this a place for a logbook at all?"""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder for the logbook; create it", str(path.parent))
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(
            errno.EACCES, "the logbook's folder cannot be written to; choose another", str(path.parent)
        )
    try:
        identify_or_none(path)
    except DamagedLogbook:
        if not journal_path(path).exists():
            raise
        # The journal has everything: the product will be made again.


def journal_path(path: Path) -> Path:
    return path.with_name(path.name + ".journal")


def recover(path: Path, attributes: Mapping[str, Attribute]) -> tuple[Journal, Ledger]:
    """The journal settled for appending, and what it amounts to. The caller holds the writer's lock."""
    beside = journal_path(path)
    try:
        stamp = identify_or_none(path)
    except DamagedLogbook as error:
        logger.warning("%s; it is made again from its journal", error)
        stamp = None
    if not beside.exists():
        _create(path, stamp, attributes)
    journal = Journal(beside)
    try:
        ledger = _replayed(journal)
        if stamp is not None and not _covers(journal, ledger, stamp, path):
            kept = set_aside(beside)
            logger.warning("%s was damaged: it is made again from %s, and kept as %s", beside, path.name, kept.name)
            journal.close()
            _create(path, stamp, attributes)
            journal = Journal(beside)
            ledger = _replayed(journal)
        if not ledger.header.journal:
            raise ValueError(f"{beside} is damaged from its first byte on and there is no {path.name} to mend it")
        journal.settle()
    except BaseException:
        journal.close()
        raise
    return journal, ledger


@contextmanager
def understanding(journal: Journal) -> Iterator[None]:
    """Of frames whose checks hold: what is wrong with them was so when they were written, and not by us."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ValueError(
            f"{journal.path} holds what no version of observatory writes ({words}); move it away to go on from the "
            f"file beside it"
        ) from error


def _create(path: Path, stamp: Stamp | None, attributes: Mapping[str, Attribute]) -> None:
    name = uuid.uuid4().hex
    if stamp is None:
        frames = iter([header_frame(Header(name, attributes=attributes))])
    else:
        frames = restore.frames(path, name, stamp)
    Journal.create(journal_path(path), frames)


def _replayed(journal: Journal) -> Ledger:
    ledger = Ledger(Header(""))
    for position, frame in journal.replay():
        with understanding(journal):
            ledger.apply(position, frame)
        if not ledger.header.journal:
            break  # without its header a frame means nothing
    return ledger


def _covers(journal: Journal, ledger: Ledger, stamp: Stamp, path: Path) -> bool:
    """Whether the journal has all that the product has: a product is only ever made from what is on disk."""
    header = ledger.header
    if header.journal == stamp.journal:
        return journal.end >= stamp.end
    if header.journal and header.made_from != stamp:
        raise ValueError(f"{journal.path.name} belongs to another logbook than {path}; move one of the two away")
    return bool(header.journal)
