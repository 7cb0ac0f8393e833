"""The verbs of packets: `save`, `resume`, `push`, `pull`, `ls`, `rm`, `write`, `example`, `packet`; half of `show`."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click

from ai_memory.capture.packet import cleaned
from ai_memory.capture.plain import harmless
from ai_memory.capture.scrub import Scrubber
from ai_memory.cli.clipboard import ClipboardError, copy
from ai_memory.cli.packet_server import PacketServer, Reply, host_option, packet_server, part, team_option
from ai_memory.cli.place import Place, json_option, placed
from ai_memory.cli.remote import RefusedError, remote_of
from ai_memory.cli.shown import quiet, say, say_exactly
from ai_memory.errors import AiMemoryError, BadRequestError, ConflictError, NotFoundError, StorageError
from ai_memory.model import packet as packets
from ai_memory.model import packet_text
from ai_memory.model.packet import PACKET_LIMIT, BadPacketError, Finding, Packet
from ai_memory.model.redaction import redacted_text

_ESCAPE = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|(["\\/]))')
#: How many parents `show` follows.
_CHAIN = 32
_LISTED = 50


#: Of one answer.
_LONGEST_LIST = 500


class RejectedError(BadRequestError):
    """What was to be sent is no packet."""


class StaysError(ConflictError):
    """What was sent was there already, and a packet does not move from one team, or user, to another."""


class RedactionError(AiMemoryError):
    """What was to be sent holds what may not travel."""


file_argument = click.argument("file", type=click.File("rb"), metavar="FILE|-")
allow_option = click.option(
    "--allow-unredacted", is_flag=True, help="Let secrets and local paths through, after a look at what was found."
)
copy_option = click.option("--copy", "to_clipboard", is_flag=True, help="To the clipboard, also with an ID.")
no_copy_option = click.option("--no-copy", is_flag=True, help="To standard output, never to the clipboard.")


# What goes out.


@click.command()
@file_argument
@team_option
@allow_option
@click.option(
    "--lenient", is_flag=True, help="Send what breaks the schema, too; it is searched for secrets all the same."
)
@host_option
@click.pass_context
def push(
    ctx: click.Context, file: IO[bytes], team: str, allow_unredacted: bool, lenient: bool, host: str | None
) -> None:
    """Send a packet to the server; prints its id.

    It is checked against the schema and searched for secrets and local paths first; where
    something is found nothing is sent. A packet with an id that is there already replaces it.

    \b
      ai-memory push packet.json
      ai-memory write --from packet.json | ai-memory push - --team core
    """  # noqa: D301 - \b is click's mark for a paragraph that is not re-wrapped
    _send(packet_server(ctx, host), file.read(), team, allow=allow_unredacted, lenient=lenient)


@click.command()
@click.argument("file", type=click.File("rb"), metavar="[FILE|-]", required=False)
@click.option("--edit", is_flag=True, help="Open it in $EDITOR first.")
@click.option("--session", default="", metavar="ID", help="The draft of this session, not of the newest one here.")
@team_option
@allow_option
@click.option(
    "--lenient", is_flag=True, help="Send what breaks the schema, too; it is searched for secrets all the same."
)
@host_option
@placed
@click.pass_context
def save(
    ctx: click.Context,
    place: Place,
    file: IO[bytes] | None,
    edit: bool,
    session: str,
    team: str,
    allow_unredacted: bool,
    lenient: bool,
    host: str | None,
) -> None:
    """Save where the work stands as a packet; prints its id.

    Without a file it takes the draft that was made of this directory's newest session. Every
    agent anywhere goes on from it with `ai-memory resume`.

    \b
      ai-memory save                     the draft, as it is
      ai-memory save --edit              look at it first, and make it better
      ai-memory save packet.json         what an agent wrote
    """  # noqa: D301 - the same
    server = packet_server(ctx, host)
    raw = file.read() if file else _draft(ctx, place, session)
    with _edited(raw) if edit else nullcontext(raw) as content:
        _send(server, content, team, allow=allow_unredacted, lenient=lenient)


@click.command()
@click.option(
    "--from", "source", required=True, metavar="SESSION|FILE|-", help="A session's id, `current`, or a JSON file."
)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write it there, not to stdout.")
@allow_option
@placed
@click.pass_context
def write(ctx: click.Context, place: Place, source: str, output: Path | None, allow_unredacted: bool) -> None:
    """Make a valid packet, without sending it.

    Of a session: its draft. Of a file: a JSON object with `goal`, `next_step` and what else there is
    to say (`ai-memory example` has every field); ltm_version, id and created_at are added.

    \b
      ai-memory write --from current -o packet.json
      echo '{"goal": "Move invoices to VAT per line", "next_step": "Test mixed rates"}' \\
        | ai-memory write --from - | ai-memory push -
    """  # noqa: D301 - the same
    packet = _packet(_source(ctx, place, source))
    _check(packets.scan(packet), allow=allow_unredacted)
    text = packets.stored_form(packet) + "\n"
    if output is None:
        say_exactly(text)
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise StorageError(f"{output} could not be written: {error.strerror}") from error
    quiet(f"packet {packet.id} is in {output}: `ai-memory push {output}` sends it")


# What comes back.


@click.command()
@click.argument("packet_id", metavar="ID")
@host_option
@click.pass_context
def pull(ctx: click.Context, packet_id: str, host: str | None) -> None:
    """Print a packet as JSON, as the server has it."""
    say_exactly(_get(packet_server(ctx, host), packet_id).body.decode("utf-8", "replace").rstrip("\n") + "\n")


@click.command("ls")
@click.option("--limit", type=click.IntRange(1, 500), default=_LISTED, show_default=True, help="How many.")
@team_option
@json_option
@host_option
@click.pass_context
def list_packets(ctx: click.Context, limit: int, team: str, as_json: bool, host: str | None) -> None:
    """List packets, newest first: your own, or a team's."""
    server = packet_server(ctx, host)
    reply = server.ask("GET", "/v1/packets", {"limit": str(limit), "team": team})
    if as_json:
        say_exactly(reply.body.decode("utf-8", "replace"))
        return
    rows = _rows(reply)
    if not rows:
        whose = f" of team {team}" if team else ""
        quiet(
            f"no packets{whose} at {server.host} yet: `ai-memory save{f' -t {team}' if team else ''}` makes the first"
        )
        return
    say(packet_text.table(rows).rstrip())


