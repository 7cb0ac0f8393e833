"""Values as they are written beside a name that asks for a secret: is this one, or is it code or documentation?"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from ai_memory.capture.looks import (
    is_identifier,
    is_jumbled,
    is_label,
    is_placeholder,
    is_random,
    is_reference,
    is_wordy,
)

_PROSE = re.compile(
    r"\b(?:passwor[dt]|enter|please|required|must|your|invalid|incorrect|forgot|reset|confirm|cannot|the|is|a|an|to|of|and|"
    r"or|for|with|not|should|characters?|field|optional|strong|weak)\b",
    re.IGNORECASE,
)
_WORD_IN_CODE = re.compile(r"[a-z]{5}")
_PASSWORD_SIGNS = frozenset("!@#$%^*+~?&=|")
_NOT_A_VALUE = ("*", "&", "!", "@", "-", "/", ".")


@dataclass(frozen=True, slots=True)
class Written:
    """One value as it is written, and the name that it is given to.

    Attributes:
        name: the whole name ("DB_PASSWORD").
        word: the word of it that asks for a secret, in small letters ("password").
        has_kin: whether the name says of what kind the key is ("api_key"); a bare `*_KEY` does not.
        value: the value without its quotes.
        gap: what stands between name and value.
        after: the sign that follows the value, "" at the end of the text.
        quoted: whether the value stands in quotes.
        at_line_end: whether nothing but a comment or a comma follows in the line.
    """

    name: str
    word: str
    has_kin: bool
    value: str
    gap: str
    after: str
    quoted: bool
    at_line_end: bool

    @property
    def is_password(self) -> bool:
        """Whether a password is asked for, which people make up, rather than a generated token."""
        return self.word.startswith(("pass", "pwd"))

    @property
    def in_capitals(self) -> bool:
        """Whether the name is written like that of an environment variable."""
        return self.name.isupper() and len(self.name) > 3

    @property
    def is_compound(self) -> bool:
        """Whether the name says more than the word alone."""
        return len(self.name.strip("_.-$")) > len(self.word)


def is_secret(written: Written) -> bool:
    """Judge a value by its look and by how it is written."""
    value = written.value
    if len(value) < (5 if written.is_password else 8):
        return False
    if is_reference(value) or is_placeholder(value) or value.lower() == written.name.lower():
        return False
    if written.word == "auth":
        return is_basic(value) or (is_random(value) and not is_identifier(value))
    if written.word == "pass" and not written.is_compound and not written.quoted:
        return is_random(value)
    if not written.has_kin:
        return is_random(value)
    if written.quoted:
        return _is_secret_text(written)
    if {"is", "was"} & set(written.gap.lower().split()):
        return is_random(value) or (written.is_password and _is_made_up(value))
    if written.in_capitals and written.gap in ("=", ":") and written.after != "(":
        return _is_secret_setting(written)
    return _is_secret_word(written)


def _is_secret_text(written: Written) -> bool:
    """Judge a value in quotes."""
    value = written.value
    if any(map(str.isspace, value)):
        pieces = value.split()
        if any(is_random(piece) and not is_reference(piece) for piece in pieces):
            return True
        return written.is_password and len(pieces) > 2 and not _PROSE.search(value)
    if is_random(value):
        return True
    digits = sum(map(str.isdigit, value))
    if written.is_password:
        return not is_label(value) and not (is_identifier(value) and "." in value and not digits)
    if value.isdigit():
        return written.in_capitals and digits >= 8
    if written.in_capitals or written.is_compound or written.word == "secret":
        if value.isupper() and "_" in value and is_identifier(value):
            return False
        return digits >= 2 or (written.word == "secret" and len(value) >= 16 and not is_identifier(value))
    return digits >= 2 and len(value) >= 12 and not is_wordy(value)


def _is_secret_setting(written: Written) -> bool:
    """Judge what follows `NAME=` in an environment file, a shell or a command line."""
    value = written.value
    if is_random(value):
        return True
    if value.isdigit():
        return len(value) >= (6 if written.is_password else 8)
    if is_identifier(value) and ("." in value or (written.after in (",", ")") and "_" in value)):
        return False
    return not is_label(value) or value.islower()


def _is_secret_word(written: Written) -> bool:
    """Judge a value without quotes, where code would stand as well."""
    value = written.value
    if written.after in ("(", "[", ".", "<", "{") or value.startswith(_NOT_A_VALUE):
        return is_random(value) and not is_identifier(value)
    digits = sum(map(str.isdigit, value))
    if value.isdigit():
        return written.is_password and digits >= 6
    if is_random(value):
        # A dotted name with a word in it is a path in code ("ed25519.Ed25519PrivateKey").
        in_code = "." in value and is_identifier(value) and _WORD_IN_CODE.search(value) and not is_jumbled(value)
        return not in_code
    if is_identifier(value):
        if not written.is_password or "." in value:
            return False
        if digits or is_jumbled(value):
            return len(value) >= 8 and ("_" not in value or not is_wordy(value))
        return value.islower() and value.isalpha() and len(value) >= 16 and written.at_line_end
    if written.is_password:
        if digits:
            return len(value) >= 6
        if any(sign in _PASSWORD_SIGNS for sign in value[1:]):
            return len(value) >= 8 and not is_identifier(value.strip("=!?&|+"))
        if not is_wordy(value) and value.lower() != value != value.upper():
            return True
        return len(value) >= 12 and written.at_line_end and written.gap.strip() in (":", "=") and value.isascii()
    return digits >= 2 and len(value) >= 12 and not is_wordy(value)


def _is_made_up(value: str) -> bool:
    """Judge what a sentence calls a password: letters in both cases with digits, or digits and signs among them."""
    return any(map(str.isdigit, value)) and (
        value.lower() != value != value.upper() or any(sign in _PASSWORD_SIGNS for sign in value)
    )


def is_basic(value: str) -> bool:
    """Tell whether a value is `user:password` in base64."""
    try:
        decoded = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except ValueError:
        return False
    return b":" in decoded and all(byte >= 32 for byte in decoded)
