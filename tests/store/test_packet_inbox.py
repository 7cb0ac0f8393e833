from dataclasses import replace
from uuid import UUID

import pytest

from ai_memory.store.packet_inbox import Waiting
from ai_memory.store.state import State

SHOP, HOME = UUID(int=2), UUID(int=3)


@pytest.fixture
def inbox(tmp_path):
    state = State(tmp_path / "db" / "state.db")
    yield state.inbox
    state.close()


def packet(n, id_="PACKET0001", *, owner="owner", team="", project=SHOP, body="{}"):
    return Waiting(
        n, id_, owner, team, project, f"2026-11-20T10:00:{n:02}.000000000Z", "2026-11-20T10:00:00Z", "go", body
    )


def test_what_is_added_waits_in_its_order(inbox):
    inbox.add([packet(0, "PACKET0001"), packet(0, "PACKET0002")])
    inbox.add([packet(0, "PACKET0003")])
    assert [(each.n, each.id) for each in inbox.waiting(10)] == [
        (1, "PACKET0001"),
        (2, "PACKET0002"),
        (3, "PACKET0003"),
    ]
    assert [each.n for each in inbox.waiting(1, behind=1)] == [2]


def test_the_later_push_of_an_id_holds(inbox):
    inbox.add([packet(0, body="old"), packet(0, body="new")])
    assert inbox.called(["PACKET0001"])["PACKET0001"].body == "new"
    assert [each.body for each in inbox.newest("owner", "", 9).values()] == ["new"]


def test_the_newest_are_those_of_the_last_pushes_by_their_own_time(inbox):
    first, second, third = (packet(n, f"PACKET000{n}") for n in (1, 2, 3))
    inbox.add([third, first, second, replace(third, created="2026-11-20T09:00:00.000000000Z")])
    assert set(inbox.newest("owner", "", 2)) == {"PACKET0001", "PACKET0002"}
    assert inbox.newest("owner", "", 3)["PACKET0003"].created == "2026-11-20T09:00:00.000000000Z"


def test_an_id_with_a_nul_is_found(inbox):
    inbox.add([packet(0, "PACKET\0001"), packet(0, "PACKET\0002")])
    assert list(inbox.called(["PACKET\0002"])) == ["PACKET\0002"]


def test_what_was_pushed_after_a_page_was_written_stays(inbox):
    inbox.add([packet(0, body="old"), packet(0, body="new")])
    first = inbox.waiting(1)
    inbox.remove(first)
    assert [each.body for each in inbox.waiting(10)] == ["new"]
    inbox.remove(inbox.waiting(10))
    assert inbox.count() == 0


def test_numbers_are_not_given_twice(inbox):
    inbox.add([packet(0)])
    inbox.remove(inbox.waiting(1))
    inbox.add([packet(0)])
    assert [each.n for each in inbox.waiting(1)] == [2]


def test_the_packets_of_a_team_are_nobodys_personal_ones(inbox):
    inbox.add([packet(0, "PACKET0001", owner="ana"), packet(0, "PACKET0002", owner="ana", team="T")])
    assert list(inbox.newest("ana", "", 9)) == ["PACKET0001"]
    assert list(inbox.newest("ana", "T", 9)) == list(inbox.newest("bea", "T", 9)) == ["PACKET0002"]
    assert inbox.ids_of("ana") == {"PACKET0001", "PACKET0002"}


def test_a_project_that_is_purged_takes_along_what_waits_for_it(inbox):
    inbox.add([packet(0, "PACKET0001"), packet(0, "PACKET0002"), packet(0, "PACKET0003", project=HOME)])
    inbox.forget(SHOP, ["PACKET0002"])
    assert [each.id for each in inbox.for_project(SHOP)] == ["PACKET0001"]
    inbox.forget(SHOP)
    assert [each.id for each in inbox.waiting(10)] == ["PACKET0003"]
