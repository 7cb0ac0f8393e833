"""Half a year in small: what is kept stays bounded by the keep times, however long it goes on."""

import uuid

import pytest

from ai_memory.store.files import bytes_below

WEEKS, A_WEEK = 26, 6
#: All the keep times are over for the first time by then, and are so for as long again at the end.
SETTLED = 13
KEEP = """
[maintenance]
raw_keep_days = 28
ledger_keep_months = 1
[decay]
lambda = 0.1
hard_delete_after_days = 14
"""
#: Two projects, by the name of the directory.
PLACES = [f"/srv/{project}/{part}" for project in ("shop", "bank") for part in ("web", "api")]


def look(world):
    """Count what there is, in things and in bytes."""
    stores, data = world.memory.stores, world.data
    raw = list(stores.rawlog.files())
    git = bytes_below(data / "wiki" / ".git")
    space = stores.database.space()
    return {
        "raw": len(raw),
        "uncompressed": sum(not file.compressed for file in raw),
        "pages": len(world.pages()),
        "ledgers": len(list((data / "wiki").glob("*/*/log-*.md"))),
        "tombstones": sum(len(gone) for gone in stores.wiki.gone.values()),
        "handoffs": len(stores.state.open_handoffs()),
        "texts": stores.database.all("SELECT count(*) FROM texts")[0][0],
        "observations": stores.index.counts()["observations"],
        "keys": stores.database.all("SELECT count(*) FROM ingest_keys")[0][0],
        "files": bytes_below(data / "raw") + bytes_below(data / "wiki") - git,
        "index": space.page_size * (space.pages - space.free),
        "git": git,
    }


def work(world, number):
    """One session; every sixth stops without an end, every third takes what waits."""
    session = str(uuid.UUID(int=number + (4 << 76) + (2 << 62)))
    cwd = PLACES[number % 4]
    where = {"cwd": cwd}
    if number % 3 == 0:
        world.starts(session, agent="claude-code", cwd=cwd)
    world.works(session, prompt=f"Fix case {number} of the rounding.", answer="Next steps:\n- write the test", **where)
    world.memory.sessions.settle()
    if number % 6:
        world.says(session, "session-end", **where)
        world.memory.sessions.settle()


def night(world):
    """What the server does by itself in the time in which nobody works."""
    world.memory.sessions.close_idle()
    while world.memory.upkeep.step(10):
        pass


@pytest.fixture
def year(world):
    """What there was at the end of each week."""
    world.close()
    (world.data / "config.toml").write_text(KEEP)
    world.open()
    weeks = []
    for week in range(WEEKS):
        for number in range(A_WEEK):
            work(world, week * A_WEEK + number)
            world.passes(days=1)
        world.passes(days=1)
        night(world)
        if week in (SETTLED, WEEKS - 1):
            world.memory.stores.wiki.git.pack()
        weeks.append(look(world))
    return weeks


def test_what_is_kept_is_bounded_by_the_keep_times_and_not_by_the_time_that_passes(world, year):
    most = {key: max(week[key] for week in year) for key in year[0]}
    # The upkeep comes once a week here, so that each thing may be up to a week older than it is kept.
    assert most["raw"] <= 5 * A_WEEK
    assert most["uncompressed"] <= A_WEEK
    assert most["pages"] <= 4 * A_WEEK
    assert most["ledgers"] <= 2 * 2
    # A deleted session is remembered for as long as its raw log could bring it back.
    # So is the draft of its packet, which a text that cannot be searched belongs to.
    assert most["tombstones"] <= 2 * 4 * A_WEEK
    assert most["handoffs"] <= len(PLACES)
    assert most["texts"] <= 2 * most["pages"] + most["tombstones"]
    assert most["keys"] <= 6 * A_WEEK * 5

    early, late = year[SETTLED], year[-1]
    assert late["observations"] <= early["observations"] + A_WEEK * 5
    assert late["files"] <= 1.1 * early["files"]
    # Only the history grows: git has it, and a row of each commit is in the index.
    sessions = (WEEKS - SETTLED - 1) * A_WEEK
    assert late["index"] - early["index"] <= 2_000 * sessions
    assert late["git"] - early["git"] <= 3_000 * sessions

    before = (world.memory.stores.pages.counts(), world.memory.stores.index.counts(), world.pages())
    world.close()
    (world.data / "db" / "index.db").unlink()
    world.open()
    assert (world.memory.stores.pages.counts(), world.memory.stores.index.counts(), world.pages()) == before
