"""What a repository says of itself, and how it is cut to the size of questions to a model. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ai_memory.errors import BadRequestError

#: Kind of a source -> its name in reports; what says most about a project comes first, and is dropped last.
KINDS = {
    "project_rules": "project_rules",
    "readme": "readme",
    "doc_file": "doc_files",
    "git_commit": "git_commits",
    "module_header": "module_headers",
}
#: Tokens of every question that are not its sources.
ENVELOPE = 1_000
#: So few tokens hold no question, and so many no model answers to.
LEAST, MOST = 2_000, 2_000_000
_RANK = {kind: rank for rank, kind in enumerate(KINDS)}
#: Bytes that a token has in the usual languages, and those around a source.
_BYTES, _FRAME = 4, 16
#: Bytes of " (part 999)", with room.
_PART = 16
_LONGEST_LABEL = 200


@dataclass(frozen=True, slots=True)
class Source:
    """One thing that a repository says of itself.

    Attributes:
        kind: one of `KINDS`.
        label: what it is, for example "doc: docs/design.md"; one line.
        text: what it says.
    """

    kind: str
    label: str
    text: str

    @property
    def tokens(self) -> int:
        """How many tokens it may be: a quarter of its bytes."""
        return -(-(len(self.label.encode()) + len(self.text.encode()) + _FRAME) // _BYTES)


@dataclass(frozen=True, slots=True)
class Plan:
    """What of the sources is sent, and in which pieces.

    Attributes:
        sources: those that are sent, the best first.
        chunks: what each question is about, never empty; one that is too large is in parts there.
        collected: how many sources there were.
        by_kind: how many of each kind are sent, by the names of reports.
        tokens: of all questions together, as far as it can be estimated.
        fingerprint: the same for the same sources in the same pieces, and only for these.
    """

    sources: tuple[Source, ...]
    chunks: tuple[tuple[Source, ...], ...]
    collected: int
    by_kind: dict[str, int]
    tokens: int
    fingerprint: str

    @property
    def sent(self) -> int:
        """How many sources are sent."""
        return len(self.sources)

    def as_json(self) -> dict[str, object]:
        """Give it as reports have it."""
        return {
            "sources_collected": self.collected,
            "sources_sent": self.sent,
            "sources_dropped": self.collected - self.sent,
            "sources_by_kind": self.by_kind,
            "estimated_input_tokens": self.tokens,
            "llm_chunks": len(self.chunks),
        }


def planned(
    sources: Sequence[Source], *, max_input_tokens: int, chunk_input_tokens: int, collected: int | None = None
) -> Plan:
    """Choose the sources that fit, the best first, and pack them into questions.

    Args:
        sources: all there are, the best of a kind first.
        max_input_tokens: of all questions together.
        chunk_input_tokens: of one question; 0 asks once.
        collected: how many sources there were, where some of them were left out already.

    Raises:
        BadRequestError: a limit cannot be kept.
    """
    for name, limit in (("max_input_tokens", max_input_tokens), ("chunk_input_tokens", chunk_input_tokens)):
        if not LEAST <= limit <= MOST and not (limit == 0 and name == "chunk_input_tokens"):
            raise BadRequestError(f"{name} is {limit}: say a number from {LEAST:,} to {MOST:,}")
    kept = pruned(sources, max_input_tokens)
    room = min(chunk_input_tokens or max_input_tokens, max_input_tokens) - ENVELOPE
    chunks = _packed(kept, room)
    digest = hashlib.sha256(json.dumps([room, [[each.kind, each.label, each.text] for each in kept]]).encode())
    return Plan(
        sources=tuple(kept),
        chunks=chunks,
        collected=len(sources) if collected is None else collected,
        by_kind={name: sum(each.kind == kind for each in kept) for kind, name in KINDS.items()},
        tokens=sum(each.tokens for chunk in chunks for each in chunk) + ENVELOPE * len(chunks),
        fingerprint=digest.hexdigest(),
    )


def pruned(sources: Sequence[Source], max_input_tokens: int) -> list[Source]:
    """Drop what does not fit: headers of modules first, then commits, documents, the README, the rules last."""
    left = max_input_tokens - ENVELOPE
    kept = []
    for source in sorted(sources, key=lambda each: _RANK[each.kind]):
        if source.tokens <= left:
            left -= source.tokens
            kept.append(source)
    return kept


def label_of(what: str, name: str) -> str:
    """Give a label, whatever a file is called."""
    return one_line(f"{what}: {name}")


def one_line(text: str) -> str:
    """Give a label's text as one short line that any terminal and any file can hold."""
    plain = " ".join(text.encode("utf-8", "replace").decode().split())
    shown = "".join(sign if sign.isprintable() else "?" for sign in plain)
    return shown if len(shown) <= _LONGEST_LABEL else f"{shown[: _LONGEST_LABEL - 1]}…"


def _packed(sources: Sequence[Source], room: int) -> tuple[tuple[Source, ...], ...]:
    chunks: list[tuple[Source, ...]] = []
    chunk: list[Source] = []
    left = room
    for source in sources:
        for part in _parts(source, room):
            if chunk and part.tokens > left:
                chunks.append(tuple(chunk))
                chunk, left = [], room
            chunk.append(part)
            left -= part.tokens
    return (*chunks, tuple(chunk)) if chunk else ()


def _parts(source: Source, room: int) -> Iterator[Source]:
    """Cut a source that is too large for one question, at the end of a line where there is one."""
    if source.tokens <= room:
        yield source
        return
    most = room * _BYTES - len(source.label.encode()) - _FRAME - _PART
    data, number = source.text.encode(), 1
    while data:
        cut = len(data)
        if cut > most:
            cut = data.rfind(b"\n", most // 2, most) + 1 or most
            # Not in the middle of a letter.
            while data[cut] & 0xC0 == 0x80:
                cut -= 1
        yield replace(source, label=f"{source.label} (part {number})", text=data[:cut].decode())
        data, number = data[cut:], number + 1
