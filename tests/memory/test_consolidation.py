"""Sessions written up by a model: what is asked, what is written, and what is left alone."""

from uuid import UUID

import pytest
from scripted import Scripted

from ai_memory.errors import BadRequestError, NotFoundError
from ai_memory.llm.chat import ModelError
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.page import front_matter, is_sealed, parsed, sealed
from tests.memory.conftest import World

OWN = {
    "title": "Rounding",
    "summary": "It rounds per invoice.",
    "body_markdown": "## Done\n\nRounded per invoice in `cart.py`.",
    "tags": ["vat"],
}
ANA = Writer(agent="codex", user="ana")


def small(path="decisions/rounding.md", title="Rounding", body="Rounded per invoice.", **more):
    return {
        "path": path,
        "title": title,
        "kind": "decision",
        "tier": "semantic",
        "summary": "",
        "body_markdown": body,
        "tags": ["vat"],
        "evidence": ["Rounded per invoice."],
        "slot_kind": "none",
        "supersedes": "",
        **more,
    }


def batch(*pages, rationale="What was decided.", drop=()):
    return {"updates": list(pages), "drop": list(drop), "rationale": rationale}


class Desk:
    """A memory whose model answers as it is told, and one session in it."""

    def __init__(self, tmp_path, session):
        self.chat = Scripted(OWN)
        self.world = World(tmp_path, chat_of=self.chat)
        self.id = session
        self.world.works(session)
        self.world.says(session, "session-end")
        self.world.memory.sessions.settle()

    @property
    def memory(self):
        return self.world.memory

    @property
    def project(self):
        return self.memory.projects.named("default", "shop")

    @property
    def session(self):
        return self.memory.sessions.named(self.project, self.id)

    def begins(self, *answers, **how):
        """Ask for it; gives the job as it is when all is done."""
        self.chat.answers = list(answers) or self.chat.answers
        job = self.memory.consolidation.begin(self.session, **{"pages": True, **how})
        self.drains()
        return self.memory.stores.state.jobs.job(job.id)

    def drains(self):
        while self.memory.jobs.run_due():
            pass

    def text(self, path):
        return self.memory.stores.wiki.read(self.project, path)

    def page(self, path):
        return parsed(path, self.text(path))

    def writes(self, path, body, **fields):
        self.memory.pages.write(self.project, path, body, Fields(**fields), ANA)

    def skipped(self, job):
        return {each["path"]: each["skipped_reason"] for each in job.outcome["outcomes"] if "skipped_reason" in each}

    def written(self, job):
        return [each["path"] for each in job.outcome["outcomes"] if "new_title" in each]


@pytest.fixture
def desk(tmp_path, ids):
    desk = Desk(tmp_path, ids[0])
    yield desk
    desk.world.close()


# When


@pytest.mark.parametrize(
    ("setting", "events", "asked"),
    [
        (False, ["session-end"], []),
        (True, ["session-end"], [True]),
        (False, ["pre-compact"], [False]),
        (False, ["pre-compact", "post-compaction", "session-end"], [False]),
        (True, ["stop"], []),
    ],
    ids=["end", "end, wanted", "compaction", "compactions", "turn"],
)
def test_a_model_is_asked_when_a_session_is_compacted_and_at_its_end_only_if_somebody_wants_it(
    tmp_path, ids, setting, events, asked
):
    world = World(tmp_path, chat_of=Scripted(OWN))
    world.close()
    world.open(consolidate_on_session_end=setting)
    world.works(ids[0])
    for event in events:
        world.says(ids[0], event)
        world.memory.sessions.settle()
    found = [job.payload["pages"] for job in world.memory.jobs.latest() if job.kind == "consolidation"]
    assert found == asked
    world.close()


