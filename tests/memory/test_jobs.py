"""Jobs: each comes to one end that can be seen, and nothing that was answered is asked for again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest

from ai_memory.capture.scrub import Scrubber
from ai_memory.errors import BadRequestError, ConflictError, NotFoundError, StorageError
from ai_memory.llm.chat import ModelError
from ai_memory.memory.jobs import Jobs
from ai_memory.store.jobs import STATES
from ai_memory.store.state import State

PLACE = UUID(int=7)
SOMEBODY, OTHER = UUID(int=8), UUID(int=9)


class Desk:
    """The state of a memory, on a clock that the test moves, and jobs of a kind that a test does as it likes."""

    def __init__(self, path):
        self.path = path
        self.time = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
        self.does = lambda work: {"done": work.job.key}
        self.begun = []
        self.open()

    def open(self, *, is_on=True):
        def do(work):
            self.begun.append(work.job.key)
            return self.does(work)

        self.state = State(self.path)
        stores = SimpleNamespace(state=self.state, clock=lambda: self.time, scrubber=Scrubber([], []))
        self.jobs = Jobs(stores, is_on=is_on)
        self.jobs.doers["test"] = do

    def close(self):
        self.jobs.close()
        self.state.close()

    def crash(self):
        self.state.close()

    def passes(self, **time):
        self.time += timedelta(**time)

    def add(self, key="a", generation=1, payload=None, **how):
        return self.jobs.add("test", key, PLACE, generation=generation, payload=payload or {}, **how)

    def now(self, job):
        return self.state.jobs.job(job.id)

    def anew(self, *, crash=False):
        (self.crash if crash else self.close)()
        self.open()

    def fails(self, error):
        def do(work):
            raise error

        self.does = do

    def answers(self):
        return self.state._database.all("SELECT job, name, answer FROM job_answers ORDER BY name")


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path / "state.db")
    yield desk
    desk.close()


# Adding


def test_a_job_is_done_once_and_says_what_was_done(desk):
    job = desk.add()
    assert desk.jobs.due.is_set()
    assert desk.jobs.run_due() is True
    done = desk.now(job)
    assert (done.state, done.outcome, done.error, done.attempts) == ("done", {"done": "a"}, "", 0)
    assert desk.jobs.run_due() is False
    assert desk.begun == ["a"]
    assert desk.jobs.counts() == {**dict.fromkeys(STATES, 0), "done": 1}


@pytest.mark.parametrize("state", STATES)
def test_what_nobody_asked_for_is_done_once_a_generation_whatever_came_of_it(desk, state):
    job = desk.add()
    desk.state.jobs.save(replace(job, state=state, lease_until=desk.time + timedelta(minutes=5)))
    desk.passes(seconds=1)
    assert desk.add().id == job.id
    later = desk.add(generation=2)
    # One that waits does the work of the later one, too.
    assert (later.id == job.id, later.generation) == (state == "queued", 2)


def test_a_job_that_waits_takes_the_newer_order_and_forgets_answers_to_the_older(desk):
    job = desk.add(payload={"n": 1})
    desk.state.jobs.keep(job.id, "part", "paid")
    same = desk.add(payload={"n": 1})
    assert same.id == job.id
    assert len(desk.answers()) == 1
    other = desk.add(generation=2, payload={"n": 2})
    assert (other.id, other.generation, other.payload) == (job.id, 2, {"n": 2})
    assert desk.answers() == []


def test_what_somebody_asks_for_comes_first_and_is_done_again(desk):
    desk.add("a")
    desk.passes(seconds=1)
    desk.add("b", asked=True)
    while desk.jobs.run_due():
        pass
    desk.add("a", asked=True)
    assert desk.jobs.run_due()
    assert desk.begun == ["b", "a", "a"]


def test_while_one_is_at_work_the_next_one_of_its_key_waits(desk):
    inside = []

    def do(work):
        if not inside:
            assert desk.add().id == work.job.id
            later = desk.add(payload={"other": "order"}, asked=True)
            inside.append((later.id != work.job.id, later.state, desk.jobs.run_due()))
        return {}

    desk.does = do
    desk.add()
    assert desk.jobs.run_due()
    assert inside == [(True, "queued", False)]
    assert desk.jobs.run_due()
    assert [job.state for job in desk.jobs.latest()] == ["done", "done"]


def test_without_a_model_jobs_wait(desk):
    desk.close()
    desk.open(is_on=False)
    desk.add()
    assert desk.jobs.run_due() is False
    assert desk.jobs.counts()["queued"] == 1


# Ends


RESTS = [timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(hours=1)]


@pytest.mark.parametrize(
    "error",
    [ModelError("busy", "transient"), StorageError("full"), ConflictError("a merge")],
    ids=lambda error: type(error).__name__,
)
def test_what_passes_is_tried_again_with_longer_and_longer_rests_and_then_no_more(desk, error):
    desk.fails(error)
    job = desk.add()
    for number, rest in enumerate(RESTS, start=1):
        assert desk.jobs.run_due()
        seen = desk.now(job)
        assert (seen.state, seen.attempts, seen.error) == ("queued", number, str(error))
        assert seen.not_before == desk.time + rest
        desk.time = seen.not_before - timedelta(seconds=1)
        assert not desk.jobs.run_due()
        desk.time = seen.not_before
    assert desk.jobs.run_due()
    assert (desk.now(job).state, desk.now(job).attempts) == ("failed", 5)


def test_a_vendor_that_says_when_is_not_asked_before(desk):
    desk.fails(ModelError("busy", "transient", retry_after=300.0))
    job = desk.add()
    desk.jobs.run_due()
    assert desk.now(job).not_before == desk.time + timedelta(minutes=5)
    desk.fails(ModelError("busy", "transient", retry_after=1e9))
    desk.passes(minutes=5)
    desk.jobs.run_due()
    assert desk.now(job).not_before == desk.time + timedelta(hours=1)


@pytest.mark.parametrize("kind", ["terminal", "refused", "truncated", "unparsable", "unconfigured"])
def test_what_would_fail_again_fails_at_once_with_its_reason(desk, kind):
    desk.fails(ModelError("that is why", kind))
    job = desk.add()
    desk.jobs.run_due()
    assert (desk.now(job).state, desk.now(job).error, desk.now(job).attempts) == ("failed", "that is why", 1)
    assert not desk.jobs.run_due()


def test_a_wrong_order_fails_and_one_about_what_is_gone_is_dropped(desk):
    for error, state in ((BadRequestError("too small"), "failed"), (NotFoundError("it was purged"), "dropped")):
        desk.fails(error)
        job = desk.add(state)
        desk.jobs.run_due()
        assert (desk.now(job).state, desk.now(job).error) == (state, str(error))


def test_a_job_of_a_kind_that_nobody_knows_fails(desk):
    job = desk.jobs.add("of the future", "a", PLACE, generation=1, payload={})
    desk.jobs.run_due()
    assert (desk.now(job).state, "no jobs of the kind of the future" in desk.now(job).error) == ("failed", True)


def test_a_spent_budget_costs_no_attempt(desk):
    desk.fails(ModelError("spent", "over-budget"))
    job = desk.add()
    for _ in range(9):
        assert desk.jobs.run_due()
        assert (desk.now(job).state, desk.now(job).attempts, desk.now(job).error) == ("queued", 0, "spent")
        desk.passes(hours=1)


def test_a_secret_in_a_reason_is_not_kept(desk):
    desk.fails(ModelError("the key AKIAIOSFODNN7REALKEY is wrong", "terminal"))
    job = desk.add()
    desk.jobs.run_due()
    assert desk.now(job).error == "the key [REDACTED:aws-access-key] is wrong"


def test_a_mistake_of_the_program_three_times_is_poison(desk):
    desk.fails(ZeroDivisionError("oops"))
    job = desk.add()
    states = []
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            desk.jobs.run_due()
        states.append((desk.now(job).state, desk.now(job).crashes))
        desk.passes(minutes=1)
    assert states == [("queued", 1), ("queued", 2), ("poison", 3)]
    assert "ZeroDivisionError" in desk.now(job).error
    assert not desk.jobs.run_due()


def test_a_process_that_dies_three_times_with_a_job_makes_it_poison(desk):
    job = desk.add()
    seen = []
    for _ in range(3):
        leased = desk.jobs._leased()
        assert leased.id == job.id
        desk.anew(crash=True)
        seen.append((desk.now(job).state, desk.now(job).crashes))
        desk.passes(minutes=1)
    assert seen == [("queued", 1), ("queued", 2), ("poison", 3)]
    assert desk.now(job).error == "the server ended while it was at work"


def test_a_server_that_stops_takes_nothing_as_a_crash(desk):
    job = desk.add()
    for _ in range(5):
        assert desk.jobs._leased()
        desk.anew()
        assert (desk.now(job).state, desk.now(job).crashes, desk.now(job).attempts) == ("queued", 0, 0)
    assert desk.jobs.run_due()
    assert desk.now(job).state == "done"


def test_a_lease_that_ran_out_is_taken_by_the_next(desk):
    job = desk.add()
    assert desk.jobs._leased()
    desk.passes(minutes=9)
    assert not desk.jobs.run_due()
    desk.passes(minutes=2)
    # The one who is found dead is noted, and the job is due again.
    desk.jobs.run_due()
    desk.jobs.run_due()
    assert (desk.now(job).state, desk.now(job).crashes) == ("done", 1)


def test_a_clock_that_was_years_ahead_puts_nothing_off(desk):
    desk.passes(days=4_000)
    desk.fails(ModelError("busy", "transient"))
    job = desk.add()
    desk.jobs.run_due()
    desk.passes(days=-4_000)
    desk.does = lambda work: {}
    assert desk.jobs.run_due()
    assert desk.now(job).state == "done"


# Steps


def test_an_answer_is_kept_before_anything_is_done_with_it(desk):
    asked = []

    def do(work):
        first = work.step("one", lambda: asked.append("one") or {"n": 1})
        second = work.step("two", lambda: asked.append("two") or [first["n"], 2])
        if len(asked) == 2 and desk.now(work.job).attempts == 0:
            raise ModelError("the third did not come", "transient")
        return {"answers": [first, second]}

    desk.does = do
    job = desk.add()
    desk.jobs.run_due()
    desk.passes(minutes=1)
    desk.anew()
    assert desk.jobs.run_due()
    assert desk.now(job).outcome == {"answers": [{"n": 1}, [1, 2]]}
    assert asked == ["one", "two"]
    # What is done needs its answers no more.
    assert desk.answers() == []


def test_a_failed_job_keeps_its_answers_for_who_tries_again(desk):
    def do(work):
        work.step("one", lambda: "paid")
        raise ModelError("no", "terminal")

    desk.does = do
    job = desk.add()
    desk.jobs.run_due()
    assert [name for _, name, _ in desk.answers()] == ["one"]
    desk.does = lambda work: {"kept": work.step("one", lambda: "paid twice")}
    desk.jobs.retry(job.id)
    assert desk.jobs.run_due()
    assert desk.now(job).outcome == {"kept": "paid"}


@pytest.mark.parametrize("how", ["drop", "purge"])
def test_what_is_taken_away_while_the_model_thinks_writes_nothing(desk, how):
    written = []

    def do(work):
        def make():
            if how == "drop":
                desk.jobs.drop(work.job.id)
            else:
                desk.state.jobs.forget(PLACE)
            assert work.cancelled()
            return "late"

        work.step("one", make)
        written.append("a page")

    desk.does = do
    job = desk.add()
    assert desk.jobs.run_due()
    assert written == []
    assert desk.answers() == []
    assert getattr(desk.now(job), "state", None) == {"drop": "dropped", "purge": None}[how]


def test_a_model_that_answers_after_the_end_writes_nothing_and_the_job_begins_again(desk):
    def do(work):
        work.step("one", lambda: desk.close() or "late")
        pytest.fail("nothing is written any more")

    desk.does = do
    job = desk.add()
    assert desk.jobs.run_due()
    desk.open()
    assert (desk.now(job).state, desk.now(job).crashes) == ("queued", 0)


# People


def test_a_job_is_tried_again_or_dropped_and_what_is_over_is_not(desk):
    desk.fails(ModelError("no", "terminal"))
    job = desk.add()
    desk.jobs.run_due()
    desk.does = lambda work: {}
    again = desk.jobs.retry(job.id)
    assert (again.state, again.attempts, again.asked) == ("queued", 0, True)
    assert desk.jobs.drop(job.id).state == "dropped"
    for wrong in (desk.jobs.drop, desk.jobs.retry):
        with pytest.raises(ConflictError, match="is dropped"):
            wrong(job.id)
        with pytest.raises(NotFoundError, match="jobs list"):
            wrong(UUID(int=1))


def test_the_work_of_a_failed_job_is_not_doubled(desk):
    desk.fails(ModelError("no", "terminal"))
    job = desk.add()
    desk.jobs.run_due()
    newer = desk.add(generation=2)
    with pytest.raises(ConflictError, match="another job does the work"):
        desk.jobs.retry(job.id)
    assert desk.now(newer).state == "queued"


def test_one_that_is_put_back_behind_a_newer_one_is_dropped(desk):
    def do(work):
        desk.add(generation=2)
        raise ModelError("busy", "transient")

    desk.does = do
    older = desk.add()
    desk.jobs.run_due()
    assert desk.now(older).state == "dropped"
    (newer,) = desk.jobs.latest(["queued"])
    assert newer.generation == 2


def test_who_waits_for_a_job_hears_of_its_end_or_its_rest(desk):
    done, resting = desk.add("a", asked=True), desk.add("b")
    desk.jobs.run_due()
    desk.fails(ModelError("busy", "transient"))
    desk.jobs.run_due()
    assert desk.jobs.wait(done, 5).state == "done"
    seen = desk.jobs.wait(resting, 5)
    assert (seen.state, seen.error) == ("queued", "busy")
    desk.jobs.stop()
    assert desk.jobs.wait(desk.add("c"), 60).state == "queued"


def test_an_answer_that_comes_while_the_server_ends_is_not_asked_for_again(desk):
    asked = []

    def answers(jobs):
        asked.append("once")
        jobs.stop()
        return "said"

    desk.does = lambda work: {"said": work.step("one", lambda: answers(desk.jobs))}
    job = desk.add()
    desk.jobs.run_due()
    desk.anew()
    desk.jobs.run_due()
    assert (asked, desk.now(job).state, desk.now(job).outcome) == (["once"], "done", {"said": "said"})


def test_old_jobs_are_forgotten_and_purged_ones_leave_no_answer(desk):
    old = desk.add("old")
    desk.jobs.run_due()
    desk.passes(days=31)
    mine = desk.jobs.add("test", "m", PLACE, session_id=SOMEBODY, generation=1, payload={})
    other = desk.jobs.add("test", "o", PLACE, session_id=OTHER, generation=1, payload={})
    rows = desk.state.jobs
    for job in (mine, other):
        rows.keep(job.id, "one", "words")
    desk.add("new", asked=True)
    desk.jobs.run_due()
    assert desk.now(old) is None
    rows.forget(PLACE, SOMEBODY)
    assert (desk.now(mine), [job for job, _, _ in desk.answers()]) == (None, [str(other.id)])
    rows.move(PLACE, UUID(int=70), OTHER)
    assert desk.now(other).project_id == UUID(int=70)
    rows.save(replace(desk.now(other), error="it said so", outcome={"said": "so"}))
    rows.forget_said(UUID(int=70))
    assert (desk.now(other).error, desk.now(other).outcome, desk.answers()) == ("its reason was purged", {}, [])
    rows.forget(UUID(int=70))
    assert desk.now(other) is None
    assert desk.answers() == []
