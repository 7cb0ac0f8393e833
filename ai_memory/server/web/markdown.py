"""Markdown as it is shown: HTML without raw HTML, images and scripts, with exactly the links that the index knows.

`model.links` alone says what a link to a page is. Its places are marked in the text before the parser of markdown
reads it, so that the two cannot disagree: a marked place becomes a link wherever the parser shows its text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from time import thread_time
from typing import Any
from urllib.parse import quote, unquote

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType
from markupsafe import Markup
from mdit_py_plugins.footnote import footnote_plugin
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES

from ai_memory.capture.plain import harmless
from ai_memory.model.links import Link, Place, places_of

#: Characters of a body that is still laid out, and of one that is shown at all.
LAID_OUT = 150_000
SHOWN = 1_000_000
#: Quotes, lists and emphasis in one another; the parser passes over what is deeper.
_DEPTH = 60
#: Brackets in one another: the parser looks behind each of them for the end of all that it could begin.
_BRACKETS = 20
#: Characters of a block of code that is still coloured, and seconds for all of a page.
_COLOURED = 10_000
_SECONDS = 0.3
#: Characters of an anchor.
_ANCHOR = 120

#: Around the label of a marked place: signs that no text holds. Two brackets, because a definition begins with one.
_MARK, _LABEL, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_BEGUN = re.compile(rf"\[\[{_MARK}(\d+){_LABEL}")
_BRACKET = re.compile(r"[\[\]]")
_ENDED = f"{_END}]]"
_MARKED = re.compile(rf"\[\[{_MARK}(\d+){_LABEL}.*?(?:{_END}\]\]|\Z)", re.DOTALL)
#: Those signs, and marks that turn the direction of writing without showing.
_UNSEEN = re.compile(f"[{_MARK}{_LABEL}{_END}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_OUTWARD = re.compile(r"(?:https?:)?//[^/\\]|mailto:.", re.IGNORECASE)
_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:")
_BARE = re.compile(r"\bhttps?://[^\s<>\"`|]{1,2000}")
_TRAILING = ".,;:!?*_~'\"“”‘’)]}」』）】。，、"
_LANGUAGES = frozenset(
    "bash c c# c++ clojure cmake cpp csharp css dart diff docker dockerfile elixir elm erlang go golang "
    "graphql groovy haskell hcl html ini java javascript js json jsx julia kotlin lua make makefile nginx nix objc "
    "perl php postgresql powershell proto protobuf ps1 py pycon python r rb rs ruby rust sass scss sh "
    "shell sql swift tcl terraform tf toml ts tsx typescript vue xml yaml yml zig zsh".split()
)
#: Lexers of the family of C look for the end of so many blanks from each of them, in one step that nothing stops.
_BLANKS = re.compile(r"\s{100}")
#: The lexer of shells, which these use, reads the backslashes behind a `$'` without an end in every way that there is:
#: fifty of them take seconds, sixty for ever. Those of fish and Scala do so behind every quotation mark.
_SHELLS = frozenset("bash docker dockerfile make makefile sh shell zsh".split())
_BACKSLASHES = 2
#: In what was cleaned no text holds a "<", and no attribute a quotation mark.
_TAG = re.compile(r'<[a-z0-9]+(?: [a-z-]+="[^"]*")+>')
_ID = re.compile(r'( id="| href="#)')
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]{1,40}")


@dataclass(frozen=True, slots=True)
class Heading:
    """One heading that is shown.

    Attributes:
        level: 1 to 6.
        text: without its markup.
        anchor: its id in the page.
    """

    level: int
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is shown of a page.

    Attributes:
        html: safe to be put into a document as it is.
        headings: in their order.
        links: to pages that the html shows, each once, in their order.
        is_whole: nothing was left out for the length of the body.
    """

    html: Markup
    headings: Sequence[Heading]
    links: Sequence[Link]
    is_whole: bool


@dataclass(slots=True)
class _Showing:
    """What one body is shown with, and what of it has been."""

    body: str
    places: Sequence[Place]
    address: Callable[[Link, str], str]
    anchors: set[str] = field(default_factory=set)
    shown: set[int] = field(default_factory=set)
    seconds: float = _SECONDS
    footnotes: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    def opening(self, number: int) -> tuple[str, str]:
        """Begin the link of a marked place: the name of its element and the whole tag."""
        self.shown.add(number)
        place = self.places[number]
        address = self.address(place.link, place.fragment)
        return ("a", f'<a href="{escape(address)}">') if address else _missing("no such page")


