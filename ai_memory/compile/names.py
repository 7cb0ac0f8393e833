"""The file names of pages that a model has thought of: from a title in any script to a path that every system takes."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection

from ai_memory.model.page import BadPagePathError, collision_key, writable_page_path

#: In bytes: with a folder and a suffix it stays far below what paths may be.
_LONGEST = 96
_DIGEST = 8
_NO_LETTERS = re.compile(r"-{2,}")


def slug(title: str) -> str:
    """Give a title as a file name without its ending: letters and digits of any script, small, joined by hyphens.

    A title that is too long, that has no letters, or that some system keeps for itself gets a digest of it as well: the
    same title has the same name each time, and two titles two.
    """
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", title).lower())
    # Vowel signs and accents are no letters to Python, but no word of many scripts is one without them.
    letters = "".join(c if c.isalnum() or unicodedata.category(c) in ("Mn", "Mc") else "-" for c in plain)
    name = _NO_LETTERS.sub("-", letters).strip("-")
    if len(name.encode()) > _LONGEST:
        cut = name.encode()[: _LONGEST - _DIGEST - 1].decode(errors="ignore").rstrip("-")
        return f"{cut}-{digest(title)}"
    try:
        writable_page_path(f"concepts/{name}.md")
    except BadPagePathError:
        return f"{name or 'page'}-{digest(title)}"
    return name


def digest(text: str) -> str:
    """Give eight digits that stand for a text."""
    return hashlib.sha256(unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]


def free_path(folder: str, name: str, seed: str, taken: Collection[str]) -> str:
    """Give the path of a new page, `<folder>/<name>.md`, with a digest of `seed` where that is taken.

    Args:
        folder: of the project, for example "decisions".
        name: a slug.
        seed: what tells this page from one of the same name; the same seed gives the same path.
        taken: the collision keys of the paths that are there.
    """
    path = f"{folder}/{name}.md"
    while collision_key(path) in taken:
        seed = digest(seed)
        path = f"{folder}/{name}-{seed}.md"
        seed += name
    return path
