from itertools import pairwise

import pytest

from ai_memory.compile.contradictions import SCHEMA, Statement, asks, likely, read
from ai_memory.compile.drafts import Refusal
from ai_memory.compile.lint import Finding
from ai_memory.compile.prompts import prompt
from ai_memory.compile.request import Budget

INVOICE = Statement("decisions/round.md", "Round", "semantic", "VAT is rounded once, on the total of an invoice.")
LINE = Statement("concepts/vat.md", "VAT", "procedural", "VAT is rounded on each line. " + "More. " * 200)
OTHER = Statement("concepts/z.md", "Z", "semantic", "Z.")
LOG = Statement("sessions/x.md", "X", "episodic", "X.")


def item(**fields):
    return {
        "pages": ["decisions/round.md", "concepts/vat.md"],
        "quotes": ["VAT is rounded once", "vat is rounded on  each line"],
        "message": "They disagree on where VAT is rounded.",
        "severity": "info",
        **fields,
    }


FINDING = Finding(
    "contradiction",
    "info",
    "They disagree on where VAT is rounded.",
    ["concepts/vat.md", "decisions/round.md"],
    "VAT is rounded once / vat is rounded on each line",
)


def found(*items):
    return read({"findings": list(items)}, [(INVOICE, LINE)])


def test_each_pair_that_says_what_holds_is_asked_about_once():
    ((asked, pairs),) = asks([(INVOICE, LINE), (LINE, INVOICE), (LINE, LOG), (OTHER, OTHER)], Budget(50_000))
    assert pairs == ((INVOICE, LINE),)
    assert (asked.system, asked.schema, asked.temperature) == (prompt("contradictions").text, SCHEMA, 0.1)
    assert asked.user.count("<<<pair ") == 1
    assert len(LINE.preview) == len("concepts/vat.md: VAT\n") + 400


def test_many_pairs_are_several_requests_within_the_budget():
    pages = [Statement(f"concepts/{n}.md", "T", "semantic", "word " * 80) for n in range(41)]
    requests = asks(list(pairwise(pages)), Budget(6_000))
    assert len(requests) > 2
    assert [pair for _, pairs in requests for pair in pairs] == list(pairwise(pages))


def test_a_contradiction_is_a_finding_of_lint_and_a_pair_has_one():
    assert found(item(), item(message="Again.")) == ([FINDING], [])
    assert found(item(pages=["Concepts/VAT.md", "decisions/round.md"])) == ([FINDING], [])
    assert found({**item(), "message": "", "summary": FINDING.message}) == ([FINDING], [])
    assert found(item(severity="high"))[0][0].severity == "warning"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"pages": ["concepts/vat.md", "concepts/z.md"]}, "it is not about a pair of pages that was asked about"),
        ({"pages": "concepts/vat.md"}, "it is not about a pair of pages that was asked about"),
        ({"quotes": ["VAT is rounded once", "VAT is never rounded"]}, "its quotations are not in the two pages"),
        ({"quotes": ["VAT is rounded once"] * 2}, "its quotations are not in the two pages"),
        ({"quotes": None}, "its quotations are not in the two pages"),
        ({"message": 3}, "it has no message"),
        ({"message": "Since 2019."}, "it names '2019', which is not in its input"),
    ],
    ids=["other", "one", "invented", "same-page", "none", "no-message", "a-date"],
)
def test_what_is_not_in_the_pages_is_refused_alone(fields, why):
    findings, refused = found(item(**fields), item())
    assert findings == [FINDING]
    assert [refusal.why for refusal in refused] == [why]


@pytest.mark.parametrize("answer", [None, [], {}, {"findings": 3}, "x"], ids=repr)
def test_an_answer_of_another_shape_finds_nothing(answer):
    assert read(answer, [(INVOICE, LINE)]) == ([], [])


def test_an_item_of_another_shape_is_counted():
    assert found(None, 3) == (
        [],
        [Refusal(f"item {n}", "it is not about a pair of pages that was asked about") for n in (1, 2)],
    )


def test_pages_with_rare_words_in_common_are_the_likeliest_pair_in_any_script():
    pages = [
        Statement("a.md", "Rounding", "semantic", "The invoice is rounded once."),
        Statement("b.md", "Invoice", "semantic", "The lines are rounded."),
        Statement("c.md", "Login", "semantic", "The session expires."),
        Statement("d.md", "发票舍入", "semantic", "按行舍入。"),
        Statement("e.md", "舍入", "semantic", "按发票。"),
        Statement("f.md", "-", "semantic", "-"),
    ]
    found = [(one.path, other.path) for one, other in likely(pages)]
    assert found == [("a.md", "b.md"), ("d.md", "e.md"), ("a.md", "c.md"), ("b.md", "c.md")]
    assert len(likely([Statement(f"{n}.md", "Same", "semantic", "") for n in range(20)])) == 40
