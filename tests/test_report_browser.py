"""The report in a real browser: it draws, follows its slider, needs no mouse, and runs nothing but itself."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from report_cases import STEPS, everything, with_units
from verdicts import planted, step_up

from observatory.review.judge.emergence import emergence
from observatory.review.judge.evidence import Criteria, evidence
from observatory.review.judge.telling import verdict_sentence
from observatory.review.report.colors import colors, contrast
from observatory.review.report.numbers import visible
from observatory.review.report.writing import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra for tests")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser, chromium on the path")

NAMES = ("<img src=x onerror=alert(1)>", '"><svg onload=window.pwned=1>', "\u202eevil \u2066name", "long_" * 60)
SCRIPT = "</script><script>window.pwned=1</script>"
PANELS = ("layers", "overlap", "atlas", "tasks", "lesions")
LAST = len(STEPS) - 1


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as tools:
        started = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def logbook(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    return everything(tmp_path_factory.mktemp("logbook"))


@pytest.fixture(scope="module")
def file(logbook: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(logbook, tmp_path_factory.mktemp("page") / "report.html", name="mine")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything a file names, named by somebody who would have it run, or break the page."""
    folder = tmp_path_factory.mktemp("hostile")
    book = everything(folder, NAMES)
    book["gap_reason"] = ("gap", [SCRIPT])
    book.attrs |= {SCRIPT: NAMES[0], "doctor": json.dumps([{"severity": "error", "text": SCRIPT, "steps": [100]}])}
    return write_report(book, folder / "report.html", name=SCRIPT + 300 * "w")


@contextmanager
def opened(browser: Any, file: Path, width: int = 1200, clock: bool = False, **settings: Any) -> Iterator[Any]:
    """The page of a file. No request but for the file itself, nothing on the console, no error and no dialog."""
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **settings)
    page = context.new_page()
    if clock:
        page.clock.install()
    requests: list[str] = []
    heard: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: heard.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: (heard.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.goto(file.as_uri())
    if settings.get("java_script_enabled", True):
        page.wait_for_selector("#timeline svg path", state="attached")
    yield page
    if settings.get("java_script_enabled", True):
        assert page.evaluate("window.pwned") is None
    assert heard == []
    assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]
    context.close()


def cells(page: Any, panel: str) -> list[str]:
    """The numbers that a matrix shows, row by row."""
    texts: list[str] = page.eval_on_selector_all(
        f"#{panel} svg text", "all => all.filter(one => one.getAttribute('font-weight')).map(one => one.textContent)"
    )
    return [text.replace("−", "-").rstrip("●") for text in texts]


def state_of(page: Any, panel: str) -> str:
    """What is drawn, without what is said of it."""
    drawn: str = page.eval_on_selector_all(
        f"#{panel} svg[tabindex] rect, #{panel} svg[tabindex] text", "all => all.map(one => one.outerHTML).join()"
    )
    assert drawn
    return drawn


def cursor(page: Any, chart: str) -> float:
    return float(page.get_attribute(f"#{chart} .cursor", "x1"))


def go_to(page: Any, stop: int) -> None:
    page.eval_on_selector(
        "#step", "(slider, stop) => { slider.value = stop; slider.dispatchEvent(new Event('input')) }", stop
    )


# It draws


def test_every_panel_is_drawn_and_every_verdict_is_seen(browser: Any, file: Path, logbook: xr.Dataset) -> None:
    judged = emergence(logbook)
    with opened(browser, file) as page:
        for panel in ("timeline", "levels", "loss", *PANELS):
            shapes = page.locator(f"#{panel} svg").first.locator("path, rect, line")
            assert shapes.count() > 5, panel
            assert page.locator(f"#{panel} svg").first.bounding_box()["width"] > 200
        assert page.locator("#competence svg").count() == 3
        assert page.locator("#beside svg").count() == 3
        assert page.locator("#beside svg").first.locator(".band, .twins, .plain, .cursor").count() == 4
        for one in judged.verdicts:
            assert page.get_by_text(verdict_sentence(judged, one.domain), exact=True).is_visible()
        assert page.locator("#timeline svg text", has_text="×").count() == 1
        assert page.locator("#timeline svg text", has_text="!").count() == 1


