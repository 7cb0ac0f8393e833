"""Packets: pushed, read, listed and deleted. A push is answered when it is in the inbox; a page it becomes soon after.

Whose a packet is follows from the project that its page is in, so that no page claims to be somebody else's: in the
workspace of a user it is that user's, in the one of a team the team's, anywhere else it belongs to who runs the server.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from ai_memory.capture.packet import scrubbed
from ai_memory.errors import AiMemoryError, BadRequestError, BusyError, ConflictError, NotFoundError, StorageError
from ai_memory.memory.accounts import OWNER
from ai_memory.memory.meters import Meter
from ai_memory.memory.pages import NOBODY, Pages, Writer
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.memory.teams import TeamNotFoundError
from ai_memory.model.handoff import one_line, shortened, stamp
from ai_memory.model.packet import Packet, in_utc, parse
from ai_memory.model.packet_page import packet_of, page_path, page_text
from ai_memory.model.scope import GLOBAL_PROJECT, Project, Routing
from ai_memory.store.operations import UnfinishedOperationError
from ai_memory.store.packet_inbox import Waiting
from ai_memory.store.packet_index import PacketRow
from ai_memory.store.steps import Step, reached
from ai_memory.store.teams import Team

__all__ = ["OWNER", "Kept", "Listed", "Packets", "Push"]

#: Of one user.
_MOST_PACKETS = 100_000
#: So many may wait to become pages.
_MOST_WAITING = 20_000
#: Pages that one commit makes: the wiki is locked meanwhile.
_AT_ONCE = 50
#: Packets in a line, one the parent of the next.
_LONGEST_CHAIN = 32
#: The repository in which the packets of a user, or of a team, are.
_REPO = "packets"
_TEAM = "team:"
_NAMED = 3


class PacketNotFoundError(NotFoundError):
    """There is no such packet for that user."""


class PacketTakenError(ConflictError):
    """A packet of that id is there, and somebody else's."""


class PacketPurgedError(ConflictError):
    """The packet was purged, and stays so."""


class TooManyPacketsError(ConflictError):
    """A user has as many packets as one may have."""


@dataclass(frozen=True, slots=True)
class Push:
    """A packet as it came, from a user, for a team of that name or "" for its pusher alone."""

    user: str
    body: bytes
    team: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A packet that is kept.

    Attributes:
        packet: it.
        text: its stored form.
        owner: the user id of who pushed it.
        team: the name of the team that it is for, "" for a personal one.
        project: label of the project that its page is in.
        path: of its page.
        draft: whether nobody has saved it yet.
        refused: what in it may not travel, masked; of a draft only.
    """

    packet: Packet
    text: str
    owner: str
    team: str
    project: str
    path: str
    draft: bool = False
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A packet in a list."""

    id: str
    created_at: str
    goal: str


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a packet is: its page or "" for none yet, and what of it waits in the inbox."""

    id: str
    owner: str
    team: str
    draft: bool
    project_id: UUID
    path: str
    waiting: Waiting | None = None


@dataclass(frozen=True, slots=True)
class _Sight:
    """What a user may do, by the teams that the user is in: id -> team."""

    user: str
    teams: Mapping[str, Team]

    def may_read(self, found: _Found) -> bool:
        """Every member of its team may, or its owner alone."""
        return found.team in self.teams if found.team else found.owner == self.user

    def may_delete(self, found: _Found) -> bool:
        """Whoever made it may, also after leaving the team; and the team's owner."""
        team = self.teams.get(found.team)
        return found.owner == self.user or (team is not None and team.owner == self.user)

    def may_write(self, found: _Found) -> bool:
        """Whoever may read it and delete it may."""
        return self.may_read(found) and self.may_delete(found)


#: Where packets are, by id: the inbox first.
_Places = dict[str, list[_Found]]
#: `Packets` has a method of the name.
_Answers = list[Packet | AiMemoryError]
_Chain = list[Listed]


