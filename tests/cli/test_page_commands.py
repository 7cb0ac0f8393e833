"""Pages at a terminal: write, read, find, delete."""

import json
import sqlite3
import subprocess


def test_a_page_is_written_read_and_found_in_the_directorys_project(desk):
    done = desk.run(
        "write-page", "--path", "notes/vat.md", "--body", "# VAT rounding\n\nRound per invoice.", "-t", "vat"
    )
    first = json.loads(desk.says("read-page", "--path", "notes/vat.md", "--json"))["revision"][:12]
    assert (done.stdout.decode(), done.stderr.decode()) == (
        f"✓ wrote notes/vat.md (revision {first}) under default/shop\n",
        "in default/shop (name)\n",
    )
    assert desk.page("notes/vat.md").read_text() == (
        "---\ntype: Note\ntags:\n- vat\n---\n# VAT rounding\n\nRound per invoice.\n"
    )
    head = desk.says("read-page", "rounding of invoices").splitlines()
    assert [head[0], head[1], head[3]] == ["VAT rounding", "default/shop  notes/vat.md", "note, semantic"]
    assert head[2].startswith(f"revision {first}, ")
    assert head[2].endswith(", ana")
    assert head[4:] == ["", "# VAT rounding", "", "Round per invoice."]
    found = desk.says("search", "invoice").splitlines()
    assert found[:2] == ["VAT rounding", "  default/shop  notes/vat.md"]
    assert "Round per invoice." in found[2]
    assert "<mark>" not in found[2]


