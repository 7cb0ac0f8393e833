"""Grounding: whether what a model wrote names only what its input held.

What has to occur in the input is everything that a reader would take for a fact about the world: quoted code, URLs,
addresses, paths and file names, dates and times, identifiers and numbers. How they are spelled may differ: letter case,
separators of thousands, the same day written in another way or language. Plain words are the model's own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Generator, Iterable, Iterator

from ai_memory.model.markdown import unfenced

# A name ends where letters of an alphabet end; Chinese and Japanese have no spaces around the names in them.
_L = "0-9a-z_\u00c0-\u024f\u0370-\u1fff"
_START, _END = f"(?<![{_L}])", f"(?![{_L}])"

_FENCE_LINE = re.compile(r"[ \t>]*(?:[-+*]|\d+[.)])?[ \t]*(?:`{3,}|~{3,})")
_CODE = re.compile(r"(?<!`)(`{1,3})(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_PROMPT_SIGN = re.compile(r"^\s*[$>#%] +")
_URL = re.compile(r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*+://[^\s<>\"'`\\)\]}|]+")
_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]++@\w[\w.-]*+")
_PATH = re.compile(
    rf"(?<![{_L}\\/.~@+-])(?:[a-z]:[\\/]|~?/|\.{{1,2}}/|@)?(?:[{_L}.@+-]*[{_L}][/\\]+)+[{_L}.+-]*|(?<![{_L}/<-])~?/[{_L}][{_L}.-]*"
    rf"|(?<![{_L}])(?:\.{{1,2}}|%[{_L}]+%|\$[{_L}]+)\\[{_L}.\\-]+"
)
_FILE = re.compile(rf"(?<![{_L}.-])\.?[{_L}][{_L}-]*(?:\.[{_L}-]*[a-z_][{_L}-]*)+|(?<![{_L}.])\.[a-z_][{_L}-]+")
_OPTION = re.compile(rf"(?<![{_L}-])--?[a-z][{_L}-]*")
_QUALIFIED = re.compile(rf"{_START}[{_L}]+(?:(?:::|#)[{_L}]+)+")
_NAME = re.compile(rf"{_START}[{_L}]+{_END}")
_INNER_CAPITAL = re.compile(r"[a-z\u00df-\u00ff][A-Z]|[A-Z]{2}[a-z]{2}")
_NUMBER = re.compile(r"(?<!\d)\d{1,3}([.,'\u2019_ ])\d{3}(?:\1\d{3})*(?!\d)(?![.,]\d)|(?<!\d)\d+(?:[.,]\d+)*")
_GIVEN_NUMBER = re.compile(f"(?<![{_L}])(?:{_NUMBER.pattern})(?=[a-z\u00b5\u03bc]{{0,4}}(?![{_L}]))")
_TIME = re.compile(r"(?<![\d:.])([01]?\d|2[0-3]):([0-5]\d)(?::[0-5]\d(?:\.\d+)?)?(?![\d:])")
_OF_NAME = re.compile(f"[{_L}]")
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")
#: What is not seen must not take a number apart.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_SPACES = re.compile(r"\s+")
#: Signs that are written this way or that.
_SIGNS = str.maketrans("‘’“”„«»‐‑⁄∕", '\'\'"""""--//')
#: The number of an item or of a heading is no number of the text.
_NUMBERING = re.compile(r"^([ \t>]*+(?:#{1,6}[ \t]+|[-*+][ \t]+)?)\d{1,3}(?:\.\d{1,3})*[.)](?=[ \t]|$)", re.MULTILINE)
_DRESS = re.compile(r"^[\s>]*(?:#{1,6}\s+|[-*+]\s+(?:\[[ x]\]\s+)?)?")
_LATE_PUNCTUATION = ".,;:!?*。，；：！？、…"
#: Words that are joined by a slash and are no path.
_JOINED = frozenset(
    "and/or he/she his/her s/he yes/no on/off true/false input/output i/o a/b n/a w/o client/server read/write "
    "tcp/ip ci/cd e/ou y/o und/oder et/ou sim/não sí/no 24/7 http/1 http/2 http/3".split()
)

