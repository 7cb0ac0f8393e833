from datetime import UTC, datetime, timedelta

import pytest

from ai_memory.compile.lint import REPORT, Finding, Flag, Inspected, lint, report_page
from ai_memory.model.page import front_matter, is_page, parsed

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def page(path, **more):
    fields = {
        "title": path,
        "kind": "note",
        "tier": "semantic",
        "pinned": False,
        "expires_at": None,
        "changed": NOW,
        "was_read": False,
    }
    return Inspected(path=path, **{**fields, **more})


def kinds(*pages):
    return [(each.kind, each.severity, list(each.pages)) for each in lint(pages, NOW)]


def test_a_project_in_order_has_nothing_to_look_at():
    assert lint([page("notes/a.md"), page("notes/b.md")], NOW) == []


def test_two_pages_with_one_title_are_found_whatever_the_letters():
    found = lint([page("notes/b.md", title="VAT"), page("concepts/a.md", title="vat"), page("notes/c.md")], NOW)
    assert found == [
        Finding(
            "duplicate",
            "warning",
            "Two pages share a title: merge them, or give each its own",
            ["concepts/a.md", "notes/b.md"],
            "vat",
        )
    ]


@pytest.mark.parametrize("kind", ["session", "memory"])
def test_what_is_titled_by_its_first_words_may_begin_alike(kind):
    assert lint([page(f"notes/{n}.md", title="Fix it", kind=kind) for n in range(3)], NOW) == []


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({}, True),
        ({"was_read": True}, False),
        ({"changed": NOW - timedelta(days=30)}, False),
        ({"tier": "semantic"}, False),
    ],
)
def test_what_was_written_long_ago_and_never_read_is_stale(more, found):
    old = page("sessions/a.md", **{"tier": "episodic", "changed": NOW - timedelta(days=31), **more})
    assert kinds(old) == ([("stale", "info", ["sessions/a.md"])] if found else [])


def test_many_stale_pages_are_one_finding_that_names_some():
    long_ago = NOW - timedelta(days=90)
    (found,) = lint([page(f"sessions/{n:02}.md", tier="episodic", changed=long_ago) for n in range(25)], NOW)
    assert (len(found.pages), found.pages[0], found.detail) == (20, "sessions/00.md", "25 pages")


@pytest.mark.parametrize("rule", [page("_rules/style.md"), page("notes/style.md", kind="rule")])
def test_a_rule_is_to_be_copied_to_where_agents_read(rule):
    assert kinds(rule) == [("rule_suggestion", "info", [rule.path])]


def test_a_pinned_page_that_expires_is_found_and_one_that_only_expires_is_not():
    soon = NOW + timedelta(days=1)
    assert kinds(page("notes/a.md", pinned=True, expires_at=soon), page("notes/b.md", expires_at=soon)) == [
        ("pinned_expiry", "warning", ["notes/a.md"])
    ]


def test_broken_links_are_named_and_warnings_come_first():
    found = lint([page("_rules/a.md", broken=["bank:notes/x.md", "team/till:y.md"])], NOW)
    assert [(each.kind, each.detail) for each in found] == [
        ("broken_link", "bank:notes/x.md, team/till:y.md"),
        ("rule_suggestion", ""),
    ]


def test_what_readers_said_is_counted_with_the_last_reason():
    (found,) = lint([page("notes/a.md", flags=[Flag("wrong", 3, "the port is 9090")])], NOW)
    assert found.as_json() == {
        "kind": "feedback_flagged",
        "severity": "warning",
        "message": "Readers called it wrong 3 times: rewrite it, or delete it",
        "pages": ["notes/a.md"],
        "detail": "the port is 9090",
    }


def test_the_report_of_lint_is_not_linted():
    assert lint([page(REPORT, kind="lint-report", title="a"), page("notes/a.md", title="a")], NOW) == []


def test_the_report_lists_warnings_alone_and_is_the_same_for_the_same_warnings():
    pages = [page("notes/a.md", title="VAT"), page("notes/b.md", title="VAT")]
    old = page("sessions/a.md", tier="episodic", changed=NOW - timedelta(days=90))
    report = report_page(lint([*pages, old], NOW))
    assert report == report_page(lint(pages, NOW + timedelta(days=3)))
    assert report.path == REPORT
    assert is_page(REPORT)
    assert "- duplicate: `notes/a.md`, `notes/b.md`: Two pages share a title" in report.text
    read = parsed(REPORT, report.text)
    assert (read.kind, read.title, read.summary, read.problems) == ("lint-report", "Lint report", "1 warning", ())


def test_a_report_of_very_many_warnings_lists_the_first_and_counts_the_rest():
    found = [Finding("duplicate", "warning", "Look", [f"{number}.md"]) for number in range(203)]
    text = report_page(found).text
    assert (text.count("\n- duplicate"), "And 3 more" in text) == (200, True)


def test_a_report_without_warnings_says_so():
    assert "*Found by rules; no model was asked." in report_page([]).text
    assert "*Found by rules, and by a model, on 2026-11-20, contradictions." in report_page([], NOW).text
    assert front_matter(report_page([]).text)["summary"] == "Nothing to look at"


def test_a_detail_of_several_lines_stays_one_line_of_the_report():
    text = report_page([Finding("feedback_flagged", "warning", "Look", ["a.md"], "one\n\n# two")]).text
    assert "- feedback_flagged: `a.md`: Look (one # two)\n" in text
