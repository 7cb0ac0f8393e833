"""`bin/screenshots`: leave the demo running, look at it with a browser, and keep what is seen."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "images"
#: Name -> where it is, light or dark, and what is waited for.
PICTURES = {
    "project": ("/web/w/default/shop", "light"),
    "page": ("/web/w/default/shop/p/decisions/round-per-invoice.md", "dark"),
    "session": ("/web/w/default/shop/sessions", "light"),
    "graph": ("/web/graph", "dark"),
}


def main() -> None:
    """Take all pictures."""
    browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not browser_path:
        raise SystemExit("no Chromium: `apt-get install chromium`")
    done = subprocess.run(
        [sys.executable, "-m", "ai_memory", "demo", "--keep"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    url = re.search(r"(http://\S+)/web", done.stdout)[1]  # type: ignore[index]
    pid, folder = re.search(r"kill (\d+) && rm -r (\S+)", done.stdout).groups()  # type: ignore[union-attr]
    try:
        _take(url, browser_path)
    finally:
        os.kill(int(pid), signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)


def _take(url: str, browser_path: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        for name, (path, scheme) in PICTURES.items():
            context = browser.new_context(
                viewport={"width": 1280, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
            )
            page = context.new_page()
            page.goto(url + path)
            if name == "session":
                page.get_by_role("link", name="Invoice totals").first.click()
                page.get_by_role("heading", name="What was said and done").evaluate("each => each.scrollIntoView()")
            if name == "graph":
                page.locator("canvas[data-settled]").wait_for(timeout=20_000)
            page.screenshot(path=FOLDER / f"{name}.png")
            context.close()
            print(f"docs/images/{name}.png")
        browser.close()


main()
