"""Sessions, what was recorded of them, and handoffs over `/api/v1`."""

from uuid import UUID, uuid5

import pytest

from tests.server.api.api_world import ONE, TWO

SHOP = "/workspaces/default/projects/shop"
OBSERVATIONS = f"{SHOP}/sessions/{ONE}/observations"
NOT_KEPT = "private, no-store"
OVER = {
    "session_id": ONE,
    "cwd": "/srv/shop",
    "agent_kind": "claude-code",
    "started_at": "2026-02-10T08:03:01Z",
    "ended_at": "2026-02-10T08:03:05Z",
    "observation_count": 5,
    "actor_user": None,
}
AT_WORK = {
    **OVER,
    "session_id": TWO,
    "agent_kind": "codex",
    "started_at": "2026-02-10T08:03:06Z",
    "ended_at": None,
    "observation_count": 4,
}
KINDS = ["session-start", "user-prompt", "post-tool-use", "stop", "session-end"]


def kinds(answer):
    return [each["kind"] for each in answer.json["observations"]]


def test_sessions_that_are_over_are_listed_and_the_others_on_request(client):
    answer = client.get(f"{SHOP}/sessions")
    assert (answer.headers["Cache-Control"], answer.json) == (NOT_KEPT, {"sessions": [OVER]})
    assert client.get(f"{SHOP}/sessions", include_open="true").json == {"sessions": [AT_WORK, OVER]}
    assert client.get(f"{SHOP}/sessions", include_open="true", limit=1, offset=1).json == {"sessions": [OVER]}
    assert client.get(f"{SHOP}/sessions", offset=9).json == {"sessions": []}
    assert client.get("/workspaces/lab/projects/solo/sessions").json == {"sessions": []}


def test_a_session_is_read_piece_by_piece(client, own):
    answer = client.get(OBSERVATIONS)
    observations = answer.json.pop("observations")
    assert answer.headers["Cache-Control"] == NOT_KEPT
    assert answer.json == {
        "session": OVER,
        "total": 5,
        "offset": 0,
        "limit": 50,
        "order": "asc",
        "elided_other_scope": 0,
        "body_max_chars": 4000,
    }
    assert [each["kind"] for each in observations] == KINDS
    home = own.memory.projects.called("default", "shop")
    # As it was said: what fences it for an agent is for agents.
    assert observations[1] == {
        "id": str(uuid5(home.id, f"{ONE}/1")),
        "session_id": ONE,
        "kind": "user-prompt",
        "title": "Which vouchers?",
        "body": "Which vouchers?",
        "importance": 8,
        "created_at": "2026-02-10T08:03:02Z",
        "extension": None,
        "source_event": "user-prompt",
    }


def test_observations_are_chosen_by_place_order_kind_and_words(client):
    assert kinds(client.get(OBSERVATIONS, limit=2, offset=1)) == KINDS[1:3]
    assert kinds(client.get(OBSERVATIONS, limit=2, order="desc")) == KINDS[:-3:-1]
    some = client.get(OBSERVATIONS, kinds="stop,user-prompt,")
    assert (kinds(some), some.json["total"]) == (["user-prompt", "stop"], 2)
    assert kinds(client.get(OBSERVATIONS, q="VOUCHERS")) == ["user-prompt"]
    assert client.get(OBSERVATIONS, offset=10**9).json["observations"] == []


def test_numbers_are_cut_to_what_is_allowed(client):
    answer = client.get(OBSERVATIONS, limit=9999, offset=-3, body_max_chars=1).json
    assert (answer["limit"], answer["offset"], answer["body_max_chars"]) == (200, 0, 200)
    assert client.get(OBSERVATIONS, limit=0, body_max_chars=99999).json["body_max_chars"] == 16384


def test_the_id_of_a_session_may_be_written_in_capitals(client):
    assert client.get(f"{SHOP}/sessions/{ONE.upper()}/observations").json["session"] == OVER


