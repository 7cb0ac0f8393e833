"""Killed at every step: what was acknowledged is there, what is gone is gone, and what was cut short is done or not."""

import json
import os
import random
import re
import signal
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from ai_memory.store import steps
from ai_memory.store.steps import Step
from tests.faults.life import CANARY, LIVES, Life, Rehearsal, live, main, picture, places_of
from tests.forked import run
from tests.mirror import assert_rebuild_is_equal

ROOT = Path(__file__).resolve().parent.parent.parent
SEED = 20261121
MORE_KILLS = 20
#: Where a kill once left something: a mark behind its commit, a deleted page in the index, an empty ledger.
FOUND = [
    ("the_session_ends", Step.COMMIT_MADE),
    ("a_page_is_deleted_outside", Step.COMMIT_MARKED),
    ("the_session_is_compacted", Step.COMMIT_STAGED),
]
#: Notes of what is being done: with one of them there, the next start does it.
NOTES = ("db/operation.json", ".swap.json", "db/upgrade.json")


@dataclass(frozen=True)
class Killed:
    """A life that was killed: where, how many of its deeds were acknowledged, and whether the next one was noted."""

    life: str
    data: Path
    acknowledged: int
    noted: bool


class Deaths:
    """Rehearses every life once and kills as many as are asked for, a few ahead of the test that looks at them."""

    def __init__(self, folder):
        self.folder = folder
        self.rehearsals = {name: Rehearsal(name, folder / name) for name in LIVES}
        self.pool = ThreadPoolExecutor(1)
        self.deaths = {}

    def first(self, step):
        """Say which life reaches a step first, in the order of its steps; None when none does."""
        found = [
            (places.index(step), name)
            for name, each in self.rehearsals.items()
            if step in (places := [reached for reached, _ in each.reached])
        ]
        return (min(found)[1], step, 1) if found else None

    def during(self, deed, step):
        """Say where the life called work reaches a step during a deed."""
        work = self.rehearsals["work"]
        number = [each.__name__ for each in work.deeds].index(deed) + 1
        times = [at for reached, at in work.reached if reached == step]
        return "work", step, times.index(number) + 1

    def others(self):
        """Choose more places, from all of them but those that another test lives on from."""
        rest = [
            (name, step, nth)
            for name, each in self.rehearsals.items()
            for step, times in sorted(each.counts().items())
            for nth in range(1, times + 1)
        ]
        found = [self.during(*each) for each in FOUND]
        rest = [place for place in rest if place != self.first(place[1]) and place not in found]
        return random.Random(SEED).sample(rest, MORE_KILLS)

    def ahead(self, places):
        for place in places:
            self.deaths[place] = self.pool.submit(self.kill, *place)

    def at(self, place):
        if place not in self.deaths:
            self.ahead([place])
        return self.deaths[place].result()

    def kill(self, name, step, nth, then=None):
        """Kill a life at a step; and once more at another one, when it goes on by itself after that."""
        data = self.rehearsals[name].copy(self.folder / f"{name}-{step.name}-{nth}-{then}" / "data")
        told = self.killed(data, name, step.value, str(nth))
        assert told == list(range(1, len(told) + 1))
        if then:
            self.killed(data, name, then.value, "1", "begun")
        return Killed(name, data, len(told), any((data / note).exists() for note in NOTES))

    def killed(self, *arguments):
        clean = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TZ": "UTC"}
        done = run(main, *map(str, arguments), env=clean)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        return [json.loads(line)["acknowledged"] for line in done.stdout.splitlines()]

    def end(self):
        self.pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def deaths(tmp_path_factory, request):
    deaths = Deaths(tmp_path_factory.mktemp("lives"))
    asked = [
        item.callspec.params
        for item in request.session.items
        if item.module is request.module and hasattr(item, "callspec")
    ]
    deaths.ahead(filter(None, (deaths.first(params["step"]) for params in asked if "step" in params)))
    others = deaths.others()
    deaths.ahead(others[params["number"]] for params in asked if "number" in params)
    yield deaths
    deaths.end()


def head_of(data):
    return subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", "HEAD"], cwd=data / "wiki", capture_output=True, text=True
    ).stdout.strip()


def leftovers(data):
    """List what no start should leave behind."""
    found = list(data.rglob(".ai-memory-tmp.*"))
    found += (data / "wiki" / ".git").rglob("*.lock")
    found += [file for pattern in (".snapshot-*", ".restore-staging-*", ".reset-*") for file in data.glob(pattern)]
    found += (data / "backups").glob("*.partial")
    found += [data / note for note in (*NOTES, "db/commit-intent.json") if (data / note).exists()]
    return [file.relative_to(data).as_posix() for file in found]


def assert_sound(data):
    """Check what holds of every closed data directory, whatever is in it."""
    checked = subprocess.run(["git", "fsck", "--strict"], cwd=data / "wiki", capture_output=True, text=True)
    # A notice says that there is no commit yet.
    said = [line for line in checked.stderr.splitlines() if not line.startswith("notice: ")]
    assert (checked.returncode, said) == (0, [])
    assert leftovers(data) == []


def started(data, number):
    """Open a data directory at the time of a deed."""
    life = Life(data)
    life.at(number)
    life.open()
    return life