def test_without_scripts_the_words_are_there(browser: Any, file: Path, logbook: xr.Dataset) -> None:
    judged = emergence(logbook)
    with opened(browser, file, java_script_enabled=False) as page:
        assert page.get_by_text(verdict_sentence(judged, "math"), exact=True).is_visible()
        assert "need JavaScript" in page.inner_text("main")
        assert page.get_by_text("measured seldom", exact=True).is_visible()
        assert page.get_by_text("has 3 finite observations, and a lead needs 6").is_visible()
        assert not page.locator("#controls").is_visible()


# The slider


def test_the_slider_moves_every_panel_with_the_keyboard_alone(browser: Any, file: Path) -> None:
    with opened(browser, file) as page:
        before = {panel: state_of(page, panel) for panel in PANELS}
        lines = {chart: cursor(page, chart) for chart in ("timeline", "levels", "loss", "competence", "beside")}
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "step":
                break
        assert page.evaluate("document.activeElement.id") == "step"
        page.keyboard.press("ArrowLeft")
        told = f"step {STEPS[-2]}, 2.0M tokens"
        assert page.get_attribute("#step", "aria-valuetext") == told
        assert page.inner_text("#when") == told
        assert page.inner_text("#h-step") == f"At {told}"
        assert [panel for panel in PANELS if state_of(page, panel) == before[panel]] == []
        assert all(cursor(page, chart) < x for chart, x in lines.items())
        page.keyboard.press("ArrowRight")
        assert {panel: state_of(page, panel) for panel in PANELS} == before
        page.keyboard.press("Home")
        assert page.inner_text("#when") == "step 0, 0 tokens"
        assert page.inner_text("#beside .more >> nth=0") == "0.0 [−0.5, 0.5] at step 0, 0 tokens"
        page.keyboard.press("ArrowRight")
        rare = page.locator("#beside figure", has_text="measured seldom").locator(".more")
        assert rare.inner_text() == "0.00 at step 0, 0 tokens"  # it was not measured since


def test_the_panels_show_the_numbers_of_the_step_and_readout_chosen(
    browser: Any, file: Path, logbook: xr.Dataset
) -> None:
    readouts = [(space, pooling) for space in ("mlp", "heads") for pooling in ("last", "mean")]
    with opened(browser, file) as page:
        for stop, readout in ((LAST, 0), (4, 3)):
            go_to(page, stop)
            page.select_option("#readout", str(readout))
            here = logbook.isel(step=stop).sel(space=readouts[readout][0], pooling=readouts[readout][1])
            by_layer = here["contrast_index_by_layer"].transpose("layer", "domain").values[::-1]
            np.testing.assert_allclose(np.array(cells(page, "layers"), float), by_layer.ravel(), atol=0.0051)
            overlap = here["contrast_overlap"].transpose("domain", "other_domain").values
            off = overlap[~np.eye(4, dtype=bool)]
            np.testing.assert_allclose(np.array(cells(page, "overlap"), float), off, atol=0.0051)
            chosen = here[f"contrast_region_{readouts[readout][0]}"].values
            assert page.locator("#atlas .own").count() == chosen.sum()
            assert (
                page.locator("#atlas .own.d2").count()
                == here.sel(domain="physical")[f"contrast_region_{readouts[readout][0]}"].values.sum()
            )


def test_lesions_are_told_of_the_step_or_not_at_all(browser: Any, file: Path) -> None:
    content = json.loads(re.search(r'id="data">(.*?)</script>', file.read_text("utf-8"), re.DOTALL)[1])  # type: ignore[index]
    with opened(browser, file) as page:
        effects = content["lesions"]["measures"][0]["effect"][LAST]
        shown = np.array(cells(page, "lesions")[:16], float)
        np.testing.assert_allclose(shown, np.ravel(effects), atol=0.0051)
        go_to(page, 0)
        assert cells(page, "lesions") == []
        assert page.locator("#lesions .gone").count() == 2 * 16
        assert page.locator("pattern#hatch").count() == 1  # which fills them


