"""The draft of a session's packet, by rules alone: what another agent needs to go on, in the session's own words."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from ai_memory.compile.account import Account, Failure, first_request, last_request, sentences
from ai_memory.compile.session_page import session_path
from ai_memory.model.event import Observation
from ai_memory.model.handoff import one_line, shortened, stamp
from ai_memory.model.ids import ulid
from ai_memory.model.packet import PACKET_LIMIT, About, Attempt, Decision, Packet, Provenance, in_utc, stored_form
from ai_memory.model.packet_page import FOLDER
from ai_memory.model.scope import Project, plain_path
from ai_memory.model.session import Session

#: So many packets may follow each other out of one session.
DRAFTS = 32
#: Calls of tools that make a session worth a packet when it neither changed, broke nor decided anything.
_CALLS = 3
#: Code points of one field, and of a command in it.
_FIELD = 1_024
_TRIED = 600
#: So many changed files are named.
_FILES = 12

_HOME = re.compile(r"(?:[A-Za-z]:)?/(?:home|Users)/[^/]+|/root(?=/|$)")
_SENTENCES_END = re.compile(r".*[.!?…。！？](?=\s)", re.DOTALL)
_EXIT_CODE = re.compile(r"(?:error: )?(?:exit(?:ed)?(?: with)?(?: code| status)?:?) ?\d+\W*", re.IGNORECASE)
_PAGE = re.compile(rf"{FOLDER}/[0-9A-Z]{{10}}([0-9A-Z]{{15}})[0-9A-Z]\.md")
_TAG = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


def draft_id(session_id: UUID, started: datetime, number: int = 0) -> str:
    """Give the id of a session's draft: a ULID whose time is the session's start, the same each time.

    Args:
        session_id, started: of the session.
        number: 0 for its first packet, 1 for the one that follows a packet which the user has saved, and so on.
    """
    # The last of the 26 digits is the number.
    digest = int.from_bytes(sha256(session_id.bytes).digest()) >> 181
    return ulid(started, digest << 5 | number)


def mark_of(session_id: UUID) -> str:
    """Give what the packets of a session have in common, whenever it was thought to have begun."""
    return draft_id(session_id, datetime.fromtimestamp(0, UTC))[10:25]


def mark_in(path: str) -> str:
    """Give the mark of the session that a packet's page may be drafted of, "" for any other page."""
    found = _PAGE.fullmatch(path)
    return found[1] if found else ""


def is_of_session(session_id: UUID, path: str) -> bool:
    """Tell whether a page of a project is of a session: its own, or that of a packet which was drafted of it."""
    return path == session_path(session_id) or mark_in(path) == mark_of(session_id)


def has_substance(account: Account) -> bool:
    """Tell whether there is something to take along: a request, and work or a decision that followed from it."""
    work = account.files or account.failures or account.decisions or sum(account.tools.values()) >= _CALLS
    return bool(first_request(account) and work)


def drafted(
    session: Session,
    observations: Sequence[Observation],
    account: Account,
    project: Project,
    *,
    packet_id: str,
    parent_id: str = "",
) -> Packet | None:
    """Compile the packet of a session so far, None where it has too little substance.

    Args:
        session: the session.
        observations: all of its observations.
        account: what they amount to.
        project: where it worked.
        packet_id, parent_id: of the packet, and of the one that it follows.
    """
    if not has_substance(account):
        return None
    said = _Portable(session.cwd)
    packet = Packet(
        ltm_version="0.2",
        id=packet_id,
        parent_id=parent_id,
        created_at=stamp(session.last),
        project=About(project.name, shortened(project.identity, 256)),
        goal=said.in_field(first_request(account)),
        decisions=tuple(Decision(said.in_field(each.text), said.in_field(each.why)) for each in account.decisions),
        attempts=(*(_attempt(each, said) for each in account.failures), *_work(account, said)),
        open_questions=tuple(said.in_field(each) for each in account.questions),
        next_step=said.in_field(_next_step(account)),
        tags=(session.agent,) if _TAG.fullmatch(session.agent) else (),
        provenance=Provenance(source_hash=deque(_source_hashes(observations), 1).pop()),
    )
    return _fitting(packet)


def _next_step(account: Account) -> str:
    """Say what is to be done first. Of a turn that was not finished no answer has said it."""
    last = last_request(account)
    if account.finished and account.next_steps:
        return ", then ".join(step.rstrip(". ") for step in account.next_steps)
    if not account.finished:
        why = f" ({account.interruption})" if account.interruption else ""
        return f"Continue the request whose turn was not finished{why}: {last}"
    if broken := [failure.what for failure in account.failures if not failure.fixed]:
        return f"Look at what failed and was not seen to work since: {'; '.join(reversed(broken))}"
    return f"Check the outcome of: {last}"


