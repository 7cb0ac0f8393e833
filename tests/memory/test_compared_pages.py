"""Contradictions that a model finds between pages, as a part of lint."""

import pytest
from scripted import Scripted

from ai_memory.compile.lint import REPORT, Finding
from ai_memory.llm.chat import ModelError
from ai_memory.memory.pages import Fields, Writer
from tests.memory.conftest import World

ANA = Writer(user="ana")
INVOICE, LINE, LOGIN = "decisions/round.md", "concepts/vat.md", "concepts/login.md"
ANSWER = {
    "findings": [
        {
            "pages": [INVOICE, LINE],
            "quotes": ["VAT is rounded on the invoice", "VAT is rounded on each line"],
            "message": "They disagree on where VAT is rounded.",
            "severity": "warning",
        },
        {"pages": [INVOICE, LOGIN], "quotes": ["x", "y"], "message": "Invented.", "severity": "warning"},
    ]
}
FOUND = Finding(
    "contradiction",
    "warning",
    "They disagree on where VAT is rounded.",
    [LINE, INVOICE],
    "VAT is rounded on the invoice / VAT is rounded on each line",
)


class Desk:
    """A memory whose model answers as it is told, with pages that contradict each other."""

    def __init__(self, tmp_path):
        self.chat = Scripted(ANSWER)
        self.world = World(tmp_path, chat_of=self.chat)
        self.memory = self.world.memory
        self.shop = self.memory.projects.create("default", "shop")
        self.writes(INVOICE, "VAT is rounded on the invoice.")
        self.writes(LINE, "VAT is rounded on each line.")
        self.writes(LOGIN, "The session ends on each idle hour.")

    def writes(self, path, body):
        self.memory.pages.write(self.shop, path, body, Fields(), ANA)

    def compares(self, *answers):
        self.chat.answers = list(answers) or self.chat.answers
        job = self.memory.contradictions.begin(self.shop)
        while self.memory.jobs.run_due():
            pass
        return self.memory.stores.state.jobs.job(job.id)

    def report(self):
        return self.memory.stores.wiki.read(self.shop, REPORT)


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    desk.world.close()


def test_what_a_model_found_is_listed_until_one_of_the_pages_changes_and_nobody_is_asked_again(desk):
    job = desk.compares()
    assert (job.state, job.outcome["pairs"]) == ("done", 3)
    assert [each["what"] for each in job.outcome["refused"]] == ["Invented."]
    assert desk.memory.lint.look(desk.shop) == [FOUND]
    assert desk.memory.lint.run(desk.shop).findings == [FOUND]
    first = desk.report()
    assert f"contradiction: `{LINE}`, `{INVOICE}`: They disagree" in first
    assert "by a model, on 2026-11-20, contradictions" in first
    desk.world.passes(days=2)
    desk.memory.lint.run(desk.shop)
    assert desk.report() == first
    desk.writes(LINE, "VAT is rounded elsewhere.")
    assert desk.memory.lint.run(desk.shop).findings == []
    assert len(desk.chat.asked) == 1


def test_looking_and_the_daily_upkeep_ask_no_model(desk):
    desk.memory.lint.run(desk.shop)
    while desk.memory.upkeep.step(60):
        pass
    assert (desk.chat.asked, desk.memory.jobs.latest()) == ([], [])


def test_a_model_that_fails_leaves_what_is_known(desk):
    desk.compares()
    job = desk.compares(ModelError("it did not answer", "refused"))
    assert (job.state, job.error) == ("failed", "it did not answer")
    assert desk.memory.lint.look(desk.shop) == [FOUND]


def test_a_page_that_changed_while_the_model_thought_is_not_reported(desk):
    def change(ask):
        desk.writes(INVOICE, "VAT is rounded on the invoice. Always.")
        return ANSWER

    assert desk.compares(change).outcome["findings"] == []


def test_a_purged_page_takes_along_what_quotes_it(desk):
    job = desk.compares()
    desk.memory.purge.page(desk.shop, LINE, confirm=True)
    assert desk.memory.lint.look(desk.shop) == []
    assert desk.memory.stores.state.jobs.job(job.id).outcome == {}


def test_superseded_pages_and_pages_of_sessions_are_not_compared(desk):
    desk.writes(LINE, "---\nsuperseded_by: decisions/round.md\n---\nVAT is rounded on each line.")
    desk.writes("sessions/x.md", "VAT is rounded on the session.")
    assert desk.compares({"findings": []}).outcome == {"pairs": 1, "findings": [], "refused": []}
    assert "each line" not in desk.chat.asked[0].user
    assert "on the session" not in desk.chat.asked[0].user


def test_a_secret_of_a_page_is_not_sent(desk):
    folder = desk.memory.stores.wiki.folder(desk.shop)
    (folder / LINE).write_text("---\ntitle: VAT\n---\nVAT key AKIAIOSFODNN7REALKEY\n")
    desk.memory.indexing.files(desk.shop, [LINE])
    desk.compares()
    assert "REDACTED" in desk.chat.asked[0].user
    assert "AKIAIOSFODNN7REALKEY" not in desk.chat.asked[0].user