class Packets:
    """The packets of all users."""

    def __init__(self, stores: Stores, projects: Projects, pages: Pages) -> None:
        self._stores = stores
        self._projects = projects
        self._pages = pages
        self._inbox = stores.state.inbox
        # Held over look and push; before the wiki's lock, never under it.
        self._lock = threading.Lock()
        #: Packets of users who have pushed since the start, at most: deletes are not subtracted.
        self._counts: dict[str, int] = {}
        self._due = True
        #: Called after a push: what was pushed is to become pages.
        self.on_due: Callable[[], object] = lambda: None
        self.meter = Meter()

    # In

    def push(self, pushes: Sequence[Push]) -> _Answers:
        """Store packets; they are on disk when this returns.

        Returns:
            for each of them the packet as it is stored, or the error that refuses it: TeamNotFoundError,
            BadPacketError, PacketTakenError, PacketPurgedError, TooManyPacketsError, or of the disk.
        """
        # A body made for it is scrubbed for half a second: nobody else waits for that.
        read = [self._read(each.body) for each in pushes]
        with self._lock:
            if self._inbox.count() >= _MOST_WAITING:
                self.shed()
                return [BusyError(f"{_MOST_WAITING:,} packets wait to become pages: push later") for _ in pushes]
            sights: dict[str, _Sight] = {}
            taken = [self._taken(push, packet, sights) for push, packet in zip(pushes, read, strict=True)]
            packets = [each[0] for each in taken if not isinstance(each, AiMemoryError)]
            known = self._known({packet.id for packet in packets})
            pages = self._stores.packets.at({page_path(packet.id) for packet in packets})
            homes, new = self._projects.users(), []
            answers: _Answers = []
            for each in taken:
                try:
                    if isinstance(each, AiMemoryError):
                        raise each
                    packet, stored, sight, team = each
                    waiting = self._placed(packet, stored, sight, team, known, pages, homes)
                except AiMemoryError as error:
                    answers.append(error)
                    continue
                new.append(waiting)
                known.setdefault(packet.id, []).insert(0, _waits(waiting))
                answers.append(packet)
            try:
                self._inbox.add(new)
            except StorageError as error:
                self.failed(error)
                return [each if isinstance(each, AiMemoryError) else error for each in answers]
            reached(Step.PACKETS_STORED)
        if new:
            self._due = True
            self.on_due()
            self.meter.count("pushed", self._stores.clock(), len(new))
        if len(answers) > len(new):
            self.meter.count("refused", self._stores.clock(), len(answers) - len(new))
        return answers

    def _read(self, body: bytes) -> tuple[Packet, str] | AiMemoryError:
        """Read a packet as it came: without secrets, and its stored form."""
        try:
            return scrubbed(parse(body), self._stores.scrubber.scrub)
        except AiMemoryError as error:
            return error

    def _taken(
        self, push: Push, read: tuple[Packet, str] | AiMemoryError, sights: dict[str, _Sight]
    ) -> tuple[Packet, str, _Sight, str] | AiMemoryError:
        """Say of a push what it is, its stored form, who pushes, and the id of the team."""
        try:
            if push.user not in sights:
                sights[push.user] = self._sight(push.user)
            sight = sights[push.user]
            team = self._team(sight, push.team).id if push.team else ""
            return read if isinstance(read, AiMemoryError) else (*read, sight, team)
        except AiMemoryError as error:
            return error

    def _placed(
        self,
        packet: Packet,
        stored: str,
        sight: _Sight,
        team: str,
        known: _Places,
        pages: Mapping[tuple[UUID, str], str],
        homes: Mapping[UUID, str],
    ) -> Waiting:
        """Say where a packet goes; one that is there stays where it is, and whose it is."""
        there = known.get(packet.id)
        found = next(filter(sight.may_write, there or ()), None)
        if there and found is None:
            raise PacketTakenError(f"a packet {packet.id} is there and not yours to change: give yours another id")
        # A draft has no scope yet, so that it may become a team's.
        if found and not (found.draft and team):
            owner, team, path = found.owner, found.team, found.path or page_path(packet.id)
            project = self._projects.now(found.project_id) or self._home(packet, owner, team, homes)
        else:
            owner, path = sight.user, page_path(packet.id)
            self._check_new(packet.id, path, sight, homes)
            project = self._home(packet, owner, team, homes)
            if pages.get((project.id, path), packet.id) != packet.id:
                raise PacketTakenError(f"the page {path} of {project.label} is another packet: give yours another id")
            self._counts[owner] += 1
        if refusal := self._stores.operations.refusal(project.id):
            raise UnfinishedOperationError(refusal)
        return Waiting(
            0, packet.id, owner, team, project.id, in_utc(packet.created_at), packet.created_at, packet.goal, stored
        )

    def _check_new(self, packet_id: str, path: str, sight: _Sight, homes: Mapping[UUID, str]) -> None:
        owner = sight.user
        for project_id, gone in list(self._stores.wiki.gone.items()):
            tombstone = gone.get(path)
            if tombstone and tombstone.is_purge:
                raise PacketPurgedError(f"packet {packet_id} was purged on {stamp(tombstone.at)} and cannot come back")
            if tombstone and not self._may_revive(sight, homes.get(project_id)):
                raise PacketTakenError(f"a packet {packet_id} was somebody else's: give yours another id")
        if self._counts.get(owner, _MOST_PACKETS) >= _MOST_PACKETS:
            self._counts[owner] = self._count(owner)
        if self._counts[owner] >= _MOST_PACKETS:
            raise TooManyPacketsError(f"you have {_MOST_PACKETS:,} packets, which is the most: delete some first")

    def _may_revive(self, sight: _Sight, home: str | None) -> bool:
        """Tell whether a packet that was deleted in a home may be pushed again: its owner may, and every member."""
        if home and home.startswith(_TEAM):
            team = home.removeprefix(_TEAM)
            return team in sight.teams or self._stores.state.teams.team(team) is None
        return home is None or (home or OWNER) == sight.user

    def _count(self, owner: str) -> int:
        homes, waiting = self._projects.users(), self._inbox.ids_of(owner)
        count = len(waiting - {row.id for row in self._stores.packets.called(waiting)})
        for project_id in self._stores.packets.projects():
            by_owner, home = self._stores.packets.count_by_owner(project_id), homes.get(project_id, "")
            if home.startswith(_TEAM):
                count += by_owner.get(owner, 0)
            elif (home or OWNER) == owner:
                count += sum(by_owner.values())
        return count

    def _home(self, packet: Packet, owner: str, team: str, homes: Mapping[UUID, str]) -> Project:
        """Find the project for the page of a new packet, or make it."""
        if team:
            return self._projects.ensure_of_user(f"{_TEAM}{team}", _REPO)
        if owner != OWNER:
            return self._projects.ensure_of_user(owner, _REPO)
        wanted = packet.project.name.casefold() if packet.project else ""
        called = [
            each
            for each in self._projects.all()
            if each.name.casefold() == wanted and each.name != GLOBAL_PROJECT and not homes.get(each.id)
        ]
        return called[0] if len(called) == 1 else self._projects.ensure(Routing()).project

    # From the inbox into pages

    def has_due(self) -> bool:
        """Tell whether packets wait that nobody has tried to make pages of."""
        return self._due

    def settle(self, seconds: float = math.inf) -> int:
        """Make pages of what waits, for about so long; gives how many commits that took.

        A packet that cannot be written waits on, keeps nobody from being written, and is in `status`.

        Raises:
            StorageError: nothing can be committed now; all of it waits.
        """
        self._due, commits, behind = False, 0, 0
        end = time.monotonic() + seconds
        while waiting := self._inbox.waiting(_AT_ONCE, behind=behind):
            if time.monotonic() >= end:
                self._due = True
                break
            behind = waiting[-1].n
            try:
                commits += self._settle(waiting)
            except BaseException:
                self._due = True
                raise
        return commits

    def _settle(self, waiting: Sequence[Waiting]) -> int:
        # A purge may have come between; a project that is missing now is made before the wiki is locked.
        homes = {each.n: self._home_of(each) for each in waiting}
        with self._stores.wiki.lock:
            self._stores.wiki.git.check_free()
            still = {each.n for each in self._inbox.waiting(_AT_ONCE, behind=waiting[0].n - 1)}
            newest = {each.id: each for each in waiting if each.n in still}
            rows = sorted(newest.values(), key=lambda each: (str(homes[each.n].id), each.n))
            commits = 0
            for project_id, group in groupby(rows, lambda each: homes[each.n].id):
                commits += self._tried(project_id, list(group))
            return commits

    def _tried(self, project_id: UUID, packets: Sequence[Waiting]) -> int:
        """Write packets of one project; one that something is in the way of waits on, the others do not."""
        try:
            return self._write(project_id, packets)
        except UnfinishedOperationError as error:
            self.failed(error)
            return 0
        except StorageError:
            raise
        except AiMemoryError as error:
            if len(packets) > 1:
                return sum(self._tried(project_id, [each]) for each in packets)
            self.failed(error)
            return 0

    def _home_of(self, waiting: Waiting) -> Project:
        home = self._projects.now(waiting.project_id)
        if home:
            return home
        return self._home(parse(waiting.body.encode()), waiting.owner, waiting.team, self._projects.users())

    def _write(self, project_id: UUID, packets: Sequence[Waiting]) -> int:
        """Write packets of one project in one commit, and take them out of the inbox."""
        there = {row.id: row.path for row in reversed(self._rows_in(project_id, packets))}
        texts = {}
        for each in packets:
            team = self._stores.state.teams.team(each.team) if each.team else None
            if each.team and team is None:
                # It was deleted this moment, with what waits for it.
                continue
            path = there.get(each.id, page_path(each.id))
            texts[path] = page_text(parse(each.body.encode()), each.owner, each.team)
        owners = {each.owner for each in packets}
        user = owners.pop() if len(owners) == 1 else OWNER
        project = self._projects.get(project_id)
        named = ", ".join(one_line(each.id) for each in packets[:_NAMED])
        more = f" and {len(packets) - _NAMED} more" if len(packets) > _NAMED else ""
        writer = NOBODY if user == OWNER else Writer(user=user)
        subject = f"save-packet {project.label}: {named}{more}"
        oid = self._pages.write_several(project, texts, writer, subject=subject) if texts else ""
        self._drop_drafts(project_id, [each.id for each in packets if each.team and each.owner == OWNER], writer)
        reached(Step.PACKETS_WRITTEN)
        self._inbox.remove(packets)
        reached(Step.PACKETS_SETTLED)
        self.meter.count("written", self._stores.clock(), len(texts))
        return int(bool(oid))

    def _drop_drafts(self, home: UUID, ids: Sequence[str], writer: Writer) -> None:
        """Take away the drafts of packets that are a team's now, without tombstones: their sessions may go on."""
        homes = self._projects.users()
        drafts = [row for row in self._stores.packets.called(ids) if row.draft and row.project_id != home]
        for row in drafts:
            if homes.get(row.project_id) == "":
                project = self._projects.get(row.project_id)
                subject = f"save-packet {project.label}: {row.id} is a team's now"
                self._pages.write_several(project, {}, writer, moved=[row.path], subject=subject)

    def _rows_in(self, project_id: UUID, packets: Sequence[Waiting]) -> Sequence[PacketRow]:
        return [row for row in self._stores.packets.called(each.id for each in packets) if row.project_id == project_id]

    def shed(self) -> None:
        """Count a push that was refused because too many wait."""
        self.meter.count("shed_saturated", self._stores.clock())

    def failed(self, error: Exception) -> None:
        """Count a step that could not be done, and keep its error for `status`."""
        self.meter.failed(error, self._stores.clock())

    def counts(self) -> dict[str, int]:
        """Count the packets of everybody: saved ones, drafts, and what waits to become a page."""
        index = self._stores.packets
        return {"saved": index.count(drafts=False), "drafts": index.count(drafts=True), "waiting": self._inbox.count()}

    # Out

    def get(self, user: str, packet_id: str) -> Kept:
        """Read a packet that a user may read.

        Raises:
            PacketNotFoundError: there is none for that user.
        """
        sight = self._sight(user)
        for found in self._known([packet_id]).get(packet_id, ()):
            if sight.may_read(found) and (kept := self._kept(found, sight)):
                return kept
        raise PacketNotFoundError("not found")

    def list(self, user: str, *, team: str = "", limit: int = 50) -> Sequence[Listed]:
        """List the personal packets of a user, or those of a team of that name, without drafts; the newest first.

        Raises:
            TeamNotFoundError: there is no such team, or the user is not in it.
        """
        sight = self._sight(user)
        team_id = self._team(sight, team).id if team else ""
        # Before the pages: what becomes one meanwhile is found twice, not never.
        waiting = self._inbox.newest(user, team_id, limit)
        homes, more = self._homes_of(f"{_TEAM}{team_id}" if team_id else user), limit
        while True:
            rows = self._stores.packets.newest(homes, more)
            again = self._inbox.called(row.id for row in rows)
            # What was pushed again may stand further down now.
            if len(rows) < more or len(rows) - len(again) >= limit:
                break
            more *= 2
        every: dict[str, Waiting | PacketRow] = {row.id: row for row in rows}
        every |= waiting
        every |= {id_: each for id_, each in again.items() if (each.team or each.owner) == (team_id or user)}
        newest = sorted(every.values(), key=lambda each: (each.created, each.id), reverse=True)
        return [Listed(each.id, each.created_at, each.goal) for each in newest[:limit]]

    def drafts(self, user: str, project: Project | None = None, limit: int = 50) -> Sequence[Listed]:
        """List drafts of packets, the newest first; only who runs the server has any.

        Args:
            user: whose.
            project: only of this one.
            limit: so many.
        """
        homes = self._homes_of(user) if user == OWNER else set()
        if project:
            homes &= {project.id}
        rows = self._stores.packets.newest(homes, limit, drafts=True)
        return [Listed(row.id, row.created_at, row.goal) for row in rows]

    def of_project(self, user: str, project: Project, limit: int, offset: int = 0) -> tuple[Sequence[PacketRow], int]:
        """List packets of a project, drafts too, the newest first, and say how many there are in all.

        What somebody else has there is not listed, and what waits to become a page is not there yet.

        Args:
            user: who looks.
            project, limit, offset: where, how many, and from which one on.
        """
        home = self._projects.users().get(project.id, "")
        sight = self._sight(user)
        may_read = home.removeprefix(_TEAM) in sight.teams if home.startswith(_TEAM) else (home or OWNER) == user
        return self._stores.packets.of_project(project.id, limit, offset) if may_read else ([], 0)

    def on_page(self, user: str, project: Project, path: str) -> str:
        """Give the id of the packet that a page is, "" for none that a user may read; a draft is none."""
        packet_id = self._stores.packets.at([path]).get((project.id, path), "")
        try:
            return self.get(user, packet_id).packet.id if packet_id else ""
        except PacketNotFoundError:
            return ""

    def places(self, user: str, ids: Iterable[str]) -> Mapping[str, Project]:
        """Say in which project each of these packets is; those that a user may not read are left out."""
        sight, places = self._sight(user), {}
        for id_, there in self._known(set(ids)).items():
            found = next(filter(sight.may_read, there), None)
            if found and (project := self._projects.now(found.project_id)):
                places[id_] = project
        return places

    def following(self, user: str, packet_id: str) -> Sequence[Listed]:
        """List the packets that go on from a packet, the newest first, as far as the user may read them."""
        rows = {row.id: row for row in self._stores.packets.following(packet_id)}
        readable = self.places(user, rows)
        return [Listed(row.id, row.created_at, row.goal) for row in rows.values() if row.id in readable]

    def chain(self, user: str, packet_id: str) -> Sequence[Listed]:
        """List the packets that a packet goes on from, the nearest first, as far as the user may read them.

        Raises:
            PacketNotFoundError: there is no such packet for that user.
        """
        seen = {packet_id}
        found: _Chain = []
        parent = self.get(user, packet_id).packet.parent_id
        while parent and parent not in seen and len(found) < _LONGEST_CHAIN:
            seen.add(parent)
            try:
                packet = self.get(user, parent).packet
            except PacketNotFoundError:
                break
            found.append(Listed(packet.id, packet.created_at, packet.goal))
            parent = packet.parent_id
        return found

    def delete(self, user: str, packet_id: str) -> None:
        """Delete a packet; its page leaves a tombstone, and whoever may push it again brings it back.

        Raises:
            PacketNotFoundError: there is none that the user may delete.
            StorageError: it could not be deleted.
        """
        sight = self._sight(user)
        with self._stores.wiki.lock:
            found = next(filter(sight.may_delete, self._known([packet_id]).get(packet_id, ())), None)
            if found is None:
                raise PacketNotFoundError("not found")
            writer = NOBODY if user == OWNER else Writer(user=user)
            if found.path:
                self._pages.delete(self._projects.get(found.project_id), found.path, writer)
            elif project := self._projects.now(found.project_id):
                # It leaves a tombstone, too: its id is not free for others.
                path = page_path(found.id)
                subject = f"delete-page {project.label}: {path}"
                self._pages.write_several(project, {}, writer, deleted={path: path}, subject=subject)
            if found.waiting:
                self._inbox.remove([found.waiting])
        self.meter.count("deleted", self._stores.clock())

    def clear_team(self, team_id: str) -> None:
        """Delete the pages of a team that is gone.

        Raises:
            StorageError: they could not be deleted.
        """
        with self._stores.wiki.lock:
            for project in self._projects.of_user(f"{_TEAM}{team_id}"):
                paths = [row.path for row in self._stores.pages.pages(project.id)]
                if paths:
                    deleted = {path: path for path in paths}
                    self._pages.write_several(
                        project, {}, NOBODY, deleted=deleted, subject=f"delete-team {project.label}"
                    )

    # The steps

    def _sight(self, user: str) -> _Sight:
        if not user or user.startswith(_TEAM) or self._stores.scrubber.scrub(user) != user:
            raise BadRequestError(f"{shortened(self._stores.scrubber.scrub(user), 40)!r} cannot be a user")
        return _Sight(user, {team.id: team for team in self._stores.state.teams.of(user)})

    def _team(self, sight: _Sight, name: str) -> Team:
        for team in sight.teams.values():
            if team.name == name:
                return team
        raise TeamNotFoundError("team not found")

    def _homes_of(self, whose: str) -> set[UUID]:
        """List the projects with packets of a user, or of a team ("team:" and its id)."""
        homes = self._projects.users()
        return {each for each in self._stores.packets.projects() if each in homes and (homes[each] or OWNER) == whose}

    def _known(self, ids: Iterable[str]) -> _Places:
        """Find packets by their ids, whosever they are: what waits first, which is newer than its page."""
        wanted = list(ids)
        # As in `list`.
        waiting = self._inbox.called(wanted)
        found: _Places = {id_: [_waits(each)] for id_, each in waiting.items()}
        homes = self._projects.users()
        for row in self._stores.packets.called(wanted):
            home = homes.get(row.project_id)
            if home is None:
                continue
            team = home.removeprefix(_TEAM) if home.startswith(_TEAM) else ""
            owner = row.owner if team else home or OWNER
            each = _Found(row.id, owner, team, row.draft and owner == OWNER, row.project_id, row.path)
            others = found.setdefault(row.id, [])
            same = others[0].waiting if others and (others[0].owner, others[0].team) == (owner, team) else None
            if same and not others[0].path:
                others[0] = _Found(row.id, owner, team, False, row.project_id, row.path, same)
            else:
                others.append(each)
        return found

    def _kept(self, found: _Found, sight: _Sight) -> Kept | None:
        """Read a packet where it is; None where its page is missing, or was broken by somebody."""
        project = self._projects.now(found.project_id)
        label, team = project.label if project else "", sight.teams[found.team].name if found.team else ""
        if found.waiting:
            text = found.waiting.body
            path = found.path or page_path(found.id)
            return Kept(parse(text.encode()), text, found.owner, team, label, path)
        text = ""
        if project:
            with suppress(StorageError):
                text = self._stores.wiki.read(project, found.path) or ""
        page = packet_of(self._stores.scrubber.scrub(text))
        if page is None or page.packet.id != found.id:
            return None
        return Kept(page.packet, page.text, found.owner, team, label, found.path, found.draft, page.refused)


def _waits(waiting: Waiting) -> _Found:
    return _Found(waiting.id, waiting.owner, waiting.team, False, waiting.project_id, "", waiting)