@pytest.mark.parametrize(
    ("path", "query", "status", "problem"),
    [
        (
            "mine",
            {},
            400,
            "'mine' is not the id of a session: it is a UUID, as the list of sessions has it",
        ),
        (
            ONE.replace("-", ""),
            {},
            400,
            f"{ONE.replace('-', '')!r} is not the id of a session: it is a UUID, as the list of sessions has it",
        ),
        (str(UUID(int=7)), {}, 404, f"default/shop has no session {UUID(int=7)}"),
        (ONE, {"order": "up"}, 400, "unknown order: up (say asc, desc)"),
        (ONE, {"kinds": "stop,nap"}, 400, "there is no kind 'nap' of observations: say some of session-start, "),
        (ONE, {"limit": "x"}, 400, "limit must be a whole number, not 'x'"),
        (ONE, {"body_max_chars": "x"}, 400, "body_max_chars must be a whole number, not 'x'"),
    ],
)
def test_what_cannot_be_asked_of_a_session_is_refused(client, path, query, status, problem):
    answer = client.get(f"{SHOP}/sessions/{path}/observations", status, **query)
    assert answer.json["error"].startswith(problem)


def test_a_session_of_another_project_is_not_to_be_seen(client):
    answer = client.get(f"/workspaces/lab/projects/solo/sessions/{ONE}/observations", 404)
    assert answer.json == {"error": f"lab/solo has no session {ONE}"}


def test_whether_open_ones_are_meant_is_said_by_true_or_false(client):
    problem = client.get(f"{SHOP}/sessions", 400, include_open="yes").json
    assert problem == {"error": "include_open must be true or false"}


# Handoffs


def handoffs(client, project, **query):
    return client.get(f"/workspaces/default/projects/{project}/handoffs", **query).json["handoffs"]


def test_handoffs_are_listed_and_none_is_taken(client):
    answer = client.get(f"{SHOP}/handoffs")
    assert answer.headers["Cache-Control"] == NOT_KEPT
    first, second = answer.json["handoffs"]
    assert first == {
        "id": first["id"],
        "agent": "codex",
        "at": "2026-02-10T08:03:09Z",
        "state": "open",
        "summary": f"Asked: Round the saffron bill.\n\nLast answer: Rounded per invoice.\n\nDetails: sessions/{TWO}.md",
        "open_questions": [],
        "next_steps": [],
        "redacted": False,
        "files_touched": [],
        "cwd": "/srv/shop",
    }
    assert second["agent"] == "claude-code"
    assert handoffs(client, "shop", limit=1, state="open", all_owners="true") == [first]
    assert handoffs(client, "shop", state="accepted") == []


def test_a_handoff_says_who_took_it_and_when(client, own):
    home = own.memory.projects.called("default", "twins")
    own.memory.handoffs.begin(home, summary="Done by half.", next_steps=["Test"], files_touched=["a.py"])
    own.memory.handoffs.accept(home, handoff_id=None, by="codex", session=None)
    (taken,) = handoffs(client, "twins", state="accepted")
    taken.pop("id")
    assert taken == {
        "agent": "other",
        "at": "2026-02-10T08:03:09Z",
        "state": "accepted",
        "summary": "Done by half.",
        "open_questions": [],
        "next_steps": ["Test"],
        "redacted": False,
        "files_touched": ["a.py"],
        "accepted_by": "codex",
        "accepted_at": "2026-02-10T08:03:09Z",
    }
    assert handoffs(client, "twins", state="expired") == []


def test_a_handoff_that_was_withdrawn_is_told_as_one_that_nobody_gets(client, own):
    home = own.memory.projects.called("default", "twins")
    left = own.memory.handoffs.begin(home, summary="Never mind.")
    own.memory.handoffs.cancel(home, left.id)
    (told,) = handoffs(client, "twins", state="expired")
    assert (told["id"], told["state"], told["summary"]) == (str(left.id), "expired", "Never mind.")
    assert told in handoffs(client, "twins")


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"state": "lost"}, "unknown handoff state: lost (say open, accepted, expired)"),
        ({"all_owners": "1"}, "all_owners must be true or false"),
        ({"limit": "x"}, "limit must be a whole number, not 'x'"),
    ],
)
def test_what_cannot_be_asked_of_handoffs_is_refused(client, query, problem):
    assert client.get(f"{SHOP}/handoffs", 400, **query).json == {"error": problem}