#: Short words with points in them.
_SHORTENED = frozenset("e.g i.e z.b d.h u.a p.ex a.m p.m ex. a.k.a ph.d u.s node.js .net".split())
#: A ratio, and a rate: `41/42`, `ms/1`, `MB/s`.
_RATIO = re.compile(
    r"(?=.*\d)(?:\d+|[a-z]{1,3})/(?:\d+|[a-z]{1,3})|[a-z]{1,8}/(?:s|h|d|min|sec|day|week|month|year|user)"
)
_CAPITALS = re.compile(r"[A-Z][A-Z_]+(?:/[A-Z][A-Z_]+)+")
#: What tells an expression from a command, whose words have to stand together.
_EXPRESSION = re.compile(r"[=(:{\[<,]")
_WORD = re.compile(r"\w*[^\W\d]\w*")
_URL_PATH = re.compile(r"://[^\s/]+(/[^\s<>\"'`\\)\]}|?#]+)")
#: The sign before a version, and versions whose first number may stand alone: `v2.1`, `3.11.2`, `16.2-alpine`.
_V = re.compile(rf"(?<![{_L}.])v(?=\d+\.\d|\d+(?![{_L}]))")
_THOUSANDFOLD = re.compile(rf"(?<![{_L}.,])(\d+(?:\.\d+)?) ?k(?![{_L}])")
_VERSION = re.compile(rf"(?<![{_L}.])(?:v(\d+)|(\d+)(?=\.\d+\.\d)|(\d+)(?=\.\d+-[a-z]))")
#: `utf8`, `utf-8` and `UTF 8` are the same.
_JOINT = re.compile(rf"(?<![{_L}])([a-z]{{1,12}})[- #]{{0,2}}(\d{{1,6}})(?![{_L}])")
_JOINT_BEFORE = re.compile(rf"(?<![{_L}])([a-z]{{1,12}})[- #]{{0,2}}\Z")
_UNIT = re.compile(r"\d+[a-z\u00b5\u03bc]{1,4}")
_THOUSANDS = re.compile(r"\d{1,3}(?:([.,'\u2019_ ])\d{3})(?:\1\d{3})*")

_MONTHS = {
    name: number
    for names in (
        "january february march april may june july august september october november december",
        "jan feb mar apr may jun jul aug sep oct nov dec",
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "januar februar märz april mai juni juli august september oktober november dezember",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    )
    for number, name in enumerate(names.split(), start=1)
} | {"sept": 9}
_MONTH = "(" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + rf"){_END}\.?"
_DAY = r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|o|er|\.)?"
_YEAR = r"(?:[ ,-]+(?:de |del )?(\d{4})(?!\d))"
_ISO_DATE = re.compile(
    r"(?<![\d.])(\d{4})(?:-(\d{1,2})-|/(\d{1,2})/|\.(\d{1,2})\.|年 ?(\d{1,2})月 ?)(\d{1,2})(?!\d)日?"
)
_LOCAL_DATE = re.compile(r"(?<![\d./-])(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?!\d)")
_DAY_FIRST = re.compile(rf"{_DAY}[ -](?:de |of )?{_MONTH}{_YEAR}?")
_MONTH_FIRST = re.compile(rf"{_START}{_MONTH} {_DAY}(?![\d:]){_YEAR}?")
_MONTH_OF_YEAR = re.compile(rf"{_START}{_MONTH}{_YEAR}")
_MONTH_DAY = re.compile(r"(?<![\d年])(\d{1,2})月 ?(\d{1,2})日")
#: They are words as well: without a year beside them they are no date.
_UNSURE = frozenset({"may", "mar", "mars", "marzo"})
_FEW = {
    word: str(number)
    for words in (
        "one two three four five six seven eight nine ten eleven twelve",
        "um dois três quatro cinco seis sete oito nove dez onze doze",
        "uno dos tres cuatro cinco seis siete ocho nueve diez once doce",
        "eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
        "un deux trois quatre cinq six sept huit neuf dix onze douze",
        "uno due tre quattro cinque sei sette otto nove dieci undici dodici",
        "一 二 三 四 五 六 七 八 九 十 十一 十二",
    )
    for number, word in enumerate(words.split(), start=1)
} | {"两": "2"}
_FEW_WORD = re.compile(rf"{_START}(?:{'|'.join(sorted(_FEW, key=len, reverse=True))}){_END}")

