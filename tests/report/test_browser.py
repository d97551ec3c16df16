"""The page in a real browser: the Chromium on PATH, driven by playwright.

`--disable-socket --allow-unix-socket` can stay on: playwright talks to its driver through pipes, and the
self-pipe of its event loop is a pair of unix sockets. The pages are opened as files, so no server is needed.
"""

from __future__ import annotations

import os
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

import graph_metamers as gm
from graph_metamers.report import expected_sections, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH"),
]

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# A report that is there already, such as the demo's, with the saved audits beside it, is looked at too.
GIVEN = os.environ.get("GRAPH_METAMERS_REPORT")
REPORTS = ("images", "words", "numbers", "edges", "both", "mixed", "hostile", *(["given"] if GIVEN else []))
SIZES = {390: 844, 1280: 900}
SMALLEST_CONTRAST = 4.5  # WCAG 2.1, level AA, text

OUTSIDE = """() => {
  const scrolls = (e) => ["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX);
  const inside = (e) => { for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
    if (scrolls(p)) return true; return false; };
  return [...document.body.querySelectorAll("*")].filter((e) => {
    const box = e.getBoundingClientRect();
    const out = box.right > innerWidth + 1 || box.left < -1;
    return box.width > 0 && out && !e.closest(".skip, #js-plotly-tester") && !inside(e);
  }).map((e) => e.tagName + "." + e.getAttribute("class") + " " + e.textContent.slice(0, 40));
}"""

CONTRASTS = """(smallest) => {
  const parse = (text) => { const m = text.match(/[\\d.]+/g).map(Number);
    const scale = text.startsWith("color(srgb") ? 255 : 1;  // what color-mix() gives
    return { rgb: m.slice(0, 3).map((v) => v * scale), a: m[3] ?? 1 }; };
  const light = (rgb) => { const [r, g, b] = rgb.map((v) => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126*r + 0.7152*g + 0.0722*b; };
  const behind = (e) => { for (let p = e; p; p = p.parentElement) {
    const colour = parse(getComputedStyle(p).backgroundColor); if (colour.a > 0) return colour.rgb; }
    return [255, 255, 255]; };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + .05) / (y + .05); };
  const bad = [];
  for (const e of document.body.querySelectorAll("*")) {
    if (["SCRIPT", "STYLE"].includes(e.tagName) || !e.getClientRects().length) continue;
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    const style = getComputedStyle(e);
    const ink = parse(e.closest("svg") ? style.fill : style.color).rgb;
    const value = ratio(ink, behind(e));
    const name = `${e.tagName}.${e.getAttribute("class")} ${e.textContent.slice(0, 30)}`;
    if (value < smallest) bad.push(`${name} ${value.toFixed(2)}`);
  }
  return bad;
}"""