def _work(account: Account, said: _Portable) -> Iterator[Attempt]:
    """Say which files were changed, and how the agent itself put it."""
    if account.files:
        more = f" and {len(account.files) - _FILES} more" if len(account.files) > _FILES else ""
        is_done = account.finished and all(failure.fixed for failure in account.failures)
        yield Attempt(
            said.in_field(f"Changed {', '.join(account.files[:_FILES])}{more}"),
            "succeeded" if is_done else "partial",
            said.in_field(next(iter(sentences(account.last_answer)), "")),
        )


def _attempt(failure: Failure, said: _Portable) -> Attempt:
    lines = [line.strip() for line in failure.said.splitlines()]
    told = [line for line in lines if line and not _EXIT_CODE.fullmatch(line)] or [line for line in lines if line]
    learned = said.in_field(told[0]) if told else ""
    if failure.fixed:
        learned = said.in_field(f"It failed at first: {learned}" if learned else "It failed at first.")
    return Attempt(shortened(said.in_field(failure.what), _TRIED), "succeeded" if failure.fixed else "failed", learned)


def gone_on(packet: Packet, observations: Sequence[Observation]) -> Sequence[Observation]:
    """Give what a session did after a packet of it was drafted.

    Args:
        packet: as somebody has saved it.
        observations: all of the session.
    """
    source = packet.provenance.source_hash if packet.provenance else ""
    for number, digest in enumerate(_source_hashes(observations), 1):
        if digest == source:
            return observations[number:]
    # Who saved it took the hash out, or something of before came late.
    since = in_utc(packet.created_at)
    return [each for each in observations if f"{each.at:%Y-%m-%dT%H:%M:%S.%f000Z}" > since]


def _source_hashes(observations: Iterable[Observation]) -> Iterator[str]:
    """Give the hash of the first observation, of the first two, and so on."""
    digest = sha256()
    for each in observations:
        digest.update(f"{each.at.isoformat()}\0{each.kind}\0{each.title}\0{each.body}\n".encode("utf-8", "replace"))
        yield f"sha256:{digest.hexdigest()}"


def _fitting(packet: Packet) -> Packet:
    """Leave out what is oldest in the longest list, until the packet may travel."""
    while len(stored_form(packet).encode()) > PACKET_LIMIT:
        lists = {name: getattr(packet, name) for name in ("attempts", "decisions", "open_questions")}
        longest = max(lists, key=lambda name: len(lists[name]))
        packet = replace(packet, **{longest: lists[longest][1:]})
    return packet


class _Portable:
    """Writes texts without the paths of one machine, as far as they lie in the session's directory or its home."""

    def __init__(self, cwd: str) -> None:
        here = plain_path(cwd)
        home = _HOME.match(here)
        folders = {here: "", home[0] if home else "": "$HOME/"}
        self._changes = [(_path_of(folder), new) for folder, new in folders.items() if len(folder) > 1]

    def in_field(self, text: str) -> str:
        """Give a text as one field: portable, on one line, cut behind a sentence where it is too long."""
        for pattern, new in self._changes:
            pieces = pattern.split(text)
            for at in range(1, len(pieces), 2):
                # The directory itself, and not what is in it.
                pieces[at] = new if pieces[at] else new.rstrip("/") or "./"
            text = "".join(pieces)
        line = one_line(text)
        if len(line) <= _FIELD:
            return line
        whole = _SENTENCES_END.match(line[: _FIELD + 1])
        return whole[0] if whole else shortened(line, _FIELD)


def _path_of(folder: str) -> re.Pattern[str]:
    """Match a folder in a text, and as group the slashes behind it where a name follows.

    Whole names only, and from the root on: `/w/shop` is neither in `/w/shop2` nor in `/mnt/w/shop`.
    """
    slash, name = r"[/\\]", r"[\w.*@{$\[~+-]"
    before = r"(?:(?<![\w.~/\\-])|(?<=\s-[A-Za-z])|(?<=file://))"
    path = slash.join(re.escape(part) for part in folder.split("/"))
    return re.compile(rf"{before}{path}(?:({slash}+)(?={name})|{slash}*(?![\w@~+-]|\.\w|{slash}+{name}))")
