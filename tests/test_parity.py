"""LLM_Modularity's procedure and our attribution by its rule, against each other and the scores of its own code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from test_modularity import pairs, projections, tiny

from observatory.measure.anatomy import anatomy
from observatory.measure.attribution import PUBLISHED, Rule
from observatory.measure.undisturbed import undisturbed
from observatory.observation import Array
from observatory.stimuli.tokens import plain_ids

from circuits import scored_as_published  # isort: skip  (of benchmarks/, which test_modularity makes known)
from modularity import BATCH, Attributed, Pair, attribute  # isort: skip
from subjects import Missing, Subject, smollm2  # isort: skip

DATA = Path(__file__).parents[2] / "shared" / "data"


class Reference(NamedTuple):
    """What its own code gave of the items of one task, and the procedure's scores of the same."""

    subject: Subject
    given: list[Pair]
    record: dict[str, Any]
    scores: Array
    procedure: Attributed


@pytest.fixture(scope="module")
def reference() -> Reference:
    file = DATA / "reference" / "subject_verb_agreement.json"
    if not file.exists():
        pytest.skip(f"there are no reference scores: {file} does not exist")
    try:
        subject = smollm2()
    except Missing as reason:
        pytest.skip(str(reason))
    record = json.loads(file.read_text())
    fields = ("clean_prompt", "corrupted_prompt", "correct", "incorrect")
    rows = zip(*(plain_ids(subject.tokenizer, record[field]) for field in fields), strict=True)
    given = [Pair(*row) for row in rows]
    model: Any = subject.model
    found = attribute(model, [block.mlp.down_proj for block in model.model.layers], given)
    return Reference(subject, given, record, np.load(file.with_suffix(".npz"))["scores"], found)


def ours(model: Any, given: Any, rule: Rule = PUBLISHED) -> tuple[Array, Any]:
    with undisturbed(model):
        return scored_as_published(anatomy(model), given, rule)


def test_with_the_published_rule_ours_are_the_scores_of_the_procedure() -> None:
    """Answers of several tokens, and a short last batch."""
    model, given = tiny(), pairs()
    assert len(given) % BATCH
    theirs = attribute(model, projections(model), given)
    found, answered = ours(model, given)
    np.testing.assert_allclose(found, theirs.scores, rtol=1e-4, atol=1e-6 * abs(theirs.scores).max())
    np.testing.assert_allclose(answered.permute(1, 2, 0), theirs.log_probabilities, rtol=1e-5)


def test_without_it_they_are_not() -> None:
    model, given = tiny(), pairs()
    theirs = attribute(model, projections(model), given).scores
    for rule in (Rule("margin", "corrupted"), Rule("correct", "clean")):
        assert np.corrcoef(ours(model, given, rule)[0].ravel(), theirs.ravel())[0, 1] < 0.98


@pytest.mark.pretrained
def test_the_scores_of_its_own_code_come_out(reference: Reference) -> None:
    scores = reference.scores
    largest = abs(scores).max()
    found = reference.procedure.scores
    assert abs(found - scores).max() <= 1e-5 * largest
    np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-5 * largest)


@pytest.mark.pretrained
def test_its_log_probabilities_and_baselines_come_out(reference: Reference) -> None:
    found, record = reference.procedure, reference.record
    names = ("clean_correct", "clean_incorrect", "corrupted_correct", "corrupted_incorrect")
    theirs = np.array([record["lp"][name] for name in names]).reshape(2, 2, -1)
    np.testing.assert_allclose(found.log_probabilities, theirs, rtol=1e-5)
    assert found.clean_baseline == pytest.approx(record["clean_baseline"], rel=1e-5)
    assert found.corrupted_baseline == pytest.approx(record["corrupted_baseline"], rel=1e-5)


@pytest.mark.pretrained
def test_with_the_published_rule_ours_are_the_scores_of_its_own_code(reference: Reference) -> None:
    scores = reference.scores
    found, answered = ours(reference.subject.model, reference.given)
    largest = abs(scores).max()
    assert abs(found - scores).max() <= 1e-5 * largest
    np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-5 * largest)
    np.testing.assert_allclose(answered.permute(1, 2, 0), reference.procedure.log_probabilities, rtol=1e-5)
