"""The theory-of-mind localizer of Dodell-Feder et al. (2011): stories of false beliefs and of outdated photos.

Text files in one folder, numbered, with b for belief and p for photo: 1b_story.txt (or 1b.txt) and
1p_story.txt, and where there are questions 1b_question.txt and 1p_question.txt.
"""

from __future__ import annotations

import re
from pathlib import Path

from observatory.stimuli.battery import Family, Item

CHOICE = re.compile(r"\bTrue\s+False\s*$", re.IGNORECASE)
"""The response options below a question, which are no part of it."""


def read_theory_of_mind(folder: str | Path, questions: bool = False) -> Family:
    """Belief stories as targets, photo stories of the same number as controls; never matched in length.

    With `questions`, each story is followed by its question. The published procedure appends an answer drawn
    at random without a seed; none is appended here.
    """
    root = Path(folder)
    named = (re.fullmatch(r"(\d+)b(_story)?\.txt", path.name) for path in sorted(root.glob("*.txt")))
    numbers = sorted({int(match[1]) for match in named if match})
    if not numbers:
        raise ValueError(f"{root} holds no belief story; the files are called 1b_story.txt or 1b.txt, and so on.")
    items = tuple(
        Item(f"tom-{number:02}", told(root, f"{number}b", questions), told(root, f"{number}p", questions))
        for number in numbers
    )
    return Family("social", "tomloc", "stories of outdated photos", items, matched=False)


def told(root: Path, story: str, question: bool) -> str:
    """A story on one line."""
    files = [path for path in (root / f"{story}_story.txt", root / f"{story}.txt") if path.is_file()]
    asked = root / f"{story}_question.txt"
    if question:
        files = [*files[:1], asked] if asked.is_file() else []
    if not files:
        wanted = asked.name if question else f"{story}_story.txt"
        raise ValueError(f"{root} lacks {wanted}; every belief story needs a photo story of its number.")
    return " ".join(one_line(path) for path in files[: 2 if question else 1])


def one_line(path: Path) -> str:
    """The text of a file, its lines joined, words that were cut at a hyphen whole again."""
    text = path.read_text(encoding="utf-8", errors="replace")
    joined = re.sub(r"(\w)-[ \t]*\n\s*(\w)", r"\1-\2", text.replace("\r\n", "\n"))
    return CHOICE.sub("", " ".join(joined.split())).strip()
