"""What the data files say about their domains and about what stands in for the controls."""

from __future__ import annotations

from collections.abc import Mapping

DOMAINS: Mapping[str, str] = {
    "language": "Sentences of several constructions, against their own words out of order.",
    "math": "Statements that reason with numbers, against the same numbers used as labels.",
    "physical": "What bodies, heat, liquids and light do, against the same things as goods and matters of record.",
    "social": "Minds, feelings, duties and ties, against the like of things and places with no mind at work.",
}

CONTROLS: Mapping[str, Mapping[str, str]] = {
    "language": dict.fromkeys(
        ["written", "relative_clauses", "questions", "passives", "subordinate_clauses", "existentials"],
        "the same words in an ungrammatical order, the first and the last in their places",
    )
    | {"non_words": "pronounceable strings that are no words"},
    "math": {
        "written": "the same numbers and some of the same words, with nothing to reckon",
        "hard_sums": "sums of one-digit numbers",
        "symbols": "the same numbers and letters in the same places, with list punctuation for the operators",
        "number_sentences": "the same number words read out, with no operation",
        "word_problems": "the same numbers as names of gates, tents and lorries",
        "comparisons": "the same numbers compared in what numbers do not have",
        "sequences": "the same terms out of order, as the print on a thing",
    },
    "physical": {
        "written": "the same things, where nothing physical happens to them",
        "concrete_words": "sentences of abstract words",
        "falling": "the same thing changes from one list to another",
        "heat": "the same substance and its market",
        "support": "the same thing and its standing in the trade, with the same preposition",
        "breaking": "the same two things, one outdoing the other",
        "flow": "the same liquid as the matter of a debate",
        "light": "the same lamp and what it wins",
    },
    "social": {
        "written": "a sentence of the same build about things and places without minds",
        "belief_or_photo": "an outdated photo of the same scene",
        "beliefs": "a sign that shows the same",
        "emotions": "a thing in the place of the person, and what it looks like",
        "desires": "vehicles in the place of the people, and what they do",
        "relations": "countries in the place of the people, and how they lie",
        "norms": "machines in the place of the people, and what they are made for",
    },
}
