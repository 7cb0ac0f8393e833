"""`auto-improve` and `pending-writes`, as a person types them."""

import json

import pytest

from ai_memory.cli import pending
from ai_memory.store.proposals import STATUSES

ID = "01a1f866-2088-776d-8e86-ee9b02cce133"
SCOPE = "workspace=default&project=shop"
PLACE = ("--workspace", "default", "--project", "shop")
PROPOSAL = {
    "id": ID,
    "run_id": ID,
    "workspace_id": ID,
    "project_id": ID,
    "status": "pending",
    "operation": "update",
    "target_path": "concepts/vat.md",
    "kind": "concept",
    "title": "VAT\x1b[2J",
    "confidence": 0.9,
    "staged_at": 1_795_168_800_000_000,
    "decided_at": None,
}
SHOWN = {
    "summary": PROPOSAL,
    "session_id": ID,
    "rationale": "Invoices have to agree.",
    "evidence": [{"page": "session", "quote": "Rounded per invoice."}],
    "body_markdown": "# VAT\n\nText.\n",
    "decision_reason": "No.",
    "checkpoint": "0123456789abcdef",
}
DIFF = "--- a/concepts/vat.md\n+++ b/concepts/vat.md\n@@ -1 +1 @@\n-per line\n+per invoice\n"


@pytest.fixture
def shop(own, monkeypatch):
    """Answer every question about where this is."""
    placed = {"workspace": "default", "project": "shop", "resolved_by": "explicit", "exists": True}
    monkeypatch.setattr("ai_memory.cli.place.Place.routing", lambda _: {})
    own.answers["GET /admin/where"] = (200, placed)
    return own


def test_proposals_are_listed(shop, type_):
    shop.answers[f"GET /admin/pending-writes?{SCOPE}&limit=50"] = (200, [PROPOSAL])
    shop.answers[f"GET /admin/pending-writes?{SCOPE}&limit=2&status=rejected"] = (200, [])
    said = type_("pending-writes").out
    assert said.startswith(f"{ID}  pending   2026-11-20 ")
    assert "\x1b" not in said
    assert type_("pending-writes", "list", *PLACE).out == said
    assert type_("pending-writes", "list", "--status", "rejected", "--limit", "2").out == "no proposals\n"
    assert json.loads(type_("pending-writes", "list", "--json").out) == [PROPOSAL]
    assert (pending._STATUSES, type_("pending-writes", "list", "--status", "new").code) == (STATUSES, 2)


def test_a_proposal_is_shown_with_what_it_rests_on(shop, type_):
    shop.answers[f"GET /admin/pending-writes/{ID}?{SCOPE}"] = (200, SHOWN)
    said = type_("pending-writes", "show", ID).out
    assert said.splitlines()[1:] == [
        "why       Invoices have to agree.",
        "because   session: Rounded per invoice.",
        "decision  No.",
        "written   0123456789ab",
        "",
        "# VAT",
        "",
        "Text.",
        "",
    ]
    assert json.loads(type_("pending-writes", "show", ID, "--json").out) == SHOWN


def test_a_diff_has_colours_only_on_a_terminal(shop, type_):
    shop.answers[f"GET /admin/pending-writes/{ID}/diff?{SCOPE}"] = (200, {"proposal_id": ID, "diff": DIFF})
    assert type_("pending-writes", "diff", ID).out == DIFF
    assert json.loads(type_("pending-writes", "diff", ID, "--json").out)["diff"] == DIFF
    shop.answers[f"GET /admin/pending-writes/{ID}/diff?{SCOPE}"] = (200, {"proposal_id": ID, "diff": ""})
    same = type_("pending-writes", "diff", ID)
    assert (same.out, same.err) == ("", "no difference\n")


def test_a_proposal_is_approved_or_rejected_by_who_sits_here(shop, type_, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ana")
    approve, reject = (f"POST /admin/pending-writes/{ID}/{verb}?{SCOPE}" for verb in ("approve", "reject"))
    shop.answers[approve] = (200, {"status": "approved", "path": "concepts/vat.md", "revision": "0123456789abcdef"})
    shop.answers[reject] = (200, {"status": "rejected"})
    assert type_("pending-writes", "approve", ID).out == "✓ wrote concepts/vat.md (revision 0123456789ab)\n"
    assert json.loads(shop.asked[-1].body) == {"user": "ana", "agent": ""}
    assert type_("pending-writes", "reject", ID).out == "✓ rejected\n"
    assert json.loads(shop.asked[-1].body) == {"reason": "rejected by reviewer"}
    assert json.loads(type_("pending-writes", "reject", ID, "--reason", "No.", "--json").out) == {"status": "rejected"}
    assert json.loads(shop.asked[-1].body) == {"reason": "No."}
    shop.answers[approve] = (409, {"status": "conflict", "error": "concepts/vat.md was not written: it is pinned"})
    refused = type_("pending-writes", "approve", ID)
    assert (refused.code, "was not written: it is pinned" in refused.err) == (1, True)


REVIEW = {
    "run_id": ID,
    "summary": "VAT.",
    "warnings": ["Look."],
    "refused": [{"what": "Tests", "why": "it has no text"}],
    "skipped": [{"path": "gotchas/a.md", "reason": "it is pinned"}],
    "proposals": [{"id": ID, "path": "concepts/vat.md", "title": "VAT", "status": "pending", "page_id": None}],
}


def test_a_review_says_what_it_proposes_and_what_it_left_out(shop, type_):
    shop.answers["POST /admin/auto-improve"] = (200, REVIEW)
    told = type_("auto-improve", "--session-id", ID, "--min-confidence", "0.5", "--max-proposals", "2")
    assert told.out == f"VAT.\n{ID}  pending   concepts/vat.md  VAT\n"
    assert told.err == (
        "warning: Look.\nleft out: gotchas/a.md (it is pinned)\nrefused: Tests (it has no text)\n"
        "`ai-memory pending-writes diff ID` shows one, `approve ID` writes it\n"
    )
    scope = {"workspace": "default", "project": "shop"}
    assert json.loads(shop.asked[-1].body) == {
        **scope,
        "session_id": ID,
        "min_confidence": 0.5,
        "max_proposals": 2,
    }
    assert json.loads(type_("auto-improve", "--session-id", ID, "--json").out) == REVIEW
    assert json.loads(shop.asked[-1].body) == {**scope, "session_id": ID}
    shop.answers["POST /admin/auto-improve"] = (200, {**REVIEW, "summary": "", "proposals": []})
    assert type_("auto-improve", "--session-id", ID).out == "nothing to propose\n"
    shop.answers["POST /admin/auto-improve"] = (502, {"error": "no review: it answered in prose"})
    assert type_("auto-improve", "--session-id", ID).code == 1
    assert type_("auto-improve").code == 2


def test_lint_says_whether_a_model_helped(shop, type_):
    report = {"findings": [], "report": None, "model": {"job_id": ID, "pairs": 2, "problem": None}}
    shop.answers["POST /admin/lint"] = (200, report)
    assert type_("lint").err == "a model compared 2 pairs of pages\n"
    report["model"] |= {"problem": "it answered in prose"}
    assert type_("lint").err == "no model's help: it answered in prose\n"
    shop.answers["POST /admin/lint"] = (200, {"findings": [], "report": None})
    assert type_("lint", "--no-llm").err == ""
    assert json.loads(shop.asked[-1].body) == {
        "workspace": "default",
        "project": "shop",
        "dry_run": False,
        "no_llm": True,
    }
