"""A checkpoint on the hub, fetched: the files that are needed of it, checked; and removed again."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from huggingface_hub import constants, hf_hub_download
from tqdm import tqdm  # type: ignore[import-untyped]

from observatory.replay.checkpoints import PROGRESS_FILE
from observatory.replay.listing import COMMIT, File, files_of, revisions_of, weights_among
from observatory.replay.places import Remote
from observatory.replay.retry import PATIENT, Patience, answered

_TOKENIZER = (
    r"tokenizer\.(json|model)|vocab\.(json|txt)|spiece\.model|sentencepiece\.bpe\.model|[\w.-]+\.tiktoken",
    r"tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|merges\.txt|chat_template\.(jinja|json)",
)
"""What a tokenizer is made of, and what may be told beside."""
_BESIDE = (r"config\.json|generation_config\.json", re.escape(PROGRESS_FILE))
_CONFIG = r"config\.json"
_CODE = r"\w+\.py"


def downloaded(
    place: Remote,
    folder: Path | None = None,
    *,
    patience: Patience = PATIENT,
    code: bool = False,
    given_up: threading.Event | None = None,
) -> Path:
    """The local folder with its weights, configuration and tokenizer, all checked against what the hub lists.

    What has been fetched when it fails stays, and is not fetched again.

    Args:
        place: where on the hub it is.
        folder: below this it gets a folder of its own, for a `Room` to remove; None puts it into the hub's own cache.
        patience: how long to try.
        code: fetches the code that comes with a model, too.
        given_up: once it is set, what is on its way is left, with a CancelledError.
    """
    place = _resolved(place, patience)
    own = None if folder is None else folder / _own_name(place)
    paths = [_fetched(place, file, own, patience, given_up) for file in _needed(place, patience, code)]
    return paths[-1].parent


def size_of(place: Remote, *, patience: Patience = PATIENT, code: bool = False) -> int:
    """The bytes of what is fetched of it."""
    return sum(file.size for file in _needed(_resolved(place, patience), patience, code))


def tokenizer_of(place: Remote, patience: Patience = PATIENT) -> Path:
    """A folder from which AutoTokenizer loads its tokenizer: that of the checkpoint, of the revision, or of `main`."""
    whole = replace(place, folder="")
    for where in dict.fromkeys((place, whole, Remote(place.repository, "main"))):
        where = _resolved(where, patience)
        beside = _beside(where, patience)
        if _named(beside, _TOKENIZER[0]):
            paths = [_fetched(where, file, None, patience) for file in _named(beside, _CONFIG, *_TOKENIZER)]
            return paths[0].parent
    raise ValueError(f"{place.repository} holds no tokenizer; say where there is one")


def commit_of(place: Remote, patience: Patience = PATIENT) -> str:
    """The commit that the revision is, as it was listed, or else as it is now."""
    if place.commit or COMMIT.fullmatch(place.revision):
        return place.commit or place.revision
    found = revisions_of(place.repository, patience)
    if place.revision not in found:
        names = ", ".join(list(found)[:5])
        raise ValueError(f"{place.repository} has no revision {place.revision}; it has {len(found)}: {names}, ...")
    return found[place.revision]


def _needed(place: Remote, patience: Patience, code: bool) -> list[File]:
    """The weights last. How the model is made may be told, and be programmed, in a folder above."""
    here = _beside(place, patience)
    names = [PurePosixPath(file.path).name for file in here]
    weights = set(weights_among(names))
    if not weights:
        raise ValueError(
            f"{_called(place)} holds no weights: looked for safetensors and pytorch_model.bin, found "
            f"{', '.join(names[:5]) or 'nothing'}"
        )
    told = here
    for folder in PurePosixPath(place.folder).parents if place.folder else ():
        if _named(told, _CONFIG):
            break
        told = _beside(replace(place, folder=str(folder).removeprefix(".")), patience)
    wanted = [*_named(here, *_BESIDE, *_TOKENIZER), *_named(told, _CONFIG), *(_named(told, _CODE) if code else ())]
    return [*dict.fromkeys(wanted), *(file for file, name in zip(here, names, strict=True) if name in weights)]


def _beside(place: Remote, patience: Patience) -> list[File]:
    """The files of the folder itself."""
    home = PurePosixPath(place.folder)
    return [
        file for file in files_of(place.repository, place.commit, patience) if PurePosixPath(file.path).parent == home
    ]


def _named(files: Sequence[File], *patterns: str) -> list[File]:
    return [file for file in files if any(re.fullmatch(one, PurePosixPath(file.path).name) for one in patterns)]


def _fetched(
    place: Remote, file: File, own: Path | None, patience: Patience, given_up: threading.Event | None = None
) -> Path:
    class Silent(tqdm):  # type: ignore[misc]
        """One bar a file would drown the replay's own progress; what is told it shows that there is a next piece."""

        def __init__(self, *args: Any, **settings: Any) -> None:
            settings.pop("name", None)
            super().__init__(*args, **{**settings, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            if given_up is not None and given_up.is_set():
                raise CancelledError(f"{file.path} of {_called(place)} is not wanted any more")
            shown: bool | None = super().update(n)
            return shown

    def ask() -> Path:
        fetched = hf_hub_download(
            place.repository,
            file.path,
            revision=place.commit,
            local_dir=own,
            etag_timeout=constants.HF_HUB_ETAG_TIMEOUT,
            tqdm_class=Silent,
        )
        path = Path(fetched)
        if path.stat().st_size != file.size or (file.sha256 and _sha256(path) != file.sha256):
            path.resolve().unlink()  # in the cache it is a link
            path.unlink(missing_ok=True)
            raise OSError(f"{file.path} is not the file that the hub lists")
        return path

    return answered(ask, f"{file.path} of {_called(place)}", place.repository, patience)


def _sha256(path: Path) -> str:
    """The library itself compares nothing but the length."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _resolved(place: Remote, patience: Patience) -> Remote:
    return replace(place, commit=commit_of(place, patience))


def _own_name(place: Remote) -> str:
    """Of each commit another, so that shards of two never lie side by side."""
    parts = (place.revision, place.folder, place.commit[:12])
    return "@".join((place.repository.replace("/", "--"), *(quote(part, safe="") for part in parts if part)))


def _called(place: Remote) -> str:
    return f"{place.repository}@{place.revision}" + (f"/{place.folder}" if place.folder else "")
