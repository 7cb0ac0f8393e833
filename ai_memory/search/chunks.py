"""Pages cut into the pieces that are indexed, and the words that the tokenizer does not see by itself."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from ai_memory.model.markdown import unfenced
from ai_memory.model.page import Page

#: In characters. A section shorter than the first goes with its neighbours, one longer than the second is split.
_SHORT = 300
_LONG = 1_500
_OVERLAP = 150
_HEADING_LIMIT = 120
_SUMMARY_LIMIT = 1_000

_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]++(.*)$", re.MULTILINE)
_CLOSING_HASHES = re.compile(r"(?:^|(?<=\s))#+$")
_SEPARATORS = re.compile(r"[/._-]+")

#: fooBar, FooBarBaz, HTTPServer. Longer ones are keys and hashes, not names.
_CAMEL = re.compile(r"(?<![A-Za-z0-9])(?:[A-Z]?+[a-z][a-z0-9]*+[A-Z][A-Za-z0-9]*+|[A-Z]{2,}+[0-9]*+[a-z][A-Za-z0-9]*+)")
_CAMEL_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_LONGEST_NAME = 64

#: As a class of a regular expression, the scripts whose words have no spaces between them: Thai and Lao, Burmese,
#: Khmer, Kana, Han; and Hangul, whose particles and compounds have none.
SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f\u1780-\u17ff\u3005-\u3007\u3031-\u3035\u3040-\u30ff"
    "\u31f0-\u31ff\U0001b000-\U0001b16f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af\uac00-\ud7a3"
)
_RUN = re.compile(f"[{SPACELESS}]+")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a page.

    Attributes:
        heading: where it stands, "Decisions > Storage"; those of short sections in one chunk are joined with "; ".
        body: its text, without the heading lines.
        words: what is searched and never quoted: the words inside the identifiers of both, tags, and the page's path.
    """

    heading: str
    body: str
    words: str


def chunks_of(page: Page) -> list[Chunk]:
    """Cut a page into chunks of at most some 1,500 characters, which overlap a little inside a section.

    The first one carries what is said of the whole page as well: the title in front of its heading, the summary after
    its text, and tags and the path, as it is and in words, among its words: nobody wrote them as part of the text.
    """
    cut = [(heading, part) for heading, text in _packed(_sections(page)) for part in _split(text)]
    (heading, body), *rest = cut or [("", "")]
    heading = _joined("; ", page.title[:_HEADING_LIMIT], heading)
    body = _joined("\n\n", body, page.summary[:_SUMMARY_LIMIT])
    tags = ", ".join(page.tags)[:_SUMMARY_LIMIT]
    path = f"{page.path}\n{_SEPARATORS.sub(' ', page.path.removesuffix('.md'))}"
    first = Chunk(heading, body, _joined("\n", identifiers(f"{heading}\n{body}\n{tags}\n{page.path}"), tags, path))
    return [first, *(Chunk(heading, body, identifiers(f"{heading}\n{body}")) for heading, body in rest)]


def identifiers(text: str) -> str:
    """Give the words of a text that the tokenizer does not see, to be searched beside it.

    It ends a word at every sign that is no letter or digit, so that foo_bar, foo-bar, foo.bar and foo/bar are found in
    parts by their words and whole by their phrase. What it needs is:

    - the words of camel case, one line a name: "fooBar" is "foo Bar";
    - lines with a script without spaces, that one character by character: "用SQLite存" is "用 SQLite 存";
    - words in the form in which people type them (Unicode's NFKC), where theirs is another.
    """
    names = dict.fromkeys(_CAMEL.findall(text))
    parts = [" ".join(camel_parts(name)) for name in names if len(name) <= _LONGEST_NAME]
    return "\n".join([*parts, *_plain(text)])


def apart(text: str) -> str:
    """Write runs of scripts without spaces character by character, without the signs that are no words."""
    return " ".join(_RUN.sub(lambda run: f" {' '.join(filter(str.isalnum, run[0]))} ", text).split())


def _plain(text: str) -> Iterator[str]:
    for line in [] if text.isascii() else text.splitlines():
        plain = unicodedata.normalize("NFKC", line)
        if _RUN.search(plain):
            yield apart(plain)
        elif plain != line:
            words = [(word, unicodedata.normalize("NFKC", word)) for word in line.split() if not word.isascii()]
            yield " ".join(typed for word, typed in words if typed != word)


def camel_parts(name: str) -> list[str]:
    """Take a name apart: "parseHTTPResponse2" is parse, HTTP, Response and 2."""
    return _CAMEL_PART.findall(name)


def _sections(page: Page) -> Iterator[tuple[str, str]]:
    """Give the sections of a page: path of the headings that lead to it (without the page's title), text."""
    body = page.body.replace("\r\n", "\n")
    sections = []
    path: list[tuple[int, str]] = []
    place = 0
    for found in _HEADING.finditer(unfenced(body)):
        sections.append((_shown(path), body[place : found.start()].strip()))
        level, words = len(found[1]), _CLOSING_HASHES.sub("", found[2].strip()).strip()
        path = [above for above in path if above[0] < level]
        if level > 1 or words != page.title:
            path.append((level, words[:_HEADING_LIMIT]))
        place = found.end()
    sections.append((_shown(path), body[place:].strip()))
    for (heading, text), (following, _) in pairwise([*sections, ("", "")]):
        if text or (heading and not following.startswith(f"{heading} > ")):
            yield heading, text


def _shown(path: list[tuple[int, str]]) -> str:
    return " > ".join(words for _, words in path if words)


def _packed(sections: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Put short sections together, so that a page of a million headings has no million chunks."""
    headings: dict[str, None] = {}
    texts: list[str] = []
    size = 0
    for heading, text in sections:
        more = len(heading) + len(text) + 2
        if size >= _SHORT or (size and size + more > _LONG):
            yield _joined("; ", *headings), _joined("\n\n", *texts)
            headings, texts, size = {}, [], 0
        headings[heading] = None
        texts.append(text)
        size += more
    if size:
        yield _joined("; ", *headings), _joined("\n\n", *texts)


def _joined(separator: str, *texts: str) -> str:
    return separator.join(filter(None, texts))


def _split(text: str) -> Iterator[str]:
    """Cut a long text at the ends of paragraphs, else of lines, else of words."""
    start = 0
    while len(text) - start > _LONG:
        end = start + _LONG
        for separator in ("\n\n", "\n", " "):
            found = text.rfind(separator, start + _LONG // 2, end)
            if found >= 0:
                end = found
                break
        yield text[start:end].strip()
        start = end - _OVERLAP
        start += max(text[start:end].find("\n"), text[start:end].find(" "), -1) + 1
    yield text[start:].strip()