def test_without_a_model_nothing_is_queued_and_asking_says_how_to_have_one(tmp_path, ids):
    world = World(tmp_path)
    world.works(ids[0])
    world.says(ids[0], "pre-compact")
    world.memory.sessions.settle()
    assert world.memory.jobs.latest() == []
    session = world.memory.sessions.part(ids[0], None)[1]
    with pytest.raises(ModelError, match=r"none is set: write llm_provider into config\.toml") as error:
        world.memory.consolidation.begin(session, pages=False)
    assert error.value.kind == "unconfigured"
    world.close()


def test_a_session_that_went_on_is_written_up_again_and_one_that_was_only_compacted_is_not(desk):
    world = desk.world
    for event in ("pre-compact", "post-compaction", "session-start", "pre-compact"):
        world.says(desk.id, event)
        world.memory.sessions.settle()
        desk.drains()
    assert len(desk.chat.asked) == 1
    world.says(desk.id, "user-prompt", prompt="And the refunds?")
    world.says(desk.id, "pre-compact")
    world.memory.sessions.settle()
    desk.drains()
    assert len(desk.chat.asked) == 2
    assert "And the refunds?" in desk.chat.asked[1].user


def test_a_session_that_did_nothing_is_not_written_up(desk, ids):
    desk.world.says(ids[1], "session-start")
    (silent,) = desk.memory.stores.index.sessions_of(UUID(ids[1]))
    with pytest.raises(BadRequestError, match="did nothing"):
        desk.memory.consolidation.begin(silent, pages=True)


# The session's own page


def test_a_sessions_page_gets_a_models_text_above_what_rules_made(desk):
    path, by_rules = f"sessions/{desk.id}.md", desk.page(f"sessions/{desk.id}.md")
    job = desk.begins(OWN, pages=False)
    page = desk.page(path)
    assert (job.state, desk.written(job)) == ("done", [path])
    assert (page.title, page.summary, page.tags) == ("Rounding", "It rounds per invoice.", ("vat",))
    assert (page.front["consolidated"], page.sealed) == (True, True)
    assert page.front["observations"] == by_rules.front["observations"]
    assert page.body.startswith("# Rounding\n\n## Done\n\nRounded per invoice in `cart.py`.\n\n")
    assert "1. Please fix the rounding." in page.body
    assert desk.world.subjects()[0] == "consolidate(session 00000000): Rounding"
    assert job.outcome["revision"] == desk.memory.stores.wiki.git.head()


def test_what_a_model_wrote_stays_when_the_session_goes_on(desk):
    desk.begins(OWN, pages=False)
    desk.world.says(desk.id, "user-prompt", prompt="And the refunds?")
    desk.world.says(desk.id, "stop")
    desk.memory.sessions.settle()
    page = desk.page(f"sessions/{desk.id}.md")
    assert "Rounded per invoice in `cart.py`." in page.body
    assert "2. And the refunds?" in page.body
    assert page.front["observations"] == desk.session.observations
    desk.world.says(desk.id, "session-end")
    desk.memory.sessions.settle()
    assert desk.begins(OWN, pages=False).state == "done"
    assert desk.page(f"sessions/{desk.id}.md").body.count("Rounded per invoice in `cart.py`.") == 1


@pytest.mark.parametrize("how", ["pinned", "edited"])
def test_a_sessions_page_that_is_somebodys_is_left_alone_before_anything_is_paid(desk, how):
    path = f"sessions/{desk.id}.md"
    desk.writes(path, "Mine.", pinned=how == "pinned")
    before = desk.text(path)
    plan = desk.memory.consolidation.plan(desk.project, desk.session, pages=False)
    job = desk.begins(pages=False)
    why = {"pinned": "it is pinned", "edited": "a person or an agent wrote it"}[how]
    assert (job.state, desk.skipped(job), plan.skipped) == ("done", {path: why}, why)
    assert (desk.chat.asked, desk.text(path)) == ([], before)


@pytest.mark.parametrize("pages", [False, True])
def test_of_a_session_that_somebody_deleted_nothing_is_written(desk, pages):
    session = desk.session
    desk.memory.pages.delete(desk.project, f"sessions/{desk.id}.md", ANA)
    job = desk.memory.consolidation.begin(session, pages=pages)
    desk.drains()
    assert desk.memory.stores.state.jobs.job(job.id).state == "dropped"
    assert desk.chat.asked == []
    assert desk.memory.consolidation.plan(desk.project, session, pages=False).skipped == "it was deleted"


