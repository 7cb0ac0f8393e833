"""How many tokens a text may be, without anybody's tokenizer."""

from __future__ import annotations

import re

#: What is hardly ever less than one token: five letters, a sign, a digit (older models count each), an indent.
_PIECES = re.compile(r"[a-z]{1,5}|[A-Z]|[0-9]|[!-/:-@\[-`{-~]|[\x00-\x1f\x7f]| {2,8}")
#: Letters and signs of other scripts, and the most tokens that one of them is on average.
_OTHERS = (
    (re.compile("[\u0080-\u07ff]"), 1.25),
    (re.compile("[\u0800-\u1fff]"), 2.0),
    (re.compile("[\u2000-\u2fff]"), 3.0),
    (re.compile("[\u3000-\u9fff]"), 1.25),
    (re.compile("[\ua000-\uffff]"), 1.5),
    (re.compile("[\U00010000-\U0010ffff]"), 4.0),
)
_MARGIN = 1.1


def estimated_tokens(text: str) -> int:
    """Estimate the tokens of a text, rather too many than too few.

    It is about a third above what the tokenizers of the usual models count for prose and code in any script; only a
    text of nothing but rare ideographs comes out below. Takes a fifth of a second for a megabyte.
    """
    pieces = float(len(_PIECES.findall(text)))
    if not text.isascii():
        pieces += sum(weight * len(letters.findall(text)) for letters, weight in _OTHERS)
    return int(_MARGIN * pieces) + 1
