"""Any text as an expression of the full text search."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice

from ai_memory.search.chunks import camel_parts

_TERMS = 64
#: In characters. Whoever asks with a whole file asks with its beginning.
_LONGEST_QUERY = 10_000

_PHRASE = re.compile(r'"[^"]{1,300}+"|“[^“”]{1,300}+”|„[^„“”]{1,300}+[“”]')
_UNUSABLE = re.compile(r'[\x00-\x1f\x7f"“”\ud800-\udfff]+')
_INNER = re.compile(r"[^\W_](?:.*[^\W_])?")
_PIECE = re.compile(r"[^\W_]+")
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


def match_of(text: str) -> str:
    """Give the expression for MATCH that finds what a text asks for, "" when it holds no word; total.

    Its terms are joined with OR: quoted phrases as phrases, then the words that are no stop words (all of them when
    there is nothing else), identifiers whole and in parts; at most 64.
    """
    text = unicodedata.normalize("NFC", text[:_LONGEST_QUERY])
    phrases = dict.fromkeys(filter(None, map(_term, _PHRASE.findall(text))))
    words = [word for word in map(_term, _UNUSABLE.sub(" ", _PHRASE.sub(" ", text)).split()) if word]
    telling = (term for word in words for term in _terms(word))
    found = list(islice(dict.fromkeys([*phrases, *telling]), _TERMS)) or list(islice(dict.fromkeys(words), _TERMS))
    return " OR ".join(f'"{term}"' for term in found)


def _term(text: str) -> str:
    """Give a text as it can stand between quotes; "" when the tokenizer would see nothing in it."""
    inner = _INNER.search(" ".join(_UNUSABLE.sub(" ", text).split()))
    return inner[0] if inner else ""


def _terms(word: str) -> Iterator[str]:
    """Give what is asked for with a word: itself, the words in it, and those of camel case as the index has them."""
    if word.casefold() in _STOP_WORDS:
        return
    pieces = _PIECE.findall(word)
    whole = not _APOSTROPHE.search(word)
    if whole:
        yield word
    for piece in pieces:
        if not (whole and len(pieces) == 1):
            yield from _telling(piece)
        parts = camel_parts(piece)
        if len(parts) > 1 and "".join(parts) == piece:
            yield " ".join(parts)
            for part in parts:
                yield from _telling(part)


def _telling(word: str) -> Iterator[str]:
    if len(word) > 1 and word.casefold() not in _STOP_WORDS:
        yield word
