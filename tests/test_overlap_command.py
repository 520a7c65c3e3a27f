"""observatory overlap: the files it reads and refuses, what it prints, and what it draws."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from observatory.cli import main
from observatory.observation import Array
from observatory.review.figures.overlap_matrix import overlap_matrix
from observatory.review.sharing.matrix_file import read_matrix
from observatory.review.sharing.overlap import Tasks

pytestmark = pytest.mark.filterwarnings(
    "ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning"
)
SHARED = Path(__file__).parents[2] / "shared" / "data"
published_only = pytest.mark.skipif(
    not (SHARED / "published").is_dir(), reason="the published matrices are not on this machine"
)
LABELS = [f"{domain}/{kind}_{form}" for domain in ("a", "b", "c") for kind in "xyz" for form in ("ask", "say")]


def planted(seed: int = 0) -> Array:
    """Overlap of .3 by domain and of .1 by format, with a little noise."""
    domains, formats = [label[0] for label in LABELS], [label[-3:] for label in LABELS]
    noise = np.random.default_rng(seed).uniform(0, 0.02, (len(LABELS), len(LABELS)))
    values = 0.3 * np.equal.outer(domains, domains) + 0.1 * np.equal.outer(formats, formats) + (noise + noise.T) / 2
    np.fill_diagonal(values, 1.0)
    return np.asarray(values)


def write(path: Path, values: Any, labels: Sequence[str] = LABELS, columns: Sequence[str] | None = None) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", *(columns or labels)])
        writer.writerows([label, *row] for label, row in zip(labels, values, strict=True))
    return path


def write_formats(path: Path, kinds: bool = True) -> Path:
    rows = [("task", "format", "kind"), *((label, label[-3:], label[2]) for label in LABELS)]
    path.write_text("\n".join(",".join(row if kinds else row[:2]) for row in rows))
    return path


def without(values: Array, *places: int, value: float = 0.0) -> Array:
    """The same with tasks that have no region."""
    changed = values.copy()
    changed[list(places)] = changed[:, list(places)] = value
    return changed


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    main(["overlap", *map(str, arguments)])
    return " ".join(capsys.readouterr().out.split())


def test_a_matrix_is_read_as_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", planted())
    formats = write_formats(tmp_path / "f.csv")
    for saved in (path, formats):
        saved.write_text("\ufeff" + saved.read_text(), encoding="utf-8")  # as spreadsheets do
    file = read_matrix(path, formats)
    assert np.allclose(file.matrix, planted())
    assert file.tasks == Tasks(
        [label[2:] for label in LABELS],
        [label[0] for label in LABELS],
        [label[-3:] for label in LABELS],
        [label[2] for label in LABELS],
    )
    assert len(set(read_matrix(path, write_formats(tmp_path / "f.csv", kinds=False)).tasks.own_kinds())) == 18


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_task_without_overlap_has_no_region_unless_it_overlaps_itself(tmp_path: Path, value: float) -> None:
    values = without(planted(), 2, 7, value=value)
    assert np.flatnonzero(np.isnan(read_matrix(write(tmp_path / "m.csv", values)).matrix).all(1)).tolist() == [2, 7]
    values = without(planted(), 2, 7)
    values[7, 7] = 1.0
    found = read_matrix(write(tmp_path / "m.csv", values)).matrix
    assert np.flatnonzero(np.isnan(found).all(1)).tolist() == [2]
    assert np.nansum(found[7]) == 1
    values = without(planted(), 2, value=np.nan)
    values[2, 2] = 1.0  # its overlaps with others are not zero but unknown
    assert np.isnan(read_matrix(write(tmp_path / "m.csv", values)).matrix[2]).all()


def changed(row: int, column: int, value: object) -> list[list[object]]:
    rows: list[list[object]] = planted().tolist()
    rows[row][column] = value
    return rows


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "not square": ({"values": planted()[:5], "labels": LABELS[:5], "columns": LABELS}, "5 rows and 18 columns of"),
    "short row": ({"values": [*planted().tolist()[:-1], [0.1]]}, "the row of c/z_say has 1 values where there are 18"),
    "labels": (
        {"values": planted(), "columns": [*LABELS[::-1]]},
        "the row labelled 'a/x_ask' stands where the column is labelled 'c/z_say'; give both in one order",
    ),
    "no domain": ({"values": np.eye(3), "labels": ["a/x", "b", "c/z"]}, "'b' names no domain; write domain/task"),
    "repeated": ({"values": np.eye(3), "labels": ["a/x", "b/x", "a/x"]}, "several rows labelled a/x"),
    "words": ({"values": changed(1, 2, "high")}, "the row of a/x_say holds 'high', which is no number"),
    "asymmetric": ({"values": changed(1, 2, 0.9)}, "a/x_say and a/y_ask overlap by 0.9 in the one row and by 0.3"),
    "one-sided": ({"values": changed(1, 2, "")}, "is not symmetric: a/x_say and a/y_ask overlap by nan in the one"),
    "too large": ({"values": 2 * planted()}, "a/x_ask and a/x_ask overlap by 2; an overlap lies in 0 to 1"),
    "negative": ({"values": planted() - 0.1}, "overlap by -0.0"),
    "few tasks": ({"values": np.eye(2), "labels": ["a/x", "b/x"]}, "has 2 tasks in 2 domains; an overlap of domains"),
    "one domain": ({"values": np.eye(3), "labels": ["a/x", "a/y", "a/z"]}, "has 3 tasks in 1 domains; an overlap of"),
    "a gap": (
        {"values": np.where(np.eye(18)[::-1], np.nan, planted())},
        "the overlap of a/x_ask and c/z_say is missing",
    ),
    "no region": ({"values": without(planted(), *range(16))}, "2 of 18 tasks have a region, in 1 domains"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_is_no_overlap_matrix_is_refused_with_a_sentence(tmp_path: Path, name: str) -> None:
    content, words = WRONG[name]
    with pytest.raises(SystemExit) as ended:
        main(["overlap", str(write(tmp_path / "m.csv", **content))])
    assert words in str(ended.value.code)
    assert str(ended.value.code).startswith("observatory: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "m.csv is empty"),
        (b"\x80\x81", "m.csv is no CSV file"),
        (b",a/x,a/y\n", "there are 0 rows and 2 columns of tasks"),
        (b"\n\n", "m.csv is empty"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_matrix(tmp_path / "m.csv")
    with pytest.raises(SystemExit, match=r"nowhere\.csv: No such file"):
        main(["overlap", str(tmp_path / "nowhere.csv")])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n", "has the columns a, b; give task,format or task,format,kind"),
        ("task,format\na/x_ask,ask\n", "gives no format for a/x_say and 16 others"),
        ("task,format\na/x_ask\n", "the row of a/x_ask should hold 2 words"),
        ("task,format,kind\na/x_ask,ask,\n", "the row of a/x_ask should hold 3 words"),
        ("task,format\na/x_ask,ask\na/x_ask,say\n", "names a task twice"),
    ],
)
def test_formats_that_do_not_fit_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_matrix(write(tmp_path / "m.csv", planted()), tmp_path / "f.csv")


def test_without_formats_it_warns_that_they_may_be_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "m.csv", without(planted(), 2))
    said = told(capsys, path)
    assert "No formats are given: overlap by domain cannot be told from overlap by prompt format." in said
    assert "domain index" not in said
    assert "Left out for want of a region: 1 of 18 tasks, a/y_ask." in said
    assert "17 tasks" in said
    said = told(capsys, path, "--formats", write_formats(tmp_path / "f.csv"))
    assert "No formats" not in said
    assert "domain index" in said
    assert "clusters against formats" in said
    assert "with the same kind" in said
    assert said.count("same domain, other format") == 3
    said = told(capsys, path, "--formats", write_formats(tmp_path / "f.csv", kinds=False))
    assert "with the same kind" not in said
    assert said.count("same domain, other format") == 1


def test_json_holds_all_that_the_tables_say_and_the_same_with_the_same_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, formats = write(tmp_path / "m.csv", planted()), write_formats(tmp_path / "f.csv")
    arguments = (path, "--formats", formats, "--json", "true", "--out", tmp_path / "drawn", "--clusters", "3")
    said = json.loads(told(capsys, *arguments))
    assert said == json.loads(told(capsys, *arguments)) == json.loads((tmp_path / "drawn" / "overlap.json").read_text())
    assert (said["format"], said["format_version"]) == ("observatory-overlap", "1.0")
    reading = said["with_region"]
    assert reading["contrasts"]["index"]["value"] == pytest.approx(0.2, abs=0.01)
    assert reading["contrasts"]["domain_effect"]["value"] == pytest.approx(0.3, abs=0.01)
    assert reading["contrasts"]["format_effect"]["value"] == pytest.approx(0.1, abs=0.01)
    assert reading["contrasts"]["index"]["chance"]["p"] == pytest.approx(1 / 280)  # 9! / 3!^4 ways to part the kinds
    assert reading["contrasts"]["index"]["chance"]["exact"]
    assert reading["relations"]["kind"]["pairs"] == 9
    assert reading["domains"]["published"]["agreement"] == 1
    assert {one["clusters"] for one in reading["formats"]["sweep"]} == {2, 3, 4, 5}
    assert said["missing_as_zero"] is None
    assert said["relations"]["domain_only"] == "same domain, other format, other kind"


def test_too_few_kinds_for_a_small_p_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = [0, 1, 2, 3, 6, 7, 8, 9]
    values = planted()[np.ix_(chosen, chosen)]
    path = write(tmp_path / "m.csv", values, [LABELS[i] for i in chosen])
    said = told(capsys, path, "--formats", write_formats(tmp_path / "f.csv"))
    assert "no p can be below 0.33, however clear the structure" in said


@pytest.mark.parametrize(
    ("forms", "words"),
    [
        (["ask"] * 18, "All tasks have one format, so nothing is said of formats."),
        ([label[0] for label in LABELS], "There is no index: it needs pairs of one domain in different formats"),
    ],
)
def test_formats_that_cannot_be_told_from_domains_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], forms: list[str], words: str
) -> None:
    formats = tmp_path / "f.csv"
    formats.write_text(
        "\n".join(["task,format", *(f"{label},{form}" for label, form in zip(LABELS, forms, strict=True))])
    )
    assert words in told(capsys, write(tmp_path / "m.csv", planted()), "--formats", formats)


@published_only
def test_the_published_figures_are_printed_and_what_is_wrong_with_them_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = told(capsys, SHARED / "published" / "average_overlap_0.1pct.csv")
    for words in ("within domains 0.129 (290 pairs)", "across domains 0.030 (745 pairs)", "within / across 4.3"):
        assert words in said
    assert "clusters against domains: ARI 0.78 p = .0001 5 nearest, average, 4 clusters" in said
    assert "least, middle, most -0.07, 0.27, 0.78 (112 of 160)" in said
    said = told(capsys, SHARED / "published" / "gpt2_overlap_0.1pct.csv")
    assert "Left out for want of a region: 10 of 46 tasks" in said
    assert "within domains 0.066 (179 pairs) 0.041 (290 pairs)" in said
    assert "The region of Lan/npi overlaps no other." in said
    assert "since merges at one height leave 1: the ARI of 0.00 against the domains says nothing" in said


def drawn(figure: Figure) -> Axes:
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    return figure.axes[0]


def test_the_figure_shows_tasks_by_domain_then_format_and_hatches_those_without_a_region() -> None:
    draw = np.random.default_rng(0)
    order = draw.permutation(len(LABELS))
    values = without(planted(), 4, value=np.nan)[np.ix_(order, order)]
    labels = [LABELS[place] for place in order]
    tasks = Tasks([label[2:] for label in labels], [label[0] for label in labels], [label[-3:] for label in labels])
    figure = overlap_matrix(values, tasks)
    panel = drawn(figure)
    names = [text.get_text() for text in panel.get_yticklabels()]
    assert names == [text.get_text() for text in panel.get_xticklabels()]
    domains, formats = (list(dict.fromkeys(labels)) for labels in (tasks.domains, tasks.formats))
    shown = [(domain, form) for domain in domains for form in formats for _ in range(3)]
    assert [name[-3:] for name in names] == [form for _, form in shown]
    (image,) = (child for child in panel.get_children() if isinstance(child, AxesImage))
    painted: Array = np.ma.filled(np.ma.asarray(image.get_array()), np.nan)
    places = [
        LABELS.index(f"{domain}/{name.replace(' ', '_')}") for (domain, _), name in zip(shown, names, strict=True)
    ]
    expected = without(planted(), 4, value=np.nan)[np.ix_(places, places)]
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_array_equal(painted, expected)
    hatched = {patch.get_xy() for patch in panel.patches if isinstance(patch, Rectangle) and patch.get_hatch()}
    place = places.index(4)
    assert hatched == {(place - 0.5, -0.5), (-0.5, place - 0.5)}
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [*formats, "no region"]


@pytest.mark.parametrize("count", [3, 24, 46])
def test_nothing_in_the_figure_is_cut_off_or_runs_into_its_neighbour(count: int) -> None:
    domains = [f"domain_{i * 4 // count}" for i in range(count)]
    formats = [("ask", "say", "do")[i % 3] for i in range(count)]
    tasks = Tasks([f"a_task_with_a_rather_long_name_{i}" for i in range(count)], domains, formats)
    figure = overlap_matrix(np.full((count, count), 0.2), tasks)
    panel = drawn(figure)
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    assert all((edge == 255).all() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))  # nothing is cut
    edges = figure.bbox
    texts = [*panel.get_xticklabels(), *panel.get_yticklabels(), *panel.child_axes[0].get_xticklabels()]
    for text in texts:
        box = text.get_window_extent()
        assert edges.x0 <= box.x0 < box.x1 <= edges.x1, text
        assert edges.y0 <= box.y0 < box.y1 <= edges.y1, text
    for labels, axis in ((panel.get_xticklabels(), 0), (panel.get_yticklabels(), 1)):
        boxes = sorted(text.get_window_extent().get_points()[:, axis].tolist() for text in labels)
        assert all(one[1] <= other[0] + 1 for one, other in pairwise(boxes))


def test_the_command_writes_its_figure_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = told(capsys, write(tmp_path / "m.csv", planted()), "--out", tmp_path / "new" / "drawn")
    for name in ("overlap.png", "overlap.svg", "overlap.json"):
        path = tmp_path / "new" / "drawn" / name
        assert str(path) in said
        assert path.stat().st_size > 3_000
    assert "a/x" not in (svg := (tmp_path / "new" / "drawn" / "overlap.svg").read_text())
    assert "x ask" in svg
