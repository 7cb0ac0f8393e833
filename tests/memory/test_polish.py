"""Drafted packets that a model makes clearer: what it invents and what may not travel stays out, and a saved one stays."""

import pytest
from scripted import Scripted

from ai_memory.llm.chat import ModelError
from ai_memory.model.packet_page import packet_of
from tests.memory.conftest import World


def better(**more):
    said = {"goal": "Fix the rounding in cart.py.", "next_step": "Nothing is left.", "constraints": []}
    return {**said, "decisions": [], "attempts": [], "open_questions": [], **more}


class Chat(Scripted):
    """Answers about packets as told, and finds nothing in sessions."""

    def ask(self, ask, **how):
        if ask.purpose != "packet":
            self.record_only = Scripted({"updates": [], "drop": [], "rationale": ""})
            self.record_only.record = self.record
            return self.record_only.ask(ask)
        return super().ask(ask, **how)


class Desk:
    def __init__(self, tmp_path, session):
        self.chat = Chat(better())
        self.world = World(tmp_path, chat_of=self.chat)
        self.world.close()
        self.world.open(consolidate_on_session_end=True)
        self.id = session

    @property
    def memory(self):
        return self.world.memory

    @property
    def project(self):
        return self.memory.projects.named("default", "shop")

    def ends(self):
        self.world.works(self.id)
        self.world.says(self.id, "session-end")
        self.memory.sessions.settle()

    def polishes(self, answer=None):
        self.chat.answers = [better() if answer is None else answer]
        while self.memory.jobs.run_due():
            pass
        (job, *_) = [each for each in self.memory.jobs.latest() if each.kind == "packet"]
        return job

    @property
    def draft(self):
        return self.memory.sessions.draft(self.project, self.memory.sessions.named(self.project, self.id))


@pytest.fixture
def desk(tmp_path, ids):
    desk = Desk(tmp_path, ids[0])
    desk.ends()
    yield desk
    desk.world.close()


def test_a_draft_is_made_clearer_and_that_is_what_is_saved_and_handed_over(desk):
    assert desk.draft.packet.goal == "Please fix the rounding."
    job = desk.polishes()
    assert (job.state, job.outcome["path"], job.outcome["refused"]) == ("done", desk.draft.path, [])
    assert desk.draft.packet.goal == "Fix the rounding in cart.py."
    page = desk.memory.stores.wiki.read(desk.project, desk.draft.path)
    assert packet_of(page).packet == desk.draft.packet
    assert desk.world.subjects()[0] == "packet(session 00000000): Fix the rounding in cart.py."


def test_what_a_model_invents_or_may_not_travel_stays_out(desk):
    job = desk.polishes(better(goal="Fix the rounding of 1999.", next_step="Use AKIAIOSFODNN7REALKEY."))
    assert desk.draft.packet.goal == "Please fix the rounding."
    assert job.state == "done"
    assert [each["what"] for each in job.outcome["refused"]] == ["Fix the rounding of 1999."]
    assert "AKIAIOSFODNN7REALKEY" not in desk.memory.stores.wiki.read(desk.project, desk.draft.path)


def test_a_session_that_goes_on_is_drafted_by_rules_again(desk):
    desk.polishes()
    desk.world.says(desk.id, "user-prompt", prompt="Now fix the refunds, too.")
    desk.world.says(desk.id, "stop", last_assistant_message="Refunds are fixed.")
    desk.memory.sessions.settle()
    assert desk.draft.packet.goal != "Fix the rounding in cart.py."


def test_a_packet_that_somebody_edited_is_left_alone(desk):
    path = desk.draft.path
    file = desk.memory.stores.wiki.file(desk.project, path)
    file.write_text(file.read_text().replace("Please fix the rounding.", "Please fix the tax."))
    before = file.read_text()
    job = desk.polishes()
    assert (job.state, job.outcome) == ("done", {"skipped_reason": "somebody has saved it"})
    assert file.read_text() == before


def test_a_model_that_fails_leaves_the_draft(desk):
    before = desk.draft
    assert desk.polishes(ModelError("no", "refused")).state == "failed"
    assert desk.draft == before
