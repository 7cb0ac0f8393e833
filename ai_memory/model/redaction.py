"""What may not travel in a packet: local paths, keys and tokens, known by their shape."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

#: In bytes: what a report shows of a finding.
_SHOWN = 32
_PATH = "abs-path"
_KEY_BLOCK = "private-key"
_KEY_MASK = "-----BEGIN …"
#: What in a path may be a token: as long as the shortest of them, or cut.
_LONG_PART = re.compile(r"([\w-]{4})(?:[\w-]{11,}…?|[\w-]*…)", re.ASCII)

#: Kind and pattern, in the order of a report; where a pattern has a group, that is what is found. A word is ASCII here:
#: a letter with an accent ends one.
_PATTERNS = tuple(
    (kind, re.compile(pattern, re.ASCII))
    for kind, pattern in (
        (_PATH, r"(?<!\w)/(?:Users|home|opt|var|etc|root)/[\w./-]+"),
        (_PATH, r"\b[A-Za-z]:[\\/](?:[\w .-]+[\\/]?)+"),
        ("aws-key", r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|AIPA|ANPA|ANVA|ABIA|ACCA)[0-9A-Z]{16}\b"),
        ("gh-token", r"gh[pousr]_[A-Za-z0-9]{36,}"),
        # Of a word only the first is tried: each costs the word's length, and where it is none the others are none.
        ("jwt", r"(?<![\w-])(?:(?!eyJ)[\w-])*+(eyJ[\w-]++(?:\.[\w-]++){2})"),
        (_KEY_BLOCK, r"-----BEGIN (?:(?:RSA|EC|OPENSSH) )?PRIVATE KEY-----"),
        ("google-api-key", r"\bAIza[\w-]{35}\b"),
        ("slack-token", r"\bxox[baprs]-[A-Za-z0-9-]{10,}\b"),
        ("stripe-key", r"\b(?:[sr]k_(?:live|test)_[A-Za-z0-9]{20,}|whsec_[A-Za-z0-9]{32,})\b"),
        ("ssh-public-key", r"\bssh-(?:rsa|ed25519|dss|ecdsa)[\t\n\f\r ]+AAAA[A-Za-z0-9+/=]{20,}"),
    )
)
#: What the reference does not know.
_MORE = tuple(
    (kind, re.compile(pattern, re.ASCII))
    for kind, pattern in (
        # Amazon's own policies have its name for an account: those are in every manual.
        ("aws-arn", r"\barn:aws(?:-[a-z-]+)?:[a-z][a-z0-9-]*:[a-z0-9-]*:(?:\d{12})?:[\w/*-][\w:/.*@+=,-]*"),
        ("aws-secret", r"(?i:\baws_?secret(?:_?access)?_?key)[\"']?[ \t]*[=:][ \t]*[\"']?[A-Za-z0-9+/]{40}(?![\w+/=])"),
        ("gh-pat", r"github_pat_\w{22,}"),
        ("gitlab-token", r"\bglpat-[\w-]{20,}"),
        ("npm-token", r"\bnpm_[A-Za-z0-9]{36}\b"),
        (
            "model-api-key",
            r"(?<![\w-])(?:sk-(?:ant|proj|svcacct|admin|or-v1)-[\w-]{20,}|(?:sk-|gsk_|hf_|xai-)[A-Za-z0-9]{32,}\b)",
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What may not travel.

    Attributes:
        kind: the pattern's name ("abs-path", "aws-key", ...).
        found: what was found, cut at 32 bytes (then with "…"); of a private key a fixed mask.
        field: where in the packet ("decisions[0].why"), "" when a bare text was scanned.
    """

    kind: str
    found: str
    field: str = ""

    @property
    def masked(self) -> str:
        """What a message or a page may say of it: of a path all but its long parts, of anything else how it begins."""
        if self.kind == _PATH:
            return _LONG_PART.sub(r"\1…", self.found)
        return self.found if self.kind == _KEY_BLOCK else f"{self.found[:4]}…"

    def __str__(self) -> str:
        """Give the line of a report: `<field>/<kind>: <found>`, masked."""
        return f"{self.field}/{self.kind}: {self.masked}" if self.field else f"{self.kind}: {self.masked}"


def scan_text(text: str, *, strict: bool = False, field: str = "") -> list[Finding]:
    """Find what may not travel in a text: at most one finding for each pattern, the first.

    Args:
        text: any text.
        strict: look for the reference's ten categories and nothing else.
        field: what the findings name as their place.
    """
    findings = []
    for kind, pattern in _PATTERNS if strict else (*_PATTERNS, *_MORE):
        if match := pattern.search(text):
            found = match[pattern.groups]
            found = found if len(found) <= _SHOWN else f"{found[:_SHOWN]}…"
            findings.append(Finding(kind, _KEY_MASK if kind == _KEY_BLOCK else found, field))
    return findings


def redacted_text(text: str) -> str:
    """Give a text in which everything that may not travel is replaced by its kind, as in `[REDACTED:aws-key]`."""
    former = ""
    # A path that a token stood directly before is one only now.
    while text != former:
        former = text
        for kind, pattern in (*_PATTERNS, *_MORE):
            text = pattern.sub(partial(_marked, f"[REDACTED:{kind}]"), text)
    return text


def _marked(mark: str, match: re.Match[str]) -> str:
    return match[0][: match.start(match.re.groups) - match.start()] + mark
