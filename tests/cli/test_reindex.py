"""The index made anew at a terminal."""

import json
import re
import sqlite3


def test_it_is_refused_while_a_server_runs_and_deletes_nothing(desk):
    desk.writes("a.md", "rounding")
    code, said = desk.refuses("reindex")
    assert (code, "is in use by the server with process id" in said) == (3, True)
    assert desk.says("search", "rounding").splitlines()[1] == "  default/shop  a.md"


def test_the_new_index_gives_the_same_answers_and_the_figures_are_told(desk):
    desk.writes("a.md", "rounding [[b]]")
    desk.writes("a.md", "rounding twice [[b]]")
    desk.writes("b.md", "see [[a]]")
    before = [desk.says("search", "rounding", "--json"), desk.says("history", "a.md", "--json")]
    desk.stop()
    # What is wrong in the old index does not get into the new one.
    with sqlite3.connect(desk.data / "db" / "index.db") as old:
        old.execute("UPDATE pages SET title = 'wrong'")
    old.close()
    done = desk.run("reindex", "--json")
    told = json.loads(done.stdout)
    assert told.pop("seconds") >= 0
    assert told == {
        "data_dir": str(desk.data),
        "projects": 1,
        "pages": 2,
        "versions": 3,
        "links": 2,
        "sessions": 0,
        "observations": 0,
    }
    assert done.stderr.decode().splitlines()[-1] == "reading 2 pages"
    desk.serve()
    assert [desk.says("search", "rounding", "--json"), desk.says("history", "a.md", "--json")] == before
    desk.stop()
    lines = desk.says("reindex").splitlines()
    assert re.fullmatch(rf"reindexed {re.escape(str(desk.data))} in \d+\.\d s", lines[0])
    assert lines[1] == "1 project, 2 pages, 3 versions, 2 links, 0 sessions, 0 observations"


def test_where_there_is_no_memory_none_is_made(desk, tmp_path):
    desk.stop()
    code, said = desk.refuses("reindex", "--data-dir", str(tmp_path / "nothing"))
    assert (code, said) == (1, f"error: there is no memory in {tmp_path / 'nothing'}: name another with --data-dir")
    assert not (tmp_path / "nothing").exists()


def test_an_older_format_is_upgraded_and_that_is_said(desk):
    desk.writes("a.md", "one")
    desk.stop()
    manifest = desk.data / "wiki" / "_meta.md"
    manifest.write_text(manifest.read_text().replace("format: 2", "format: 1"))
    said = desk.run("reindex").stderr.decode().splitlines()[-1]
    kept = desk.data / "backups" / "before-format-2.tar.gz"
    assert said == f"upgraded {desk.data} from format 1 to 2; as it was it is kept in {kept}"
