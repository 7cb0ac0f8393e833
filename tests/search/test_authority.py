"""Authority: the wire's factors, bounded."""

import pytest

from ai_memory.search.authority import authority_of


@pytest.mark.parametrize(
    ("path", "kind", "tier", "tags", "pinned", "factor"),
    [
        ("notes/a.md", "note", "", (), False, 1.0),
        ("decisions/a.md", "decision", "semantic", (), False, 1.25),
        ("sessions/a.md", "session", "episodic", (), False, 0.77),
        ("gotchas/a.md", "gotcha", "working", (), True, 1.17),
        ("_lint/report.md", "lint-report", "semantic", (), False, 0.9),
        ("investigations/a.md", "fact", "semantic", (), False, 1.05),
        ("decisions/a.md", "decision", "semantic", ("Canonical", "source_of_truth", "active"), True, 1.5),
        ("decisions/a.md", "decision", "semantic", ("SUPERSEDED",), True, 0.65),
        ("decisions/a.md", "decision", "semantic", ("historical", "test_fixture"), False, 0.55),
        ("sessions/a.md", "session", "episodic", ("historical",), False, 0.77),
    ],
)
def test_a_page_has_the_factor_of_its_standing(path, kind, tier, tags, pinned, factor):
    assert authority_of(path, kind, tier, tags, pinned=pinned) == pytest.approx(factor)


@pytest.mark.parametrize(("salience", "factor"), [(1.0, 1.0), (2.0, 1.07), (0.25, 0.87)])
def test_what_readers_said_of_a_page_moves_it_a_little(salience, factor):
    assert authority_of("notes/a.md", "note", "", (), pinned=False, salience=salience) == pytest.approx(
        factor, abs=0.005
    )


def test_a_page_that_nobody_shall_answer_from_stays_there_however_helpful():
    assert authority_of("notes/a.md", "note", "", ("do-not-answer-from",), pinned=False, salience=2.0) == 0.55