def rendered(path: str, title: str, body: str, address: Callable[[Link, str], str]) -> Rendered:
    """Show a page.

    A body that is too long or too deep to be laid out is shown as it was written.

    Args:
        path: of the page in its project; relative links start there.
        title: what stands above the page; a first heading that says the same is left out.
        body: the page without its front matter.
        address: gives the address of a page and of a fragment in it (as it was written: `anchor_of` makes the id of
            it), "" where there is no such page.
    """
    if len(body) > LAID_OUT:
        return _as_written(body)
    showing = _Showing(body, tuple(places_of(path, body)), address)
    env: EnvType = {"showing": showing}
    tokens = _parser().parse(_with_marks(showing), env)
    showing.footnotes = env.get("footnotes", {}).get("list", {})
    if any(token.level >= _DEPTH - 1 for token in _all(tokens)):
        return _as_written(body)
    headings = _name_headings(tokens, _plain(title), showing)
    for token in tokens:
        if token.children:
            _settle(token.children, showing, is_linked=False)
    html = _html(tokens, showing)
    unshown = [number for number in range(len(showing.places)) if number not in showing.shown]
    if unshown:
        items = "".join(f"<li>{_as_code(number, showing)}</li>" for number in unshown)
        html += f'<ul class="links" aria-label="More links">{items}</ul>\n'
    links = tuple(dict.fromkeys(place.link for place in showing.places))
    return Rendered(_safe(_UNSEEN.sub("", _cleaner().clean(html))), headings, links, is_whole=True)


def anchor_of(fragment: str) -> str:
    """Give the id of the heading that a fragment means: "the-heading", "The heading", "%D0%B0" -> "h-…".

    Letters and digits of any script stay, blanks become hyphens. No other id of a document begins with "h-".
    """
    text = unicodedata.normalize("NFC", unquote(fragment).strip().lower())
    slug = "".join("-" if sign == " " else sign for sign in text if sign in " -" or _stays(sign))[:_ANCHOR]
    return f"h-{slug or 'section'}"


def apart(html: Markup, name: str) -> Markup:
    """Give what is shown ids of its own, so that a document can hold it beside others: "h-vat" -> "o12-h-vat".

    Args:
        html: of `rendered`.
        name: of letters and digits; no two of a document are the same.
    """
    return _safe(_TAG.sub(lambda tag: _ID.sub(rf"\1{name}-", tag[0]), html))


@cache
def _stays(sign: str) -> bool:
    category = unicodedata.category(sign)
    return category[0] in "LMN" or category == "Pc"


# Before the parser


def _plain(text: str) -> str:
    return _UNSEEN.sub("", harmless(text))


def _as_written(body: str) -> Rendered:
    shown = escape(_plain(body[:SHOWN]))
    return Rendered(_safe(f'<pre class="plain" tabindex="0">{shown}</pre>'), (), (), is_whole=len(body) <= SHOWN)


def _safe(html: str) -> Markup:
    """Vouch for what was cleaned, or holds no text that is not escaped: templates take it as it is."""
    return Markup(html)  # noqa: S704 - the one place where text becomes markup


def _with_marks(showing: _Showing) -> str:
    pieces = []
    done = 0
    for number, place in enumerate(showing.places):
        label = "" if _is_bare(place) else _plain(showing.body[slice(*place.label)])
        pieces += [_plain(showing.body[done : place.start]), f"[[{_MARK}{number}{_LABEL}{label}{_ENDED}"]
        done = place.end
    return "".join([*pieces, _plain(showing.body[done:])])


def _is_bare(place: Place) -> bool:
    """Tell `[[path]]` from a link with a label, which is markdown."""
    return place.label == (place.start + 2, place.end - 2)


