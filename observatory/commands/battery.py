"""Commands on what the model is shown."""

from __future__ import annotations

from pathlib import Path

Sources = list[str] | str | None
"""Where a battery comes from."""


def battery_show(battery: Sources = None) -> None:
    """Show what the model is shown.

    Args:
        battery: a folder of data files or one such file, if not the built-in one; several as [built-in, music.json].
    """
    from observatory.stimuli.battery import load_battery
    from observatory.stimuli.display import show

    show(load_battery(battery))


def battery_audit(battery: Sources = None, tokenizer: Path | None = None) -> None:
    """Check the stimuli for anything but meaning that tells targets from controls. Fails if there is an error.

    Args:
        battery: a folder of data files or one such file, if not the built-in one; several as [built-in, music.json].
        tokenizer: a folder with the tokenizer to check the tokens of, too.
    """
    from observatory.stimuli.audit import audit
    from observatory.stimuli.battery import load_battery
    from observatory.stimuli.display import show_audit
    from observatory.stimuli.tokenizer import load_tokenizer

    report = audit(load_battery(battery), load_tokenizer(tokenizer) if tokenizer else None)
    show_audit(report)
    if not report.passed:
        raise SystemExit(1)