#: Year (0 where none is said), month, day (0 where none is said).
_Day = tuple[int, int, int]


class Ground:
    """What a model was given, to hold what it wrote against."""

    def __init__(self, *texts: str) -> None:
        """Take the parts of the input; each is read once."""
        text = _small("\n".join(_plain(text) for text in texts))
        # A path that a server is asked for may stand without the server.
        self._text = _SPACES.sub(" ", "\n".join([text, *dict.fromkeys(_URL_PATH.findall(text))]))
        self._unmarked = self._text.replace("`", "")
        found = list(_days(text))
        days = {day for readings, _ in found for day in readings}
        self._days = days | {(0, month, day) for _, month, day in days} | {(year, month, 0) for year, month, _ in days}
        self._times = {(int(hour), minute) for hour, minute in _TIME.findall(text)}
        self._numbers = {str(year) for year, _, _ in days} | {_FEW[word] for word in set(_FEW_WORD.findall(text))}
        # The hours and digests of a long input would otherwise vouch for every small number.
        rest = _TIME.sub(_same_length, _blanked(text, [span for _, span in found]))
        self._joints = {word + number for word, number in _JOINT.findall(rest)}
        self._numbers |= {_bare(number) for version in _VERSION.findall(rest) for number in version if number}
        self._numbers |= {f"{1_000 * float(number):.0f}" for number in _THOUSANDFOLD.findall(rest)}
        rest = _V.sub(" ", rest)
        for number in {number[0] for number in _GIVEN_NUMBER.finditer(rest)}:
            self._numbers |= _readings(number)
            # A list without spaces, or with nothing but spaces; the beginning of a version.
            self._numbers |= {_bare(part) for part in re.split("[ ,]", number)}
            self._numbers.add(".".join(number.split(".")[:2]))

    def holds(self, quotation: str) -> bool:
        """Tell whether a text occurs in the input; an empty one never.

        Letter case, white space and what marks code do not count.
        """
        said = _SPACES.sub(" ", _small(_plain(quotation))).strip()
        return self._occurs(said) or self._occurs(said.replace("`", ""), self._unmarked)

    def missing(self, text: str) -> str:
        """Give the first thing that a text names and the input does not hold, as the text spells it; "" for none.

        Args:
            text: markdown, without links to pages of the wiki.
        """
        text = _plain(text)
        prose = unfenced(text)
        for line in _code_lines(text, prose):
            if not self._holds_code(_PROMPT_SIGN.sub("", line)):
                return line.strip()
        # A line that was copied is grounded, however strange what it names would look by itself.
        own = [line for line in _NUMBERING.sub(r"\1", prose).splitlines() if not self.holds(_DRESS.sub("", line))]
        return next(self._absent("\n".join(own)), "")

    def _absent(self, spelled: str) -> Iterator[str]:
        code = (found[2].strip() for found in _CODE.finditer(spelled))
        yield from (said for said in code if not self._holds_code(said))
        spelled = _blanked(spelled, [found.span() for found in _CODE.finditer(spelled)])
        text = _small(spelled)
        for pattern in (_URL, _ADDRESS):
            text = yield from self._unheld(pattern, text, spelled)
        days = list(_days(text))
        yield from (spelled[slice(*span)] for readings, span in days if not self._days & readings)
        text = _blanked(text, [span for _, span in days])
        yield from (found[0] for found in _TIME.finditer(text) if (int(found[1]), found[2]) not in self._times)
        text = _TIME.sub(_same_length, text)
        for pattern in (_PATH, _FILE, _OPTION):
            text = yield from self._unheld(pattern, text, spelled)
        for found in _QUALIFIED.finditer(text):
            if not all(map(self._knows, re.split("::|#", found[0]))):
                yield spelled[slice(*found.span())]
        text = _V.sub(" ", text)
        for found in _NAME.finditer(text):
            is_known = found[0] in self._joints or self._knows(found[0])
            if _is_identifier(found[0].strip("_"), spelled[slice(*found.span())]) and not is_known:
                yield spelled[slice(*found.span())]
        text = _NAME.sub(_without_identifier, text)
        for found in _NUMBER.finditer(text):
            word = _JOINT_BEFORE.search(text, max(found.start() - 16, 0), found.start())
            if not self._counts(found[0]) and not (word and word[1] + found[0] in self._joints):
                yield found[0]

    def _holds_code(self, said: str) -> bool:
        """Tell whether code occurs, or is an expression of names and numbers that all do."""
        # A function may be written with the brackets of a call.
        if self.holds(said.removesuffix("()")):
            return True
        said = said.replace("`", " ").strip()
        if " " in said and not _EXPRESSION.search(said):
            return False
        words = (word for word in _WORD.findall(_small(said)) if not _UNIT.fullmatch(word))
        return all(map(self._knows, words)) and not any(self._absent(said))

    def _knows(self, word: str) -> bool:
        """Tell whether a word occurs; the signs around it may be markdown's, here and there."""
        bare = word.strip("_")
        return any(self._occurs(each, inside=True) for each in (word, bare, f"_{bare}", f"_{bare}_", f"__{bare}__"))

    def _unheld(self, pattern: re.Pattern[str], text: str, spelled: str) -> Generator[str, None, str]:
        """Give what the pattern finds and the input does not hold; returns the text without all that it finds."""
        spans = []
        for found in pattern.finditer(text):
            name = found[0].rstrip(_LATE_PUNCTUATION)
            own = spelled[found.start() : found.start() + len(name)]
            is_held = name in _JOINED or name in _SHORTENED or self._occurs(name.rstrip("/\\") or name)
            if is_held or not self._are_words(name, own):
                spans.append(found.span())
                if not is_held:
                    yield own
        return _blanked(text, spans)

    def _are_words(self, name: str, spelled: str) -> bool:
        """Tell whether what looks like a path or a file is words: numbers in it are looked at by themselves."""
        if name.partition("-")[0] in _JOINED or _RATIO.fullmatch(name) or _CAPITALS.fullmatch(spelled):
            return True
        if "/" not in name:
            # A function of something; never a file, whose ending nobody calls.
            last = name.rpartition(".")[2]
            is_called = "_" in last or _INNER_CAPITAL.search(spelled.rpartition(".")[2]) is not None
            is_called = (
                is_called or re.search(rf"(?:::{re.escape(last)}|\b{re.escape(last)}\()", self._text) is not None
            )
            return is_called and all(self._occurs(part, inside=True) for part in name.split("."))
        parts = name.split("/")
        # Two words of a sentence, of which neither is a part of some path.
        are_plain = len(parts) == 2 and all(part.replace("-", "").isalpha() for part in parts)
        return (
            are_plain
            and any(self._occurs(part, inside=True) for part in parts)
            and not any(f"/{part}" in self._text or f"{part}/" in self._text for part in parts)
        )

    def _counts(self, number: str) -> bool:
        if self._numbers & _readings(number):
            return True
        parts = number.split(" ")
        return len(parts) > 1 and all(_bare(part) in self._numbers for part in parts)

    def _occurs(self, name: str, text: str = "", *, inside: bool = False) -> bool:
        """Tell whether a text occurs, and not as a part of a longer name, of one with hyphens only if `inside`."""
        text = text or self._text
        start = text.find(name) if name else -1
        while start >= 0:
            before, after = text[max(start - 1, 0) : start], text[start + len(name) : start + len(name) + 2]
            if not _goes_on(before, name[0], name[-1], after, inside=inside):
                return True
            start = text.find(name, start + 1)
        return False


