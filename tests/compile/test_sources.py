"""Sources of a bootstrap: which are sent, which are dropped first, and how they are packed into questions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.compile.sources import ENVELOPE, KINDS, Source, label_of, one_line, planned
from ai_memory.errors import BadRequestError

KIND = st.sampled_from(list(KINDS))
SOURCES = st.lists(
    st.builds(Source, KIND, st.text(min_size=1, max_size=20).map(one_line), st.text(max_size=9_000)), max_size=12
)


def source(kind, label, tokens):
    return Source(kind, label, "x" * (4 * tokens - len(label) - 16))


def plan(sources, most=2_000, chunk=2_000, **more):
    return planned(sources, max_input_tokens=most, chunk_input_tokens=chunk, **more)


def labels(chunks):
    return [[each.label for each in chunk] for chunk in chunks]


def test_a_source_counts_a_quarter_of_its_bytes():
    assert [Source("readme", "abcd", text).tokens for text in ("", "a", "字字")] == [5, 6, 7]


def test_headers_are_dropped_first_and_rules_last():
    sources = [source(kind, kind, 300) for kind in reversed(KINDS)]
    kept = []
    for most in (2_000, 2_200, 2_500):
        kept.append([each.kind for each in plan(sources, most).sources])
    assert kept == [list(KINDS)[:3], list(KINDS)[:4], list(KINDS)]


def test_what_is_dropped_is_counted():
    got = plan(
        [source("readme", "r", 100), source("git_commit", "a", 950), source("git_commit", "b", 100)], collected=9
    )
    assert got.as_json() == {
        "sources_collected": 9,
        "sources_sent": 2,
        "sources_dropped": 7,
        "sources_by_kind": {"project_rules": 0, "readme": 1, "doc_files": 0, "git_commits": 1, "module_headers": 0},
        "estimated_input_tokens": 200 + ENVELOPE,
        "llm_chunks": 1,
    }


def test_questions_are_filled_with_the_best_first():
    sources = [source("git_commit", f"c{n}", 400) for n in range(3)] + [source("readme", "r", 700)]
    assert labels(plan(sources, 9_000).chunks) == [["r"], ["c0", "c1"], ["c2"]]
    assert labels(plan(sources, 9_000, 0).chunks) == [["r", "c0", "c1", "c2"]]
    assert plan([]).chunks == ()


def test_a_source_that_is_too_large_for_a_question_is_cut_at_lines():
    text = "".join(f"line {n}: {'字' * 20}\n" for n in range(200))
    chunks = plan([Source("doc_file", "doc: a.md", text), source("module_header", "rust: b", 10)], 9_000).chunks
    parts = [each for chunk in chunks for each in chunk if each.kind == "doc_file"]
    assert [each.label for each in parts] == [f"doc: a.md (part {n})" for n in range(1, len(parts) + 1)]
    assert len(parts) > 2
    assert "".join(each.text for each in parts) == text
    assert all(each.text.endswith("\n") for each in parts)


@given(SOURCES, st.integers(2_000, 20_000), st.sampled_from([0, 2_000, 3_000]))
def test_no_question_is_larger_than_it_may_be_and_nothing_of_a_source_is_lost(sources, most, chunk):
    got = plan(sources, most, chunk)
    room = min(most, chunk or most) - ENVELOPE
    assert all(sum(each.tokens for each in one) <= room for one in got.chunks)
    assert sum(each.tokens for each in got.sources) <= most - ENVELOPE
    joined = "".join(each.text for one in got.chunks for each in one)
    assert joined == "".join(each.text for each in got.sources)
    assert got.fingerprint == plan(sources, most, chunk).fingerprint


def test_other_sources_or_other_pieces_have_another_fingerprint():
    one, other = source("readme", "r", 100), source("readme", "r", 101)
    prints = {plan(*args).fingerprint for args in (([one],), ([other],), ([one, other],), ([one], 9_000, 3_000))}
    assert len(prints) == 4


@pytest.mark.parametrize("limits", [(1_999, 0), (2_000_001, 0), (9_000, 1), (9_000, 1_999)])
def test_a_limit_that_holds_no_question_is_refused(limits):
    with pytest.raises(BadRequestError, match="say a number from 2,000 to 2,000,000"):
        plan([], *limits)


def test_a_label_is_one_short_line_whatever_the_file_is_called():
    assert label_of("doc", "docs/a\n\x1b[31mb\udcff.md") == "doc: docs/a ?[31mb?.md"
    assert len(label_of("doc", "x" * 999)) == 200