def test_an_answer_of_lies_alone_leaves_the_page_as_it_is(desk):
    path = f"sessions/{desk.id}.md"
    before = desk.text(path)
    job = desk.begins({**OWN, "title": "X", "summary": "", "body_markdown": "In 2019, see `other.py`."}, pages=False)
    assert desk.skipped(job) == {path: "nothing that the model wrote of it is in the session"}
    assert desk.text(path) == before


# Small pages


def test_small_pages_come_in_one_commit_with_their_source_and_evidence(desk):
    before = len(desk.world.subjects())
    asked = {"kind": "rule", "evidence": ["Please fix the rounding."]}
    job = desk.begins(batch(small(), small("_rules/invoices.md", "Invoices", body="Per invoice.", **asked)))
    assert desk.written(job) == ["decisions/rounding.md", "_rules/invoices.md"]
    assert len(desk.world.subjects()) == before + 1
    assert desk.world.subjects()[0] == "consolidate-batch(session 00000000): 2 page(s) — What was decided."
    page = desk.page("decisions/rounding.md")
    assert page.body == "# Rounding\n\nRounded per invoice.\n"
    assert (page.kind, page.tier, page.tags, page.sealed) == ("decision", "semantic", ("vat",), True)
    assert (page.front["sources"], page.front["evidence"]) == ([desk.id], ["Rounded per invoice."])
    assert [hit.path for hit in desk.memory.recall.search("rounded invoice", limit=9)].count(page.path) == 1


def test_a_page_that_names_what_was_never_said_is_counted_and_the_others_are_written(desk):
    job = desk.begins(batch(small(body="See `other.py`, since 2019."), small("gotchas/b.md", "Cart", kind="gotcha")))
    assert desk.written(job) == ["gotchas/b.md"]
    assert [each["what"] for each in job.outcome["refused"]] == ["Rounding"]
    assert desk.text("decisions/rounding.md") is None


def test_done_twice_the_pages_are_there_once(desk):
    answer = batch(small(), small("gotchas/b.md", "Cart", kind="gotcha"))
    first = desk.begins(answer)
    head = desk.memory.stores.wiki.git.head()
    second = desk.begins(answer)
    assert (second.id != first.id, second.state) == (True, "done")
    assert desk.written(second) == desk.written(first)
    assert desk.memory.stores.wiki.git.head() == head


def test_a_new_decision_supersedes_one_that_a_model_wrote_and_leaves_it_there(desk, ids):
    desk.begins(batch(small()))
    former = desk.text("decisions/rounding.md")
    desk.world.works(ids[1], prompt="No: per line.", answer="Rounded per line.")
    desk.world.says(ids[1], "session-end")
    desk.memory.sessions.settle()
    desk.id = ids[1]
    job = desk.begins(
        batch(small(body="Rounded per line.", evidence=["Rounded per line."], supersedes="decisions/rounding.md"))
    )
    (path,) = desk.written(job)
    assert path != "decisions/rounding.md"
    assert desk.page(path).front["supersedes"] == "decisions/rounding.md"
    old = desk.text("decisions/rounding.md")
    assert front_matter(old)["superseded_by"] == path
    assert parsed("x.md", old).body == parsed("x.md", former).body
    assert is_sealed(old)


@pytest.mark.parametrize("how", ["written", "pinned", "deleted"])
def test_pages_of_others_are_never_touched(desk, how):
    path = "decisions/rounding.md"
    desk.writes(path, "Ours.", pinned=how == "pinned")
    if how == "deleted":
        desk.memory.pages.delete(desk.project, path, ANA)
    before = desk.text(path)
    job = desk.begins(batch(small(supersedes=path)))
    assert desk.text(path) == before
    if how == "written":
        # The new page says of itself what it would replace.
        (new,) = desk.written(job)
        assert (new != path, desk.page(new).front["supersedes"]) == (True, path)
    elif how == "pinned":
        assert desk.written(job) == []
    else:
        assert desk.skipped(job) == {path: "it was deleted"}