def _goes_on(before: str, first: str, last: str, after: str, *, inside: bool) -> bool:
    """Tell whether a name that was found is only a part of the one that stands there."""
    joined = "" if inside else "-"
    longer_before = _is_of_name(before) or (before != "" and before in joined)
    longer_after = _is_of_name(after[:1]) or (after[:1] != "" and after[:1] in joined and _is_of_name(after[1:]))
    return (longer_before and (_is_of_name(first) or first in "/\\")) or (longer_after and _is_of_name(last))


def _is_of_name(letter: str) -> bool:
    return _OF_NAME.match(letter) is not None


def _plain(text: str) -> str:
    """Give a text with one form for each letter, quotation mark and hyphen, and with European digits."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).translate(_SIGNS)
    return text if text.isascii() else _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)


def _small(text: str) -> str:
    """Give a text in small letters, of the same length."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(c if len(c.lower()) > 1 else c.lower() for c in text)


def _code_lines(text: str, prose: str) -> list[str]:
    """Give the lines of fenced code: what is in a text and not in its prose, which has the same length."""
    if prose == text:
        return []
    code = "".join(c if c != p or c.isspace() else " " for c, p in zip(text, prose, strict=True))
    return [line for line in code.splitlines() if line.strip() and not _FENCE_LINE.match(line)]