def test_text_comes_from_a_file_or_standard_input_byte_for_byte(desk):
    text = b"\xef\xbb\xbf---\r\n# mine\r\ntype: Note\r\n---\r\nf\xc3\xbcr\r\n"
    file = desk.shop / "page.md"
    file.write_bytes(text)
    desk.says("write-page", "--path", "a.md", "--file", str(file))
    desk.says("write-page", "--path", "b.md", "--body", "-", stdin=text)
    assert desk.page("a.md").read_bytes() == desk.page("b.md").read_bytes() == text
    assert desk.run("show", "a.md").stdout == text
    assert desk.refuses("write-page", "--path", "c.md", "--body", "-", stdin=b"\xff") == (
        2,
        "error: the text is not UTF-8: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    )
    assert desk.run("write-page", "--path", "c.md").returncode == 2


def test_a_page_that_somebody_else_changed_shows_both_sides_and_stays(desk):
    desk.writes("a.md", "one\ntwo")
    old = json.loads(desk.says("read-page", "--path", "a.md", "--json"))["revision"]
    desk.writes("a.md", "one\n2", "--expect", old)
    done = desk.run("write-page", "--path", "a.md", "--body", "1\ntwo", "--expect", old)
    assert done.returncode == 1
    assert done.stdout.decode().splitlines()[3:] == ["-one", "-2", "+1", "+two"]
    assert b"a.md was changed by ana on " in done.stderr
    details = json.loads(desk.run("write-page", "--path", "a.md", "--body", "x", "--expect", old, "--json").stdout)
    assert (details["path"], details["yours"]) == ("a.md", {"expected_revision": old, "text": "x\n"})
    assert desk.page("a.md").read_text().endswith("\none\n2\n")
    assert desk.run("write-page", "--path", "a.md", "--body", "x", "--create-only").returncode == 1


def test_what_cannot_be_a_page_creates_no_project(desk):
    for bad in (["--path", "../x.md"], ["--path", "x.txt"], ["--path", "a.md", "--tier", "high"]):
        assert desk.run("write-page", *bad, "--body", "x").returncode == 2
    assert json.loads(desk.says("where", "--json"))["exists"] is False


def test_reading_creates_nothing_and_says_where_it_looked(desk, own_home):
    assert desk.refuses("read-page", "--path", "a.md") == (
        1,
        "error: there is no project default/shop yet: go to its directory, or name it with --project and --workspace",
    )
    desk.writes("a.md", "rounding")
    done = desk.run("search", "rounding", cwd=own_home)
    assert done.stderr.decode() == "in all projects: this directory belongs to none\n"
    assert done.stdout.decode().splitlines()[1] == "  default/shop  a.md"
    assert desk.refuses("search", "x", "--project", "shops")[0] == 1
    named = desk.run("search", "rounding", "--project", "shop", cwd=own_home)
    assert (named.returncode, named.stderr) == (0, b"")


def test_a_flag_names_another_project_without_taking_this_repository_to_it(desk):
    subprocess.run(["git", "init", "-q", str(desk.shop)], check=True)
    desk.writes("a.md", "x", "--project", "ideas")
    desk.writes("a.md", "x")
    told = json.loads(desk.says("where", "--json"))
    assert (told["project"], told["resolved_by"]) == ("shop", "repo-root")


def test_what_was_deleted_stays_deleted_until_somebody_says_otherwise(desk):
    desk.writes("a.md", "one")
    desk.writes("b.md", "see [[a]]")
    assert desk.says("delete-page", "--path", "a.md", "--dry-run").splitlines() == [
        "would delete a.md under default/shop",
        "1 version in git, linked to by 1 page",
    ]
    assert desk.run("delete-page", "--path", "a.md", "--dry-run", "--confirm").returncode == 2
    assert desk.page("a.md").exists()
    done = desk.run("delete-page", "--path", "a.md")
    assert done.stdout.decode() == "✓ deleted a.md under default/shop\n"
    assert "git history and backups keep it" in done.stderr.decode()
    assert not desk.page("a.md").exists()
    code, said = desk.refuses("write-page", "--path", "a.md", "--body", "two")
    assert (code, "was deleted on" in said) == (1, True)
    assert desk.says("delete-page", "--path", "a.md") == "nothing to delete: a.md under default/shop\n"
    desk.writes("a.md", "two", "--revive")
    assert desk.page("a.md").read_text().endswith("two\n")
    assert desk.says("read-page", "--path", "a.md").splitlines()[-2:] == ["Linked from:", "  - b.md"]


def test_a_page_is_deleted_and_brought_back_also_where_its_suffix_is_left_away(desk):
    desk.writes("notes/vat.md", "one")
    (version,) = json.loads(desk.says("history", "notes/vat", "--json"))["versions"]
    assert desk.says("delete-page", "--path", "notes/vat") == "✓ deleted notes/vat.md under default/shop\n"
    said = desk.says("restore-page", "--path", "notes/vat", "--from", version["revision"])
    assert said.startswith("✓ restored notes/vat.md as of ")
    assert desk.says("show", "notes/vat").splitlines()[-1] == "one"
    said = desk.says("delete-page", "--path", "notes/vat", "--history", "--confirm")
    assert said.splitlines()[0] == "notes/vat.md is purged: 1 page, 2 versions"


def test_stored_text_does_not_steer_the_terminal(desk):
    evil = "# \x1b]0;owned\x07Title\n\nsaffron \x1b[2J\x9b31m\u202etext"
    desk.writes("a.md", evil)
    for command in (("read-page", "saffron"), ("search", "saffron"), ("history", "a.md")):
        shown = desk.says(*command)
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(shown)


def test_a_link_that_leads_nowhere_is_named(desk):
    desk.writes("a.md", "see [[b]] and [[nowhere:c]]")
    shown = desk.says("read-page", "--path", "a.md").splitlines()
    assert shown[-2:] == ["  - b.md  (no such page)", "  - nowhere: c.md  (no such page)"]
    assert "links             2 (unresolved: 2)" in desk.says("status")


def test_status_says_when_pages_fell_out_of_the_search_tables_and_reindex_helps(desk):
    desk.writes("a.md", "one")
    assert "fts " not in desk.says("status")
    desk.stop()
    with sqlite3.connect(desk.data / "db" / "index.db") as index:
        index.execute("INSERT INTO chunks_fts (chunks_fts) VALUES ('delete-all')")
    index.close()
    desk.serve()
    lines = desk.says("status").splitlines()
    at = lines.index(f"{'fts':<17} pages 0/1: searches miss the rest")
    assert lines[at + 1].strip() == "stop the server and run `ai-memory reindex`: it makes the index anew"
    desk.stop()
    desk.says("reindex")
    desk.serve()
    assert "fts " not in desk.says("status")
    assert "a.md" in desk.says("search", "one")


def test_status_names_the_first_pages_with_a_problem_on_80_columns(desk):
    for number in range(6):
        desk.writes(f"notes/{number}.md", "<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs")
    desk.writes("a.md", "one")
    desk.says("delete-page", "--path", "a.md")
    desk.stop()
    desk.page("a.md").write_text("back\n")
    desk.serve()
    lines = desk.says("status").splitlines()
    named = [line.split()[1].rstrip(":") for line in lines if line.startswith("problem ")]
    assert named == [f"default/shop/notes/{number}.md" for number in range(5)]
    assert f"{'':<17} and 1 more" in lines
    assert f"{'deleted':<17} default/shop/a.md: the file is there again; it is not read" in lines
    assert "pages             6 (all versions: 7)" in lines
    mine = [line for line in lines if str(desk.data) not in line]
    assert max(map(len, mine)) <= 80
