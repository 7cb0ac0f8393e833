import uuid

import pytest

from ai_memory.memory.pages import NOBODY
from ai_memory.model.ids import new_id
from ai_memory.store.jobs import Job
from tests.own_server import served
from tests.server.web.screens import look, works

TOKEN = "sk-ant-api03-" + "a1B2c3D4e5F6" * 6
KEY = "key-of-the-vendor-0123456789"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with served(tmp_path_factory) as own:
        yield own


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """A server with a model that nobody asks, and with all sorts of trouble."""
    flags = {
        "llm_provider": "openai-compat",
        "llm_base_url": "http://127.0.0.1:9/v1",
        "llm_model": "m-1",
        "llm_api_key": KEY,
        "llm__monthly_budget": 20.0,
    }
    with served(tmp_path_factory, **flags) as own:
        memory = own.memory
        works(memory, uuid.UUID(int=1 + (4 << 76) + (2 << 62)))
        memory.sessions.settle(20)
        shop = memory.projects.named("default", "shop")
        broken = "<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n"
        memory.pages.write_several(shop, {"broken.md": "---\ntitle: [\n---\n" + broken}, NOBODY, subject="broken")
        own.now = memory.stores.clock()
        add = memory.stores.state.calls.add
        add(own.now.date(), "narrative", "openai-compat", "m-1", "ok", tokens_in=1000, tokens_out=200, cost=5.0)
        add(own.now.date(), "narrative", "openai-compat", "m-2", "ok", tokens_in=10, tokens_out=2, cost=None)
        memory.intake.failed(OSError(f"no space left <b> {TOKEN}"))
        job = Job(
            id=new_id(own.now),
            kind="narrative",
            key="k",
            project_id=shop.id,
            session_id=None,
            generation=1,
            payload={},
            asked=False,
            made_at=own.now,
            updated_at=own.now,
            not_before=own.now,
            lease_until=own.now,
            state="failed",
            error=f"the vendor said {TOKEN}",
        )
        memory.stores.state.jobs.save(job)
        yield own


def test_a_server_on_which_all_is_well_says_so(own):
    screen = look(own, "/web/status")
    assert (screen.status, "All is well: nothing waits for anybody." in screen.text) == (200, True)
    assert "Projects 0 Pages 0 Sessions 0 Observations 0 Open handoffs 0 Packets 0 Drafts 0" in screen.text
    assert "None, so these are off:" in screen.text
    assert "None waits, none failed." in screen.text


def test_every_stage_shows_what_it_did_and_what_it_last_failed_at(rich):
    screen = look(rich, "/web/status")
    report = rich.memory.status(bind="x")
    stages = screen.text[screen.text.index("What each did") : screen.text.index("Model ")]
    assert (
        f"Events failed 1 stored {report['stages']['ingest']['stored']} just now OSError: no space left <b>" in stages
    )
    for name in ("Checkpoints", "Page writes", "Pushes", "Indexed", "Session starts", "Upkeep", "Vectors", "Jobs"):
        assert name in stages


def test_a_trouble_comes_with_what_to_do(rich):
    text = look(rich, "/web/status").text
    matters = text[text.index("What needs somebody") : text.index("Stages")]
    assert "1 page with a problem default/shop/broken.md: " in matters
    assert "put them right and save; of a conflict no marker may stay" in matters
    assert "1 job failed `ai-memory jobs list` says why" in matters
    assert "the price of 1 call is not known put it into prices.toml" in matters


def test_the_budget_of_the_month_is_a_bar(rich):
    screen = look(rich, "/web/status")
    assert "2 calls this month, 1,212 tokens, $5.00 of $20.00" in screen.text
    (meter,) = screen.elements("meter")
    assert (meter["max"], meter["value"], meter["aria-label"]) == ("20.0", "5.0", "Budget of the month that is spent")
    assert "narrative m-1 ok 1 1,200 $5.00" in screen.text
    assert "narrative m-2 ok 1 12 not known" in screen.text


def test_a_spent_budget_needs_somebody(rich):
    rich.memory.stores.state.calls.add(
        rich.now.date(), "lint", "openai-compat", "m-1", "ok", tokens_in=1, tokens_out=1, cost=90.0
    )
    screen = look(rich, "/web/status")
    assert "the month's budget for models is spent: none is asked any more raise llm.monthly_budget" in screen.text
    assert screen.elements("meter")[0]["value"] == "20.0"


def test_no_secret_is_shown(rich):
    body = look(rich, "/web/status").body
    assert TOKEN[:24] not in body
    assert KEY not in body
    assert "the vendor said" in body


def test_a_job_that_failed_is_named_with_its_project(rich):
    screen = look(rich, "/web/status")
    assert "narrative in default/shop failed just now · the vendor said" in screen.text
    assert screen.links["default/shop"] == "/web/w/default/shop"
