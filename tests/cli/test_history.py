"""The way back in time at a terminal."""

import json
import re
from datetime import UTC, datetime

import pytest

from ai_memory.cli.moments import moment_of
from ai_memory.errors import BadRequestError


def versions(desk, path):
    return [each["revision"] for each in json.loads(desk.says("history", path, "--json"))["versions"]]


def test_every_version_of_a_page_can_be_listed_shown_and_compared(desk):
    desk.writes("a.md", "one")
    desk.writes("a.md", "two", "--reason", "it was wrong")
    new, old = versions(desk, "a.md")
    rows = desk.says("history", "a.md").splitlines()
    assert [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "WHEN", row) for row in rows] == [
        f"{new[:12]}  WHEN  ana  write-page default/shop: a.md — it was wrong",
        f"{old[:12]}  WHEN  ana  write-page default/shop: a.md",
    ]
    assert desk.says("history", "a.md", "-n", "1").splitlines() == rows[:1]
    assert desk.says("show", f"a.md@{old[:12]}") == "---\ntype: Note\n---\none\n"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert desk.says("show", f"a.md@{today}") == desk.says("show", "a.md") == "---\ntype: Note\n---\ntwo\n"
    compared = [f"--- a.md@{old[:12]}", f"+++ a.md@{new[:12]}", "@@ -1,4 +1,4 @@", " ---", " type: Note", " ---"]
    assert desk.says("diff", "a.md", old, new).splitlines() == [*compared, "-one", "+two"]
    assert desk.says("diff", "a.md", old).splitlines()[1:] == ["+++ a.md", *compared[2:], "-one", "+two"]
    assert desk.says("diff", "a.md", today) == ""


def test_what_was_not_there_then_is_said_with_the_way_to_what_was(desk):
    desk.writes("a.md", "one")
    code, said = desk.refuses("show", "a.md@yesterday")
    assert (code, "default/shop had no page a.md on " in said, "ai-memory history a.md" in said) == (1, True, True)
    code, said = desk.refuses("show", "a.md@2026-13-01")
    assert (code, said.startswith("error: '2026-13-01' is not a time: write 2026-11-21,")) == (2, True)
    assert desk.run("show", "a.md@nonsense").returncode == 1
    assert desk.run("read-page", "--path", "a.md", "--at", "soon").returncode == 2
    assert desk.run("history", "b.md").returncode == 1


def test_a_time_that_history_shows_finds_that_version(desk):
    desk.writes("a.md", "one")
    (row,) = desk.says("history", "a").splitlines()
    (shown,) = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d", row)
    assert desk.says("show", f"a@{shown}") == desk.says("show", "a") == desk.says("show", "a.md")
    assert "one" in desk.says("read-page", "--path", "a", "--at", shown)


def test_a_refusal_speaks_of_local_time(desk):
    desk._env["TZ"] = "Pacific/Auckland"
    desk.writes("a.md", "one")
    _, said = desk.refuses("show", "a.md@2026-01-02 03:04")
    assert "no page a.md on 2026-01-02 03:04 (" in said


def test_words_that_are_no_time_list_those_that_are(desk):
    desk.writes("a.md", "one")
    for command in (("show", "a.md@last tuesday"), ("read-page", "--path", "a.md", "--at", "soon")):
        code, said = desk.refuses(*command)
        assert (code, "today, yesterday, '3 days ago' (or minutes, hours, weeks)" in said) == (2, True)


def test_everything_is_committed_at_once_and_what_is_left_out_is_named(desk):
    desk.writes("a.md", "one")
    desk.writes("torn.md", "one")
    desk.writes("gone.md", "one")
    desk.writes("b.md", "two", "--project", "ideas")
    desk.says("delete-page", "--path", "gone.md")
    (here,) = (file.parent for file in (desk.data / "wiki").glob("*/*/a.md"))
    (there,) = (desk.data / "wiki").glob("*/*/b.md")
    (here / "a.md").write_text("by hand\n")
    (here / "torn.md").write_text("<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n")
    (here / "gone.md").write_text("back\n")
    there.write_text("by hand\n")
    before = len(json.loads(desk.says("checkpoints", "--json")))
    said = desk.says("commit", "-m", "all of it").splitlines()
    assert said[1:] == [
        "left out: default/shop/torn.md (conflict markers)",
        "left out: default/shop/gone.md (it was deleted: write-page --revive takes it back)",
    ]
    rows = json.loads(desk.says("checkpoints", "--json"))
    assert (len(rows), rows[0]["summary"]) == (before + 1, "all of it")
    assert sorted(rows[0]["pages"]) == ["default/ideas/b.md", "default/shop/a.md"]


