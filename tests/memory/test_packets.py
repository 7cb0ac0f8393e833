import json
import re
from datetime import timedelta
from uuid import UUID

import pytest

from ai_memory.errors import AiMemoryError, BadRequestError
from ai_memory.memory import packets as module
from ai_memory.memory.packets import (
    OWNER,
    Kept,
    Listed,
    PacketNotFoundError,
    PacketPurgedError,
    PacketTakenError,
    Push,
    TooManyPacketsError,
)
from ai_memory.memory.pages import Fields, Writer
from ai_memory.memory.teams import TeamNotFoundError
from ai_memory.model.packet import BadPacketError, parse
from ai_memory.model.page import PageChange
from ai_memory.store.git import GitError

ANA = Writer(user="ana")


def body(number=1, **more):
    made = {
        "ltm_version": "0.2",
        "id": f"01JS5LTMEXAMPLEPACKET{number:05}",
        "created_at": f"2026-11-20T10:00:{number % 60:02}Z",
        "goal": f"goal {number}",
        "next_step": "go on",
        **more,
    }
    return json.dumps(made).encode()


def id_of(number):
    return f"01JS5LTMEXAMPLEPACKET{number:05}"


def push(world, user, *bodies, team=""):
    return world.memory.packets.push([Push(user, each, team) for each in bodies])


def pushed(world, user, *bodies, team=""):
    """Push, and give the error of the last one if it was refused."""
    (*_, answer) = push(world, user, *bodies, team=team)
    return answer if isinstance(answer, AiMemoryError) else None


def kept(world, user, number=1):
    return world.memory.packets.get(user, id_of(number))


def listed(world, user, **how):
    return [each.id for each in world.memory.packets.list(user, **how)]


def project(world, name="shop"):
    return world.memory.projects.named("default", name)


@pytest.fixture
def team(world):
    """A team of Ana's with Bea in it."""
    world.memory.teams.create("ana", "red")
    world.memory.teams.accept(world.memory.teams.invite("ana", "red").code, "bea")
    return world.memory.teams.named("ana", "red")


@pytest.fixture(params=[False, True], ids=["in the inbox", "as a page"])
def settle(request, world):
    """Make pages of what waits, or leave it in the inbox: nobody can tell."""
    return world.memory.packets.settle if request.param else lambda: 0


# In and out


def test_a_packet_that_is_pushed_can_be_read_at_once_and_as_a_page(world, settle):
    assert push(world, OWNER, body(1)) == [parse(body(1))]
    settle()
    found = kept(world, OWNER)
    assert found == Kept(
        packet=parse(body(1)),
        text=json.dumps(json.loads(body(1)), indent=2),
        owner=OWNER,
        team="",
        project="default/scratch",
        path=f"packets/{id_of(1)}.md",
    )


def test_a_list_has_the_newest_first_by_the_packets_own_times(world, settle):
    times = ["2026-11-20T10:00:00.5Z", "2026-11-20T11:00:00+02:00", "2026-11-20T10:00:00Z", "0000-01-01T00:00:00Z"]
    push(world, OWNER, *(body(number, created_at=at) for number, at in enumerate(times)))
    settle()
    assert listed(world, OWNER) == [id_of(number) for number in (0, 2, 1, 3)]
    assert world.memory.packets.list(OWNER, limit=1) == [Listed(id_of(0), times[0], "goal 0")]


def test_a_packet_that_is_pushed_again_shows_its_new_goal_and_time_where_it_was(world, settle):
    push(world, "ana", body(1), body(2))
    settle()
    push(world, "ana", body(1, goal="anew", created_at="2026-11-21T10:00:00Z"))
    assert world.memory.packets.list("ana") == [
        Listed(id_of(1), "2026-11-21T10:00:00Z", "anew"),
        Listed(id_of(2), "2026-11-20T10:00:02Z", "goal 2"),
    ]
    assert [each.id for each in world.memory.packets.list("ana", limit=1)] == [id_of(1)]
    settle()
    assert (kept(world, "ana").packet.goal, kept(world, "ana").owner) == ("anew", "ana")