@click.command("rm")
@click.argument("packet_id", metavar="ID")
@host_option
@click.pass_context
def remove(ctx: click.Context, packet_id: str, host: str | None) -> None:
    """Delete a packet; pushed again it is back."""
    packet_server(ctx, host).ask("DELETE", f"/v1/packets/{part(packet_id)}")
    say(f"deleted {packet_id}")


def show_packet(ctx: click.Context, packet_id: str, host: str | None, *, as_json: bool) -> None:
    """Print a packet for a reader, with the packets that it continues; as JSON it is the packet itself."""
    server = packet_server(ctx, host)
    try:
        reply = _get(server, packet_id)
    except RefusedError as error:
        if error.status != 404:
            raise
        raise NotFoundError(f"{error}: no packet {packet_id} at {server.host}. A page is named with its .md") from error
    if as_json:
        say_exactly(reply.body.decode("utf-8", "replace").rstrip("\n") + "\n")
        return
    packet = _received(server, reply)
    published = (reply.headers.get("x-ltm-published-at", ""), reply.headers.get("x-ltm-public-url", ""))
    say(packet_text.summary(packet, published if all(published) else None).rstrip())
    if parents := _parents(server, packet):
        say("\nIt continues\n" + "\n".join(f"  - {each.id}  {packet_text.line_of(each.goal)}" for each in parents))


