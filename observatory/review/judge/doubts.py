"""What the doctor of checkpoints had to say of those that a logbook was replayed from."""

from __future__ import annotations

import json
from typing import Any

import xarray as xr


def doubts(logbook: xr.Dataset) -> list[dict[str, Any]]:
    """What the doctor warned of when the checkpoints were replayed; nothing of a live run."""
    try:
        found: list[dict[str, Any]] = json.loads(str(logbook.attrs.get("doctor", "[]")))
        return [one for one in found if one["severity"] != "note"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