@pytest.mark.parametrize(
    ("slot_kind", "pinned", "answer", "changed"),
    [
        ("state", None, "state", True),
        ("invariant", None, "state", False),
        ("invariant", None, "invariant", True),
        ("state", True, "state", False),
    ],
)
def test_a_state_that_a_model_wrote_is_brought_up_to_date_and_an_invariant_is_not(
    desk, slot_kind, pinned, answer, changed
):
    path = "_slots/focus.md"
    front = f"---\ntype: State\nkind: slot\nslot_kind: {slot_kind}\n{'pinned: true' if pinned else 'x: 1'}\n---\n"
    desk.memory.pages.write_several(desk.project, {path: sealed(f"{front}# Focus\n\nOld.\n")}, ANA, subject="a slot")
    before = desk.text(path)
    desk.begins(batch(small(path, "Focus", kind="slot", slot_kind=answer)))
    assert (desk.text(path) != before) is changed
    if changed:
        assert "Rounded per invoice." in desk.text(path)


def test_a_slot_that_a_person_wrote_is_left_alone(desk):
    desk.writes("_slots/focus.md", "---\nslot_kind: state\n---\nMine.")
    job = desk.begins(batch(small("_slots/focus.md", "Focus", kind="slot", slot_kind="state")))
    assert desk.skipped(job) == {"_slots/focus.md": "a person or an agent wrote it"}


def test_what_was_pinned_while_the_model_thought_is_left_alone(desk):
    desk.begins(batch(small()))

    def pin_it(ask):
        desk.writes("decisions/rounding.md", "Mine now.", pinned=True)
        return batch(small(body="Rounded."))

    job = desk.begins(pin_it)
    assert "Mine now." in desk.text("decisions/rounding.md")
    assert desk.skipped(job) == {"decisions/rounding.md": "it is pinned"}


def test_a_secret_in_an_answer_is_neither_kept_nor_written(desk):
    job = desk.begins(batch(small(title="Rounding AKIAIOSFODNN7REALKEY"), small("gotchas/b.md", "Cart")))
    assert job.state == "done"
    databases = (desk.world.data / "db").glob("*")
    assert not any(b"AKIAIOSFODNN7REALKEY" in file.read_bytes() for file in databases)
    assert all("AKIAIOSFODNN7REALKEY" not in str(each) for each in desk.world.subjects())


# What is asked


def test_preferences_of_the_project_are_asked_with_unless_they_expired_or_somebody_says_others(desk):
    desk.writes("_prompts/consolidation.md", "Write in Portuguese.")
    desk.begins(batch())
    desk.begins(batch(), instructions="Be terse.")
    desk.writes("_prompts/consolidation.md", "Write in Portuguese.", expires_at="2026-01-01")
    desk.begins(batch())
    found = [("Write in Portuguese." in each.user, "Be terse." in each.user) for each in desk.chat.asked]
    assert found == [(True, False), (False, True), (False, False)]


def test_a_long_session_is_asked_about_in_parts_and_only_for_what_is_not_answered(desk, ids):
    session = ids[1]
    desk.world.says(session, "session-start")
    for number in range(40):
        desk.world.says(session, "user-prompt", prompt=f"Question {number}: " + "why is that so? " * 180)
    desk.world.says(session, "session-end")
    desk.memory.sessions.settle()
    desk.world.close()
    desk.world.open(consolidation__max_input_tokens=12_000)
    desk.id = session
    parts = desk.memory.consolidation.plan(desk.project, desk.session, pages=True).questions
    assert parts > 3
    job = desk.begins(batch(), batch(), ModelError("busy", "transient"))
    assert (job.state, len(desk.chat.asked)) == ("queued", 3)
    desk.chat.answers = [batch()]
    desk.world.passes(minutes=1)
    desk.drains()
    assert desk.memory.stores.state.jobs.job(job.id).state == "done"
    # n - k + 1 more, k being the one that failed.
    assert len(desk.chat.asked) == 3 + parts - 3 + 1
    assert all(str(number) in "".join(ask.user for ask in desk.chat.asked) for number in range(40))


