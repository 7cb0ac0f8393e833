"""Secrets that are known by the name that they are given to: `password=`, `"api_key":`, `Authorization:`, `--token`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ai_memory.capture.headers import authorizations, basics, bearers, cookies, signatures
from ai_memory.capture.looks import is_placeholder, is_random, is_reference
from ai_memory.capture.shapes import Span
from ai_memory.capture.written import Written, is_secret

_NAME_SIGNS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-$"
_LONGEST_NAME = 64

#: What may stand between a name and its value; the value's opening quote comes after it.
_GAP = r"""
    (?P<gap>
        [\\"'`\]]{0,20}
        (?:
            [ \t]{0,8}(?:
                [?!]?:[ \t]{0,4}[&'\w][\w.\[\]|<>'?, ]{0,40}[ ]=[ ]   # a typed declaration
                |(?:[!=]==?|=>|:=|\|\|=|\?\?=|\+=|[=:]|<-)
            )
            |\\{0,4}["'],\s{0,8}(?:\\{0,4}["']?value\\{0,4}["']?\s{0,4}[:=])?   # ("NAME", "x")
            |,?(?:\s|\\[nrt]){1,40}["']?value["']?\s{0,4}[:=]                     # - name: NAME, value: x
            |[ ]{1,2}(?:is|was)(?:[ ]now)?:?[ ]                        # "the password is x"
            |(?:[ \t]{1,8}\[[^\]\n]{0,40}\]:)                         # "AWS Secret Access Key [None]: x"
            |(?=[ \t]+[^\s:=,;)\]}|&<>])                              # --password x, setx NAME x
            |>(?=[^<>\s]{1,400}</)                                    # <password>x</password>
        )
        (?:[ \t]{0,8}ConvertTo-SecureString[ ]{1,4}(?:-String[ ]{1,4})?)?
        (?:[ \t]{0,8}[|>][+-]?[ \t]{0,8}(?:\r?\n|(?:\\r)?\\n))?                       # a YAML block
        (?:\s{0,40}(?=[rbfu]{0,2}\\{0,20}["'`])|[ \t]{0,8}|(?<=\n)[ \t]{0,40})
    )
"""
_VALUE = r"""
    (?:
        [rbfuRBFU]{0,2}(?P<quote>\\*(?:\"{3}|'{3}|["'`]))
        (?P<quoted>(?:(?!(?P=quote))(?>\\+.|[^\n\\]))@+)
        |(?P<bare>(?:[^\s"'`<>;\\]|\\(?![nrt"'`\\]))@+)
    )
"""
_WORD = r"""
    (?P<word>pass(?:word|wd|wort|phrase|code)?|pwd|secret|token|credentials?|key|auth)
    (?P<suffix>(?-i:(?:_[A-Z0-9]+){1,4})|_?\d{1,3}|_base)?
    (?![A-Za-z0-9_])
"""
_FLAGS = re.VERBOSE | re.IGNORECASE
#: So much of a value is enough to judge it. Values that turn out to be none are read again from every name inside
#: them, so that reading them whole would take quadratic time.
_ASSIGNED = re.compile(_WORD + _GAP + _VALUE.replace("@", "{0,120}"), _FLAGS)
_ASSIGNED_WHOLE = re.compile(_WORD + _GAP + _VALUE.replace("@", "*"), _FLAGS)
#: curl's and its like's `-u user:password`.
_LOGIN_FLAG = re.compile(
    r"[ ](?:-u|--(?:proxy-)?user)[ =]{0,2}\\*[\"']?(?P<user>[^\s:\"'\\]{1,128}):(?P<value>[^\s\"'\\]{4,})"
)
#: Programs that take a password after a flag of one letter: the flag -> which they are.
_SHORT_FLAGS = {
    "p": re.compile(
        r"(?:\b|\\[nrt])(?:mysql(?:dump|admin|import)?|sshpass|docker[ ]login|podman[ ]login|7z)\b[^\n|;]*$"
    ),
    "a": re.compile(r"(?:\b|\\[nrt])redis-cli\b[^\n|;]*$"),
    "w": re.compile(r"(?:\b|\\[nrt])ldap(?:search|modify|add|whoami)\b[^\n|;]*$"),
    "P": re.compile(r"(?:\b|\\[nrt])zip\b[^\n|;]*$"),
}
_SHORT_VALUE = re.compile(r"[ ]-[paPw][ ]?(?P<quote>[\"']?)(?P<value>[^\s\"'-][^\s\"']{5,})")
_OPENSSL_PASSWORD = re.compile(r"pass:(?P<value>[^\s\"'`]{6,})")

#: `*_key` names a secret after one of these; a name in capitals (`ACME_KEY`) does so for a value that looks generated.
_KEYS = (
    *("api", "access", "secret", "private", "encrypt", "encryption", "signing", "sign", "auth", "account", "service"),
    *("master", "app", "application", "consumer", "client", "storage", "shared", "subscription", "license", "licence"),
    *("deploy", "session", "webhook", "admin", "jwt", "hmac", "crypto", "cipher", "ssh", "gpg", "rsa", "aes", "bot"),
    *("signature", "function", "functions", "host", "root", "maps", "write", "read", "server", "integration", "rest"),
    *("instrumentation", "merchant", "bearer", "token", "symmetric", "security", "user"),
)
#: What makes a name of it that asks for no secret: kinds of keys and tokens, words that only end in "key" or "pass".
_NOT_SECRET = (
    *("public", "primary", "foreign", "partition", "sort", "cache", "page", "continuation", "cursor", "next", "sync"),
    *(
        "design",
        "pad",
        "eos",
        "bos",
        "unk",
        "sep",
        "mask",
        "cls",
        "syntax",
        "cancel",
        "cancellation",
        "css",
        "registry",
    ),
    *("group", "row", "item", "i18n", "translation", "dict", "map", "hash", "object", "lookup", "idempotency", "hot"),
    *("shortcut", "mon", "tur", "don", "com", "by", "tres", "under", "sur"),
)
_NOT_SECRET_SUFFIX = re.compile(
    r"_(?:FILE|PATH|DIR|URL|URI|NAME|ID|IDS|TYPE|LEN|LENGTH|SIZE|COUNT|LIMIT|MAX|MIN|TTL|AGE|EXPIRY|EXPIRES?|ENV|HEADER|"
    r"FIELD|PREFIX|SUFFIX|REGEX|PATTERN|ALGORITHM|ALG|VERSION|POLICY|ENDPOINT|HASH|TIMEOUT|DELTA|LIFETIME|INFO|SECONDS|MINUTES|HOURS|DAYS|IN|AT|VAR)$"
)
_FULL_STOP = re.compile(r"\.(?![\w(])")
_LOOSE_END = re.compile(r"[,(){}\[\]|&]")
_TIGHT_END = re.compile(r"[&|](?=\w+=)|[,)}\]](?=$|[\s,)}\]]|\w+[=:]|[\"'])")
_COMMAND_BEFORE = re.compile(r"(?:setx|setenv|ENV|ARG|export|set[ ]+-\w+|login[ ]+\S{1,80}|-e|--env|SET)[ \t]+$")


def found_by_name(text: str) -> Iterator[Span]:
    """Find every secret that is known by the name of it; spans may overlap."""
    lowered = text.lower()
    if len(lowered) != len(text):
        # A few letters have a longer small form, and positions must agree.
        lowered = "".join(sign.lower() if sign.isascii() else sign for sign in text)
    for anchor, finders in _ANCHORED:
        position = lowered.find(anchor)
        while position >= 0:
            end = position + len(anchor)
            for finder in finders:
                for span in finder(text, position):
                    if span[2]:
                        yield span
                    end = max(end, span[1])
            position = lowered.find(anchor, end)


def _assigned(text: str, position: int) -> Iterator[Span]:
    match = _ASSIGNED.match(text, position)
    if not match:
        return
    head = text[max(0, position - _LONGEST_NAME) : position]
    prefix = head[len(head.rstrip(_NAME_SIGNS)) :]
    if prefix[:1] in ("n", "r", "t") and head[: len(head) - len(prefix)].endswith("\\"):
        prefix = prefix[1:]  # the letter of an escape: "\\nDB_PASSWORD=x"
    suffix = match["suffix"] or ""
    kin = _kin(prefix, text[position : match.end("word")], suffix, head)
    if kin is None:
        return
    start, end = _value_span(text, match)
    if not _is_given(match["gap"], prefix, head, text[start:end]):
        return
    if text.startswith(("...", "…"), end) and not is_random(text[start:end]):
        return  # "STRIPE_SECRET_KEY=sk_test_..."
    word = match["word"].lower()
    written = Written(
        name=prefix + match["word"] + suffix,
        word=word,
        has_kin=kin,
        value=text[start:end],
        gap=match["gap"],
        # A full stop ends a sentence; one inside a word goes on to an attribute.
        after="" if _FULL_STOP.match(text, end) else text[end : end + 1],
        quoted=match["quote"] is not None or match["gap"] == ">",
        at_line_end=not text[end : end + 2].strip(" \t;,\r").partition("\n")[0].partition("#")[0],
    )
    if is_secret(written):
        whole = _ASSIGNED_WHOLE.match(text, position) or match
        yield *_value_span(text, whole), _kind(word, prefix)


def _value_span(text: str, match: re.Match[str]) -> tuple[int, int]:
    """Give where the value stands; one without quotes ends where the text around it goes on."""
    if match["quote"] is not None:
        return match.span("quoted")
    start, end = match.span("bare")
    cut = (_TIGHT_END if match["gap"] in ("=", ":") else _LOOSE_END).search(text, start, end)
    if cut and cut.start() > start:
        end = cut.start()
    return start, start + len(text[start:end].rstrip(".,:)}]"))


def _kin(prefix: str, word: str, suffix: str, head: str) -> bool | None:
    """Tell whether a name asks for a secret: True, False for one that may (`ACME_KEY`), None for one that does not."""
    kin = prefix.lower().rstrip("_.-")
    if kin.endswith(_NOT_SECRET) or _NOT_SECRET_SUFFIX.search(suffix):
        return None
    if word.lower() == "key":
        # "API key: x", "AWS Secret Access Key [None]: x"
        if (kin or head.lower().rstrip(" ")).endswith(_KEYS):
            return True
        return False if prefix.isupper() and prefix.endswith("_") else None
    if word.lower() in ("pass", "auth"):
        begins = not prefix or prefix[-1] in "_-.$:" or (word[0].isupper() and prefix[-1].islower())
        return True if begins else None
    return True


def _is_given(gap: str, prefix: str, head: str, value: str) -> bool:
    """Tell whether what follows a name belongs to it.

    After a blank it does for a flag, `setx`, a .netrc line; after a comma for the first argument of a call.
    """
    before = head[: len(head) - len(prefix)] if prefix else head
    if before.endswith("::"):
        # A type's name: "AWS::IAM::AccessKey".
        return False
    if not gap.strip(" \t\\\"'`])"):
        return prefix.startswith("-") or bool(_COMMAND_BEFORE.search(before)) or (len(gap) == 1 and is_random(value))
    if gap.strip(" \t\n\r\\\"'`])") == ",":
        return before.rstrip("\\\"'`").endswith("(") and "\n" not in gap
    return True


def _kind(word: str, prefix: str) -> str:
    if word.startswith(("pass", "pwd")):
        return "password"
    if word == "key":
        return "api-key" if prefix.lower().rstrip("_.-").endswith("api") else "key"
    return {"credentials": "credential", "auth": "credential"}.get(word, word)


def _passed(text: str, position: int) -> Iterator[Span]:
    match = _OPENSSL_PASSWORD.match(text, position)
    if match and text[max(0, position - 24) : position].rstrip(" \"'").endswith(("-passin", "-passout", "-pass", "-k")):
        value = match["value"]
        if not is_reference(value) and not is_placeholder(value):
            yield match.start("value"), match.end("value"), "password"


def _flags(text: str, position: int) -> Iterator[Span]:
    letter = text[position + 2 : position + 3]
    if letter in ("u", "-"):
        match = _LOGIN_FLAG.match(text, position)
        if match and (match["value"].isdigit() or match["value"] == match["user"]):
            return
    elif letter in _SHORT_FLAGS and _SHORT_FLAGS[letter].search(text, max(0, position - 200), position):
        match = _SHORT_VALUE.match(text, position)
    else:
        return
    if match and not is_reference(match["value"]) and not is_placeholder(match["value"]):
        yield match.start("value"), match.end("value"), "password"


_Finder = Callable[[str, int], Iterator[Span]]
_ANCHORED: tuple[tuple[str, tuple[_Finder, ...]], ...] = (
    ("pass", (_assigned, _passed)),
    ("pwd", (_assigned,)),
    ("secret", (_assigned,)),
    ("token", (_assigned,)),
    ("key", (_assigned,)),
    ("credential", (_assigned,)),
    ("auth", (_assigned, authorizations)),
    ("bearer", (bearers,)),
    ("basic ", (basics,)),
    ("cookie", (cookies,)),
    ("sig", (signatures,)),
    (" -", (_flags,)),
)
