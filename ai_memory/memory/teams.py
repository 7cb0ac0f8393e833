"""Teams: users who share packets. Whoever is no member hears that there is no such team."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ai_memory.capture.plain import harmless
from ai_memory.errors import AiMemoryError, BadRequestError, BusyError, ConflictError, NotFoundError
from ai_memory.memory.accounts import Accounts, digest
from ai_memory.memory.stores import Stores
from ai_memory.model.handoff import shortened
from ai_memory.model.ids import ulid
from ai_memory.store.steps import Step, reached
from ai_memory.store.teams import Team

__all__ = ["Accepted", "Invite", "Member", "Team", "Teams"]

#: Of one user.
_MOST_TEAMS = 100
_MOST_INVITES = 1_000
_INVITE_TIME = timedelta(days=7)
_INVITE_BYTES = 24
_LONGEST_DISPLAY = 100
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class TeamNotFoundError(NotFoundError):
    """There is no such team for that user."""


class MemberNotFoundError(NotFoundError):
    """That user is not in the team."""


class NotOwnerError(AiMemoryError):
    """Only the owner of a team may do that."""

    status = 403


class TeamTakenError(ConflictError):
    """Another team has that name."""


class TooManyTeamsError(ConflictError):
    """A user has as many teams as one may have."""


class InviteGoneError(AiMemoryError):
    """The invite has expired, was taken, or never was one."""

    status = 410


@dataclass(frozen=True, slots=True)
class Member:
    """One member: user id, name, "owner" or "member", when they joined, and the address, "" where nobody said one."""

    user: str
    display: str
    role: str
    joined_at: datetime
    email: str = ""


@dataclass(frozen=True, slots=True)
class Invite:
    """An invite for one person: whoever has its code may take it until it expires."""

    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Accepted:
    """Who joined which team; the token of a user who was made by that, else ""."""

    user_id: str
    display: str
    team: Team
    token: str = ""


class Teams:
    """The teams of one memory."""

    def __init__(self, stores: Stores, accounts: Accounts, clear: Callable[[str], None]) -> None:
        """Compose; `clear` deletes the pages of the team of an id, which is nobody's any more."""
        self._stores = stores
        self._rows = stores.state.teams
        self._accounts = accounts
        self._clear = clear

    def create(self, user: str, name: str) -> Team:
        """Make a team, whose owner and first member is the user.

        Raises:
            BadRequestError: that cannot be the name of a team.
            TeamTakenError: another one, of whomever, has it.
            TooManyTeamsError: the user has as many as one may have.
        """
        if not _NAME.fullmatch(name) or self._stores.scrubber.scrub(name) != name:
            raise BadRequestError(
                "the name of a team has 1 to 40 signs of a-z, 0-9, '_' and '-', and begins with a letter or digit"
            )
        now = self._stores.clock()
        team = Team(ulid(now), name, user, now)
        with self._stores.state.together():
            if sum(each.owner == user for each in self._rows.of(user)) >= _MOST_TEAMS:
                raise TooManyTeamsError(f"you own {_MOST_TEAMS} teams, which is the most: delete one first")
            if not self._rows.add(team):
                raise TeamTakenError("team name already taken")
        return team

    def of(self, user: str) -> list[Team]:
        """List a user's teams, the oldest first."""
        return self._rows.of(user)

    def named(self, user: str, name: str) -> Team:
        """Find a team of a user.

        Raises:
            TeamNotFoundError: there is none, or the user is not in it.
        """
        team = self._rows.named(name)
        if team is None or not self._rows.has(team.id, user):
            raise TeamNotFoundError("team not found")
        return team

    def delete(self, user: str, name: str) -> None:
        """Delete a team with its invites and packets; nobody can read these from the first moment on.

        Raises:
            TeamNotFoundError: as `named`.
            NotOwnerError: the user is not its owner.
            StorageError: its pages could not be deleted yet; they will be.
        """
        team = self._owned(user, name)
        self._rows.end(team.id)
        reached(Step.TEAM_ENDED)
        self.clear_gone()

    def clear_gone(self) -> None:
        """Delete the pages of teams that are gone; a crash may have come between."""
        for team_id in self._rows.gone():
            self._clear(team_id)
            reached(Step.TEAM_CLEARED)
            self._rows.forget(team_id)

    def members(self, user: str, name: str) -> list[Member]:
        """List the members of a team, in the order in which they joined.

        Raises:
            TeamNotFoundError: as `named`.
        """
        team = self.named(user, name)
        joined = self._rows.members(team.id)
        users = self._accounts.users(each for each, _ in joined)
        return [
            Member(each, users[each].display, "owner" if each == team.owner else "member", at, users[each].email)
            for each, at in joined
        ]

    def remove(self, user: str, name: str, member: str) -> None:
        """Take a member out of a team.

        Raises:
            TeamNotFoundError: as `named`.
            NotOwnerError: the user is not its owner.
            BadRequestError: the member is.
            MemberNotFoundError: there is no such member.
        """
        team = self._owned(user, name)
        if member == team.owner:
            raise BadRequestError("the owner cannot be taken out of a team: delete the team")
        if not self._rows.leave(team.id, member):
            raise MemberNotFoundError("not a member")

    def leave(self, user: str, name: str) -> None:
        """Go out of a team.

        Raises:
            TeamNotFoundError: as `named`.
            BadRequestError: the user is its owner.
        """
        team = self.named(user, name)
        if user == team.owner:
            raise BadRequestError("the owner cannot leave a team: delete the team")
        self._rows.leave(team.id, user)

    def _owned(self, user: str, name: str) -> Team:
        team = self.named(user, name)
        if team.owner != user:
            raise NotOwnerError("only the owner of the team may do that")
        return team

    # Invites

    def invite(self, user: str, name: str) -> Invite:
        """Make an invite for one person, for seven days.

        Raises:
            TeamNotFoundError: as `named`.
            BusyError: the user has as many open invites as one may have.
        """
        now, team = self._stores.clock(), self.named(user, name)
        invite = Invite(secrets.token_hex(_INVITE_BYTES), now + _INVITE_TIME)
        if not self._rows.invite(
            digest(invite.code), team.id, user, at=now, until=invite.expires_at, most=_MOST_INVITES
        ):
            raise BusyError(
                f"{_MOST_INVITES} of your invites are open, which is the most: they expire after seven days"
            )
        return invite

    def accept(self, code: str, user: str | None, display: str = "") -> Accepted:
        """Take an invite: a user joins its team, and who is none yet becomes one.

        Args:
            code: of the invite; only one of those who take it at once gets it.
            user: who joins; None makes a new user with a token.
            display: the new user's name; "" calls it after its id.

        Raises:
            InviteGoneError: it has expired, somebody took it, or it never was; nobody was made.
        """
        now = self._stores.clock()
        with self._stores.state.together():
            team = self._rows.team(self._rows.take_invite(digest(code), now))
            if team is None:
                raise InviteGoneError("invite expired or already consumed")
            token = ""
            if user is None:
                user = self._accounts.add(self._shown(display))
                token = self._accounts.give(user, f"invite to {team.name}")
            self._rows.join(team.id, user, now)
        return Accepted(user, self._accounts.display(user), team, token)

    def _shown(self, display: str) -> str:
        """Give a name as it is kept: nobody is kept out for what somebody calls himself."""
        return shortened(self._stores.scrubber.scrub(" ".join(harmless(display).split())), _LONGEST_DISPLAY)