def test_a_dry_run_asks_nobody_and_writes_nothing(desk):
    head = desk.memory.stores.wiki.git.head()
    plan = desk.memory.consolidation.plan(desk.project, desk.session, pages=False)
    assert (plan.path, plan.skipped, plan.questions) == (f"sessions/{desk.id}.md", "", 1)
    assert 500 < plan.tokens < 5_000
    assert desk.memory.consolidation.plan(desk.project, desk.session, pages=True).path == ""
    assert (desk.chat.asked, desk.memory.jobs.latest(), desk.memory.stores.wiki.git.head()) == ([], [], head)


# What goes, and what it costs


def test_a_session_that_is_purged_takes_its_job_along(desk):
    job = desk.memory.consolidation.begin(desk.session, pages=True)
    desk.memory.purge.session(desk.project, UUID(desk.id), confirm=True, force=True)
    desk.drains()
    assert desk.memory.stores.state.jobs.job(job.id) is None
    assert desk.chat.asked == []


def test_a_session_that_is_purged_while_the_model_thinks_leaves_no_page(desk):
    def purge(ask):
        desk.memory.purge.session(desk.project, UUID(desk.id), confirm=True, force=True)
        return batch(small())

    desk.chat.answers = [purge]
    desk.memory.consolidation.begin(desk.session, pages=True)
    desk.drains()
    assert desk.text("decisions/rounding.md") is None
    assert desk.memory.jobs.latest() == []


def test_a_job_goes_with_its_session_into_another_project(desk):
    job = desk.memory.consolidation.begin(desk.session, pages=True)
    desk.memory.moves.move_session(desk.project, UUID(desk.id), "atlas", confirm=True, create=True)
    desk.chat.answers = [batch(small())]
    desk.drains()
    assert desk.memory.stores.state.jobs.job(job.id).state == "done"
    atlas = desk.memory.projects.named("default", "atlas")
    assert desk.memory.stores.wiki.read(atlas, "decisions/rounding.md")


def test_a_session_that_moves_while_the_model_thinks_is_written_up_where_it_is_then(desk):
    atlas = desk.memory.projects.create("default", "atlas")
    desk.memory.pages.write_several(
        atlas, {"decisions/rounding.md": sealed("---\ntype: Decision\n---\nOf atlas.\n")}, ANA, subject="atlas"
    )

    def move(ask):
        desk.memory.moves.move_session(desk.project, UUID(desk.id), "atlas", confirm=True)
        return batch(small())

    desk.chat.answers = [move]
    job = desk.memory.consolidation.begin(desk.session, pages=True)
    desk.drains()
    desk.world.passes(minutes=1)
    desk.drains()
    job = desk.memory.stores.state.jobs.job(job.id)
    assert (job.state, job.attempts, job.project_id) == ("done", 1, atlas.id)
    assert len(desk.chat.asked) == 1
    (path,) = desk.written(job)
    assert path != "decisions/rounding.md"
    assert "Rounded per invoice." in desk.memory.stores.wiki.read(atlas, path)
    assert "Of atlas." in desk.memory.stores.wiki.read(atlas, "decisions/rounding.md")
    assert desk.text("decisions/rounding.md") is None


def test_a_page_that_came_while_the_model_thought_is_not_written_over(desk):
    def write(ask):
        page = sealed("---\ntype: Decision\n---\nOf a bootstrap.\n")
        desk.memory.pages.write_several(desk.project, {"decisions/rounding.md": page}, ANA, subject="a bootstrap")
        return batch(small())

    job = desk.begins(write)
    assert (job.state, job.error.startswith("decisions/rounding.md was written while")) == ("queued", True)
    desk.world.passes(minutes=1)
    desk.drains()
    job = desk.memory.stores.state.jobs.job(job.id)
    (path,) = desk.written(job)
    assert path != "decisions/rounding.md"
    assert len(desk.chat.asked) == 1
    assert "Of a bootstrap." in desk.text("decisions/rounding.md")