def test_packets_that_were_pushed_again_with_earlier_times_stand_further_down(world, settle):
    push(world, "ana", *(body(n) for n in range(1, 7)))
    world.memory.packets.settle()
    push(world, "ana", *(body(n, created_at=f"2026-11-19T10:00:0{n}Z") for n in (4, 5, 6)))
    settle()
    assert listed(world, "ana", limit=3) == [id_of(3), id_of(2), id_of(1)]
    assert listed(world, "ana", limit=4) == [id_of(3), id_of(2), id_of(1), id_of(6)]


def test_the_last_of_two_pushes_in_one_group_holds(world, settle):
    push(world, OWNER, body(1, goal="first"), body(1, goal="second"))
    settle()
    assert [each.goal for each in world.memory.packets.list(OWNER)] == ["second"]
    assert kept(world, OWNER).packet.goal == "second"


def test_what_is_no_packet_is_refused_alone(world):
    first, bad, last = push(world, OWNER, body(1), b"{}", body(2))
    assert (first, last) == (parse(body(1)), parse(body(2)))
    assert isinstance(bad, BadPacketError)
    assert bad.stage == "version-missing"
    assert listed(world, OWNER) == [id_of(2), id_of(1)]


def test_an_id_can_be_any_text(world, settle):
    ids = [
        "a/../../b/c/d",
        "ÄÖÜ äöü ß 日本語",
        "packet-in-lower-case",
        "PACKET-IN-UPPER-CASE",
        "packet-in-LOWER-case",
        "nul\0nul\0nul",
    ]
    answers = push(world, "ana", *(body(number, id=each) for number, each in enumerate(ids)))
    assert [each.id for each in answers] == ids
    settle()
    assert sorted(listed(world, "ana")) == sorted(ids)
    assert [world.memory.packets.get("ana", each).packet.id for each in ids] == ids


def test_a_packet_that_is_not_there_is_not_found(world):
    with pytest.raises(PacketNotFoundError, match=r"^not found$"):
        kept(world, OWNER)


@pytest.mark.parametrize(
    "user", ["", "team:01M7W6C380WDZ7JKJYFV6YDXX6", "ghp_" + "0123456789" * 4], ids=["none", "team", "secret"]
)
def test_what_cannot_be_a_user_is_refused(world, user):
    assert isinstance(pushed(world, user, body(1)), BadRequestError)
    with pytest.raises(BadRequestError):
        world.memory.packets.list(user)


# Secrets


def test_a_secret_is_in_no_answer_no_page_and_no_database(world, settle):
    secret = "ghp_" + "a1B2c3D4e5" * 4
    more = {"project": {"name": "shop", "ref": secret}, "tags": ["fine"], "decisions": [{"what": "w", "why": secret}]}
    (answer,) = push(world, OWNER, body(1, goal=f"use {secret}", **more))
    settle()
    assert answer == kept(world, OWNER).packet
    assert answer.goal == "use [REDACTED:github-token]"
    world.close()
    held = [file.name for file in world.data.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]
    assert held == []


def test_a_field_that_does_not_fit_without_its_secret_is_cut(world):
    goal = "password=hunter2hunter2 " * 44
    (answer,) = push(world, OWNER, body(1, goal=goal[:1024]))
    assert answer.goal.startswith("password=[REDACTED:password] password=[REDACTED:password]")
    assert 900 < len(answer.goal) <= 1024
    assert "hunter" not in answer.goal


def test_an_id_that_holds_a_secret_is_refused_and_not_repeated(world):
    error = pushed(world, OWNER, body(1, id="ghp_" + "a1B2c3D4e5" * 4))
    assert (type(error), str(error)) == (
        BadRequestError,
        "an id of the packet holds what looks like a secret: choose another",
    )


# Homes


def test_the_owners_packet_is_a_page_of_the_project_that_it_names(world):
    world.works("s1")
    push(world, OWNER, body(1, project={"name": "Shop"}), body(2, project={"name": "elsewhere"}), body(3))
    world.memory.packets.settle()
    assert [kept(world, OWNER, number).project for number in (1, 2, 3)] == [
        "default/shop",
        "default/scratch",
        "default/scratch",
    ]


