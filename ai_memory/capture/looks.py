"""What a value looks like: a reference to a secret, a placeholder, code, or a secret itself. Pure and linear."""

from __future__ import annotations

import re

_INTERPOLATION = re.compile(
    r"\$?\{\{[^}]*\}\}|\$\{[^}]*\}|\$\([^)]*\)?|#\{[^}]*\}|<%[^%]*%>|%\([^)]*\)[sdr]|%\{[^}]*\}|\{[\w.:!\[\]()'\"]*\}"
)
_REFERENCE = re.compile(
    r"\$(?:env:|\w+:)?[A-Za-z_]\w*(?:\.\w+|->\w+)*|%[A-Za-z_]\w*%|\{[A-Za-z_][\w.:!\[\]]*\}?|![A-Z][A-Za-z]*|@[A-Za-z][\w.]*|&[a-z]+|"
    r"(?:env|vault|op|file|ssm|secret|secrets|gcp-sm|awssm|aws-sm|ref\+\w+|keyring|keychain|doppler|sops|arn|data|"
    r"https?|urn)[:/].*|process\.env\.\w+|import\.meta\.env\.\w+|os\.environ\b.*|secrets\.\w+",
    re.DOTALL,
)
_PATH = re.compile(r"(?:~|\.{1,2}|[A-Za-z]:|%\w+%)?(?:[\\/]+[A-Za-z_.@-][\w.@ -]{0,80}){1,30}[\\/]?")
_BRACKETED = re.compile(r"<[^<>]*>|\[[^\[\]]*\]|\{[^{}]*\}|\([^()]*\)|_{2,}\w+?_{2,}")
_FILLER = re.compile(r"([xX*•])\1{5,}")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
#: The same, but capitals only where they are a word of their own: base64 is full of them.
_SPOKEN = re.compile(r"[A-Z]?[a-z]+|(?<![A-Za-z])[A-Z]+(?![A-Za-z])")
_JUMBLE = re.compile(r"[a-z][A-Z]{2}(?=[a-z]|[A-Z]*[a-z]?[A-Z])|[A-Z][a-z][A-Z]")
_REGEX_CLASS = re.compile(r"\[[^\]]*(?:a-z|A-Z|0-9)")
_IDENTIFIER_PATH = re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|::|->|\?\.|!\.)[A-Za-z_$][\w$]*)*[!?]?")
_TURN = re.compile(r"[A-Za-z](?=[0-9])|[0-9](?=[A-Za-z])")
_HEX = re.compile(r"(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{16,}|(?=[A-F]*[0-9])(?=[0-9]*[A-F])[0-9A-F]{16,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.,]*(?:Z|[+-]\d\d:?\d\d)?)?|0x[0-9a-fA-F]{1,8}")
_VOWEL = re.compile(r"[aeiouyAEIOUY]")

#: Words of which a value in documentation consists that stands for a secret.
_PLACEHOLDER_WORDS = frozenset(
    "a access actual admin an any api app auth bar base baz basic bearer boolean bool bytes change changeit "
    "changeme char client code config credential credentials current database db default demo disabled dummy "
    "empty enabled env example fake false field fill filler foo foobar from generate generated get header here "
    "hidden in insert int integer invalid json jwt key keys local localhost lorem me missing mock my n na name "
    "new nil no none not null number oauth object of ok old omitted one optional or param pass passphrase passwd "
    "password path pending placeholder private prompt public put query quux random read real redacted ref remove "
    "removed replace required root sample secret secrets service session set signing some something string strong "
    "super supersecret test testing text that the this three to todo token tokens true two type undefined unset "
    "unused user username value valid var wrong x xx xxx y yes you your".split()
)
#: One of these makes the whole value a placeholder.
_PLACEHOLDER_SIGNS = frozenset("changeme placeholder redacted replace replaceme todo your".split())


def is_reference(value: str) -> bool:
    """Tell whether a value only names where the secret is: `$TOKEN`, `${{ secrets.X }}`, `%X%`, a path, a URL."""
    rest = _INTERPOLATION.sub("", value)
    if rest != value:
        return not is_random(rest)
    return bool(_REFERENCE.fullmatch(value)) or (bool(_PATH.fullmatch(value)) and not is_random(value))


def is_placeholder(value: str) -> bool:
    """Tell whether a value stands for a secret in a text: `<your-token>`, `xxxx`, `***`, `changeme`, `string`."""
    if _BRACKETED.fullmatch(value) or value.startswith("[REDACTED"):
        return True
    if _FILLER.search(value) or _REGEX_CLASS.search(value):
        return True
    alphabet = set(value.lower()) - set("-_. ")
    if len(alphabet) <= 2 or not any(map(str.isalnum, alphabet)):
        return True
    words = [word.lower() for word in _WORDS.findall(value)]
    if not words or sum(map(str.isdigit, value)) > 4:
        return False
    if all(word in _PLACEHOLDER_WORDS for word in words):
        return True
    return not is_random(value) and any(word in _PLACEHOLDER_SIGNS for word in words)


def is_identifier(value: str) -> bool:
    """Tell whether a value could be a name in code: `token`, `user.password`, `TokenType::Comma`."""
    return bool(_IDENTIFIER_PATH.fullmatch(value))


def is_wordy(value: str) -> bool:
    """Tell whether most letters of a value belong to words (of a length that chance rarely makes, with a vowel)."""
    letters = sum(map(str.isalpha, value))
    shortest = 3 if "_" in value else 4
    spoken = sum(len(word) for word in _SPOKEN.findall(value) if len(word) >= shortest and _VOWEL.search(word))
    return spoken * 10 >= letters * 6


def is_jumbled(value: str) -> bool:
    """Tell whether capitals and small letters change places as in no name ("fmZIcQWq")."""
    jumbles = len(_JUMBLE.findall(value))
    return jumbles >= 3 or (jumbles == 2 and len(value) >= 16) or (jumbles == 1 and not is_wordy(value))


def is_random(value: str) -> bool:
    """Tell whether a value looks generated: letters and digits in turns, hex digits, a UUID, mixed case."""
    if len(value) < 8 or _DATE.fullmatch(value):
        return False
    if _HEX.fullmatch(value) or _UUID.fullmatch(value):
        return True
    digits = sum(map(str.isdigit, value))
    turns = len(_TURN.findall(value))
    if turns >= 3 and digits * 5 >= len(value):
        return True
    if len(value) >= 16 and is_jumbled(value):
        return True
    if len(value) >= 20 and digits and value.isalnum() and value.lower() != value != value.upper():
        return True
    if is_wordy(value) or not digits:
        return False
    return turns >= 2 or (len(value) >= 16 and any(map(str.isalpha, value)))


def is_label(value: str) -> bool:
    """Tell whether a value is a word that a form or a message shows ("Passwort", "required")."""
    return value.isalpha() and (not value.islower() or not value.isascii() or len(value) < 8)