def test_play_goes_on_by_itself_and_stops(browser: Any, file: Path) -> None:
    with opened(browser, file, clock=True) as page:
        page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 60)
        page.focus("#play")
        page.keyboard.press("Enter")
        assert page.get_attribute("#play", "aria-pressed") == "true"
        page.clock.run_for(850)
        assert page.inner_text("#when").startswith(f"step {STEPS[2]},")
        page.keyboard.press("Enter")
        assert page.inner_text("#play") == "Play"
        page.clock.run_for(5000)
        assert page.inner_text("#when").startswith(f"step {STEPS[2]},")
        page.keyboard.press("Enter")
        page.clock.run_for(400 * len(STEPS))
        assert page.inner_text("#when").startswith(f"step {STEPS[-1]},")
        assert page.get_attribute("#play", "aria-pressed") == "false"


# Values, with a mouse and without one


def told_at(logbook: xr.Dataset, place: int) -> list[str]:
    """What is to be said of each domain at an observation, in the first readout."""
    found = evidence(logbook, Criteria()).sel(space="mlp", pooling="last").isel(step=place)
    return [
        f"{domain}: E {one['index']:.2f} [{one['low']:.2f}, {one['high']:.2f}]".replace("-0.00", "0.00")
        for domain, one in ((d, found.sel(domain=d).reset_coords(drop=True)) for d in found["domain"].values)
    ]


def test_hovering_gives_values_with_their_intervals(browser: Any, file: Path, logbook: xr.Dataset) -> None:
    with opened(browser, file) as page:
        page.select_option("#readout", "0")
        go_to(page, 5)
        x = cursor(page, "timeline")
        go_to(page, LAST)
        box = page.locator("#timeline svg").bounding_box()
        page.locator("#timeline svg").scroll_into_view_if_needed()
        box = page.locator("#timeline svg").bounding_box()
        page.mouse.move(box["x"] + x + 2, box["y"] + 150)
        tip = page.inner_text("#tip").replace("−", "-")
        assert f"step {STEPS[5]}, 205K tokens" in tip
        for line in told_at(logbook, 5):
            assert line in tip
        page.mouse.click(box["x"] + x + 2, box["y"] + 150)
        assert page.inner_text("#when").startswith(f"step {STEPS[5]},")
        page.mouse.move(5, 5)
        assert not page.locator("#tip").is_visible()
        page.locator("#lesions svg").first.scroll_into_view_if_needed()
        box = page.locator("#lesions svg").first.bounding_box()
        page.mouse.move(box["x"] + 140, box["y"] + 35)
        assert re.search(
            r"lesion of \w+, felt by \w+\n−?\d\.\d{3} \[−?\d\.\d{3}, −?\d\.\d{3}\] nats, ", page.inner_text("#tip")
        )


def test_the_arrow_keys_give_the_same_values_and_enter_goes_there(
    browser: Any, file: Path, logbook: xr.Dataset
) -> None:
    with opened(browser, file) as page:
        page.select_option("#readout", "0")
        page.focus("#timeline svg")
        page.keyboard.press("Home")
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        told = page.get_attribute("#timeline svg", "aria-valuetext").replace("−", "-")
        assert told.startswith(f"step {STEPS[5]}, 205K tokens; ")
        for line in told_at(logbook, 5):
            assert line in told
            assert line in page.inner_text("#tip").replace("−", "-")
        page.keyboard.press("Enter")
        assert page.inner_text("#when").startswith(f"step {STEPS[5]},")
        page.focus("#layers svg")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        value = logbook["contrast_index_by_layer"].sel(space="mlp", pooling="last", domain="math").values[5, 2]
        assert (
            page.inner_text("#said")
            .replace("−", "-")
            .startswith(f"math, layer 2; E within the layer: {value:.3f}; step {STEPS[5]}")
        )
        page.focus("#atlas svg")
        page.keyboard.press("ArrowRight")
        assert re.match(r"layer 0, unit \d+; in the region of \w+", page.inner_text("#said"))


