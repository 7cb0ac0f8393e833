"""`forget-sweep`, `compact` and the storage line of `status` at a terminal."""

import json

import pytest


def test_a_sweep_is_a_dry_run_until_somebody_confirms(desk):
    desk.writes("notes/a.md", "---\nexpires_at: 2020-01-01\n---\nOver.\n")
    line = "expired  notes/a.md  on 2020-01-01T23:59:59Z\n"
    dry = f"{line}would delete 1 file in default/shop, 0 tombstones let go\nnothing was changed: say it again with --confirm to do it\n"
    assert desk.says("forget-sweep") == dry
    assert desk.says("forget-sweep", "--dry-run") == dry
    assert desk.page("notes/a.md").exists()
    assert desk.says("forget-sweep", "--confirm") == (
        f"{line}deleted 1 file in default/shop, 0 tombstones let go\ngit history and backups keep them\n"
    )
    assert not desk.page("notes/a.md").exists()
    report = json.loads(desk.says("forget-sweep", "--json"))
    assert (report["dry_run"], report["expired"], report["evicted"]) == (True, [], [])
    assert desk.run("forget-sweep", "--confirm", "--dry-run").returncode == 2


def test_compacting_says_what_it_freed(desk):
    desk.writes("notes/a.md", "Text.")
    assert desk.says("compact").startswith("freed ")
    freed = json.loads(desk.says("compact", "--json"))
    assert freed.keys() == {"freed_bytes", "index_bytes", "state_bytes", "git_bytes"}


def test_status_says_what_takes_space(desk):
    line = next(line for line in desk.says("status").splitlines() if line.startswith("storage"))
    assert [part.split(" ")[0] for part in line.removeprefix("storage").strip().split(", ")] == [
        "raw",
        "pages",
        "git",
        "databases",
    ]


@pytest.mark.parametrize(
    ("reclaimable", "whole", "said"),
    [(100, 400, True), (100, 600, False), (60, 100, False)],
    ids=["a quarter", "a sixth", "little"],
)
def test_status_tells_of_space_that_can_be_had_back_when_it_is_worth_it(capsys, reclaimable, whole, said):
    from ai_memory.cli.status import _print_storage

    mebibyte = 1024 * 1024
    _print_storage(
        {
            "raw": {"bytes": 0},
            "wiki_bytes": 0,
            "git_bytes": 0,
            "database_bytes": whole * mebibyte,
            "reclaimable_bytes": reclaimable * mebibyte,
        }
    )
    assert ("ai-memory compact" in capsys.readouterr().out) is said
