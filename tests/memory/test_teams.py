import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import apsw
import pytest

from ai_memory.errors import BadRequestError, BusyError
from ai_memory.memory import teams as module
from ai_memory.memory.teams import (
    InviteGoneError,
    MemberNotFoundError,
    NotOwnerError,
    TeamNotFoundError,
    TeamTakenError,
    TooManyTeamsError,
)

ROWS = ("users", "tokens", "teams", "team_members", "invites")


@pytest.fixture
def teams(world):
    return world.memory.teams


def counts(world):
    """Count the rows of everything that an invite could make."""
    connection = apsw.Connection(str(world.data / "db" / "state.db"))
    found = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in ROWS}
    connection.close()
    return found


def names(teams, user):
    return [team.name for team in teams.of(user)]


def members(teams, user="ana", name="red"):
    return [(each.user, each.role) for each in teams.members(user, name)]


def join(teams, user, name="red"):
    return teams.accept(teams.invite("ana", name).code, user)


def test_a_team_has_its_maker_as_owner_and_member(world, teams):
    team = teams.create("ana", "red")
    assert (team.name, team.owner, team.created_at) == ("red", "ana", world.now)
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", team.id)
    assert members(teams) == [("ana", "owner")]
    assert teams.named("ana", "red") == team


@pytest.mark.parametrize(
    "name", ["", "Red", "-red", "_red", "r d", "réd", "r" * 41, "red\n", "ghp_" + "a1b2c3d4e5" * 3], ids=repr
)
def test_what_cannot_be_the_name_of_a_team_makes_none(teams, name):
    with pytest.raises(BadRequestError, match="the name of a team has 1 to 40 signs"):
        teams.create("ana", name)
    assert teams.of("ana") == []


@pytest.mark.parametrize("name", ["r", "0", "r_-", "r" * 40])
def test_names_at_the_edge_are_names(teams, name):
    assert teams.create("ana", name).name == name


def test_a_name_is_one_teams_whoever_asks_and_free_again_after_it(teams):
    teams.create("ana", "red")
    for user in ("ana", "bea"):
        with pytest.raises(TeamTakenError, match=r"^team name already taken$"):
            teams.create(user, "red")
    teams.delete("ana", "red")
    assert teams.create("bea", "red").owner == "bea"
    assert teams.of("ana") == []


def test_everybody_lists_their_own_teams_the_oldest_first(world, teams):
    for name, user in (("red", "ana"), ("blue", "bea"), ("green", "ana")):
        teams.create(user, name)
        world.passes(seconds=1)
    assert (names(teams, "ana"), names(teams, "bea"), names(teams, "carl")) == (["red", "green"], ["blue"], [])


def test_a_stranger_hears_the_same_of_a_team_that_is_there_and_of_none(teams):
    teams.create("ana", "red")
    calls = (
        teams.named,
        teams.delete,
        teams.members,
        teams.leave,
        teams.invite,
        lambda *who: teams.remove(*who, "ana"),
    )
    for name in ("red", "blue", "Not a name"):
        for call in calls:
            with pytest.raises(TeamNotFoundError, match=r"^team not found$"):
                call("bea", name)
    assert members(teams) == [("ana", "owner")]


def test_only_the_owner_deletes_a_team_and_takes_members_out(teams):
    teams.create("ana", "red")
    join(teams, "bea")
    join(teams, "carl")
    for call in (teams.delete, lambda *who: teams.remove(*who, "carl"), lambda *who: teams.remove(*who, "ana")):
        with pytest.raises(NotOwnerError):
            call("bea", "red")
    teams.remove("ana", "red", "carl")
    with pytest.raises(MemberNotFoundError, match=r"^not a member$"):
        teams.remove("ana", "red", "carl")
    assert members(teams, "bea") == [("ana", "owner"), ("bea", "member")]


def test_the_owner_neither_leaves_nor_is_taken_out(teams):
    teams.create("ana", "red")
    for call in (lambda: teams.leave("ana", "red"), lambda: teams.remove("ana", "red", "ana")):
        with pytest.raises(BadRequestError, match="delete the team"):
            call()
    assert members(teams) == [("ana", "owner")]


def test_a_member_who_leaves_is_a_stranger(teams):
    teams.create("ana", "red")
    join(teams, "bea")
    teams.leave("bea", "red")
    assert teams.of("bea") == []
    with pytest.raises(TeamNotFoundError):
        teams.members("bea", "red")


def test_a_team_that_is_deleted_leaves_no_row(world, teams):
    teams.create("ana", "red")
    join(teams, "bea")
    teams.invite("bea", "red")
    teams.delete("ana", "red")
    assert counts(world) == dict.fromkeys(ROWS, 0)


