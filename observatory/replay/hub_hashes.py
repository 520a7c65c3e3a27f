"""The sha256 of files on the hub, which it lists without a download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from observatory.replay.downloads import commit_of
from observatory.replay.known_faults import Hashes
from observatory.replay.listing import files_of
from observatory.replay.places import Checkpoint, Remote
from observatory.replay.retry import HURRIED, Patience


def hub_hashes(checkpoints: Sequence[Checkpoint], patience: Patience = HURRIED) -> Hashes:
    """Of each checkpoint on the hub the large files of its folder: one question a checkpoint."""
    found = {}
    for one in checkpoints:
        if isinstance(place := one.place, Remote):
            home = PurePosixPath(place.folder)
            found[one] = {
                path.name: file.sha256
                for file in files_of(place.repository, commit_of(place, patience), patience)
                if file.sha256 and (path := PurePosixPath(file.path)).parent == home
            }
    return found
