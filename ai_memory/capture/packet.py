"""Packets as they may be stored: without secrets, and within their limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from ai_memory.errors import BadRequestError
from ai_memory.model.packet import PACKET_LIMIT, BadPacketError, Packet, forms, parse
from ai_memory.model.packet_page import page_text

Scrub = Callable[[str], str]

#: In code points.
_FIELD, _HOW, _NAME, _REF = 1024, 2048, 128, 256
#: What stands in place of a name whose signs are prescribed.
_REDACTED = "redacted"
_KEY_END = "-----END"
_MARK = "REDACTED:"


def scrubbed(packet: Packet, scrub: Scrub) -> tuple[Packet, str]:
    """Take the secrets out of a packet; gives it, and its stored form.

    Args:
        packet: what came.
        scrub: takes them out of a text.

    Raises:
        BadPacketError: without them it does not fit its limit any more.
        BadRequestError: a secret is where nothing can be taken out.
    """
    texts = "\n\n".join(_texts(packet))
    clean = packet if scrub(texts) == texts else cleaned(packet, scrub)
    stored, written = forms(clean)
    if (length := len(stored.encode())) > PACKET_LIMIT:
        raise BadPacketError(
            f"packet is {length} bytes without its secrets, max is {PACKET_LIMIT}: shorten it", stage="size"
        )
    if _KEY_END in written:
        # A page says everything twice: what ends in an early field may begin in a later one.
        written = page_text(clean, "")
    if scrub(written) != written or (clean is not packet and parse(stored.encode()) != clean):
        raise BadRequestError("the packet holds what looks like a secret and cannot be taken out: leave it away")
    return clean, stored


def _texts(packet: Packet) -> Iterator[str]:
    """Give every text of a packet, secrets in names and labels included."""
    yield from (packet.id, packet.parent_id, packet.goal, packet.next_step)
    yield from (*packet.success_criteria, *packet.constraints, *packet.open_questions, *packet.tags)
    for decision in packet.decisions:
        yield from (decision.what, decision.why, decision.consequences)
    for method in packet.methods:
        yield from (method.name, method.when_applicable, method.how)
    for attempt in packet.attempts:
        yield from (attempt.tried, attempt.learned)
    if packet.project:
        yield from (packet.project.name, packet.project.ref)
    if packet.provenance:
        yield from (packet.provenance.author_model, packet.provenance.author_human, packet.provenance.source_hash)


def cleaned(packet: Packet, scrub: Scrub) -> Packet:
    """Change every text of a packet with `scrub`, and cut what no longer fits its limit.

    A name whose signs are prescribed becomes "redacted", a tag goes.

    Raises:
        BadRequestError: an id would have to change.
    """
    for id_ in (packet.id, packet.parent_id):
        if scrub(id_) != id_:
            raise BadRequestError("an id of the packet holds what looks like a secret: choose another")
    line = partial(_text, scrub, _FIELD)
    name, project, provenance = partial(_text, scrub, _NAME), packet.project, packet.provenance
    return replace(
        packet,
        goal=line(packet.goal),
        next_step=line(packet.next_step),
        success_criteria=tuple(map(line, packet.success_criteria)),
        constraints=tuple(map(line, packet.constraints)),
        decisions=tuple(
            replace(each, what=line(each.what), why=line(each.why), consequences=line(each.consequences))
            for each in packet.decisions
        ),
        methods=tuple(
            replace(
                each,
                name=each.name if scrub(each.name) == each.name else _REDACTED,
                when_applicable=line(each.when_applicable),
                how=_text(scrub, _HOW, each.how),
            )
            for each in packet.methods
        ),
        attempts=tuple(replace(each, tried=line(each.tried), learned=line(each.learned)) for each in packet.attempts),
        open_questions=tuple(map(line, packet.open_questions)),
        tags=tuple(tag for tag in packet.tags if scrub(tag) == tag),
        project=project and replace(project, name=name(project.name), ref=_text(scrub, _REF, project.ref)),
        provenance=provenance
        and replace(
            provenance,
            author_model=name(provenance.author_model),
            author_human=name(provenance.author_human),
            source_hash=provenance.source_hash if scrub(provenance.source_hash) == provenance.source_hash else "",
        ),
    )


def _text(scrub: Scrub, limit: int, text: str) -> str:
    clean = scrub(text)
    if len(clean) <= limit:
        return clean
    cut = clean[:limit]
    start, bracket, rest = cut.rpartition("[")
    # Half of a mark would be taken for a secret.
    is_half = bracket and "]" not in rest and _MARK.startswith(rest[: len(_MARK)])
    return start if is_half else cut
