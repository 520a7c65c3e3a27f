"""How much of what a task's own circuit does for its margin falls on the circuit of another task, to first order.

It is the cross-task faithfulness of circuits as attribution foresees it (Hanna et al. 2025 measure it by ablation): a
score says what a unit's activation does for the right answer, so a circuit does the sum of its units' scores.
"""

from __future__ import annotations

import numpy as np

from observatory.observation import Array


def captured(ranked: Array, scores: Array, size: int, units: float) -> Array:
    """(task whose circuit, task whose margin): 1 for the own circuit, about 0 for as many random units.

    Of `ranked` (task, rank) with their `scores`, the first `size` are a task's circuit. Units that are not among a
    task's ranked ones count as doing nothing for it: each does less than the last of these.
    """
    tasks = len(ranked)
    known = np.where(np.isfinite(scores), scores, 0.0)
    own, all_ranked = known[:, :size].sum(1), known.sum(1)
    inside = np.array([[np.isin(ranked[to], ranked[of, :size]) for to in range(tasks)] for of in range(tasks)])
    share = np.einsum("str,tr->st", inside, known) / np.where(own > 0, own, np.nan)
    chance = size / units * all_ranked / np.where(own > 0, own, np.nan)
    found: Array = (share - chance) / (1 - chance)
    return found