@click.command()
@click.argument("packet_id", metavar="[ID]", required=False, default="")
@copy_option
@no_copy_option
@team_option
@host_option
@click.pass_context
def resume(ctx: click.Context, packet_id: str, to_clipboard: bool, no_copy: bool, team: str, host: str | None) -> None:
    """Give what the next agent should read to go on: a packet as a block of text.

    On a terminal you choose from your packets, and the block goes to the clipboard where there
    is one. With an id it is printed; in a pipe without an id the newest is.

    \b
      ai-memory resume                             choose, then paste
      ai-memory resume | claude                    the newest, at once
      ai-memory resume 01K7Q6D3ZJ8VY5N0RTB2XWMA9C
    """  # noqa: D301 - the same
    from ai_memory.cli.picker import pick

    server = packet_server(ctx, host)
    if not packet_id:
        rows = _rows(server.ask("GET", "/v1/packets", {"limit": str(_LISTED), "team": team}))
        if not rows:
            raise NotFoundError(f"there are no packets at {server.host} yet: `ai-memory save` makes the first")
        if sys.stdin.isatty() and sys.stdout.isatty():
            now = datetime.now(UTC)
            chosen = pick(f"Packets at {server.host}", [_option(row, now) for row in rows])
            if chosen is None:
                return
            packet_id, to_clipboard = rows[chosen][0], True
        else:
            packet_id = rows[0][0]
            quiet(f"the newest packet: {packet_id}")
    packet = _received(server, _get(server, packet_id))
    _hand_over(packet, to_clipboard=to_clipboard and not no_copy)


@click.command()
@click.option("--resume", "as_block", is_flag=True, help="As the block that the next agent would read.")
@no_copy_option
def example(as_block: bool, no_copy: bool) -> None:
    """Print a packet that has every field; needs no server and no account.

    \b
      ai-memory example                   to copy from
      ai-memory example --resume          what an agent is given
    """  # noqa: D301 - the same
    text = packets.example()
    if as_block:
        _hand_over(packets.parse(text.encode()), to_clipboard=sys.stdout.isatty() and not no_copy)
    else:
        say_exactly(text)


# Files, without a server.


@click.group("packet")
def packet_group() -> None:
    """Check and clean packets in files; nothing is sent anywhere."""


@packet_group.command()
@file_argument
@json_option
@click.pass_context
def validate(ctx: click.Context, file: IO[bytes], as_json: bool) -> None:
    """Say whether a file is a packet, and if not, which rule it breaks where."""
    raw = file.read()
    try:
        packet = packets.parse(raw)
    except BadPacketError as error:
        if not as_json:
            raise RejectedError(f"packet rejected: {error}") from error
        told = {"valid": False, "error": str(error), "stage": error.stage, "at": error.at, "keyword": error.keyword}
        click.echo(json.dumps(told, indent=2))
        ctx.exit(error.exit_code)
    if as_json:
        told = {"valid": True, "id": packet.id, "ltm_version": packet.ltm_version, "bytes": len(raw)}
        click.echo(json.dumps(told, indent=2))
        return
    say(f"✓ packet {packet.id}: spec v{packet.ltm_version}, {len(raw)} of {PACKET_LIMIT} bytes")


@packet_group.command()
@file_argument
@click.option("--write", "copy_to", type=click.File("wb", lazy=True), metavar="FILE|-", help="A copy without them.")
@json_option
@click.pass_context
def redact(ctx: click.Context, file: IO[bytes], copy_to: IO[bytes] | None, as_json: bool) -> None:
    """Say which secrets and local paths a packet holds; exit code 1 where there are any.

    With --write a copy is written in which each of them is replaced by its kind, as in
    [REDACTED:abs-path]; then the exit code is 0.
    """
    packet = _packet(file.read())
    findings = packets.scan(packet)
    if as_json:
        rows = [{"field": each.field, "kind": each.kind, "found": each.masked} for each in findings]
        click.echo(json.dumps({"findings": rows}, indent=2), err=copy_to is not None)
    else:
        for each in findings:
            click.echo(f"  - {each}", err=copy_to is not None)
    if copy_to is not None:
        text = packets.stored_form(_redacted(packet)) + "\n"
        copy_to.write(text.encode())
    elif findings:
        ctx.exit(1)
    elif not as_json:
        say("✓ nothing to redact")


