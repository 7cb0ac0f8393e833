"""Fusion: what the streams of a search found becomes one order, and each hit knows why it stands where it does.

BM25 is a sum over the words of a question, so its share of what the perfect text would score compares a page with a
turn, although each stream counts words for itself. Similarities have no such scale: only their spread in one answer
says something. Measured: a weighted sum of the two, more to the meaning, wins on code and on chats; ranks alone
(reciprocal rank fusion) lose on chats, because they forget how sure the words were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

#: Where a hit is: project and path. A session is its page, also before there is one.
Key = tuple[UUID, str]

#: The weight of meaning beside that of the words, and where the question holds identifiers or quoted phrases.
MEANING, MEANING_EXACT = 0.6, 0.4
#: How much of that goes where the words have one hit far before all others.
_SURE = 0.6
#: A session speaks by its whole text; one turn alone counts for a little less.
_TRUST = {"pages": 1.0, "sessions": 1.0, "turns": 0.85}
#: What a hit gives to the pages that it links to, and to those that link to it.
_NEIGHBOUR = 0.1
#: So many of the best hits have neighbours.
_SEEDS = 5
VECTORS, LINKS = "vectors", "links"


@dataclass(frozen=True, slots=True)
class Stream:
    """What one way of looking found.

    Attributes:
        name: "pages", "sessions", "turns" or "vectors".
        found: key and score, best first; greater is better.
        ceiling: what a text that has all the words would score.
    """

    name: str
    found: Sequence[tuple[Key, float]]
    ceiling: float = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream has a hit: rank from 1, the stream's own score, and the share that went into the sum, 0..1."""

    rank: int
    score: float
    share: float


@dataclass(slots=True)
class Candidate:
    """A hit on its way: its place in each stream that has it, and the sum."""

    key: Key
    places: dict[str, Place] = field(default_factory=dict)
    #: The hit by whose link this one came.
    via: Key | None = None
    score: float = 0.0

    def share(self, name: str) -> float:
        """Give the share of a stream, 0 where it has not found this."""
        place = self.places.get(name)
        return place.share if place else 0.0


def fused(lexical: Iterable[Stream], vectors: Stream | None, *, exact: bool) -> list[Candidate]:
    """Make one order of all streams, best first; what is equal stands in the order of the keys.

    Args:
        lexical: the streams of words.
        vectors: the stream of meaning, None where there is none.
        exact: the question holds phrases or identifiers.
    """
    found: dict[Key, Candidate] = {}
    for stream in lexical:
        whole = stream.ceiling or 1.0
        _place(found, stream, [min(1.0, score / whole) * _TRUST[stream.name] for _, score in stream.found])
    words = {key: max(place.share for place in each.places.values()) for key, each in found.items()}
    best = max(words.values(), default=0.0) or 1.0
    weight = 0.0
    if vectors and vectors.found:
        first, second = [*sorted(words.values(), reverse=True), 0.0, 0.0][:2]
        # A lone hit that has few of the words is sure of nothing.
        weight = (MEANING_EXACT if exact else MEANING) * (1 - _SURE * (first - second))
        scores = [score for _, score in vectors.found]
        least, spread = min(scores), max(scores) - min(scores)
        _place(found, vectors, [(score - least) / spread if spread else 1.0 for score in scores])
    for key, each in found.items():
        each.score = (1 - weight) * words.get(key, 0.0) / best + weight * each.share(VECTORS)
    return _ordered(found.values())


def with_neighbours(found: Sequence[Candidate], neighbours: Mapping[Key, Sequence[Key]]) -> list[Candidate]:
    """Add the pages at the other end of the best hits' links; those that are hits gain a little.

    Args:
        found: best first.
        neighbours: of the best hits, in the order of their links.
    """
    all_found = {each.key: each for each in found}
    rank = 0
    for seed in found[:_SEEDS]:
        for key in neighbours.get(seed.key, ()):
            each = all_found.setdefault(key, Candidate(key))
            if each.via is None and key != seed.key:
                rank += 1
                each.via = seed.key
                each.places[LINKS] = Place(rank, seed.score, seed.score)
    for each in all_found.values():
        each.score += _NEIGHBOUR * each.share(LINKS)
    return _ordered(all_found.values())


def seeds(found: Sequence[Candidate]) -> list[Key]:
    """Name the hits whose links are followed."""
    return [each.key for each in found[:_SEEDS]]


def weighed(found: Iterable[Candidate], factors: Mapping[Key, float]) -> list[Candidate]:
    """Multiply what is known of the hits themselves into the sum, and order anew."""
    everything = list(found)
    for each in everything:
        each.score *= factors.get(each.key, 1.0)
    return _ordered(everything)


def _place(found: dict[Key, Candidate], stream: Stream, shares: Sequence[float]) -> None:
    for rank, ((key, score), share) in enumerate(zip(stream.found, shares, strict=True), start=1):
        candidate = found.setdefault(key, Candidate(key))
        # A stream may find a page by several of its chunks: the first is the best.
        candidate.places.setdefault(stream.name, Place(rank, score, share))


def _ordered(found: Iterable[Candidate]) -> list[Candidate]:
    return sorted(found, key=lambda each: (-each.score, each.key[0].int, each.key[1]))
