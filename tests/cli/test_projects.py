"""Projects, renamed, moved and purged at a terminal."""

import json
import sqlite3
from urllib.parse import urlencode


def session(desk, session_id="7b0e5f9e-3a52-4c55-9a0e-0f2d8b1c9a11"):
    """Let an agent work in ~/shop, through the hook's door."""
    import http.client

    for event, body in (("user-prompt", {"prompt": "Fix the rounding."}), ("stop", {}), ("session-end", {})):
        connection = http.client.HTTPConnection("127.0.0.1", desk._port, timeout=10)
        query = urlencode({"event": event, "agent": "codex", "cwd": str(desk.shop)})
        connection.request("POST", f"/hook?{query}", json.dumps({"session_id": session_id, **body}))
        assert connection.getresponse().status == 202
        connection.close()
    desk.says("handoffs")
    return session_id


def test_projects_are_listed_with_what_is_in_them(desk):
    assert desk.says("list-projects") == "no project yet\n"
    desk.writes("a.md", "one")
    (line,) = desk.says("list-projects").splitlines()
    assert line.startswith("default/shop       1 page  20")
    assert json.loads(desk.says("list-projects", "--json"))["projects"][0]["project_name"] == "shop"


def test_a_renamed_project_is_still_the_one_of_its_directory(desk):
    desk.writes("a.md", "one")
    assert desk.says("rename-project", "--to", "store") == "default/shop is called store now (1 page)\n"
    desk.writes("b.md", "two")
    assert desk.says("list-projects").startswith("default/store      2 pages")
    assert desk.refuses("rename-project", "--to", "No Name")[0] == 2
    said = desk.says("rename-workspace", "--from", "default", "--to", "home")
    assert said == "workspace default is called home now (1 project)\n"
    desk.writes("c.md", "three")
    assert desk.says("list-projects").startswith("home/store      3 pages")


def test_nothing_moves_or_goes_without_confirm(desk):
    desk.writes("a.md", "one")
    one = session(desk)
    for command in (
        ("move-project", "--to-workspace", "team"),
        ("move-session", one, "--to", "lab", "--create"),
        ("purge-session", "--session-id", one),
        ("purge-project",),
        ("delete-page", "--path", "a.md", "--history"),
    ):
        said = desk.says(*command)
        assert said.splitlines()[-1] == "nothing was changed: say it again with --confirm to do it"
        assert desk.says(*command, "--dry-run") == said
        assert desk.refuses(*command, "--dry-run", "--confirm") == (
            2,
            "Error: --confirm and --dry-run exclude each other",
        )
    assert desk.says("list-projects").startswith("default/shop      2 pages")


def test_a_session_moves_to_another_project_and_the_project_to_another_workspace(desk):
    desk.writes("a.md", "one")
    one = session(desk)
    said = desk.says("move-session", one, "--to", "lab", "--create", "--confirm")
    assert said == "session 7b0e5f9e is moved from default/shop to default/lab: 3 observations, 1 handoff, page moved\n"
    said = desk.says("move-project", "--to-workspace", "team", "--confirm")
    assert said == "default/shop is moved to team/shop: 1 page\n"
    desk.writes("b.md", "two")
    labels = [line.split()[0] for line in desk.says("list-projects").splitlines()]
    assert labels == ["default/lab", "team/shop"]
    assert desk.refuses("move-session", one, "--to", "nowhere")[0] == 1


def test_a_move_into_another_project_says_which_pages_are_in_both_and_what_becomes_of_them(desk):
    for workspace in ("default", "team"):
        desk.writes("a.md", f"Of {workspace}.", "--workspace", workspace, "--project", "shop")
    move = ("move-project", "--from-workspace", "team", "--project", "shop", "--to-workspace", "default")
    would = "team/shop would be merged into default/shop: 1 page"
    unconfirmed = "nothing was changed: say it again with --confirm to do it"
    blocked = "it cannot be as it is: say --on-conflict overwrite or --on-conflict duplicate"
    assert desk.says(*move).splitlines() == [would, "  a.md is in both", blocked]
    assert desk.refuses(*move, "--confirm")[0] == 1
    assert desk.says(*move, "--on-conflict", "duplicate").splitlines() == [
        would,
        "  a.md is in both: the moved one is kept as a-from-team.md",
        unconfirmed,
    ]
    replaced = "  a.md is in both: the moved one takes its place"
    assert desk.says(*move, "--on-conflict", "overwrite").splitlines() == [would, replaced, unconfirmed]
    assert desk.says(*move, "--on-conflict", "overwrite", "--confirm").splitlines() == [
        "team/shop is merged into default/shop: 1 page",
        replaced,
    ]
    assert desk.says("show", "a").splitlines()[-1] == "Of team."


def test_a_purge_that_compacts_does_not_ask_for_a_compaction(desk):
    hint = "the databases have it in their free space and logs until `ai-memory compact` takes it out"
    desk.writes("a.md", "one")
    one = session(desk)
    asked = ("purge-session", "--session-id", one)
    assert hint in desk.says(*asked)
    assert hint not in desk.says(*asked, "--compact")
    assert hint not in desk.says(*asked, "--compact", "--confirm")
    assert "compacted 1" in desk.says("status")
    assert hint in desk.says("purge-project", "--confirm")


def test_a_purge_says_what_went_and_what_remains(desk):
    desk.writes("a.md", "one")
    one = session(desk)
    dry, asked = desk.says("purge-session", "--session-id", one), ("purge-session", "--session-id", one, "--confirm")
    done = desk.says(*asked)
    counts = "3 observations, 1 page, 3 ledger lines, 1 handoff"
    assert dry.splitlines()[0] == f"{one} would be purged: {counts}"
    assert done.splitlines()[0] == f"{one} is purged: {counts}"
    assert "git history (--history takes it out)" in done.splitlines()[1]
    said = desk.says("delete-page", "--path", "a.md", "--history", "--confirm")
    assert said.splitlines()[0] == "a.md is purged: 1 page, 1 version"
    assert "git history" not in said.splitlines()[1]
    said = desk.says("purge-project", "--history", "--confirm", "--json")
    assert json.loads(said)["label"] == "default/shop"
    assert desk.says("list-projects") == "no project yet\n"
    desk.stop()
    rows = sqlite3.connect(desk.data / "db" / "state.db").execute("SELECT count(*) FROM handoffs").fetchall()
    assert rows == [(0,)]