# The parts.


def _send(server: PacketServer, raw: bytes, team: str, *, allow: bool, lenient: bool) -> None:
    """Check a packet, send it and print its id; nothing is asked of the network before it passed."""
    try:
        packet = packets.parse(raw)
    except BadPacketError as error:
        if not lenient:
            raise RejectedError(f"packet rejected: {error}") from error
        _check(_found_anywhere(raw), allow=allow)
        quiet(f"sent although it is no packet that this program knows: {error}")
        body, known = raw, ""
    else:
        _check(packets.scan(packet), allow=allow)
        # Of a key that is there twice only the last was looked at.
        body, known = packets.stored_form(packet).encode() if _repeats_a_key(raw) else raw, packet.id
    answer = server.ask("POST", "/v1/packets", {"team": team}, body).json()
    packet_id = str(answer.get("id") or known)
    say(packet_id)
    # Servers take a packet that they have, and leave it where it is without a word.
    if team and not _is_shared(server, team, packet_id):
        raise StaysError(
            f"the server had packet {packet_id} already and keeps it out of team {team}. `ai-memory pull {packet_id} "
            f"> FILE`, `rm {packet_id}`, `push FILE -t {team}` move it"
        )
    quiet(f"saved at {server.host}")


def _is_shared(server: PacketServer, team: str, packet_id: str) -> bool:
    """Tell whether a packet is a team's, as far as a list can tell."""
    rows = _rows(server.ask("GET", "/v1/packets", {"limit": str(_LONGEST_LIST), "team": team}))
    return len(rows) >= _LONGEST_LIST or packet_id in [row[0] for row in rows]


def _check(findings: list[Finding], *, allow: bool) -> None:
    """Stop a packet that holds what may not travel.

    Raises:
        RedactionError: it does, and nobody allowed it.
    """
    if not findings:
        return
    what = "is let through, as you allow" if allow else "is refused"
    click.echo(f"the packet has redactable content and {what}:", err=True)
    for each in findings:
        click.echo(harmless(f"  - {each}"), err=True)
    if not allow:
        click.echo(
            "hint: take it out (`ai-memory save --edit`, or `ai-memory packet redact FILE --write COPY`), or let it "
            "through with --allow-unredacted",
            err=True,
        )
        raise RedactionError("redaction failed")


def _found_anywhere(raw: bytes) -> list[Finding]:
    """Search what is no packet: its bytes as text, and every text of its JSON, also of keys that are there twice."""
    text = raw.replace(b"\0", b"").decode("utf-8", "replace")
    # A JSON that breaks off has its escapes all the same.
    texts = [text, _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else match[2], text)]
    pending: list[Any] = []
    with suppress(ValueError, RecursionError):
        # Pairs, not an object, which has room for one of two equal keys.
        pending.append(json.loads(raw, object_pairs_hook=list))
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list | tuple):
            pending += value
    return list(dict.fromkeys(each for text in texts for each in packets.scan_text(text)))


def _redacted(packet: Packet) -> Packet:
    """Take out what may not travel, and whatever else the memory would never store.

    Raises:
        RedactionError: it stands where nothing can stand in its place.
        BadRequestError: it is an id.
    """
    scrub = Scrubber().scrub
    clean = cleaned(packet, lambda text: redacted_text(scrub(text)))
    if left := packets.scan(clean):
        raise RedactionError(f"this cannot be taken out, write it anew: {', '.join(map(str, left))}")
    return clean


def _repeats_a_key(raw: bytes) -> bool:
    repeated = False

    def seen(pairs: list[tuple[str, Any]]) -> None:
        nonlocal repeated
        repeated |= len(dict(pairs)) < len(pairs)

    json.loads(raw, object_pairs_hook=seen)
    return repeated


def _packet(raw: bytes) -> Packet:
    try:
        return packets.parse(raw)
    except BadPacketError as error:
        raise RejectedError(f"packet rejected: {error}") from error