def test_tables_hold_every_value_for_who_sees_no_charts(browser: Any, file: Path, logbook: xr.Dataset) -> None:
    with opened(browser, file) as page:
        page.select_option("#readout", "0")
        page.focus("#timeline summary")
        page.keyboard.press("Enter")
        playwright.expect(page.locator("#timeline tbody tr")).to_have_count(len(STEPS))
        rows = page.locator("#timeline tbody tr").all_inner_texts()
        for place in (0, LAST):
            for line in told_at(logbook, place):
                assert line.partition(": ")[2] in rows[place].replace("−", "-")
        page.click("#layers summary")
        playwright.expect(page.locator("#layers tbody tr")).to_have_count(4)
        first = page.inner_text("#layers tbody")
        go_to(page, 2)
        assert page.inner_text("#layers tbody") != first


def test_the_methods_can_be_copied(browser: Any, file: Path) -> None:
    with opened(browser, file, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.click("#copy")
        playwright.expect(page.locator("#copied")).to_have_text("Copied.")
        assert page.evaluate("navigator.clipboard.readText()") == page.text_content("#methods")


def test_every_control_has_a_name_and_the_keyboard_reaches_it_in_order(browser: Any, file: Path) -> None:
    with opened(browser, file) as page:
        tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
        roles = {"button", "slider", "combobox", "application", "link", "textbox", "DisclosureTriangle"}
        controls = [node for node in tree if not node["ignored"] and node["role"]["value"] in roles]
        assert len(controls) > 15
        assert [node for node in controls if not node.get("name", {}).get("value", "").strip()] == []
        reached: list[str] = []
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate(
                    "(one => one.id || (one.tagName == 'svg' && one.closest('figure').id))(document.activeElement)"
                )
            )
        wanted = ["play", "step", "readout", "timeline", "loss", *PANELS]
        assert [name for name in dict.fromkeys(reached) if name in wanted] == wanted
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"


# Light, dark, small, printed


def seen(page: Any, selector: str, what: str) -> str:
    """A colour as #rrggbb."""
    found = page.eval_on_selector(selector, f"one => getComputedStyle(one)['{what}']")
    return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", found)[:3])


def test_dark_mode_has_its_own_colours_and_both_can_be_read(browser: Any, hostile: Path) -> None:
    pairs = colors(NAMES)
    assert any(light != dark for light, dark in pairs)
    grounds = []
    with opened(browser, hostile) as page:
        for side, scheme in enumerate(("light", "dark")):
            page.emulate_media(color_scheme=scheme)
            ground = seen(page, "section", "backgroundColor")
            grounds.append(ground)
            for text, kind in ((".verdicts", "color"), (".small", "color"), ("svg .dim", "fill"), ("svg text", "fill")):
                assert contrast(seen(page, text, kind), ground) >= 4.5, (scheme, text)
            for domain, pair in enumerate(pairs):
                assert seen(page, f"#timeline .line.d{domain}", "stroke") == pair[side]
                assert contrast(pair[side], ground) >= 3
    light, dark = grounds
    assert contrast(light, "#000000") > 15 > 3 > contrast(dark, "#000000")


def test_a_narrow_screen_needs_no_scrolling_sideways(browser: Any, hostile: Path) -> None:
    for width in (400, 320):
        with opened(browser, hostile, width=width) as page:
            page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            page.wait_for_timeout(100)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator("#layers svg").first.bounding_box()["width"] > 0.7 * width


def test_what_is_printed_has_no_controls(browser: Any, file: Path) -> None:
    with opened(browser, file) as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert not page.locator("#controls").is_visible()
        assert page.locator("#timeline svg").is_visible()
        assert contrast(seen(page, "body", "color"), "#ffffff") > 7


# Hostile and odd logbooks