def test_a_name_of_two_projects_is_nobodys(world):
    world.works("s1")
    world.memory.projects.create("other", "shop")
    push(world, OWNER, body(1, project={"name": "shop"}))
    world.memory.packets.settle()
    assert kept(world, OWNER).project == "default/scratch"


def test_the_packets_of_a_user_are_in_a_workspace_of_the_user_whatever_they_name(world):
    world.works("s1")
    push(world, "ana", body(1, project={"name": "shop"}))
    world.memory.packets.settle()
    assert kept(world, "ana").project == "user-ana/packets"
    assert world.memory.memories.repositories("ana") == []


def test_a_packet_is_found_by_its_words_and_is_in_git(world):
    push(world, OWNER, body(1, goal="Move the cardamom"), body(2))
    world.memory.packets.settle()
    assert [hit.path for hit in world.memory.recall.search("cardamom")] == [f"packets/{id_of(1)}.md"]
    assert world.subjects() == [f"save-packet default/scratch: {id_of(1)}, {id_of(2)}"]


def test_all_that_waits_for_a_project_is_one_commit(world):
    push(world, OWNER, *(body(number) for number in range(50)))
    assert world.memory.packets.settle() == 1
    assert world.memory.packets.settle() == 0
    assert world.subjects() == [f"save-packet default/scratch: {id_of(0)}, {id_of(1)}, {id_of(2)} and 47 more"]


# Whose


def test_nobody_sees_the_packets_of_another_user(world, settle):
    push(world, "ana", body(1))
    push(world, OWNER, body(2))
    settle()
    assert (listed(world, "ana"), listed(world, OWNER), listed(world, "bea")) == ([id_of(1)], [id_of(2)], [])
    for user, number in (("ana", 2), (OWNER, 1), ("bea", 1)):
        with pytest.raises(PacketNotFoundError):
            kept(world, user, number)


def test_a_stolen_id_is_refused_and_changes_nothing(world, settle):
    push(world, "ana", body(1))
    settle()
    before = kept(world, "ana")
    for thief in ("bea", OWNER):
        assert isinstance(pushed(world, thief, body(1, goal="mine now")), PacketTakenError)
        with pytest.raises(PacketNotFoundError):
            world.memory.packets.delete(thief, id_of(1))
    settle()
    assert kept(world, "ana") == before
    assert listed(world, "bea") == listed(world, OWNER) == []


def test_two_users_who_push_one_id_at_once_do_not_both_get_it(world):
    first, second = world.memory.packets.push([Push("ana", body(1)), Push("bea", body(1))])
    assert first == parse(body(1))
    assert isinstance(second, PacketTakenError)


def test_a_page_that_claims_to_be_somebody_elses_is_the_one_of_where_it_is(world):
    push(world, "ana", body(1))
    world.memory.packets.settle()
    world.works("s1")
    path = f"packets/{id_of(1)}.md"
    text = world.memory.stores.wiki.read(world.memory.projects.of_user("ana")[0], path)
    forged = text.replace("goal 1", "forged").replace("owner: ana", "owner: ana\nteam: 01M7W6C380WDZ7JKJYFV6YDXX6")
    world.memory.pages.write(project(world), path, forged, Fields(), Writer())
    assert kept(world, "ana").packet.goal == "goal 1"
    assert (kept(world, OWNER).packet.goal, kept(world, OWNER).owner, kept(world, OWNER).team) == ("forged", OWNER, "")
    assert [each.goal for each in world.memory.packets.list("ana")] == ["goal 1"]
    assert pushed(world, "ana", body(1, goal="still mine")) is None
    world.memory.packets.settle()
    assert (kept(world, "ana").packet.goal, kept(world, OWNER).packet.goal) == ("still mine", "forged")


# Teams


