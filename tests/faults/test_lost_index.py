"""The index is deleted at random moments of a busy run: everything that it answered, it answers again."""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from ai_memory.config import load_settings
from ai_memory.memory.memory import Memory
from ai_memory.model.front import parts
from tests.faults.busy import main
from tests.faults.life import picture
from tests.forked import Forked
from tests.mirror import assert_rebuild_is_equal

SEED = 20261122
#: Four memories, each killed six times; the last time the index stays, and has to be equal to a new one all the same.
MEMORIES, LOSSES = 4, 5


class Told:
    """What the busy runs said that is acknowledged: keys of events, and what pages hold."""

    def __init__(self):
        self.keys = []
        #: path -> what it may hold: what was acknowledged, and what was tried when the kill came. None: no page.
        self.pages = {}

    def read(self, lines):
        for line in map(json.loads, lines):
            self.keys += line.get("stored", [])
            if "trying" in line:
                self.pages.setdefault(line["trying"], {None}).add(line["body"])
            if "done" in line:
                self.pages[line["done"]] = {line["body"]}


def killed(data, number, moment, log):
    """Let a memory work for a while and kill it; gives the lines that it said."""
    errors = log.with_suffix(".errors")
    log.touch()
    process = Forked(main, str(data), str(number), env=os.environ, stdout=log, stderr=errors)
    deadline = time.monotonic() + 30
    while '"ready"' not in log.read_text() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(moment)
    process.kill()
    assert process.wait(10) == -signal.SIGKILL, errors.read_text()
    lines = log.read_text().splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n")]


def lose_index(data):
    for file in (data / "db").glob("index.db*"):
        file.unlink()


def opened(data, now):
    # The time stands still while we compare, or an edit from outside might be old enough to be committed meanwhile.
    return Memory(load_settings(data), clock=lambda: now)


def answers(data, now):
    memory = opened(data, now)
    try:
        seen = picture(SimpleNamespace(memory=memory, data=data))
        seen["derived"] = {**memory.status(bind="")["derived"], "index_rebuilt": None}
        return seen
    finally:
        memory.close()


def assert_there(seen, told):
    """Check that everything acknowledged is there, events exactly once."""
    projects = [part for label, part in seen.items() if "/" in label]
    keys = Counter(key for part in projects for rows in part["raw"].values() for _, key, _ in rows)
    assert [key for key, times in keys.items() if times != 1] == []
    assert [key for key in told.keys if key not in keys] == []
    pages = {path: text for part in projects for path, text in part["pages"].items()}
    held = {path: parts(pages[path]).body.strip() if path in pages else None for path in told.pages}
    assert {path: body for path, body in held.items() if body not in told.pages[path]} == {}


@pytest.mark.fault
@pytest.mark.parametrize("seed", range(SEED, SEED + MEMORIES))
def test_an_index_that_is_lost_at_any_moment_of_a_busy_run_is_made_anew_with_the_same_answers(tmp_path, seed):
    data, told, chance = tmp_path / "data", Told(), random.Random(seed)
    for number in range(LOSSES + 1):
        told.read(killed(data, seed + number, chance.uniform(0.0, 0.5), tmp_path / f"said{number}"))
        if number < LOSSES:
            lose_index(data)
        now = datetime.now(UTC)
        seen = []
        assert_rebuild_is_equal(data, lambda: seen.append(answers(data, now)))
        before, after = seen
        assert after == before
        assert_there(before, told)
        # What is there now stays there.
        told.pages = {path: bodies & {body_of(before, path)} for path, bodies in told.pages.items()}
    assert len(told.keys) > LOSSES
    assert len(told.pages) > LOSSES
    checked = subprocess.run(["git", "fsck", "--strict"], cwd=data / "wiki", capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def body_of(seen, path):
    texts = [part["pages"][path] for label, part in seen.items() if "/" in label and path in part["pages"]]
    return parts(texts[0]).body.strip() if texts else None
