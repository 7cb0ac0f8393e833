"""A real browser (Debian's Chromium, driven by playwright) before a real server; what it does on the network is kept."""

import os
import shutil
from html import escape
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.story import tell
from tests.own_server import served

#: A person pages through `index.html` here.
SCREENS = Path(__file__).resolve().parent.parent.parent / "build" / "screens"
AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
#: Where somebody looks: wide and narrow, light and dark.
LOOKS = [("wide", 1440, "light"), ("narrow", 375, "dark"), ("wide", 1440, "dark"), ("narrow", 375, "light")]


@pytest.fixture(scope="session")
def chromium():
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not found:
        assert not os.environ.get("CI"), "no Chromium: .ci/run installs it"
        pytest.skip("no Chromium: `apt-get install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def wiki(tmp_path_factory):
    """A server with the story told, open to this machine."""
    with served(tmp_path_factory) as own:
        own.story = tell(own)
        yield own


class Desk:
    """A person before a browser: one tab, what its console says, and what it asks for."""

    def __init__(self, browser, url, **context):
        self.context = browser.new_context(
            **{"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce", **context}
        )
        self.page = self.context.new_page()
        self.url, self.said, self.asked = url, [], []
        self.page.on("console", lambda message: self.said.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def opens(self, path):
        answer = self.page.goto(self.url + path)
        assert answer.status == 200, (path, answer.status)
        return self.page

    def looks(self, width, scheme):
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(color_scheme=scheme)

    def faults(self):
        """What axe-core finds that is serious or worse."""
        found = self.page.evaluate(f"() => {{ {AXE}; return axe.run(document, {{resultTypes: ['violations']}}); }}")
        return [
            f"{each['id']}: {each['nodes'][0]['html']} {each['nodes'][0]['failureSummary']}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]

    def overflow(self):
        """By how many pixels the page is wider than its window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def photographs(self, name):
        SCREENS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENS / f"{name}.png", full_page=True)

    def foreign(self):
        """What was asked of other hosts than the one that is looked at."""
        host = urlsplit(self.url).netloc
        return [url for url in self.asked if urlsplit(url).scheme in ("http", "https") and urlsplit(url).netloc != host]

    def close(self):
        self.context.close()


@pytest.fixture
def desk_at(chromium):
    """Give a person before a browser; at the end nothing was complained of, and nobody else was asked."""
    desks = []

    def sit(url, **context):
        desks.append(Desk(chromium, url, **context))
        return desks[-1]

    yield sit
    for each in desks:
        said, foreign = each.said, each.foreign()
        each.close()
        assert (said, foreign) == ([], [])


@pytest.fixture
def desk(desk_at, wiki):
    return desk_at(wiki.url)


@pytest.fixture(scope="session", autouse=True)
def contact_sheet():
    """Write the page on which a person looks at all screens."""
    yield
    if SCREENS.is_dir():
        pictures = sorted(each.name for each in SCREENS.glob("*.png"))
        shown = "".join(f'<h2>{escape(each)}</h2><img src="{escape(each)}" width="700">' for each in pictures)
        (SCREENS / "index.html").write_text(f"<!doctype html><title>Screens</title>{shown}", "utf-8")