PLOTS = """() => [...document.querySelectorAll(".plot")].map((e) => ({
  id: e.id, svg: !!e.querySelector("svg.main-svg"), stored: e.data ? e.data.length : 0,
  traces: e.querySelectorAll(".scatterlayer .trace").length,
  ticks: [...e.querySelectorAll(".xtick text")].map((t) => t.getBoundingClientRect())
    .map((b) => [b.left, b.right]),
  paper: e.querySelector("svg.main-svg")?.style.background,
}))"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def audits_of(image_audits, word_audit, numeric_audit, chance_audit, hostile_audit, edge_audit, both_audit):
    audits = {
        "images": image_audits,
        "words": [word_audit],
        "numbers": [numeric_audit, chance_audit],
        "edges": [edge_audit],
        "both": [both_audit],
        "mixed": [*image_audits, word_audit, chance_audit, edge_audit, both_audit],
        "hostile": [hostile_audit],
    }
    if GIVEN:
        saved = sorted(path.parent for path in Path(GIVEN).parent.glob("*/audit.json"))
        audits["given"] = [gm.load_audit(folder) for folder in saved]
    return audits


@pytest.fixture(scope="module")
def reports(audits_of, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    written = {
        name: write_report(audits, folder / f"{name}.html")
        for name, audits in audits_of.items()
        if name != "given"
    }
    return written | ({"given": Path(GIVEN).resolve()} if GIVEN else {})


@pytest.fixture
def open_page(browser, reports):
    """Open a report; afterwards nothing may have been complained of or asked for except the file itself."""
    complaints, requests, contexts = [], [], []

    def open_report(name, width=1280, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": SIZES[width]}, color_scheme=scheme, has_touch=width < 500
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(reports[name].as_uri())
        page.wait_for_function(
            "[...document.querySelectorAll('.plot')].every((e) => e.querySelector('.main-svg .scatterlayer'))"
        )
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return page

    yield open_report
    for context in contexts:
        context.close()
    assert complaints == []
    own = {path.as_uri() for path in reports.values()}
    assert [url for url in requests if not url.startswith("data:") and url not in own] == []


@pytest.mark.parametrize("name", REPORTS)
def test_every_expected_section_is_there_and_shows_something(open_page, audits_of, reports, name):
    page = open_page(name)
    sections = page.eval_on_selector_all(
        "main > section", "all => all.map(e => [e.id, e.innerText.trim().length, e.offsetHeight])"
    )

    assert tuple(identifier for identifier, _, _ in sections) == expected_sections(audits_of[name])
    assert all(length > 60 and height > 60 for _, length, height in sections)
    assert reports[name].stat().st_size <= 8_000_000


@pytest.mark.parametrize("width", SIZES)
@pytest.mark.parametrize("name", REPORTS)
def test_nothing_is_wider_than_the_screen(open_page, name, width):
    page = open_page(name, width)

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(OUTSIDE) == []


@pytest.mark.parametrize("width", SIZES)
@pytest.mark.parametrize("name", REPORTS)
def test_every_figure_is_drawn_and_its_ticks_do_not_touch(open_page, name, width):
    plots = open_page(name, width).evaluate(PLOTS)

    assert plots
    for plot in plots:
        assert plot["svg"]
        assert plot["traces"] == plot["stored"] > 0
        ticks = sorted(plot["ticks"])
        assert len(ticks) >= 2
        assert all(left > right for (_, right), (left, _) in pairwise(ticks))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", REPORTS)
def test_text_stands_out_from_its_background(open_page, name, scheme):
    assert open_page(name, scheme=scheme).evaluate(CONTRASTS, SMALLEST_CONTRAST) == []


def test_figures_follow_the_colour_scheme_while_the_page_is_open(open_page):
    page = open_page("images")
    backgrounds = {page.evaluate(PLOTS)[0]["paper"]}
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(200)
        paper = page.evaluate(PLOTS)[0]["paper"]
        assert paper == page.evaluate("getComputedStyle(document.body).backgroundColor")
        backgrounds.add(paper)
    assert len(backgrounds) == 2


def test_paper_is_light_and_everything_fits_on_it(open_page):
    page = open_page("images", scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 720, "height": 1000})  # A4 less its margins
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(PLOTS)[0]["paper"] == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_policy_stops_a_connection_and_a_foreign_script(browser, reports):
    context = browser.new_context()
    page = context.new_page()
    refused = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(reports["words"].as_uri())
    outcome = page.evaluate(
        """async () => {
          const script = document.createElement("script");
          script.textContent = "window.foreign = true";
          document.body.append(script);
          const fetched = await fetch("https://example.org/").then(() => "connected", () => "refused");
          return [fetched, window.foreign === true];
        }"""
    )
    context.close()

    assert outcome == ["refused", False]
    assert any("Content Security Policy" in text for text in refused)


def test_hostile_names_are_shown_as_they_are(open_page):
    page = open_page("hostile")

    assert "<script>alert(1)</script>" in page.inner_text("h1")
    assert page.evaluate("document.querySelectorAll('b').length") == 0
    drawn = page.eval_on_selector_all(".xtick text", "all => all.map(e => e.textContent)")
    assert "<b>bold</b>1</script>" in drawn
