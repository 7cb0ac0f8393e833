"""Authority: how much a page's own standing counts beside what it says; bounded, so that it never decides alone."""

from __future__ import annotations

import math
from collections.abc import Iterable

_LEAST, _MOST = 0.55, 1.50
_KINDS = {
    "rule": 0.15,
    "decision": 0.15,
    "procedure": 0.12,
    "gotcha": 0.12,
    "concept": 0.07,
    "slot": 0.07,
    "session": -0.15,
}
_TIERS = {"semantic": 0.10, "procedural": 0.10, "episodic": -0.08, "working": -0.03}
_PINNED = 0.08
_FOLDERS = {"_lint/": -0.20, "investigations/": -0.05}
_TAGS = {"canonical": 0.20, "source-of-truth": 0.20, "active": 0.05}
#: A page of salience 2 gains 7 %, one of 0.25 (stale or wrong) loses 13 %.
_SALIENCE_POWER = 0.1
_CAPS = {"do-not-answer-from": 0.55, "test-fixture": 0.55, "superseded": 0.65, "historical": 0.80}


def authority_of(path: str, kind: str, tier: str, tags: Iterable[str], *, pinned: bool, salience: float = 1.0) -> float:
    """Give the factor of a page, 0.55 to 1.50 (the wire's numbers).

    Args:
        path, kind, tier, pinned: of the page.
        tags: as they are written; case and underscores do not matter.
        salience: how much the page matters by what readers said of it, 1 where nobody did.
    """
    named = {tag.lower().replace("_", "-") for tag in tags}
    factor = 1.0 + _KINDS.get(kind, 0.0) + _TIERS.get(tier, 0.0) + (_PINNED if pinned else 0.0)
    factor += sum(change for folder, change in _FOLDERS.items() if path.startswith(folder))
    # Two names for one thing say it once.
    factor += max((_TAGS[tag] for tag in named & {"canonical", "source-of-truth"}), default=0.0)
    factor += _TAGS["active"] if "active" in named else 0.0
    factor *= math.pow(salience, _SALIENCE_POWER)
    return max(_LEAST, min([_MOST, factor, *(_CAPS[tag] for tag in named & _CAPS.keys())]))
