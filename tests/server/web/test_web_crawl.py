"""A wiki of 500 pages, walked link by link: nothing leads nowhere, and what is rendered is what the index knows."""

import http.client
import random
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from ai_memory.memory.pages import Writer
from tests.own_server import served

SCRIPTS = ["Überschrift über Größe", "見出しの例", "Заголовок раздела", "عنوان القسم", "शीर्षक का उदाहरण", "Κεφαλίδα"]
NAMES = [
    "plain",
    "with space",
    "ünïcödé",
    "日本語",
    "a+b&c=d",
    "100% sure",
    "semi;colon",
    "it's",
    "paren(s)",
    "comma, here",
    "hash-not",
]
FOLDERS = ["notes", "decisions", "concepts", "gotchas", "deep/er/and deeper"]
PAGES = 500
#: As the ids of the frame and of headings must never collide, some headings try.
HEADINGS = [*SCRIPTS, "main", "find", "changed", "Why?", "Why?", "`code` & *more*", "!!!", "👍"]


def written():
    """Texts by path: each links to some others in every way there is, and to headings of its own."""
    chance = random.Random(8)
    paths = [f"{FOLDERS[n % len(FOLDERS)]}/{NAMES[n % len(NAMES)]} {n:03}.md" for n in range(PAGES)]
    texts = {}
    for n, path in enumerate(paths):
        others = chance.sample(paths, 4)
        up = "../" * path.count("/")
        own = HEADINGS[n % len(HEADINGS)]
        texts[path] = (
            f"---\ntitle: Page {n} {NAMES[n % len(NAMES)]}\n---\n# Page {n}\n\n"
            f"[[{others[0]}]] and [[{others[1].removesuffix('.md')}|so named]] and [[not/there/{n}]].\n\n"
            f"[relative](<{up}{others[2]}>) and `[[{others[3]}]]` in code.\n\n"
            f"```\n[[{others[3]}]]\n```\n\n## {own}\n\nText.\n\n## {SCRIPTS[n % len(SCRIPTS)]} zwei\n\n"
            f"[up](#{slug(SCRIPTS[n % len(SCRIPTS)])}-zwei)[^1]\n\n[^1]: A note.\n"
        )
    return texts


def slug(heading):
    return heading.lower().replace(" ", "-")


class Links(HTMLParser):
    """The links and ids of a page, and which of the links are in its text."""

    def __init__(self):
        super().__init__()
        self.links, self.ids, self.inside, self._depth = [], [], [], 0

    def handle_starttag(self, tag, pairs):
        said = dict(pairs)
        if "id" in said:
            self.ids.append(said["id"])
        if self._depth:
            self._depth += tag not in ("br", "hr", "img", "input", "wbr", "rect", "path")
        elif "prose" in said.get("class", "").split():
            self._depth = 1
        if tag in ("a", "link") and said.get("href"):
            self.links.append(said["href"])
            if self._depth and tag == "a":
                self.inside.append(said["href"])

    def handle_endtag(self, tag):
        if self._depth and tag not in ("br", "hr", "img", "input", "wbr", "rect", "path"):
            self._depth -= 1


@pytest.fixture(scope="module")
def wiki(tmp_path_factory):
    with served(tmp_path_factory) as own:
        project = own.memory.projects.create("default", "large")
        own.memory.pages.write_several(project, written(), Writer("claude-code"), subject="all pages")
        own.project = project
        yield own


@pytest.fixture(scope="module")
def walked(wiki):
    """Every page of the site that is reached from its beginning: address -> what it has."""
    connection = http.client.HTTPConnection("127.0.0.1", wiki.port, timeout=30)
    seen, waiting = {}, ["/web"]
    while waiting:
        address = waiting.pop()
        if address in seen:
            continue
        connection.request("GET", address)
        answer = connection.getresponse()
        body = answer.read()
        found = Links()
        if answer.headers.get_content_type() == "text/html":
            found.feed(body.decode())
        seen[address] = (answer.status, found)
        for link in found.links:
            url = urlsplit(urljoin(f"http://here{address}", link))
            there = url.path + (f"?{url.query}" if url.query else "")
            # Former revisions and comparisons of 500 pages that have one version each are the same screen again.
            if url.netloc == "here" and not {"revision", "old", "at", "before", "tag", "kind"} & set(
                url.query.replace("&", "=").split("=")
            ):
                waiting.append(there)
    connection.close()
    return seen


def test_every_page_is_reached_and_no_link_leads_nowhere(walked, wiki):
    assert {address: status for address, (status, _) in walked.items() if status != 200} == {}
    reached = {unquote(urlsplit(address).path).partition("/p/")[2] for address in walked if "/p/" in address}
    assert written().keys() - reached == set()


def test_every_anchor_is_there_once(walked):
    broken, doubled = [], []
    for address, (_, found) in walked.items():
        doubled += [(address, each) for each in set(found.ids) if found.ids.count(each) > 1]
        for link in found.links:
            url = urlsplit(urljoin(f"http://here{address}", link))
            there = url.path + (f"?{url.query}" if url.query else "")
            if url.fragment and there in walked and unquote(url.fragment) not in walked[there][1].ids:
                broken.append((address, link))
    assert (broken[:5], doubled[:5]) == ([], [])


def test_what_is_rendered_as_a_link_is_what_the_index_knows(walked, wiki):
    different = []
    for address, (_, found) in walked.items():
        path = unquote(urlsplit(address).path).partition("/p/")[2]
        if not path or urlsplit(address).query:
            continue
        shown = {unquote(urlsplit(each).path).partition("/p/")[2] for each in found.inside if "/p/" in each}
        known = {each.path for each in wiki.memory.pages.read(wiki.project, path).links if each.exists}
        if shown - {path} != known - {path}:
            different.append((path, shown ^ known))
    assert different[:3] == []
