"""What may be said of how tasks share units: by domain, by format, neither, or nothing; and why."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from observatory.review.judge.verdict import UNKNOWN
from observatory.review.sharing.task_sharing import Effect, Sharing

BY_DOMAIN, BY_FORMAT, NEITHER = "shared by domain", "shared by format", "not told apart"
FEWEST_TASKS, FEWEST_DOMAINS, FEWEST_TWINS = 3, 2, 2


@dataclass(frozen=True)
class SharingVerdict:
    """Of one step, in words."""

    said: str
    reasons: tuple[str, ...]


def too_few(done: int, domains: int) -> SharingVerdict | None:
    """Where there is nothing to compare: a circuit for what the model cannot do is undefined."""
    if done >= FEWEST_TASKS and domains >= FEWEST_DOMAINS:
        return None
    tasks = f"{done} task{'s are' if done != 1 else ' is'} done"
    return _unknown(f"{tasks}, in {domains} domain{'s' * (domains != 1)}; it takes {FEWEST_TASKS} in {FEWEST_DOMAINS}")


def sharing_verdict(found: Sharing, alpha: float) -> SharingVerdict:
    """By domain: the index is above 0, above that of domains dealt anew, and above the twins'.

    By format: the effect of format is so, and that of domain is not. Both, without the index: not told apart.
    """
    index, by_format = found.effects["index"], found.effects["format_effect"]
    if reason := _unable(index, alpha):
        return _unknown(reason)
    against = _against(index, alpha, "domains")
    formats_hold = not _unable(by_format, alpha) and not _against(by_format, alpha, "formats")
    if not against:
        formats = [f"formats bind too, but less: {_for(by_format)}"] if formats_hold else []
        return SharingVerdict(BY_DOMAIN, (f"domain index {_for(index)}", *formats))
    domain = found.effects["domain_effect"]
    domains_hold = not _unable(domain, alpha) and not _against(domain, alpha, "domains")
    if formats_hold and domains_hold:
        both = f"formats bind, {_for(by_format)}, and domains do, {_for(domain)}"
        return SharingVerdict(NEITHER, (f"{both}; the domain index is {index.value:+.3f}",))
    if formats_hold:
        return SharingVerdict(BY_FORMAT, (f"effect of format {_for(by_format)}", f"domain index {against}"))
    formats_fail = _unable(by_format, alpha) or _against(by_format, alpha, "formats")
    return SharingVerdict(NEITHER, (f"domain index {against}", f"effect of format {formats_fail}"))


def _unable(effect: Effect, alpha: float) -> str:
    """Why the effect could not be shown, however large."""
    if not isfinite(effect.value) or effect.chance is None:
        return "among the tasks done there are no pairs of one domain in two formats, or of two domains in one"
    if effect.chance.least > alpha:
        return f"with so few kinds of tasks no p can be below {effect.chance.least:.2g}, however clear the structure"
    if len(effect.twins) < FEWEST_TWINS:
        return f"{len(effect.twins)} untrained twins were measured; it takes {FEWEST_TWINS} or more"
    if not isfinite(effect.p_of_twins):
        return "the untrained twins are all alike, or without circuits, so they give no spread to compare with"
    return ""


def _against(effect: Effect, alpha: float, dealt: str) -> str:
    """What speaks against an effect that could be shown; nothing if it holds."""
    assert effect.chance is not None
    said = []
    if effect.value <= 0:
        said.append("not above 0")
    if effect.chance.p > alpha:
        said.append(f"no more than with {dealt} dealt anew (p = {effect.chance.p:.2g})")
    if effect.p_of_twins > alpha:
        said.append(f"no more than in untrained twins ({effect.middle:+.3f}, p = {effect.p_of_twins:.2g})")
    return f"{effect.value:+.3f}: {', '.join(said)}" if said else ""


def _for(effect: Effect) -> str:
    """An effect that holds."""
    assert effect.chance is not None
    return (
        f"{effect.value:+.3f} (dealt anew p = {effect.chance.p:.2g}; untrained twins {effect.middle:+.3f}, "
        f"p = {effect.p_of_twins:.2g})"
    )


def _unknown(reason: str) -> SharingVerdict:
    return SharingVerdict(UNKNOWN, (reason,))
