"""Answers in words: what goes to a model, what of its answer is taken, and what is said where there is none."""

import threading

import pytest
from scripted import USED, Scripted

from ai_memory.llm.chat import ModelError
from ai_memory.memory import answers
from ai_memory.memory.pages import Fields, Writer
from tests.memory.conftest import World

ANA = Writer(agent="codex", user="ana")
VAT = {"answer": "VAT is rounded per invoice [1].", "citations": [{"source": 1, "quote": "rounded once per invoice"}]}


class Asker:
    """A memory with a few pages, its scripted model, and questions to it."""

    def __init__(self, tmp_path, **settings):
        self.chat = Scripted(VAT)
        self.world = World(tmp_path, chat_of=self.chat)
        self.world.close()
        self.world.open(**{"answer_with_model": True, **settings})
        self.project = self.memory.projects.create("default", "shop")
        self.write("decisions/vat.md", "# VAT\n\nVAT is rounded once per invoice.\n")

    @property
    def memory(self):
        return self.world.memory

    def write(self, path, body, project=None, **fields):
        self.world.passes(minutes=1)
        return self.memory.pages.write(project or self.project, path, body, Fields(**fields), ANA)

    def finds(self, question, at=None):
        return self.memory.recall.search(question, [self.project], at=at)

    def asks(self, question="rounded invoice", at=None):
        return self.memory.answers.to(question, self.finds(question, at), at)

    def tells(self, *answered, focus=""):
        self.chat.answers = list(answered)
        snapshot = self.memory.briefing.of(self.project, 10)
        return self.memory.answers.about(self.project, snapshot, focus, self.finds(focus) if focus else [])


@pytest.fixture
def asker(tmp_path):
    asker = Asker(tmp_path)
    yield asker
    asker.memory.answers.stop()
    asker.world.close()


# A question


def test_an_answer_cites_the_page_and_its_revision(asker):
    revision = asker.memory.pages.read(asker.project, "decisions/vat.md").version.revision
    told = asker.asks()
    assert (told.text, told.missing) == ("VAT is rounded per invoice [1].", "")
    assert [each.as_json() for each in told.citations] == [
        {
            "number": 1,
            "workspace": "default",
            "project": "shop",
            "path": "decisions/vat.md",
            "revision": revision,
            "quote": "rounded once per invoice",
        }
    ]
    (call,) = asker.memory.models.usage()["calls"]
    assert (call["purpose"], call["tokens_in"], call["tokens_out"], call["outcome"]) == ("answer", *USED, "ok")


def test_only_what_was_found_goes_to_the_model_fenced_and_without_secrets(asker):
    other = asker.memory.projects.create("default", "bank")
    asker.write("notes/bank.md", "The bank's invoice is rounded down.", other)
    key = "AKIA" + "Q3EXAMPLE7XYZ2AB"
    asker.asks(f"how is an invoice rounded, {key}")
    (asked,) = asker.chat.asked
    assert "VAT is rounded once per invoice." in asked.user
    assert "bank" not in asked.user
    assert key not in asked.user
    assert asked.user.count("<<<source ") == asked.user.count("<<<question ") == 1
    assert "VAT is rounded" not in asked.system.replace(asked.system[asked.system.index("An example") :], "")


def test_a_turn_of_a_session_is_cited_by_its_place_and_what_was_said_around_it_is_sent(asker, ids):
    asker.world.works(ids[0], prompt="Which port has the saffron service?", answer="It listens on 8123.")
    asker.memory.sessions.settle()
    asker.chat.answers = [{"answer": "On 8123 [1].", "citations": [{"source": 1, "quote": "It listens on 8123."}]}]
    hits = [hit for hit in asker.finds("saffron service port") if hit.turn]
    told = asker.memory.answers.to("Which port?", hits)
    (cited,) = told.citations
    assert (told.text, cited.revision) == ("On 8123 [1].", "")
    assert (cited.as_json()["path"], cited.as_json()["turn"]) == (f"sessions/{ids[0]}.md", hits[0].turn.n)
    assert "prompt: Which port has the saffron service?\n\nanswer: It listens on 8123." in asker.chat.asked[0].user


def test_the_past_is_cited_as_it_was(asker):
    then, old = asker.world.now, asker.memory.pages.read(asker.project, "decisions/vat.md").version.revision
    asker.world.passes(days=1)
    asker.memory.pages.write(asker.project, "decisions/vat.md", "# VAT\n\nPer line.\n", Fields(), ANA)
    told = asker.asks(at=then)
    assert [(each.quote, each.revision) for each in told.citations] == [("rounded once per invoice", old)]


def test_an_edit_that_nobody_committed_has_no_revision(asker):
    file = next((asker.world.data / "wiki").glob("*/*/decisions/vat.md"))
    file.write_text("# VAT\n\nVAT is rounded once per invoice, always.\n")
    asker.memory.outside.reconcile(lambda *_: None)
    assert [each.revision for each in asker.asks().citations] == [""]
    assert "(not committed yet)" in asker.chat.asked[0].user


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        ({"answer": "Nobody says.", "citations": []}, "does not stand"),
        ({"answer": "", "citations": []}, "does not answer it"),
        ({"answer": "Since 2019 [1].", "citations": [{"source": 1, "quote": "VAT"}]}, "does not stand"),
        ({"answer": "It is [2].", "citations": [{"source": 2, "quote": "VAT"}]}, "does not stand"),
        ({"answer": "It is [1].", "citations": [{"source": 1, "quote": "never said"}]}, "does not stand"),
        ([], "does not answer it"),
    ],
    ids=["no source", "nothing", "a lie", "another source", "another quotation", "another shape"],
)
def test_what_does_not_stand_on_a_hit_is_no_answer_and_it_is_said_why(asker, said, missing):
    asker.chat.answers = [said]
    told = asker.asks()
    assert (told.text, told.citations) == ("", ())
    assert missing in told.missing


