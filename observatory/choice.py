"""Which instruments measure, and which of them at a step."""

from __future__ import annotations

from collections.abc import Sequence

from observatory.measure.instruments import find_instrument
from observatory.observation import Instrument
from observatory.schedules import crossed, parse

_DEFAULT = ("contrast",)


def instruments_from(chosen: Sequence[Instrument | str] | None) -> tuple[Instrument, ...]:
    """Those that are named or given, the default ones where none are."""
    return tuple(
        find_instrument(one) if isinstance(one, str) else one for one in (_DEFAULT if chosen is None else chosen)
    )


def refuse_what_cannot_stand(instruments: Sequence[Instrument]) -> None:
    """Two under one name, and one that stands before what it goes on from."""
    before: list[str] = []
    for instrument in instruments:
        for need in instrument.needs():
            if need not in before:
                raise ValueError(
                    f"{instrument.name} goes on from what {need} measures, which must stand before it; before it stand "
                    f"{', '.join(before) or 'none'}"
                )
        before.append(instrument.name)
    if len(set(before)) < len(before):
        raise ValueError(f"each instrument records under its own name; got {', '.join(before)}")


def due(instruments: Sequence[Instrument], after: int, step: int, last: bool) -> list[Instrument]:
    """Those to be measured at a step, where the one observed before it was `after`."""
    names = {
        one.name for one in instruments if last or one.schedule is None or crossed(parse(one.schedule), after, step)
    }
    for one in reversed(instruments):  # what an instrument needs stands before it
        if one.name in names:
            names.update(one.needs())
    return [one for one in instruments if one.name in names]
