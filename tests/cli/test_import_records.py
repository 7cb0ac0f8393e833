"""A folder of records at a terminal: brought in once, edits counted anew, what cannot be read named."""

import json

import pytest


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "memory" / "records"
    folder.mkdir(parents=True)
    return folder


def write(folder, number, content="Old.", **fields):
    record = {
        "schema_version": 1,
        "uuid": f"{number:032x}",
        "type": "note",
        "content": content,
        "project": "atlas",
        "created_at": f"2026-01-15T09:{number % 60:02}:00",
        "connections": [],
        "status": "active",
        **fields,
    }
    (folder / f"{number:032x}.json").write_text(json.dumps(record, indent=2))


def report(desk, folder, *options):
    return json.loads(desk.says("import-records", str(folder), "--json", *options))


def test_a_folder_is_brought_in_once_and_its_edits_as_they_come(desk, folder):
    for number in range(1, 451):
        write(folder, number)
    expected = {"dry_run": False, "found": 450, "new": 450, "updated": 0, "unchanged": 0, "deleted": 0}
    expected |= {"conflicts": [], "broken": []}
    assert report(desk, folder.parent, "--dry-run") == {**expected, "dry_run": True}
    assert json.loads(desk.run("list-projects", "--json").stdout)["projects"] == []
    assert report(desk, folder.parent) == expected
    write(folder, 7, "New.")
    write(folder, 451)
    assert desk.says("import-records", str(folder)) == (
        "451 files: 1 new, 1 updated, 449 there already, 0 deleted here before, 0 conflicts, 0 broken\n"
    )
    assert report(desk, folder) == {**expected, "found": 451, "new": 0, "unchanged": 451}
    assert "New." in desk.says("read-page", "--project", "atlas", "--path", f"notes/records/{7:032x}.md")


def test_conflicts_and_broken_files_are_named_and_the_rest_comes_in(desk, folder):
    write(folder, 1)
    write(folder, 2, importance=11)
    conflict = f"{1:032x}.sync-conflict-20260101-120000-ABCDEFG.json"
    (folder / conflict).write_text("{}")
    (folder / f"{3:032x}.json").write_text("{")
    (folder / f"{4:032x}.json").write_bytes(b'"\xff"')
    (folder / f"{5:032x}.json").write_text('"' + "x" * (2 << 20) + '"')
    (folder / f"{6:032x}.json").mkdir()
    done = desk.run("import-records", str(folder))
    assert done.returncode == 1
    lines = done.stdout.decode().splitlines()
    assert lines[0].startswith(f"conflict  {conflict}: left alone")
    assert [line.partition(":")[0] for line in lines[1:5]] == [f"broken    {n:032x}.json" for n in (3, 4, 5, 2)]
    assert "importance must be from 1 to 10" in lines[4]
    assert lines[5] == ("6 files: 1 new, 0 updated, 0 there already, 0 deleted here before, 1 conflict, 4 broken")
    again = desk.run("import-records", str(folder), "--json")
    told = json.loads(again.stdout)
    assert (again.returncode, told["unchanged"], told["conflicts"], len(told["broken"])) == (1, 1, [conflict], 4)


def test_a_folder_without_records_is_an_error(desk, tmp_path):
    assert desk.refuses("import-records", str(tmp_path / "none"))[0] == 2
    (tmp_path / "empty").mkdir()
    code, said = desk.refuses("import-records", str(tmp_path / "empty"))
    assert (code, said) == (1, f"error: there are no records (*.json) in {tmp_path / 'empty'}")