def test_members_are_listed_by_when_they_joined_with_the_names_that_they_have(world, teams):
    _, ana = world.memory.accounts.issue("Ana", "ana@example.org")
    teams.create(ana, "red")
    world.passes(seconds=1)
    joined = teams.accept(teams.invite(ana, "red").code, None, "  Bea\u202e of\x1b[31m Bern ")
    listed = [(each.user, each.display, each.email, each.role) for each in teams.members(ana, "red")]
    assert listed == [
        (ana, "Ana", "ana@example.org", "owner"),
        (joined.user_id, "Bea of Bern", "", "member"),
    ]


# Invites


def test_who_has_no_token_becomes_a_user_with_one_and_joins(world, teams):
    team = teams.create("ana", "red")
    invite = teams.invite("ana", "red")
    assert re.fullmatch("[0-9a-f]{48}", invite.code)
    assert invite.expires_at == world.now + timedelta(days=7)
    joined = teams.accept(invite.code, None)
    assert world.memory.accounts.user_of(joined.token) == joined.user_id
    assert (joined.team, joined.display) == (team, f"invited-{joined.user_id[-6:]}")
    assert names(teams, joined.user_id) == ["red"]


def test_who_is_a_user_joins_and_gets_no_token(world, teams):
    teams.create("ana", "red")
    joined = join(teams, "bea")
    assert (joined.user_id, joined.display, joined.token) == ("bea", "bea", "")
    assert (counts(world)["users"], counts(world)["tokens"]) == (0, 0)


def test_an_invite_is_taken_once_also_by_who_is_a_member_already(teams):
    teams.create("ana", "red")
    code = teams.invite("ana", "red").code
    assert teams.accept(code, "ana").user_id == "ana"
    assert members(teams) == [("ana", "owner")]
    for user in ("bea", None):
        with pytest.raises(InviteGoneError, match=r"^invite expired or already consumed$"):
            teams.accept(code, user)


def test_of_sixteen_who_take_an_invite_at_once_one_gets_it_and_nothing_else_is_left(world, teams):
    teams.create("ana", "red")
    code = teams.invite("ana", "red").code

    def accept(_):
        try:
            return teams.accept(code, None)
        except InviteGoneError:
            return None

    with ThreadPoolExecutor(16) as pool:
        joined = [each for each in pool.map(accept, range(16)) if each]
    assert len(joined) == 1
    assert counts(world) == {"users": 1, "tokens": 1, "teams": 1, "team_members": 2, "invites": 0}


def test_an_invite_holds_for_seven_days_and_leaves_nothing_after_them(world, teams):
    teams.create("ana", "red")
    late, timely = teams.invite("ana", "red").code, teams.invite("ana", "red").code
    world.now += timedelta(days=7, microseconds=-1)
    teams.accept(timely, "bea")
    world.passes(microseconds=1)
    before = counts(world)
    for _ in range(5):
        with pytest.raises(InviteGoneError):
            teams.accept(late, None)
    assert counts(world) == before


@pytest.mark.parametrize("code", ["", "x", "0" * 48])
def test_an_invite_that_never_was_is_one_that_is_gone(world, teams, code):
    with pytest.raises(InviteGoneError):
        teams.accept(code, None)
    assert counts(world) == dict.fromkeys(ROWS, 0)


def test_the_invites_of_a_team_go_with_it(teams):
    teams.create("ana", "red")
    code = teams.invite("ana", "red").code
    teams.delete("ana", "red")
    teams.create("ana", "red")
    with pytest.raises(InviteGoneError):
        teams.accept(code, "bea")


def test_a_name_that_holds_a_secret_or_is_long_keeps_nobody_out(teams):
    teams.create("ana", "red")
    secret = "ghp_" + "a1B2c3D4e5" * 4
    assert teams.accept(teams.invite("ana", "red").code, None, secret).display == "[REDACTED:github-token]"
    assert len(teams.accept(teams.invite("ana", "red").code, None, "x" * 900).display) == 100


# Limits


def test_nobody_owns_more_teams_than_one_may_and_may_still_join_others(teams, monkeypatch):
    monkeypatch.setattr(module, "_MOST_TEAMS", 2)
    teams.create("ana", "red")
    teams.create("bea", "one")
    teams.create("bea", "two")
    with pytest.raises(TooManyTeamsError, match="you own 2 teams, which is the most"):
        teams.create("bea", "three")
    join(teams, "bea")
    teams.delete("bea", "two")
    teams.create("bea", "three")
    assert sorted(names(teams, "bea")) == ["one", "red", "three"]


def test_nobody_has_more_open_invites_than_one_may(world, teams, monkeypatch):
    monkeypatch.setattr(module, "_MOST_INVITES", 2)
    teams.create("ana", "red")
    join(teams, "bea")
    teams.invite("ana", "red")
    code = teams.invite("ana", "red").code
    with pytest.raises(BusyError, match="2 of your invites are open"):
        teams.invite("ana", "red")
    teams.invite("bea", "red")
    teams.accept(code, "carl")
    teams.invite("ana", "red")
    world.now += timedelta(days=7)
    teams.invite("ana", "red")