# Rules of the parser


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("js-default", {"maxNesting": _DEPTH, "tasklists": True})
    parser.use(footnote_plugin, inline=False)
    parser.validateLink = lambda url: not _SCHEME.match(url) or _is_outward(url)  # type: ignore[method-assign]
    parser.inline.ruler.before("link", "page_link", _page_link)
    parser.core.ruler.before("inline", "tangles", _tangles)
    parser.core.ruler.before("footnote_tail", "all_footnotes", _all_footnotes)
    # It settles its rules when it first reads, and a second thread would then see half of them.
    parser.parse("a")
    return parser


def _page_link(state: StateInline, silent: bool) -> bool:
    """Read a marked place; where its end lies in another block, what is left of this one is its label."""
    begun = _BEGUN.match(state.src, state.pos, state.posMax)
    if not begun:
        return False
    limit = state.posMax
    end = state.src.find(_ENDED, begun.end(), limit)
    if not silent:
        showing: _Showing = state.env["showing"]
        place = showing.places[int(begun[1])]
        state.push("link_open", "a", 1).meta = {"place": int(begun[1])}
        state.pos, state.posMax = begun.end(), limit if end < 0 else end
        if state.src[state.pos : state.posMax].strip():
            state.linkLevel += 1
            state.md.inline.tokenize(state)
            state.linkLevel -= 1
        else:
            written = _plain(showing.body[slice(*place.label)]).strip()
            state.push("text", "", 0).content = written or place.link.path
        state.push("link_close", "a", -1)
    state.pos, state.posMax = limit if end < 0 else end + len(_ENDED), limit
    return True


def _tangles(state: StateCore) -> None:
    """Take blocks of which the parser would not see the end as plain text."""
    for token in state.tokens:
        if token.type == "inline" and token.content.count("[") > _BRACKETS and _is_tangled(token.content):
            text = Token("text", "", 0, content=token.content)
            token.type, token.children = "tangle", [text]


def _is_tangled(text: str) -> bool:
    depth = 0
    for bracket in _BRACKET.finditer(text):
        depth = depth + 1 if bracket[0] == "[" else max(depth - 1, 0)
        if depth > _BRACKETS:
            return True
    return False


def _all_footnotes(state: StateCore) -> None:
    """Show also the footnotes that nothing points to."""
    notes = state.env.get("footnotes", {})
    for label, number in notes.get("refs", {}).items():
        if number < 0:
            listed = notes["list"]
            notes["refs"][label] = len(listed)
            listed[len(listed)] = {"label": label[1:], "count": 0}


# Between parser and writer


