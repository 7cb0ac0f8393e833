"""`teams`, `invite` and `join`, against a server that notes what comes over the wire."""

import json
import sys

import pytest

TEAM = {"id": "01TEAM", "name": "core", "owner_id": "01ANA", "created_at": "2026-11-20T10:00:00Z"}
MEMBERS = [
    {"user_id": "01ANA", "display": "Ana", "role": "owner", "joined_at": "2026-11-20T10:00:00Z", "email": "a@b.c"},
    {"user_id": "01BOB", "display": "invited-23456x", "role": "member", "joined_at": "2026-11-21T10:00:00Z"},
]
JOINED = {"user": {"id": "01BOB", "display": "Bob"}, "team": {"id": "01TEAM", "name": "core"}}
CODE = "0123456789abcdef" * 3
NEW = "new-token-of-a-new-user"


def kept(wire):
    return json.loads(wire.credentials.read_text())


def test_a_team_is_made(wire, type_):
    wire.answers["POST /v1/teams"] = (201, {"team": TEAM})
    assert type_("teams", "create", "core").out == "created team core\n"
    assert json.loads(wire.asked[0].body) == {"name": "core"}


def test_teams_are_a_table(wire, type_):
    wire.answers["GET /v1/teams"] = (200, {"teams": [TEAM]})
    assert type_("teams", "ls").out == ("NAME  CREATED               OWNER\ncore  2026-11-20T10:00:00Z  01ANA\n")
    assert json.loads(type_("teams", "ls", "--json").out) == {"teams": [TEAM]}


def test_members_are_a_table(wire, type_):
    wire.answers["GET /v1/teams/core/members"] = (200, {"members": MEMBERS})
    assert type_("teams", "members", "core").out.splitlines() == [
        "DISPLAY         ROLE    JOINED                ID",
        "Ana             owner   2026-11-20T10:00:00Z  01ANA",
        "invited-23456x  member  2026-11-21T10:00:00Z  01BOB",
    ]
    assert json.loads(type_("teams", "members", "core", "--json").out) == {"members": MEMBERS}


@pytest.mark.parametrize(
    ("command", "asked", "body", "said"),
    [
        (["rm", "core"], "DELETE /v1/teams/core", b"", "deleted team core\n"),
        (["rm", "co re/x"], "DELETE /v1/teams/co%20re%2Fx", b"", "deleted team co re/x\n"),
        (["leave", "core"], "POST /v1/teams/core/leave", b"{}", "left team core\n"),
        (
            ["remove-member", "core", "01BOB"],
            "DELETE /v1/teams/core/members/01BOB",
            b"",
            "removed 01BOB from team core\n",
        ),
    ],
    ids=["rm", "rm-encoded", "leave", "remove-member"],
)
def test_a_team_is_changed_on_the_server(wire, type_, command, asked, body, said):
    wire.answers[asked] = (204, b"")
    done = type_("teams", *command)
    assert (done.code, done.out) == (0, said)
    assert [(each.line, each.body, each.bearer) for each in wire.asked] == [(asked, body, "Bearer token-of-other")]


@pytest.mark.parametrize("status", [400, 403, 404, 409])
def test_a_refusal_is_shown(wire, type_, status):
    wire.answers["POST /v1/teams/core/leave"] = (status, {"error": "why not"})
    done = type_("teams", "leave", "core")
    assert (done.code, done.err) == (2 if status == 400 else 1, f"error: server returned {status}: why not\n")


def test_an_invite_is_its_link_alone_on_standard_output(wire, type_):
    url = f"https://ltm.example/v1/invites/{CODE}"
    answer = {"code": CODE, "url": url, "expires_at": "2026-11-28T10:00:00Z"}
    wire.answers["POST /v1/teams/core/invites"] = (201, answer)
    done = type_("invite", "-t", "core")
    assert (done.out, done.err) == (f"{url}\n", "expires: 2026-11-28T10:00:00Z\n")
    assert type_("invite").code == 2


# Join


def test_a_code_joins_at_the_usual_server_with_its_token(wire, type_):
    wire.answers[f"POST /v1/invites/{CODE}/accept"] = (201, JOINED)
    before = wire.credentials.read_bytes()
    assert type_("join", CODE).out == "✓ joined team core\n"
    (asked,) = wire.asked
    assert (asked.bearer, asked.body) == ("Bearer token-of-other", b"{}")
    assert wire.credentials.read_bytes() == before