def test_hostile_names_are_inert_and_seen_as_text(browser: Any, hostile: Path) -> None:
    with opened(browser, hostile) as page:
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        for stop in range(len(STEPS)):
            go_to(page, stop)
        page.focus("#timeline svg")
        page.keyboard.press("Home")
        for name in NAMES:
            assert visible(name) in page.inner_text("#tip")
            assert visible(name) in page.inner_text("#timeline table")
            assert visible(name).lower() in page.inner_text(".verdicts").lower()
        assert page.inner_text("h1") == f"Emergence in {SCRIPT}{300 * 'w'}"
        assert SCRIPT in page.inner_text(".provenance")
        assert page.locator("img, iframe, script:not([id]), [onload], [onerror]").count() == 1  # its own script
        assert page.locator("#timeline svg title").first.text_content().startswith("step ")


def test_a_script_among_the_domains_is_a_name(browser: Any, tmp_path: Path) -> None:
    """A name with a slash, which tasks can't have."""
    names = {SCRIPT: step_up(STEPS, 10), "__proto__": step_up(STEPS, 300), "constructor": np.zeros(len(STEPS))}
    book = with_units(planted(STEPS, names), {"mlp": 24, "heads": 3})
    with opened(browser, write_report(book, tmp_path / "r.html")) as page:
        for name in names:
            assert name in page.inner_text(".legend")[:400] or "…" in page.inner_text(".legend")
            assert name in page.inner_text("#timeline figcaption") or name[1:] in page.inner_text(".verdicts")


def test_the_policy_refuses_what_is_not_of_the_page(browser: Any, file: Path, tmp_path: Path) -> None:
    """Were a name to get through after all, the browser would not run it."""
    injected = tmp_path / "injected.html"
    text = file.read_text("utf-8").replace("<main>", "<main><script>window.pwned=1</script><img src=x onerror=pwned=1>")
    injected.write_text(text, "utf-8")
    context = browser.new_context()
    page = context.new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.goto(injected.as_uri())
    page.wait_for_selector("#timeline svg path")
    assert page.evaluate("window.pwned") is None
    assert sum("Content Security Policy" in line for line in heard) >= 2
    context.close()


FLAT = np.zeros(len(STEPS))
ODD: dict[str, Callable[[], xr.Dataset]] = {
    "one observation": lambda: planted([7], {"a": [0.7], "b": [0.0]}, tokens=0),
    "nothing emerged": lambda: planted(STEPS, {"a": FLAT, "b": FLAT}),
    "missing values": lambda: planted(
        STEPS, {"a": FLAT + np.nan, "b": [0, np.nan, 0.5, np.nan, 0.5, 0.5, np.nan, 1, 1]}
    ),
    "no twins": lambda: planted(STEPS, {"a": FLAT + 0.5, "b": FLAT}).drop_vars("contrast_index_twins"),
    "many domains": lambda: planted(STEPS, {f"domain {n}": FLAT + n for n in range(14)}),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_logbooks_are_drawn_without_an_error(case: str, browser: Any, tmp_path: Path) -> None:
    with opened(browser, write_report(ODD[case](), tmp_path / "r.html")) as page:
        page.focus("#step")
        page.keyboard.press("Home")
        page.focus("#timeline svg")
        page.keyboard.press("ArrowLeft")
        assert "step " in page.inner_text("#tip")
        assert not re.search("undefined|NaN|null", page.inner_text("body"))
        assert "NaN" not in page.content().split('<script type="application/json"')[0]


def test_a_long_run_says_that_its_slider_is_thinned(browser: Any, tmp_path: Path) -> None:
    steps = list(range(0, 3000, 10))
    book = planted(steps, {"a": step_up(steps, 500), "b": step_up(steps, 900)})
    with opened(browser, write_report(book, tmp_path / "r.html")) as page:
        stops = int(page.get_attribute("#step", "max")) + 1
        assert stops < 300
        assert f"The slider offers {stops} of 300 observations" in page.inner_text("#thinned")
        page.focus("#timeline svg")
        page.keyboard.press("End")
        assert page.get_attribute("#timeline svg", "aria-valuenow") == "299"
