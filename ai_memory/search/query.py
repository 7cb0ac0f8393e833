"""Any text as a question: an expression of the full text search, and what it is narrowed to."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from ai_memory.model.filters import Filters
from ai_memory.model.moments import moment_of
from ai_memory.search.chunks import SPACELESS, apart, camel_parts

_TERMS = 64
#: In characters. Whoever asks with a whole file asks with its beginning.
_LONGEST_QUERY = 10_000
#: Of one kind. SQLite nests conditions to a depth of 1,000.
_FILTERS = 32

_UNREADABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_PHRASE = re.compile(r'"[^"]{1,300}+"|“[^“”]{1,300}+”|„[^„“”]{1,300}+[“”]')
_QUOTES = re.compile('["“”„]')
#: `path::join` is a name, no filter.
_FILTER = re.compile(
    rf'{_PHRASE.pattern}|(?<!\S)(path|kind|tag|since|before):(?:"([^"]{{1,300}})"|([^\s":][^\s"]{{0,299}}))(?!\S)'
)
_RUN = re.compile(f"([{SPACELESS}]+)")
#: Accents and vowel signs of the scripts that write them as signs of their own: they end no word.
_MARKS = "".join(sign for sign in map(chr, range(0x300, 0x2100)) if unicodedata.category(sign).startswith("M"))
_NAME = re.compile(rf"[^\W_](?:[\w{_MARKS}./:'’-]*(?:[^\W_]|[{_MARKS}]))?")
_JOINTS = re.compile(r"[_./:'’-]+")
#: Names with one of these are also asked for whole. Words with hyphens are not: whole and in parts they count too much.
_WHOLE = re.compile(r"[_./:]")
_APOSTROPHE = re.compile("['’]")

#: Words that say nothing about what is looked for. Left out of the list are those that are words of the trade in
#: another of the languages: "man", "war", "son", "fin", "plus", "set", "main".
_STOP_WORDS = frozenset(
    # the end of every page's path
    "md "
    # English
    "a about after again all also am an and any are aren as at be because been before being between both but "
    "by can could couldn did didn do does doesn doing don done down during each few for from further get got "
    "had hadn has hasn have haven having he her here hers him his how i if in into is isn it its just ll me "
    "more most my no nor not now of off on once only or other our out over own re s same she should shouldn so "
    "some such t than that the their them then there these they this those through to too under until up us ve "
    "very was wasn we were weren what when where which while who whom why will with won would wouldn you your "
    # German
    "aber als am an auch auf aus bei beim bin bis bist da damit dann das dass dem den denn der des dich die "
    "dies diese dieser dieses dir doch dort du durch ein eine einem einen einer eines er es für gegen gibt "
    "habe haben hatte ich ihr ihre im in ist ja jede jeder jetzt kann kein keine können mich mir mit muss nach "
    "nicht noch nun nur oder ohne sehr sein seine sich sie sind so soll über um und uns unser unter vom von "
    "vor wann warum was weil wenn wer werden wie wieder wir wird wo wurde zu zum zur "
    # French
    "à au aux avec ce ces cet cette comme d dans de des du elle elles en est et eu était été être il ils j je "
    "l la le les leur leurs lui m ma mais me mes mon même n ne nos notre nous on ont ou où par pas pour qu "
    "quand que quel quelle quels qui sa sans se ses si sont sous sur ta te tes toi ton tu un une vos votre "
    "vous y "
    # Spanish
    "al algo como con cual cuando cuál cuándo cómo de del desde donde dónde el ella ellas ellos en entre era "
    "es esa ese eso esta estas este esto estos está están fue ha han hasta hay la las le les lo los me mi mis "
    "muy más ni nos o para pero por porque que qué quién se ser si sin sobre su sus sí también te tiene tu un "
    "una uno unos y ya yo "
    # Portuguese
    "ao aos aquele aquela as com da das dela dele do dos e ela elas ele eles em entre era essa esse esta este "
    "está eu foi há isso isto já lhe mas meu minha muito na nas nem no nos não nós o onde os ou pela pelo por "
    "porque qual quando quem se sem ser seu sua são só também te tem um uma umas uns você vocês à às é".split()
)


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody asks.

    Attributes:
        text: what was asked without the filters: this is what is embedded.
        match: a legal FTS5 expression, "" when the text holds no word: its terms, any of them.
        terms: the same unquoted, at most 64; those of several words are phrases, and the runs of scripts without spaces
            are the phrases of their pairs of characters.
        exact: it asks with quoted phrases or identifiers: the words are sure, and the meaning says less.
        filters: what is narrowed to.
    """

    text: str
    match: str
    terms: tuple[str, ...]
    exact: bool
    filters: Filters


