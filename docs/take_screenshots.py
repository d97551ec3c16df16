"""Take the pictures of the documentation from the demo's report: `make demo`, then run this file.

With `--edges`, take those of a report in which edges vary instead; with `--mattering`, those of who was asked
whether the changes matter, from a report with a panel of observers.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
# The bar that stays on top of the page would lie over the pictures.
NO_BAR = "nav { display: none !important }"
EDGES = (("#structure figure", "front"), ("figure.neighbourhoods", "neighbourhoods"))
MATTERING = (
    ("section#controls figure", "controls"),
    ("section#observers figure", "observers"),
    ("section#advice", "advice"),
)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


def main() -> None:
    """Write report-light.png, report-dark.png and report-pictures.png; or those of edges or observers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, nargs="?", default=Path("graph-metamers-demo/report.html"))
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--edges", action="store_true", help="report-front.png, report-neighbourhoods.png")
    mattering = "report-controls.png, report-observers.png, report-advice.png"
    choice.add_argument("--mattering", action="store_true", help=mattering)
    asked = parser.parse_args()
    report = asked.report.resolve()
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        if asked.edges or asked.mattering:
            page = browser.new_page(viewport={"width": 1280, "height": 960}, color_scheme="light")
            _open(page, report)
            for place, name in EDGES if asked.edges else MATTERING:
                page.locator(place).first.screenshot(path=IMAGES / f"report-{name}.png", style=NO_BAR)
            browser.close()
            return
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": 1280, "height": 960}, color_scheme=scheme)
            _open(page, report)
            page.screenshot(path=IMAGES / f"report-{scheme}.png")
            if scheme == "light":
                page.locator("section#pictures").screenshot(path=IMAGES / "report-pictures.png", style=NO_BAR)
        browser.close()


def _open(page: Page, report: Path) -> None:
    page.goto(report.as_uri())
    page.wait_for_selector(".plot svg.main-svg")


if __name__ == "__main__":
    main()