def test_every_member_reads_a_teams_packet_and_nobody_else(world, settle, team):
    push(world, "bea", body(1), team="red")
    settle()
    assert [kept(world, user).team for user in ("ana", "bea")] == ["red", "red"]
    assert (listed(world, "ana", team="red"), listed(world, "ana"), listed(world, "bea")) == ([id_of(1)], [], [])
    for stranger in ("carl", OWNER):
        with pytest.raises(PacketNotFoundError):
            kept(world, stranger)
        with pytest.raises(TeamNotFoundError, match=r"^team not found$"):
            world.memory.packets.list(stranger, team="red")
        error = pushed(world, stranger, b"no packet", team="red")
        assert (type(error), str(error)) == (TeamNotFoundError, "team not found")


def test_a_teams_packet_stays_the_teams_when_it_is_pushed_again(world, settle, team):
    push(world, "bea", body(1), team="red")
    settle()
    assert pushed(world, "bea", body(1, goal="anew")) is None
    settle()
    assert (kept(world, "ana").packet.goal, kept(world, "ana").team, kept(world, "ana").owner) == ("anew", "red", "bea")
    assert listed(world, "bea") == []


def test_who_made_a_teams_packet_and_who_owns_the_team_may_change_and_delete_it(world, settle, team):
    world.memory.teams.accept(world.memory.teams.invite("ana", "red").code, "carl")
    push(world, "bea", body(1), body(2), team="red")
    settle()
    assert isinstance(pushed(world, "carl", body(1, goal="no")), PacketTakenError)
    with pytest.raises(PacketNotFoundError):
        world.memory.packets.delete("carl", id_of(1))
    assert pushed(world, "ana", body(1, goal="yes")) is None
    settle()
    assert (kept(world, "bea").packet.goal, kept(world, "bea").owner) == ("yes", "bea")
    world.memory.packets.delete("ana", id_of(1))
    world.memory.packets.delete("bea", id_of(2))
    assert listed(world, "carl", team="red") == []


def test_who_left_a_team_may_delete_what_was_theirs_and_see_nothing(world, settle, team):
    push(world, "bea", body(1), team="red")
    settle()
    world.memory.teams.leave("bea", "red")
    with pytest.raises(PacketNotFoundError):
        kept(world, "bea")
    assert isinstance(pushed(world, "bea", body(1, goal="back")), PacketTakenError)
    world.memory.packets.delete("bea", id_of(1))
    with pytest.raises(PacketNotFoundError):
        kept(world, "ana")


def test_a_team_that_is_deleted_takes_its_packets_along(world, settle, team):
    push(world, "bea", body(1), body(2), team="red")
    push(world, "bea", body(3))
    settle()
    world.memory.teams.delete("ana", "red")
    world.memory.packets.settle()
    assert (listed(world, "bea"), world.memory.packets.counts()["saved"]) == ([id_of(3)], 1)
    for user in ("ana", "bea"):
        with pytest.raises(PacketNotFoundError):
            kept(world, user)
    world.memory.teams.create("carl", "red")
    assert listed(world, "carl", team="red") == []


def test_the_end_of_a_team_is_finished_after_a_crash(world, team):
    push(world, "bea", body(1), team="red")
    world.memory.packets.settle()
    world.memory.stores.state.teams.end(team.id)
    world.crash()
    world.open()
    with pytest.raises(PacketNotFoundError):
        kept(world, "bea")
    world.memory.teams.clear_gone()
    assert world.memory.packets.counts() == {"saved": 0, "drafts": 0, "waiting": 0}
    assert world.memory.stores.state.teams.gone() == []


# Deleting


def test_a_packet_that_is_deleted_is_gone_until_it_is_pushed_again(world, settle):
    push(world, "ana", body(1))
    settle()
    world.memory.packets.delete("ana", id_of(1))
    assert listed(world, "ana") == []
    with pytest.raises(PacketNotFoundError):
        kept(world, "ana")
    with pytest.raises(PacketNotFoundError):
        world.memory.packets.delete("ana", id_of(1))
    world.memory.packets.settle()
    assert listed(world, "ana") == []
    assert pushed(world, "ana", body(1, goal="back")) is None
    world.memory.packets.settle()
    assert kept(world, "ana").packet.goal == "back"