def query_of(text: str, now: datetime) -> Query:
    """Read what somebody asks; total.

    Terms are quoted phrases, then the words that are no stop words (all of them when there is nothing else), each once.
    A name with one of `_ . / :` inside is asked for whole and in parts, one with hyphens in parts, camel case whole and
    in parts. `path:`, `kind:`, `tag:`, `since:` and `before:` with a value (quoted where it has spaces) narrow; what is
    no value, as a time that there never was, stays text. Of several times the last counts.

    Args:
        text: what was typed; of more than 10,000 characters the first.
        now: the present, with a zone: since:yesterday is yesterday's first moment in the local zone.
    """
    asked, filters = _narrowed(_readable(text), now)
    terms, exact = _asked(asked)
    return Query(asked, _matching(terms), terms, exact, filters)


def match_of(text: str) -> str:
    """Give the expression for MATCH that finds what a text asks for, filters being words; "" when it has none."""
    return _matching(_asked(_readable(text))[0])


def all_words(text: str) -> tuple[str, ...]:
    """Give every word of a text as a term, each once and at most 64, for who wants all of them; there are no filters.

    What stands between spaces is one word: of `wal-mode.db` the three parts have to stand one behind the other.
    """
    terms = map(_phrase, unicodedata.normalize("NFKC", _readable(text)).split())
    return tuple(dict.fromkeys(filter(None, terms)))[:_TERMS]


def _readable(text: str) -> str:
    return unicodedata.normalize("NFC", _UNREADABLE.sub(" ", text[:_LONGEST_QUERY]))


def _matching(terms: tuple[str, ...]) -> str:
    return " OR ".join(f'"{term}"' for term in terms)


def _narrowed(text: str, now: datetime) -> tuple[str, Filters]:
    """Take the filters out of a text."""
    values: dict[str, dict[str, None]] = {"path": {}, "kind": {}, "tag": {}}
    moments: dict[str, datetime] = {}

    def taken(found: re.Match[str]) -> str:
        key, value = found[1], (found[2] or found[3] or "").strip()
        if key in values and value and len(values[key]) < _FILTERS:
            values[key][value] = None
            return " "
        if key in ("since", "before") and (moment := _moment(value, now)):
            moments[key] = moment
            return " "
        return found[0]

    asked = " ".join(_FILTER.sub(taken, text).split())
    paths, kinds, tags = map(tuple, values.values())
    return asked, Filters(paths, kinds, tags, moments.get("since"), moments.get("before"))


def _moment(said: str, now: datetime) -> datetime | None:
    try:
        moment = moment_of(said, now)
    except ValueError:
        return None
    return moment.first if moment else None


def _asked(text: str) -> tuple[tuple[str, ...], bool]:
    """Give the terms of a text, and whether it asks with phrases or identifiers."""
    text = unicodedata.normalize("NFKC", text)
    phrases = [term for phrase in _PHRASE.findall(text) if (term := _phrase(phrase))]
    names = []
    terms = list(phrases)
    # Every other part is a run of a script without spaces.
    for number, part in enumerate(_RUN.split(_PHRASE.sub(" ", text))):
        if number % 2:
            terms += _pairs(part)
        else:
            names += (found := _NAME.findall(part))
            terms += (term for name in found for term in _terms(name))
    once: dict[str, str] = {}
    for term in terms or names:
        once.setdefault(term.casefold(), term)
    return tuple(once.values())[:_TERMS], bool(phrases) or any(map(_is_identifier, names))


def _phrase(quoted: str) -> str:
    """Give a phrase as it can stand between quotes; "" when the tokenizer would see nothing in it."""
    inner = apart(_QUOTES.sub(" ", quoted))
    return inner if any(map(str.isalnum, inner)) else ""


def _pairs(run: str) -> list[str]:
    signs = "".join(filter(str.isalnum, run))
    return [f"{one} {other}" for one, other in pairwise(signs)] or list(signs)


def _terms(name: str) -> Iterator[str]:
    """Give what is asked for with a name: itself, and the words in it."""
    parts = _JOINTS.split(name)
    if len(parts) == 1:
        if name.casefold() not in _STOP_WORDS:
            yield name
            yield from _camel(name)
        return
    telling = [term for part in parts if _tells(part) for term in (part, *_camel(part))]
    if _WHOLE.search(name) or not (telling or _APOSTROPHE.search(name)):
        yield name
    yield from telling


def _camel(word: str) -> list[str]:
    """Give the words of camel case, as the index has them."""
    parts = camel_parts(word)
    return [part for part in parts if _tells(part)] if len(parts) > 1 and "".join(parts) == word else []


def _tells(word: str) -> bool:
    return len(word) > 1 and word.casefold() not in _STOP_WORDS


def _is_identifier(name: str) -> bool:
    """Tell whether a word is a name out of code. GitHub and JavaScript are none: they stand in every other question."""
    if _JOINTS.search(name):
        return bool(_WHOLE.search(name)) and any(map(_tells, _JOINTS.split(name)))
    parts = camel_parts(name)
    return len(parts) > (1 if name[0].islower() else 2) and any(map(str.isupper, name[1:])) and "".join(parts) == name
