"""Take the pictures of the documentation from the demo's report: `make demo`, then run this file."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


def main() -> None:
    """Write report-light.png, report-dark.png and report-pictures.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, nargs="?", default=Path("graph-metamers-demo/report.html"))
    report = parser.parse_args().report.resolve()
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": 1280, "height": 960}, color_scheme=scheme)
            _open(page, report)
            page.screenshot(path=IMAGES / f"report-{scheme}.png")
            if scheme == "light":
                # The bar that stays on top of the page would lie over the pictures.
                page.locator("section#pictures").screenshot(
                    path=IMAGES / "report-pictures.png", style="nav { display: none !important }"
                )
        browser.close()


def _open(page: Page, report: Path) -> None:
    page.goto(report.as_uri())
    page.wait_for_selector(".plot svg.main-svg")


if __name__ == "__main__":
    main()