def _blanked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    pieces, done = [], 0
    for start, end in spans:
        pieces += [text[done:start], "\n" * (end - start)]
        done = end
    return "".join([*pieces, text[done:]])


def _same_length(found: re.Match[str]) -> str:
    return "\n" * len(found[0])


def _without_identifier(found: re.Match[str]) -> str:
    return "\n" if _is_identifier(found[0].strip("_"), "") else found[0]


def _days(text: str) -> list[tuple[set[_Day], tuple[int, int]]]:
    """Find the days of a text in small letters: how each may be read, and where it stands."""
    days: list[tuple[set[_Day], tuple[int, int]]] = []
    for pattern, read in _DATES:
        spans = []
        for found in pattern.finditer(text):
            if readings := {day for day in read(found) if 1 <= day[1] <= 12 and day[2] <= 31}:
                days.append((readings, found.span()))
                spans.append(found.span())
        text = _blanked(text, spans)
    return sorted(days, key=lambda each: each[1])


def _iso(found: re.Match[str]) -> set[_Day]:
    return {(int(found[1]), int(next(filter(None, found.groups()[1:5]))), int(found[6]))}


def _local(found: re.Match[str]) -> set[_Day]:
    one, other, year = int(found[1]), int(found[3]), int(found[4])
    return {(year, other, one), (year, one, other)}


def _day_first(found: re.Match[str]) -> set[_Day]:
    return set() if found[2] in _UNSURE and not found[3] else {(int(found[3] or 0), _MONTHS[found[2]], int(found[1]))}


def _month_first(found: re.Match[str]) -> set[_Day]:
    return set() if found[1] in _UNSURE and not found[3] else {(int(found[3] or 0), _MONTHS[found[1]], int(found[2]))}


def _month_of_year(found: re.Match[str]) -> set[_Day]:
    return {(int(found[2]), _MONTHS[found[1]], 0)}


def _month_day(found: re.Match[str]) -> set[_Day]:
    return {(0, int(found[1]), int(found[2]))}


_DATES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], set[_Day]]], ...] = (
    (_ISO_DATE, _iso),
    (_LOCAL_DATE, _local),
    (_DAY_FIRST, _day_first),
    (_MONTH_FIRST, _month_first),
    (_MONTH_OF_YEAR, _month_of_year),
    (_MONTH_DAY, _month_day),
)


def _readings(number: str) -> set[str]:
    """Give how a number may be meant: "10.000" is ten thousand to some, and ten to others."""
    if number.isdigit():
        return {_bare(number)}
    if _THOUSANDS.fullmatch(number):
        decimal = {number.replace(",", ".")} if len(number) <= 7 and number[-4] in ".," else set()
        return {_bare(re.sub(r"\D", "", number)), *decimal}
    whole, sign, fraction = max((number.rpartition(sign) for sign in ".,"), key=lambda parts: len(parts[0]))
    other = "," if sign == "." else "."
    if other in whole and sign not in whole:
        return {f"{whole.replace(other, '')}.{fraction}"}
    return {number.replace(",", ".")}


def _bare(digits: str) -> str:
    return digits.lstrip("0") or "0"


def _is_identifier(name: str, spelled: str) -> bool:
    """Tell whether a word is nobody's language: `a_b`, `aB`, `a1`; but not a number with its unit."""
    if _UNIT.fullmatch(name) or not any(map(str.isalpha, name)):
        return False
    return "_" in name or any(map(str.isdigit, name)) or _INNER_CAPITAL.search(spelled) is not None