def test_what_was_recorded_is_gone_and_so_is_the_job(desk):
    job = desk.memory.consolidation.begin(desk.session, pages=True)
    desk.memory.stores.rawlog.remove(desk.project.workspace_id, desk.project.id, UUID(desk.id))
    desk.drains()
    job = desk.memory.stores.state.jobs.job(job.id)
    assert (job.state, "was removed when its time was over" in job.error) == ("dropped", True)
    with pytest.raises(NotFoundError):
        desk.memory.consolidation.plan(desk.project, desk.session, pages=True)


def test_a_spent_budget_stops_every_question_and_the_next_month_goes_on(desk):
    desk.world.close()
    desk.world.open(llm__monthly_budget=0.5)
    desk.begins(batch())
    desk.begins(batch())
    job = desk.begins(batch(small()))
    assert (job.state, len(desk.chat.asked)) == ("queued", 2)
    assert job.error.startswith("no model is asked any more in November 2026: $0.50 of llm.monthly_budget $0.50")
    report = desk.memory.models.report()
    assert report["month"] == {
        "calls": 2,
        "tokens_in": 222,
        "tokens_out": 34,
        "cost": 0.5,
        "unpriced_calls": 0,
        "budget": 0.5,
        "over_budget": True,
    }
    assert "no model is asked any more" in report["last_error"]
    desk.world.passes(days=12)
    desk.drains()
    assert desk.memory.stores.state.jobs.job(job.id).state == "done"
    assert desk.memory.models.report()["month"]["calls"] == 1


def purged(desk, *, history):
    return desk.memory.purge.session(desk.project, UUID(desk.id), confirm=True, force=True, history=history)


@pytest.mark.parametrize("history", [False, True])
def test_what_a_model_made_of_a_purged_session_goes_with_it_and_what_somebody_took_over_stays(desk, history):
    desk.begins(batch(small(), small("gotchas/cart.md", "Cart", kind="gotcha")))
    desk.writes("gotchas/cart.md", "Mine now.")
    told = purged(desk, history=history)
    pages = [path for path in told["removed_paths"] if path.startswith("wiki/")]
    assert [path.split("/", 3)[3] for path in pages if "packets/" not in path] == [
        f"sessions/{desk.id}.md",
        "decisions/rounding.md",
    ]
    assert desk.text("decisions/rounding.md") is None
    assert "Mine now." in desk.text("gotchas/cart.md")
    touched = {change.path for commit in desk.memory.stores.wiki.git.commits() for change in commit.changes}
    assert any(path.endswith("/decisions/rounding.md") for path in touched) is not history


def test_what_a_model_made_leaves_the_history_with_a_second_purge(desk):
    desk.begins(batch(small()))
    purged(desk, history=False)
    again = purged(desk, history=True)
    assert again["versions_deleted"] > 0
    home = f"{desk.project.workspace_id}/{desk.project.id}/decisions/rounding.md"
    touched = {change.path for commit in desk.memory.stores.wiki.git.commits() for change in commit.changes}
    assert home not in touched
    assert purged(desk, history=True)["versions_deleted"] == 0


def test_a_purge_leaves_a_page_of_the_same_path_in_another_project_alone(desk, ids):
    desk.begins(batch(small()))
    atlas = desk.memory.projects.create("default", "atlas")
    desk.memory.pages.write(atlas, "decisions/rounding.md", "Of atlas.", Fields(), ANA)
    purged(desk, history=True)
    assert "Of atlas." in desk.memory.pages.read(atlas, "decisions/rounding.md").text
    assert desk.memory.recall.search("atlas", limit=5)