def test_a_delete_takes_what_waits_and_the_page(world):
    push(world, "ana", body(1))
    world.memory.packets.settle()
    push(world, "ana", body(1, goal="later"))
    world.memory.packets.delete("ana", id_of(1))
    world.memory.packets.settle()
    assert listed(world, "ana") == []


def test_the_id_of_a_deleted_packet_is_still_that_of_whoever_had_it(world, settle, team):
    push(world, "ana", body(1))
    push(world, "bea", body(2), team="red")
    settle()
    world.memory.packets.delete("ana", id_of(1))
    world.memory.packets.delete("bea", id_of(2))
    for thief in ("carl", OWNER):
        for number in (1, 2):
            assert isinstance(pushed(world, thief, body(number, goal="mine now")), PacketTakenError)
    assert pushed(world, "ana", body(1, goal="back")) is None
    assert pushed(world, "bea", body(2, goal="back"), team="red") is None
    assert (kept(world, "ana").packet.goal, kept(world, "ana", 2).packet.goal) == ("back", "back")


def test_the_ids_of_a_team_that_is_deleted_are_free(world, team):
    push(world, "bea", body(1), team="red")
    world.memory.packets.settle()
    world.memory.teams.delete("ana", "red")
    assert pushed(world, "bea", body(1, goal="back")) is None
    assert kept(world, "bea").packet.goal == "back"


def test_a_packet_that_was_purged_stays_gone(world):
    push(world, "ana", body(1))
    world.memory.packets.settle()
    home = world.memory.projects.of_user("ana")[0]
    push(world, "ana", body(1, goal="on its way"))
    world.memory.purge.page(home, f"packets/{id_of(1)}.md", confirm=True)
    world.memory.packets.settle()
    assert listed(world, "ana") == []
    error = pushed(world, "ana", body(1))
    assert (type(error), str(error)) == (
        PacketPurgedError,
        f"packet {id_of(1)} was purged on 2026-11-20T10:00:00Z and cannot come back",
    )


def test_a_project_that_is_purged_takes_along_what_waits_for_it(world):
    world.works("s1")
    world.memory.sessions.settle()
    world.passes(days=1)
    push(world, OWNER, body(1, project={"name": "shop"}), body(2))
    world.memory.purge.project(project(world), confirm=True)
    world.memory.packets.settle()
    assert listed(world, OWNER) == [id_of(2)]


def test_packets_follow_their_project_into_another(world, settle):
    world.works("s1")
    world.passes(days=1)
    world.memory.projects.create("team", "shop")
    world.memory.projects.create("default", "packed")
    push(world, OWNER, body(1, project={"name": "packed"}))
    settle()
    world.memory.projects.create("team", "packed")
    world.memory.moves.move_project(project(world, "packed"), "team", confirm=True)
    world.memory.packets.settle()
    assert (kept(world, OWNER).project, listed(world, OWNER)) == ("team/packed", [id_of(1)])


# By hand


def test_an_edit_by_hand_is_an_edit_of_the_packet(world):
    push(world, OWNER, body(1))
    world.memory.packets.settle()
    file = next((world.data / "wiki").rglob("packets/*.md"))
    file.write_text(file.read_text().replace("goal 1", "goal of a hand"))
    world.memory.outside.changed([file])
    assert [each.goal for each in world.memory.packets.list(OWNER)] == ["goal of a hand"]
    assert kept(world, OWNER).packet.goal == "goal of a hand"


def test_a_page_whose_packet_is_broken_stays_a_page_and_is_no_packet_until_it_is_pushed_again(world):
    push(world, OWNER, body(1))
    world.memory.packets.settle()
    file = next((world.data / "wiki").rglob("packets/*.md"))
    file.write_text(file.read_text().replace('"goal":', '"gaol":'))
    world.memory.outside.changed([file])
    assert listed(world, OWNER) == []
    with pytest.raises(PacketNotFoundError):
        kept(world, OWNER)
    (problem,) = world.memory.status(bind="")["pages"]["problems"]
    assert problem == {
        "page": f"default/scratch/packets/{id_of(1)}.md",
        "problem": "the packet in it cannot be read: push it again, or restore a former version",
    }
    push(world, OWNER, body(1, goal="whole"))
    world.memory.packets.settle()
    assert (listed(world, OWNER), kept(world, OWNER).packet.goal) == ([id_of(1)], "whole")
    assert world.memory.status(bind="")["pages"]["problems"] == []