def _all(tokens: Iterable[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _all(token.children or ())


def _text_of(tokens: Iterable[Token]) -> str:
    shown = {"text", "code_inline"}
    text = "".join(" " if token.tag == "br" else token.content if token.type in shown else "" for token in _all(tokens))
    return " ".join(_MARKED.sub("", text).replace(_ENDED, "").split())


def _name_headings(tokens: list[Token], title: str, showing: _Showing) -> tuple[Heading, ...]:
    """Give each heading its id; take the text out of a first one that only says the title again."""
    headings = []
    counts: dict[str, int] = {}
    is_first = True
    for at, token in enumerate(tokens):
        if token.type != "heading_open":
            continue
        inline = tokens[at + 1]
        text = _text_of(inline.children or ())
        wanted = anchor = anchor_of(text)
        while anchor in showing.anchors:
            counts[wanted] = counts.get(wanted, 0) + 1
            anchor = f"{wanted}-{counts[wanted]}"
        showing.anchors.add(anchor)
        said = " ".join(title.split())
        if token.tag == "h1" and token.level == 0 and is_first:
            is_first = False
            is_plain = _MARK not in inline.content and all(
                each.type != "footnote_ref" for each in inline.children or ()
            )
            if is_plain and said in (text, " ".join(inline.content.split())):
                # Links to it lead to where it was.
                token.type, token.meta = "said_heading", {"anchor": anchor}
                inline.children = []
                tokens[at + 2].hidden = True
                continue
        token.attrs["id"] = anchor
        headings.append(Heading(int(token.tag[1:]), text, anchor))
    return tuple(headings)


def _settle(tokens: list[Token], showing: _Showing, *, is_linked: bool) -> None:
    """Say of each link what its tags are, and of what lies in one that it can hold no other."""
    closing: list[str] = []
    for token in tokens:
        if token.type == "link_open":
            name, token.content = ("", "") if is_linked else _opening(token, showing)
            closing.append(f"</{name}>" if name else "")
            is_linked = True
        elif token.type == "link_close":
            token.content = closing.pop()
            is_linked = bool(closing)
        else:
            token.meta = {**token.meta, "is_linked": is_linked}
            _settle(token.children or [], showing, is_linked=is_linked)


def _opening(token: Token, showing: _Showing) -> tuple[str, str]:
    if "place" in token.meta:
        return showing.opening(token.meta["place"])
    href = str(token.attrs["href"])
    if _is_outward(href):
        return "a", _outward(href)
    if href.startswith("#"):
        anchor = anchor_of(href[1:])
        return ("a", f'<a href="#{quote(anchor)}">') if anchor in showing.anchors else _missing("no such heading")
    return _missing("no link to a page")


def _missing(why: str) -> tuple[str, str]:
    return "span", f'<span class="missing" title="{why}">'


# The writer


def _html(tokens: Sequence[Token], showing: _Showing) -> str:
    """Write tokens, those in one another too, as HTML that needs no style, script or image."""
    return "".join(_written(tokens, at, showing) for at, token in enumerate(tokens) if not token.hidden)


def _written(tokens: Sequence[Token], at: int, showing: _Showing) -> str:
    token = tokens[at]
    match token.type:
        case "inline":
            return _html(token.children or (), showing)
        case "tangle":
            return _code(token.content, showing)
        case "text":
            return escape(token.content) if token.meta["is_linked"] else _with_bare_links(token.content)
        case "softbreak":
            return "\n"
        case "link_open" | "link_close":
            return token.content
        case "image":
            return _image(token, showing)
        case "code_inline":
            return f"<code>{_code(token.content, showing)}</code>"
        case "code_block":
            return f'<pre tabindex="0"><code>{_code(token.content, showing)}</code></pre>\n'
        case "fence":
            return _fence(token, showing)
        case "heading_open":
            return f'<{token.tag} id="{token.attrs["id"]}">'
        case "said_heading":
            return f'<span id="{token.meta["anchor"]}"></span>\n'
        case "ordered_list_open":
            return f'<ol start="{token.attrs.get("start", 1)}">'
        case "list_item_open" if "checked" in token.meta:
            checked = ' checked=""' if token.meta["checked"] else ""
            name = _text_of(next((each.children or () for each in tokens[at : at + 3] if each.children), ()))[:200]
            name = escape(name or "task")
            return f'<li class="task"><input type="checkbox" disabled=""{checked} aria-label="{name}"> '
        case "table_open":
            return '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>'
        case "table_close":
            return "</table></div>\n"
        case "th_open" | "td_open" if token.attrs:
            return f'<{token.tag} class="{str(token.attrs["style"]).removeprefix("text-align:")}">'
        case "footnote_ref":
            number, again = token.meta["id"] + 1, token.meta["subId"]
            mark = f"fn{number}-{again}"
            if token.meta["is_linked"]:
                return f'<sup id="{mark}">{number}</sup>'
            return f'<sup><a href="#fn{number}" id="{mark}" aria-label="footnote {number}">{number}</a></sup>'
        case "footnote_block_open":
            return '<section class="footnotes" aria-label="Footnotes"><ol>'
        case "footnote_block_close":
            return "</ol></section>\n"
        case "footnote_open":
            return f'<li id="fn{token.meta["id"] + 1}">'
        case "footnote_close":
            return "</li>"
        case "footnote_anchor":
            number, again = token.meta["id"] + 1, token.meta["subId"]
            if not showing.footnotes[token.meta["id"]]["count"]:
                return ""
            return f' <a href="#fn{number}-{again}" aria-label="back to the text of footnote {number}">↩</a>'
        case _:
            end = "\n" if token.block and token.nesting < 1 else ""
            return f"<{'/' if token.nesting < 0 else ''}{token.tag}>{end}"


def _with_bare_links(text: str) -> str:
    if "://" not in text:
        return escape(text)
    pieces = []
    done = 0
    for bare in _BARE.finditer(text):
        url = _trimmed(bare[0])
        if _is_outward(url):
            pieces += [escape(text[done : bare.start()]), f"{_outward(url)}{escape(url)}</a>"]
            done = bare.start() + len(url)
    return "".join([*pieces, escape(text[done:])])


def _trimmed(url: str) -> str:
    """Leave out what belongs to the sentence around an address."""
    while url and url[-1] in _TRAILING and not (url[-1] == ")" and url.count("(") >= url.count(")")):
        url = url[:-1]
    return url


def _image(token: Token, showing: _Showing) -> str:
    label = _html(token.children or (), showing) or "image"
    source = str(token.attrs["src"])
    if token.meta["is_linked"] or "<a " in label or not _is_outward(source):
        return f'<span class="image">{label}</span>'
    return f"{_outward(source, 'image')}{label}</a>"


def _is_outward(address: str) -> bool:
    # What is no address to a browser ("https://a.test)](") would be left as a link to nowhere.
    return bool(_OUTWARD.match(address)) and ' href="' in _cleaner().clean(f"{_outward(address)}</a>")


def _outward(address: str, kind: str = "outward") -> str:
    return f'<a class="{kind}" href="{escape(address)}" rel="noopener noreferrer nofollow">'


def _fence(token: Token, showing: _Showing) -> str:
    said = _LANGUAGE.match(token.info.strip())
    if not said:
        return f'<pre tabindex="0"><code>{_code(token.content, showing)}</code></pre>\n'
    language = said[0].lower()
    code = _coloured(token.content, language, showing) or _code(token.content, showing)
    return f'<pre tabindex="0"><code class="language-{escape(language)}">{code}</code></pre>\n'


def _coloured(code: str, language: str, showing: _Showing) -> str:
    """Write code with classes for its colours, "" where it is too long, too slow to read or in no known language."""
    if language not in _LANGUAGES or len(code) > _COLOURED or _MARK in code or showing.seconds <= 0:
        return ""
    if _BLANKS.search(code) or (language in _SHELLS and "$'" in code and code.count("\\") > _BACKSLASHES):
        return ""
    pieces = []
    lexer = _lexer(language)
    begun = thread_time()
    try:
        for kind, text in lexer.get_tokens(code):
            # The expressions of some lexers take minutes for a text that was made for it.
            if thread_time() - begun > showing.seconds:
                return ""
            name = _class_of(kind) if text.strip() else ""
            pieces.append(f'<span class="{name}">{escape(text)}</span>' if name else escape(text))
    finally:
        showing.seconds -= thread_time() - begun
    return "".join(pieces)


@cache
def _class_of(kind: Any) -> str:
    return STANDARD_TYPES[kind] if kind in STANDARD_TYPES else _class_of(kind.parent)


def _code(text: str, showing: _Showing) -> str:
    """Show code as it was written; a marked place in it is a link all the same."""
    return (
        _MARKED.sub(lambda marked: _as_code(int(marked[1]), showing), escape(text)) if _MARK in text else escape(text)
    )


def _as_code(number: int, showing: _Showing) -> str:
    """Show a marked place as it was written, as the link that it is."""
    place = showing.places[number]
    name, opening = showing.opening(number)
    return f"{opening}{escape(_plain(showing.body[place.start : place.end]))}</{name}>"


@cache
def _lexer(language: str) -> Lexer:
    return get_lexer_by_name(language, stripnl=False, ensurenl=False)


@cache
def _cleaner() -> nh3.Cleaner:
    """Make what looks over all that was written: nothing is let through that this module does not write."""
    return nh3.Cleaner(
        tags={
            *"a blockquote br code del div em h1 h2 h3 h4 h5 h6 hr input li ol p pre s section span strong sup".split(),
            *"table tbody td th thead tr ul".split(),
        },
        clean_content_tags={"script", "style"},
        attributes={
            "*": {"class", "id"},
            "a": {"href", "rel", "aria-label"},
            "div": {"role", "aria-label", "tabindex"},
            "input": {"disabled", "checked", "aria-label"},
            "ol": {"start"},
            "pre": {"tabindex"},
            "section": {"aria-label"},
            "span": {"title"},
            "ul": {"aria-label"},
        },
        tag_attribute_values={"input": {"type": {"checkbox"}}},
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )
