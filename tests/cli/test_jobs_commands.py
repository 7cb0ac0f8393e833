"""`jobs`, `llm-usage` and what `status` says of a model, as a person types them."""

from pathlib import Path
from urllib.parse import urlencode

from ai_memory.cli import jobs
from ai_memory.cli.place import routing_here
from ai_memory.cli.status import _print_model
from ai_memory.memory.models import FEATURES, HINT
from ai_memory.store.jobs import STATES

JOB = {
    "id": "01a1f866-2088-776d-8e86-ee9b02cce133",
    "kind": "consolidation",
    "scope": "default/shop",
    "session_id": "00000000-0000-4000-8000-000000000001",
    "state": "queued",
    "asked": False,
    "attempts": 1,
    "crashes": 0,
    "error": "m of v is busy\x1b[2J",
    "outcome": None,
    "not_before": "2026-11-20T10:00:30Z",
    "made_at": "2026-11-20T10:00:00Z",
    "updated_at": "2026-11-20T10:00:00Z",
}
ROW = {"calls": 2, "tokens_in": 1234, "tokens_out": 56, "cost": 0.5, "unpriced_calls": 0}


def test_jobs_are_listed_with_their_reason(own, type_):
    own.answers = {
        "GET /admin/jobs?limit=50": (200, {"jobs": [JOB], "counts": {}}),
        "GET /admin/jobs?limit=2&state=done": (200, {"jobs": [], "counts": {}}),
    }
    said = type_("jobs").out
    assert said == type_("jobs", "list").out
    first, reason, again = said.splitlines()
    assert first.startswith(f"{JOB['id']}  queued   2026-11-20 ")
    assert first.endswith(f"consolidation {JOB['session_id']} in default/shop")
    assert "\x1b" not in reason
    assert again.startswith("  again at 2026-11-20 ")
    assert type_("jobs", "list", "--state", "done", "--limit", "2").out == "no jobs\n"
    assert '"kind": "consolidation"' in type_("jobs", "list", "--json").out


def test_a_job_is_tried_again_or_dropped(own, type_):
    for verb in ("retry", "drop"):
        own.answers[f"POST /admin/jobs/{verb}"] = (200, {**JOB, "error": None, "session_id": None, "scope": None})
        assert type_("jobs", verb, JOB["id"]).out.endswith("consolidation in no project\n")
        assert own.asked[-1].body.decode() == f'{{"id": "{JOB["id"]}"}}'
    own.answers["POST /admin/jobs/drop"] = (409, {"error": "job x is done already"})
    refused = type_("jobs", "drop", "x")
    assert (refused.code, "is done already" in refused.err) == (1, True)


def test_states_are_those_of_the_server(type_):
    assert jobs._STATES == STATES
    assert type_("jobs", "list", "--state", "over").code == 2


def test_usage_shows_calls_costs_and_what_is_wrong_with_them(own, type_):
    row = {"purpose": "consolidation", "provider": "v", "model": "m", "outcome": "ok", **ROW}
    report = {"month": "2026-11", "budget": None, "over_budget": False, "total": ROW, "calls": [row]}
    own.answers["GET /admin/llm-usage"] = (200, report)
    told = type_("llm-usage")
    sums = "2 calls, 1,234 tokens in, 56 out, $0.5000"
    assert (told.out, told.err) == (f"2026-11: {sums}\n  consolidation, m of v, ok: {sums}\n", "")
    report |= {"budget": 0.5, "over_budget": True, "total": {**ROW, "unpriced_calls": 1}}
    told = type_("llm-usage")
    assert told.out.splitlines()[0] == f"2026-11: {sums} of $0.50"
    assert "the price of 1 call is not known" in told.err
    assert "llm.monthly_budget is spent" in told.err
    assert '"month": "2026-11"' in type_("llm-usage", "--json").out


NONE = dict.fromkeys(STATES, 0)


def test_status_says_what_is_off_without_a_model_and_how_to_have_one(capsys):
    _print_model({"configured": False, "off": list(FEATURES), "hint": HINT}, {**NONE, "queued": 2})
    shown = capsys.readouterr().out
    assert shown.startswith(
        "model             none, so these are off:\n                  - pages written up from sessions"
    )
    assert "to have one, write llm_provider into config.toml" in shown
    assert "2 to do: they wait for a model" in shown


def test_status_says_who_is_asked_what_it_cost_and_what_is_wrong(capsys):
    month = {**ROW, "budget": 0.5, "over_budget": True, "unpriced_calls": 3}
    model = {
        "configured": True,
        "provider": "copilot",
        "model": "m",
        "warning": "unofficial",
        "month": month,
        "last_error": "ModelError: busy",
        "last_error_at": "2026-11-20T10:00:00Z",
    }
    _print_model(model, {**NONE, "failed": 1, "poison": 1})
    shown = capsys.readouterr().out
    assert "m of copilot" in shown
    assert "this month: 2 calls, 1290 tokens, $0.50 of $0.50" in shown
    for said in ("is spent", "the price of 3 calls", "unofficial", "last error", "2 failed: `ai-memory jobs list`"):
        assert said in shown


def test_a_narrative_is_looked_at_and_brought_up_to_date(own, type_):
    seen = {
        "scope": "default/shop",
        "path": None,
        "kept_by_a_model": False,
        "taken": None,
        "sessions_covered": 1,
        "sessions_behind": [{"session_id": "x", "title": "y"}],
        "questions": 1,
        "estimated_tokens": 1200,
    }
    place = ("--workspace", "default", "--project", "shop")
    where = {"workspace": "default", "project": "shop", "exists": True, "resolved_by": "explicit"}
    own.answers[f"GET /admin/where?{urlencode(routing_here(Path.cwd(), 'default', 'shop'))}"] = (200, where)
    own.answers["GET /admin/narrative?workspace=default&project=shop"] = (200, seen)
    assert type_("narrative", *place).out == (
        "default/shop: no narrative\n"
        "knows 1 session, and does not know 1 session\n"
        "`ai-memory narrative --update` asks 1 question with about 1,200 tokens\n"
    )
    seen |= {"path": "narrative.md", "taken": "it is pinned"}
    assert type_("narrative", *place).out == (
        "default/shop: narrative.md, not for a model to change: it is pinned\n"
        "knows 1 session, and does not know 1 session\n"
    )
    assert '"taken": "it is pinned"' in type_("narrative", *place, "--json").out
    own.answers["POST /admin/narrative"] = (200, {**JOB, "kind": "narrative", "session_id": None})
    assert "narrative in default/shop" in type_("narrative", *place, "--update").out