def test_a_page_that_somebody_moved_by_hand_is_still_the_packet_and_is_written_where_it_is(world):
    push(world, OWNER, body(1))
    world.memory.packets.settle()
    file = next((world.data / "wiki").rglob("packets/*.md"))
    file.rename(file.with_name("kept.md"))
    world.memory.outside.reconcile()
    assert kept(world, OWNER).path == "packets/kept.md"
    push(world, OWNER, body(1, goal="anew"))
    world.memory.packets.settle()
    assert (kept(world, OWNER).path, kept(world, OWNER).packet.goal) == ("packets/kept.md", "anew")


def test_a_page_that_is_another_packet_is_not_written_over(world):
    push(world, OWNER, body(1))
    world.memory.packets.settle()
    file = next((world.data / "wiki").rglob("packets/*.md"))
    file.rename(file.with_name(f"{id_of(2)}.md"))
    world.memory.outside.reconcile()
    assert isinstance(pushed(world, OWNER, body(2)), PacketTakenError)
    assert kept(world, OWNER, 1).packet.goal == "goal 1"


# Trouble


def test_what_was_pushed_is_there_after_a_crash_and_becomes_a_page(world):
    push(world, OWNER, body(1))
    world.crash()
    world.open()
    assert listed(world, OWNER) == [id_of(1)]
    assert world.memory.packets.has_due()
    assert world.memory.packets.settle() == 1
    assert kept(world, OWNER).packet == parse(body(1))


def test_a_packet_in_the_way_keeps_nobody_from_becoming_a_page(world, tmp_path):
    push(world, OWNER, body(1), body(2), body(3))
    world.memory.packets.settle()
    folder = next((world.data / "wiki").rglob("packets"))
    (folder / f"{id_of(2)}.md").unlink()
    (folder / f"{id_of(2)}.md").symlink_to(tmp_path / "elsewhere")
    push(world, OWNER, *(body(number, goal=f"anew {number}") for number in (1, 2, 3)))
    assert world.memory.packets.settle() == 2
    assert not world.memory.packets.has_due()
    assert world.memory.packets.counts()["waiting"] == 1
    assert [each.goal for each in world.memory.packets.list(OWNER)] == ["anew 3", "anew 2", "anew 1"]
    assert "is a symbolic link" in world.memory.packets.meter.report()["last_error"]
    (folder / f"{id_of(2)}.md").unlink()
    assert world.memory.packets.settle() == 1
    assert world.memory.packets.counts()["waiting"] == 0


def test_in_the_middle_of_a_merge_packets_wait_and_are_read(world):
    push(world, OWNER, body(1))
    (world.data / "wiki" / ".git" / "MERGE_HEAD").write_text("0" * 40)
    with pytest.raises(AiMemoryError):
        world.memory.packets.settle()
    assert world.memory.packets.has_due()
    assert kept(world, OWNER).packet == parse(body(1))
    (world.data / "wiki" / ".git" / "MERGE_HEAD").unlink()
    assert world.memory.packets.settle() == 1


def test_nobody_has_more_packets_than_a_user_may_have(world, settle, team, monkeypatch):
    monkeypatch.setattr(module, "_MOST_PACKETS", 3)
    push(world, "ana", body(1), body(2))
    push(world, "ana", body(3), team="red")
    settle()
    error = pushed(world, "ana", body(4))
    assert (type(error), str(error)) == (
        TooManyPacketsError,
        "you have 3 packets, which is the most: delete some first",
    )
    assert pushed(world, "ana", body(1, goal="anew")) is None
    assert pushed(world, "bea", body(5), team="red") is None
    world.memory.packets.delete("ana", id_of(2))
    assert pushed(world, "ana", body(4)) is None


# Chains, drafts, the index


