"""The narrative of a project: kept by a model, from what was said, and never over what somebody wrote."""

from uuid import UUID

import pytest
from scripted import Scripted

from ai_memory.compile.brief import brief_text
from ai_memory.compile.narrative import parsed as narrative_in
from ai_memory.errors import ConflictError
from ai_memory.llm.chat import ModelError
from ai_memory.memory.pages import Fields, Writer
from tests.memory.conftest import World

ANA = Writer(agent="codex", user="ana")
PATH = "narrative.md"


def told(done=("Invoices are rounded.",), dropped=(), **more):
    return {
        "idea": ["A shop."],
        "approach": [],
        "done": list(done),
        "operations": [],
        "learnt": [],
        "goals": [],
        "suggested": [],
        "resuming": {"status": "complete", "text": ""},
        "dropped": [{"item": item, "reason": reason} for item, reason in dropped],
        **more,
    }


class Desk:
    def __init__(self, tmp_path, ids):
        self.chat = Scripted(told())
        self.world = World(tmp_path, chat_of=self.chat)
        self.ids = ids
        self.works(0)

    @property
    def memory(self):
        return self.world.memory

    @property
    def project(self):
        return self.memory.projects.named("default", "shop")

    def works(self, number, **said):
        self.world.works(self.ids[number], **said)
        self.world.says(self.ids[number], "session-end")
        self.memory.sessions.settle()

    def drains(self):
        while self.memory.jobs.run_due():
            pass

    def updates(self, *answers):
        self.chat.answers = list(answers)
        job = self.memory.narratives.begin(self.project, asked=True)
        self.drains()
        return self.memory.stores.state.jobs.job(job.id)

    def text(self):
        return self.memory.stores.wiki.read(self.project, PATH)


@pytest.fixture
def desk(tmp_path, ids):
    desk = Desk(tmp_path, ids)
    yield desk
    desk.world.close()


def test_a_narrative_is_begun_and_knows_what_it_was_made_from(desk):
    job = desk.updates(told())
    assert (job.state, job.outcome["sessions"], job.outcome["dropped"]) == ("done", 1, [])
    narrative = narrative_in(desk.text())
    assert narrative.done == ("Invoices are rounded.",)
    assert narrative.covers == {desk.ids[0]: 5}
    assert desk.world.subjects()[0] == "narrative default/shop: 1 session"
    coverage = desk.memory.narratives.coverage(desk.project)
    assert (coverage.exists, coverage.taken, coverage.covered, coverage.stale) == (True, "", 1, [])
    with pytest.raises(ConflictError, match="knows every session"):
        desk.updates(told())


def test_only_what_was_said_since_is_asked_about(desk):
    desk.updates(told())
    desk.works(1, prompt="Now the refunds.", answer="Refunds are done.")
    job = desk.updates(told(["Invoices are rounded.", "Refunds are done."]))
    assert job.state == "done"
    asked = desk.chat.asked[-1].user
    assert ("Now the refunds." in asked, "Please fix the rounding." in asked) == (True, False)
    assert narrative_in(desk.text()).covers == {desk.ids[0]: 5, desk.ids[1]: 5}


def test_an_update_that_loses_an_item_is_refused_and_asked_for_again(desk):
    desk.updates(told())
    before = desk.text()
    desk.works(1, prompt="Now the refunds.", answer="Refunds are done.")
    job = desk.updates(told(["Refunds are done."]))
    assert job.state == "failed"
    assert job.error.startswith("the update would lose 1 item(s) of the narrative without a reason, 'Invoices are")
    assert desk.text() == before
    again = desk.updates(told(["Refunds are done."], [("Invoices are rounded.", "Refunds are done.")]))
    assert (again.id, again.state) == (job.id, "done")
    assert again.outcome["dropped"] == [["Invoices are rounded.", "Refunds are done."]]
    assert narrative_in(desk.text()).done == ("Refunds are done.",)


def test_what_was_invented_is_counted_and_left_out(desk):
    job = desk.updates(told(["Invoices are rounded.", "It was released in 1999."]))
    assert narrative_in(desk.text()).done == ("Invoices are rounded.",)
    assert [each["what"] for each in job.outcome["refused"]] == ["It was released in 1999."]


@pytest.mark.parametrize("how", ["edited", "pinned"])
def test_a_narrative_that_is_somebodys_is_left_alone(desk, how):
    desk.memory.pages.write(desk.project, PATH, "Ours.", Fields(pinned=how == "pinned"), ANA)
    asked = len(desk.chat.asked)
    with pytest.raises(ConflictError, match="is not for a model to change"):
        desk.updates(told())
    assert len(desk.chat.asked) == asked


def test_a_deleted_narrative_is_begun_anew_only_when_somebody_asks_for_it(desk):
    desk.memory.pages.write(desk.project, PATH, "Ours.", Fields(), ANA)
    desk.memory.pages.delete(desk.project, PATH, ANA)
    desk.world.close()
    desk.world.open(consolidate_on_session_end=True)
    desk.works(1)
    assert "narrative" not in {job.kind for job in desk.memory.jobs.latest()}
    with pytest.raises(ConflictError, match="it was deleted"):
        desk.memory.narratives.begin(desk.project, asked=False)
    for job in desk.memory.jobs.latest(["queued"]):
        desk.memory.jobs.drop(job.id)
    assert desk.updates(told()).state == "done"
    assert narrative_in(desk.text()).done == ("Invoices are rounded.",)