def test_a_paragraph_that_cites_nothing_is_left_out_of_the_answer(asker):
    asker.chat.answers = [{**VAT, "answer": f"{VAT['answer']}\n\nThat is a good idea.\n\n```\nrounded once\n```"}]
    assert asker.asks().text == f"{VAT['answer']}\n\n```\nrounded once\n```"


@pytest.mark.parametrize("kind", ["transient", "terminal", "refused", "truncated", "unparsable", "over-budget"])
def test_a_model_that_fails_leaves_the_hits_and_says_why(asker, kind):
    asker.chat.answers = [ModelError("m-1 had a bad day", kind)]
    told = asker.asks()
    assert (told.text, told.citations, told.missing) == ("", (), "m-1 had a bad day")


def test_where_nothing_was_found_nobody_is_asked(asker):
    assert asker.asks("coriander").missing == "nothing was found that could answer it"
    assert asker.chat.asked == []


def test_what_is_not_switched_on_asks_nobody_and_says_how_to_switch_it_on(tmp_path):
    asker = Asker(tmp_path, answer_with_model=False)
    assert "write answer_with_model = true into config.toml" in asker.asks().missing
    assert "answer_with_model" in asker.tells(VAT).missing
    assert asker.chat.asked == []
    asker.world.close()


def test_a_spent_budget_is_the_reason_that_is_told(tmp_path):
    asker = Asker(tmp_path, llm__monthly_budget=0.2)
    assert asker.asks().text
    assert "llm.monthly_budget" in asker.asks().missing
    assert len(asker.chat.asked) == 1
    asker.world.close()


@pytest.fixture
def hanging(asker):
    """A model that answers when the test lets it."""
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def hang(ask):
        begun.release()
        assert go_on.wait(20)
        return VAT

    asker.chat.answers = [hang]
    yield go_on, begun
    go_on.set()


def test_nobody_waits_for_a_model_that_hangs(asker, hanging, monkeypatch):
    monkeypatch.setattr(answers, "_PATIENCE", 0.02)
    monkeypatch.setattr(answers, "_STEP", 0.01)
    assert "the model takes longer" in asker.asks().missing
    for _ in range(answers._AT_ONCE - 1):
        asker.asks()
    assert "ask again soon" in asker.asks().missing
    assert len(asker.chat.asked) == answers._AT_ONCE


def test_an_end_keeps_nobody_waiting(asker, hanging, monkeypatch):
    monkeypatch.setattr(answers, "_STEP", 0.01)
    told = []
    waiting = threading.Thread(target=lambda: told.append(asker.asks()))
    waiting.start()
    assert hanging[1].acquire(timeout=10)
    asker.memory.answers.stop()
    waiting.join(10)
    assert "the server ends" in told[0].missing


# Where a project stands


def test_where_a_project_stands_is_told_from_its_briefing(asker, ids):
    asker.write("_rules/style.md", "# Style\n\nTabs.\n")
    asker.world.works(ids[0])
    asker.world.says(ids[0], "session-end")
    asker.memory.sessions.settle()
    asker.world.passes(days=3)
    told = asker.tells({"prose": "Rounded per invoice ([[decisions/vat.md]]).\n\nSee `other.py`, since 2019."})
    assert told == answers.Told("Rounded per invoice ([[decisions/vat.md]]).")
    (asked,) = asker.chat.asked
    for piece in ("Project default/shop", ", 3 days ago", "# Style (_rules/style.md, rule, changed ", "Tabs."):
        assert piece in asked.user
    assert "Please fix the rounding." in asked.user


def test_a_focus_brings_what_was_found_for_it(asker):
    told = asker.tells({"prose": "VAT is rounded once."}, focus="rounded invoice")
    assert told.text == "VAT is rounded once."
    assert "# Fits the focus: VAT (decisions/vat.md)" in asker.chat.asked[0].user
    assert asker.chat.asked[0].user.startswith("<<<focus ")


def test_prose_that_names_what_is_not_there_is_left_out_and_it_is_said_why(asker):
    assert "does not stand" in asker.tells({"prose": "See `other.py`, since 2019."}).missing


@pytest.mark.parametrize(
    ("passes", "gap"),
    [({}, "less than a minute"), ({"minutes": 5}, "5 minutes"), ({"hours": 1}, "1 hour"), ({"days": 9}, "9 days")],
    ids=["now", "minutes", "hour", "days"],
)
def test_the_gap_is_said_in_words(asker, ids, passes, gap):
    assert asker.memory.answers.gap(asker.memory.briefing.of(asker.project, 1)) is None
    asker.world.works(ids[0])
    asker.world.passes(**passes)
    assert asker.memory.answers.gap(asker.memory.briefing.of(asker.project, 1)) == gap