def test_a_chain_goes_on_to_the_first_packet_and_round_no_circle(world, settle):
    push(world, "ana", body(1, parent_id=id_of(3)), body(2, parent_id=id_of(1)), body(3, parent_id=id_of(2)))
    push(world, "ana", body(4, parent_id=id_of(9)))
    settle()
    assert [each.id for each in world.memory.packets.chain("ana", id_of(3))] == [id_of(2), id_of(1)]
    assert world.memory.packets.chain("ana", id_of(4)) == []
    with pytest.raises(PacketNotFoundError):
        world.memory.packets.chain("bea", id_of(1))


def test_a_draft_is_in_no_list_until_it_is_pushed(world):
    world.works("s1")
    text = module.page_text(parse(body(1)), OWNER, draft=True, refused=["goal/abs-path: /etc/passwd"])
    world.memory.pages.write_several(project(world), {module.page_path(id_of(1)): text}, Writer(), subject="a draft")
    assert (listed(world, OWNER), kept(world, OWNER).draft) == ([], True)
    assert kept(world, OWNER).refused == ("goal/abs-path: /etc/passwd",)
    drafts = [Listed(id_of(1), "2026-11-20T10:00:01Z", "goal 1")]
    assert world.memory.packets.drafts(OWNER) == world.memory.packets.drafts(OWNER, project(world)) == drafts
    assert world.memory.packets.drafts("ana") == []
    assert isinstance(pushed(world, "ana", body(1)), PacketTakenError)
    push(world, OWNER, body(1))
    assert listed(world, OWNER) == [id_of(1)]
    world.memory.packets.settle()
    assert (kept(world, OWNER).draft, kept(world, OWNER).project) == (False, "default/shop")
    assert (world.memory.packets.drafts(OWNER), listed(world, OWNER)) == ([], [id_of(1)])


def test_a_draft_that_is_pushed_to_a_team_is_the_teams_and_no_draft_any_more(world, settle):
    world.works("s1")
    world.memory.teams.create(OWNER, "red")
    text = module.page_text(parse(body(1)), OWNER, draft=True)
    world.memory.pages.write_several(project(world), {module.page_path(id_of(1)): text}, Writer(), subject="a draft")
    assert pushed(world, OWNER, body(1, goal="for all"), team="red") is None
    settle()
    assert (kept(world, OWNER).team, kept(world, OWNER).packet.goal) == ("red", "for all")
    assert (listed(world, OWNER, team="red"), listed(world, OWNER)) == ([id_of(1)], [])
    world.memory.packets.settle()
    assert world.memory.packets.drafts(OWNER) == []
    assert not world.memory.stores.wiki.is_gone(project(world).id, module.page_path(id_of(1)))


def test_a_draft_that_nobody_saves_goes_cold(world):
    world.works("s1")
    text = module.page_text(parse(body(1)), OWNER, draft=True)
    change = PageChange(module.page_path(id_of(1)), text)
    world.memory.pages.keep(project(world), [change], subject="a draft", author=("ai-memory", "ai-memory@local"))
    assert world.memory.packets.drafts(OWNER) == [Listed(id_of(1), "2026-11-20T10:00:01Z", "goal 1")]
    world.now += timedelta(days=3000)
    assert module.page_path(id_of(1)) in world.memory.upkeep.sweep.run(project(world)).pages
    assert world.memory.packets.drafts(OWNER) == []


def test_a_saved_packet_is_never_swept(world):
    push(world, OWNER, body(1))
    world.memory.packets.settle()
    world.now += timedelta(days=3000)
    assert world.memory.upkeep.sweep.run(world.memory.projects.named("default", "scratch")).pages == []
    assert listed(world, OWNER) == [id_of(1)]