def test_a_narrative_that_is_deleted_before_the_model_is_asked_stays_deleted(desk):
    desk.updates(told())
    desk.works(1)
    job = desk.memory.narratives.begin(desk.project, asked=True)
    desk.memory.pages.delete(desk.project, PATH, ANA)
    desk.drains()
    job = desk.memory.stores.state.jobs.job(job.id)
    assert (job.outcome["skipped_reason"], desk.text(), len(desk.chat.asked)) == ("it was deleted", None, 1)


def test_what_was_taken_over_while_the_model_thought_stays(desk):
    def take_over(ask):
        desk.memory.pages.write(desk.project, PATH, "Mine now.", Fields(), ANA)
        return told()

    job = desk.updates(take_over)
    assert (job.state, job.outcome["skipped_reason"]) == ("done", "a person or an agent keeps it")
    assert "Mine now." in desk.text()


def test_at_a_sessions_end_only_a_narrative_that_is_there_is_brought_up_to_date_and_only_if_wanted(desk):
    desk.works(1)
    assert desk.memory.jobs.latest() == []
    desk.updates(told())
    desk.works(2)
    assert len(desk.memory.jobs.latest()) == 1
    desk.world.close()
    desk.world.open(consolidate_on_session_end=True)
    desk.works(3)
    assert sorted(job.kind for job in desk.memory.jobs.latest(["queued"])) == ["consolidation", "narrative", "packet"]


def test_no_model_is_asked_about_a_session_that_was_brought_in(desk):
    desk.world.close()
    desk.world.open(consolidate_on_session_end=True)
    desk.world.says(desk.ids[1], "session-start", source="backfill")
    desk.world.says(desk.ids[1], "user-prompt", prompt="An old question.")
    desk.world.says(desk.ids[1], "stop", last_assistant_message="An old answer.")
    desk.world.says(desk.ids[1], "session-end")
    desk.memory.sessions.settle()
    assert desk.memory.jobs.latest() == []


def test_a_purged_session_is_told_no_more(desk):
    desk.works(1, prompt="About saffron.")
    job = desk.memory.narratives.begin(desk.project, asked=True)
    desk.memory.purge.session(desk.project, UUID(desk.ids[1]), confirm=True, force=True)
    desk.drains()
    assert desk.memory.stores.state.jobs.job(job.id).outcome["sessions"] == 1
    assert not any("saffron" in ask.user for ask in desk.chat.asked)


def test_a_purge_of_a_session_says_that_the_narrative_was_written_from_it(desk):
    purge = desk.memory.purge.session
    assert PATH not in purge(desk.project, UUID(desk.ids[0]), confirm=False)["remains"]
    desk.updates(told())
    assert f"{PATH} was written from it" in purge(desk.project, UUID(desk.ids[0]), confirm=False)["remains"]


def test_a_deleted_session_is_told_no_more(desk):
    desk.works(1, prompt="About saffron.")
    desk.memory.pages.delete(desk.project, f"sessions/{desk.ids[1]}.md", ANA)
    assert [str(each.id) for each in desk.memory.narratives.coverage(desk.project).stale] == [desk.ids[0]]


def test_a_start_that_wants_a_brief_gets_the_narrative_and_how_old_it_is(desk):
    desk.updates(told())
    assert "Invoices are rounded." in brief_text(desk.memory.briefing.brief(desk.project), 4_000)
    desk.works(1)
    text = brief_text(desk.memory.briefing.brief(desk.project), 4_000)
    assert "Narrative of shop (sessions that it does not know: 1)" in text
    assert len(brief_text(desk.memory.briefing.brief(desk.project), 900)) <= 900
    assert desk.memory.briefing.of(desk.project, 5).as_json()["narrative"] == {"path": PATH, "sessions_behind": 1}


def test_a_project_without_one_has_no_word_of_it(desk):
    assert desk.memory.briefing.of(desk.project, 5).as_json()["narrative"] is None
    desk.memory.pages.write(desk.project, PATH, "By an agent.", Fields(), ANA)
    assert desk.memory.briefing.of(desk.project, 5).as_json()["narrative"] is None
    assert "By an agent." in brief_text(desk.memory.briefing.brief(desk.project), 4_000)


def test_a_failing_model_leaves_the_narrative_and_goes_on_where_it_was(desk):
    desk.updates(told())
    before = desk.text()
    desk.works(1)
    job = desk.updates(ModelError("busy", "transient"))
    assert (job.state, desk.text()) == ("queued", before)


def test_an_estimate_says_how_much_an_update_would_ask(desk):
    coverage = desk.memory.narratives.coverage(desk.project)
    questions, tokens = desk.memory.narratives.estimate(desk.project, coverage)
    assert (questions, 20 < tokens < 1_000, desk.chat.asked) == (1, True, [])


def test_a_long_update_goes_on_behind_the_answers_that_it_has(desk):
    for number in (1, 2, 3):
        desk.works(number, prompt=f"Chapter {number}. " + "Saffron is dear. " * 500)
    desk.world.close()
    desk.world.open(consolidation__max_input_tokens=9_000)
    coverage = desk.memory.narratives.coverage(desk.project)
    questions, _ = desk.memory.narratives.estimate(desk.project, coverage)
    assert questions > 2
    job = desk.updates(told(), ModelError("busy", "transient"))
    assert (job.state, len(desk.chat.asked)) == ("queued", 2)
    desk.chat.answers = [told()]
    desk.world.passes(minutes=1)
    desk.drains()
    assert desk.memory.stores.state.jobs.job(job.id).state == "done"
    assert len(desk.chat.asked) == 2 + questions - 1
    assert set(narrative_in(desk.text()).covers) == set(desk.ids[:4])