def differences(one, other, at=""):
    """Compare two pictures; gives what differs and where, so that a failure shows that alone."""
    if one == other:
        return {}
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return {at: (one, other)}
    keys = sorted(one.keys() | other.keys())
    return {
        place: pair
        for key in keys
        for place, pair in differences(one.get(key), other.get(key), f"{at} > {key}").items()
    }


def assert_recovered(killed, rehearsal):
    """Check a start after the kill; then live on to the end, and compare it with the life that nobody disturbed."""
    data, done, pictures = killed.data, killed.acknowledged, rehearsal.pictures
    life = started(data, done + 1)
    seen = picture(life)
    status = life.memory.status(bind="")
    life.close()
    if killed.noted or seen not in (pictures[done], rehearsal.halves.get(done + 1)):
        done += 1
        assert seen == pictures[done], (differences(seen, pictures[done - 1]), differences(seen, pictures[done]))
    assert [stage for stage, report in status["stages"].items() if report.get("last_error")] == []
    assert_sound(data)

    head = head_of(data)
    assert_rebuild_is_equal(data, lambda: started(data, killed.acknowledged + 1).close())
    assert head_of(data) == head

    life = Life(data)
    live(life, rehearsal.deeds, first=done + 1)
    assert differences(picture(life), pictures[-1]) == {}
    life.close()
    assert_sound(data)
    if killed.life == "purges":
        assert places_of(data, CANARY) == []


@pytest.mark.parametrize("step", Step)
def test_a_life_that_is_killed_at_a_step_goes_on_as_if_nothing_had_been(deaths, step):
    place = deaths.first(step)
    assert place, f"{step}: a failpoint that nothing reaches"
    assert_recovered(deaths.at(place), deaths.rehearsals[place[0]])


@pytest.mark.parametrize(("deed", "point"), FOUND)
def test_what_a_kill_once_left_behind_is_left_no_more(deaths, deed, point):
    place = deaths.during(deed, point)
    assert_recovered(deaths.at(place), deaths.rehearsals[place[0]])


@pytest.mark.parametrize("number", range(MORE_KILLS))
def test_a_life_that_is_killed_anywhere_goes_on_as_if_nothing_had_been(deaths, number):
    place = deaths.others()[number]
    assert_recovered(deaths.at(place), deaths.rehearsals[place[0]])


@pytest.mark.parametrize(
    ("first", "nth", "then"),
    [(Step.JOB_LEASED, 1, Step.JOB_ANSWERED), (Step.JOB_ANSWERED, 2, Step.JOB_WRITTEN)],
    ids=["early", "late"],
)
def test_a_job_that_is_killed_twice_is_done_and_pays_for_no_answer_twice(deaths, first, nth, then):
    killed = deaths.kill("models", first, nth, then)
    life = started(killed.data, 2)
    # After a second crash it rests.
    life.at(3)
    seen = picture(life)
    life.close()
    assert differences(seen, deaths.rehearsals["models"].pictures[1]) == {}
    assert seen["asked"]["calls"] > 2
    assert {state: count for state, count in seen["counts"]["jobs"].items() if count} == {"done": 2}
    assert_sound(killed.data)


def test_every_step_is_a_point_of_the_code_and_every_point_is_a_step():
    code = [file for file in (ROOT / "ai_memory").rglob("*.py") if file.name != "steps.py"]
    points = Counter(name for file in code for name in re.findall(r"\breached\(Step\.(\w+)\)", file.read_text()))
    assert points.keys() == {step.name for step in Step}
    assert steps._listeners == []


def test_undisturbed_lives_come_to_the_end_that_their_deeds_say(deaths):
    ends = {name: each.pictures[-1] for name, each in deaths.rehearsals.items()}
    labels = {name: sorted(key for key in end if "/" in key) for name, end in ends.items()}
    assert labels == {
        "work": ["default/doomed", "default/new", "default/other", "default/shop"],
        "packets": [
            "default/doomed",
            "default/other",
            "default/scratch",
            "default/shop",
            "user-team-01m7w6c380z86vebhn8wqnhhxv-f091c108e7ef/packets",
        ],
        "models": ["default/doomed", "default/new", "default/other", "default/shop"],
        "names": ["home/spared", "team/shop"],
        "purges": ["default/shop"],
        "upkeep": ["default/doomed", "default/other", "default/shop"],
        "whole": [],
        "upgrade": ["default/docs", "default/new", "default/shop"],
    }
    shop = {name: ends[name].get("default/shop") for name in ends}
    assert shop["work"]["gone"] == {"notes/c.md": "outside-delete"}
    assert shop["upkeep"]["gone"] == dict.fromkeys(("notes/over.md", "notes/past.md"), "forget-sweep")
    assert ends["purges"]["words"][CANARY] == []
    assert places_of(deaths.rehearsals["purges"].lived, CANARY) == []
    assert ends["upgrade"]["default/shop"]["pages"]
    assert ends["work"]["handoffs"]["accepted"] == 1
    assert (ends["packets"]["packets"], ends["packets"]["teams"]) == ({"owner": [], "ana": []}, {})
    counts = ends["packets"]["counts"]["packets"]
    assert (counts["saved"], counts["waiting"]) == (0, 0)