def test_a_link_to_an_unknown_host_gets_no_token_and_the_usual_server_stays(wire, own, type_):
    wire.credentials.write_text(json.dumps({"default": own.host, "tokens": {own.host: "mine"}}))
    wire.answers[f"POST /v1/invites/{CODE}/accept"] = (201, {**JOINED, "token": NEW})
    done = type_("join", f"{wire.host}/v1/invites/{CODE}")
    assert done.out == "✓ authenticated\n✓ joined team core\n"
    assert done.err == f"the default host stays; name this one with --host {wire.host}\n"
    assert ([each.bearer for each in wire.asked], own.asked) == ([None], [])
    assert kept(wire) == {"default": own.host, "tokens": {own.host: "mine", wire.host: NEW}}


def test_with_consent_the_server_of_the_link_is_the_usual_one(own, wire, type_):
    wire.answers[f"POST /v1/invites/{CODE}/accept"] = (201, {**JOINED, "token": NEW})
    done = type_("join", "--yes", f"{wire.host}/v1/invites/{CODE}")
    assert done.out == f"✓ authenticated\n✓ default host set to {wire.host}\n✓ joined team core\n"
    assert kept(wire) == {"default": wire.host, "tokens": {wire.host: NEW}}


def test_a_token_that_is_there_is_not_replaced_unasked_and_the_new_one_is_not_lost(wire, type_):
    wire.answers[f"POST /v1/invites/{CODE}/accept"] = (201, {**JOINED, "token": NEW})
    done = type_("join", CODE)
    assert done.out == f"{NEW}\n✓ joined team core\n"
    assert f"`ai-memory auth {wire.host} -` takes it" in done.err
    assert kept(wire)["tokens"] == {wire.host: "token-of-other"}
    assert type_("join", CODE, "--yes").code == 0
    assert kept(wire)["tokens"] == {wire.host: NEW}


def test_at_the_own_server_one_joins_as_oneself(own, type_):
    own.answers |= {
        "POST /admin/ltm-tokens": (201, {"token": "mine"}),
        f"POST /v1/invites/{CODE}/accept": (201, JOINED),
    }
    assert type_("join", f"{own.host}/v1/invites/{CODE}").out == "✓ joined team core\n"
    assert own.asked[1].bearer == "Bearer mine"


@pytest.mark.parametrize("link", ["https://ltm.example/other/abc", "https://x/v1/invites/", "a b", "", "../x"])
def test_what_is_no_invite_is_refused_and_asks_nobody(wire, type_, link):
    done = type_("join", "--", link)
    assert (done.code, wire.asked) == (2, [])
    assert done.err.startswith(f"error: {link!r} is no invite")


def test_an_invite_that_was_used_is_said(wire, type_):
    wire.answers[f"POST /v1/invites/{CODE}/accept"] = (410, {"error": "invite expired or already consumed"})
    done = type_("join", CODE)
    assert (done.code, done.err) == (1, "error: server returned 410: invite expired or already consumed\n")


# At a terminal, where somebody can be asked

terminal = pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")


@terminal
@pytest.mark.parametrize("answer", ["y", "n"])
def test_the_usual_server_changes_only_when_somebody_says_so(wire, own, at_terminal, answer):
    wire.credentials.write_text(json.dumps({"default": own.host, "tokens": {own.host: "mine"}}))
    wire.answers[f"POST /v1/invites/{CODE}/accept"] = (201, {**JOINED, "token": NEW})
    asked = (b"instead of", f"{answer}\r".encode())
    code, seen = at_terminal(["join", f"{wire.host}/v1/invites/{CODE}"], asked)
    assert (code, b"joined team core" in seen, NEW.encode() in seen) == (0, True, False)
    default = wire.host if answer == "y" else own.host
    assert kept(wire) == {"default": default, "tokens": {own.host: "mine", wire.host: NEW}}


@terminal
@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_team_is_deleted_when_somebody_says_so(wire, at_terminal, answer):
    wire.answers["DELETE /v1/teams/core"] = (204, b"")
    code, _ = at_terminal(["teams", "rm", "core"], (b"all of its packets?", f"{answer}\r".encode()))
    assert (code, wire.lines) == ((0, ["DELETE /v1/teams/core"]) if answer == "y" else (1, []))