def _source(ctx: click.Context, place: Place, source: str) -> bytes:
    """Give the bytes that `--from` names, as a packet."""
    file = Path(source)
    if source not in {"-", "current"} and not file.is_file():
        if "/" in source or source.endswith(".json"):
            raise NotFoundError(f"there is no file {source}")
    elif source != "current":
        return _filled_in(sys.stdin.buffer.read() if source == "-" else file.read_bytes())
    return _draft(ctx, place, "" if source == "current" else source)


def _filled_in(raw: bytes) -> bytes:
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RejectedError(f"packet rejected: invalid json: {error}") from error
    if not isinstance(fields, dict):
        raise RejectedError("packet rejected: packet must be a JSON object")
    return json.dumps(packets.filled_in(fields, datetime.now(UTC))).encode()


def _draft(ctx: click.Context, place: Place, session: str) -> bytes:
    """Ask this machine's server for the draft of a session, or of the newest one of a directory's project."""
    answer = remote_of(ctx).get(
        "/admin/packets/draft", {**place.routing(), **({"session": session} if session else {})}
    )
    what = "packet, as it was saved," if answer["saved"] else "draft"
    quiet(f"the {what} of session {answer['session_id']} in {answer['scope']}")
    return json.dumps(answer["packet"]).encode()


@contextmanager
def _edited(raw: bytes) -> Iterator[bytes]:
    """Let somebody edit it; what was typed stays in a file until it was sent."""
    descriptor, name = tempfile.mkstemp(suffix=".json", prefix="packet-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(_readable(raw))
    try:
        click.edit(filename=name)
        yield Path(name).read_bytes()
    except BaseException:
        quiet(f"your text is kept in {name}: `ai-memory save {name} --edit` goes on with it")
        raise
    Path(name).unlink(missing_ok=True)


def _readable(raw: bytes) -> bytes:
    try:
        return (packets.canonical(packets.parse(raw)) + "\n").encode()
    except BadPacketError:
        return raw


def _get(server: PacketServer, packet_id: str) -> Reply:
    return server.ask("GET", f"/v1/packets/{part(packet_id)}")


def _received(server: PacketServer, reply: Reply) -> Packet:
    """Read a packet of an answer, also one that its server blew up beyond the limit with blanks and escapes."""
    body = reply.body
    try:
        if len(body) > PACKET_LIMIT:
            body = json.dumps(json.loads(body), ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
        return packets.parse(body)
    except (ValueError, RecursionError, BadPacketError) as error:
        raise RefusedError(f"{server.host} has a packet that this program cannot read: {error}") from error


def _rows(reply: Reply) -> list[tuple[str, str, str]]:
    """Read a list: id, created_at and goal of each packet."""
    found = reply.json().get("packets")
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    return [(str(row.get("id", "")), str(row.get("created_at", "")), str(row.get("goal", ""))) for row in rows]


def _option(row: tuple[str, str, str], now: datetime) -> str:
    packet_id, created_at, goal = row
    short, age = packet_text.short_id(packet_id), packet_text.relative_time(created_at, now)
    return f"{short} · {age} · {packet_text.line_of(goal)[:80]}"


def _parents(server: PacketServer, packet: Packet) -> list[Packet]:
    """Follow a packet to those that it continues, nearest first, as far as they are there."""
    found: dict[str, Packet] = {}
    while packet.parent_id and packet.parent_id not in found and len(found) < _CHAIN:
        try:
            packet = _received(server, _get(server, packet.parent_id))
        except AiMemoryError as error:
            if error.status != 404:
                raise
            break
        found[packet.id] = packet
    return list(found.values())


def _hand_over(packet: Packet, *, to_clipboard: bool) -> None:
    block = packet_text.resume_block(packet)
    if to_clipboard:
        try:
            copy(block)
        except ClipboardError as error:
            quiet(str(error))
        else:
            short = packet_text.short_id(packet.id)
            quiet(f"✓ packet {short} is on the clipboard ({len(block)} characters): paste it into the next agent")
            return
    say_exactly(block.rstrip("\n") + "\n")