def test_a_deleted_page_comes_back_as_it_was(desk):
    desk.writes("a.md", "one")
    (first,) = versions(desk, "a.md")
    desk.says("delete-page", "--path", "a.md")
    assert re.search(r"ana  deleted  delete-page default/shop: a\.md$", desk.says("history", "a.md").splitlines()[0])
    said = desk.says("restore-page", "--path", "a.md", "--from", first[:12])
    assert said.startswith(f"✓ restored a.md as of {first[:12]} (revision ")
    assert desk.says("show", "a.md") == "---\ntype: Note\n---\none\n"
    again = json.loads(desk.says("restore-page", "--path", "a.md", "--from", first, "--json"))
    assert (again["restored_from"], again["changed"], "checkpoint" in again) == (first, False, False)
    assert len(versions(desk, "a.md")) == 3


def test_a_page_is_restored_from_a_time(desk):
    desk.writes("a.md", "one")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert "nothing to do, it is so already: a.md" in desk.says("restore-page", "--path", "a.md", "--from", today)
    assert desk.run("restore-page", "--path", "a.md", "--from", "3 days ago").returncode == 1


def test_commits_are_listed_and_made_by_hand(desk):
    assert desk.says("checkpoints") == "nothing is committed yet\n"
    assert desk.says("commit") == "nothing to commit\n"
    desk.writes("a.md", "one")
    with desk.page("a.md").open("a") as page:
        page.write("by hand\n")
    assert re.fullmatch(r"✓ committed [0-9a-f]{12}\n", desk.says("commit", "-m", "before the holidays"))
    rows = desk.says("checkpoints").splitlines()
    assert [row.split("  ")[2] for row in rows] == ["ana: before the holidays", "ana: write-page default/shop: a.md"]
    (row,) = json.loads(desk.says("checkpoints", "-n", "1", "--json"))
    assert (row["oid"][:12], row["pages"], row["author"]) == (row["short_oid"], ["default/shop/a.md"], "ana")


NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ("2026-11-21", "2026-11-21T23:59:59.999999+00:00"),
        ("2026-11-21T10", "2026-11-21T10:59:59.999999+00:00"),
        ("2026-11-21T10:00", "2026-11-21T10:00:59.999999+00:00"),
        ("2026-11-21 10:00:30", "2026-11-21T10:00:30.999999+00:00"),
        ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00.999999+00:00"),
        ("2026-11-21T10:00+0200", "2026-11-21T08:00:59.999999+00:00"),
        ("2026-11-21T10:00:00+02:00", "2026-11-21T08:00:00.999999+00:00"),
        ("2026-11-21T10:00:00.5Z", "2026-11-21T10:00:00.500000+00:00"),
        ("today", "2026-11-21T23:59:59.999999+00:00"),
        ("45 minutes ago", "2026-11-21T08:45:00+00:00"),
        ("1 hour ago", "2026-11-21T08:30:00+00:00"),
        ("2 weeks ago", "2026-11-07T23:59:59.999999+00:00"),
        ("yesterday", "2026-11-20T23:59:59.999999+00:00"),
        (" 3 Days  ago", "2026-11-18T23:59:59.999999+00:00"),
        ("1 day ago", "2026-11-20T23:59:59.999999+00:00"),
    ],
)
def test_a_moment_is_what_people_mean_by_it(said, at):
    assert moment_of(said, NOW).isoformat() == at


def test_a_day_ends_where_the_person_is(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert moment_of("2026-11-20", NOW).isoformat() == "2026-11-20T22:59:59.999999+00:00"
        assert moment_of("2026-11-21T10:00", NOW).isoformat() == "2026-11-21T09:00:59.999999+00:00"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("said", ["4be1c0ffee12", "HEAD~2", "", "20261121", "main"])
def test_a_revision_is_no_moment(said):
    assert moment_of(said, NOW) is None


@pytest.mark.parametrize("said", ["2026-02-30", "2026-11-21T25:00", "99999 days ago"])
def test_a_moment_that_cannot_be_is_refused_with_a_sentence(said):
    with pytest.raises(BadRequestError, match=said):
        moment_of(said, datetime(3, 1, 1, tzinfo=UTC))