def test_packets_are_listed_from_their_own_index_however_many_pages_and_packets_a_project_has(world, monkeypatch):
    rows = [
        (str(UUID(int=7)), f"packets/{n}.md", f"PACKET{n:05}", OWNER, 0, f"2026-{n:05}", "2026", "goal")
        for n in range(10_000)
    ]
    database = world.memory.stores.database
    with database.writing() as connection:
        connection.executemany("INSERT INTO packets VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    asked, ask = [], database.all
    monkeypatch.setattr(database, "all", lambda sql, values=(): [asked.append((sql, values)), ask(sql, values)][1])
    world.memory.stores.packets.newest([UUID(int=7)], 50)
    world.memory.stores.packets.of_project(UUID(int=7), 50, 0)
    plans = [[step for *_, step in ask(f"EXPLAIN QUERY PLAN {sql}", values)] for sql, values in asked]
    # Packets come first, not the pages that are packets.
    assert [plan[0].startswith("SEARCH k USING") for plan in plans] == [True, True, True]
    assert not [step for step in plans[0] if re.search("TEMP B-TREE|SCAN", step)]


def test_the_status_says_what_waits_and_what_was_done(world):
    push(world, OWNER, body(1), b"no packet")
    assert world.memory.status(bind="")["counts"]["packets"] == {"saved": 0, "drafts": 0, "waiting": 1}
    world.memory.packets.settle()
    status = world.memory.status(bind="")
    assert status["counts"]["packets"] == {"saved": 1, "drafts": 0, "waiting": 0}
    stage = status["stages"]["packets"]
    assert {name: stage[name] for name in ("pushed", "refused", "written")} == {"pushed": 1, "refused": 1, "written": 1}


def test_a_disk_that_refuses_the_inbox_is_told_to_everybody_and_nothing_is_kept(world, monkeypatch):
    def refuse(_):
        raise GitError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(type(world.memory.stores.state.inbox), "add", lambda _, packets: refuse(packets))
        answers = push(world, OWNER, body(1), body(2))
    assert [str(each) for each in answers] == ["the disk is full"] * 2
    assert listed(world, OWNER) == []
    assert pushed(world, OWNER, body(1)) is None


# Of a project, and where they are


def test_packets_of_a_project_are_listed_in_parts_with_their_number(world):
    push(world, OWNER, *(body(number) for number in range(1, 6)))
    world.memory.packets.settle()
    home = world.memory.projects.all()[0]
    rows, count = world.memory.packets.of_project(OWNER, home, 2, 1)
    assert ([row.id for row in rows], count) == ([id_of(4), id_of(3)], 5)


def test_packets_of_a_project_are_listed_for_those_who_may_read_them_alone(world, team):
    push(world, "ana", body(1))
    push(world, "ana", body(2), team="red")
    world.memory.packets.settle()
    homes = {
        row.id: each
        for each in world.memory.projects.all()
        for row in world.memory.stores.packets.of_project(each.id, 9, 0)[0]
    }
    seen = {
        (user, number): world.memory.packets.of_project(user, homes[id_of(number)], 9)[1]
        for user in ("ana", "bea", OWNER)
        for number in (1, 2)
    }
    assert seen == {("ana", 1): 1, ("ana", 2): 1, ("bea", 1): 0, ("bea", 2): 1, (OWNER, 1): 0, (OWNER, 2): 0}


def test_places_are_said_of_what_a_user_may_read(world, settle):
    push(world, OWNER, body(1))
    push(world, "ana", body(2))
    settle()
    wanted = [id_of(1), id_of(2), id_of(3)]
    places = {user: world.memory.packets.places(user, wanted) for user in (OWNER, "ana")}
    assert {user: list(each) for user, each in places.items()} == {OWNER: [id_of(1)], "ana": [id_of(2)]}
    assert places[OWNER][id_of(1)].label == kept(world, OWNER).project


def test_what_goes_on_from_a_packet_is_listed_the_newest_first(world, team):
    push(world, OWNER, body(1), body(2, parent_id=id_of(1)), body(3, parent_id=id_of(1)), body(4, parent_id=id_of(2)))
    push(world, "ana", body(5, parent_id=id_of(1)))
    world.memory.packets.settle()
    assert [each.id for each in world.memory.packets.following(OWNER, id_of(1))] == [id_of(3), id_of(2)]
    assert [each.id for each in world.memory.packets.following("ana", id_of(1))] == [id_of(5)]
    assert world.memory.packets.following(OWNER, id_of(3)) == []
