"""Fusion: one order of what words and meaning found, and why each hit stands where it does."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ai_memory.search.fusion import LINKS, VECTORS, Candidate, Stream, fused, seeds, weighed, with_neighbours

HOME = UUID(int=1)


def key(path):
    return HOME, path


def stream(name, *found, ceiling=10.0):
    return Stream(name, [(key(path), score) for path, score in found], ceiling)


def paths(candidates):
    return [each.key[1] for each in candidates]


def test_words_alone_keep_the_order_of_their_stream():
    found = fused([stream("pages", ("a", 9), ("b", 5), ("c", 1))], None, exact=False)
    assert [(path, round(each.score, 3)) for path, each in zip(paths(found), found, strict=True)] == [
        ("a", 1.0),
        ("b", 0.556),
        ("c", 0.111),
    ]


def test_a_page_with_one_of_the_words_does_not_pass_a_session_with_all_of_them():
    pages = stream("pages", ("junk", 2.0), ceiling=20.0)
    sessions = stream("sessions", ("session", 6.0), ceiling=8.0)
    assert paths(fused([pages, sessions], None, exact=False)) == ["session", "junk"]


def test_a_session_is_judged_by_its_whole_text_or_its_best_turn_not_by_their_sum():
    sessions = stream("sessions", ("both", 6.0), ("whole", 6.0))
    turns = stream("turns", ("both", 6.0), ("turn", 6.0))
    found = {each.key[1]: round(each.score, 6) for each in fused([sessions, turns], None, exact=False)}
    assert found == {"both": 1.0, "whole": 1.0, "turn": 0.85}


def test_meaning_weighs_more_than_words_unless_the_question_is_exact():
    words, meaning = (
        stream("pages", ("said", 9), ("other", 8.8), ("meant", 2)),
        stream(VECTORS, ("meant", 0.8), ("said", 0.3)),
    )
    assert paths(fused([words], meaning, exact=False)) == ["meant", "said", "other"]
    assert paths(fused([words], meaning, exact=True)) == ["said", "other", "meant"]


def test_meaning_weighs_less_where_the_words_are_sure_of_one_hit():
    meaning = stream(VECTORS, ("meant", 0.8), ("said", 0.3))
    assert paths(fused([stream("pages", ("said", 9), ("meant", 1))], meaning, exact=False)) == ["said", "meant"]


def test_what_only_its_meaning_finds_is_a_hit():
    (hit,) = fused([], stream(VECTORS, ("a", 0.5)), exact=False)
    assert (hit.key, hit.places[VECTORS].rank, hit.places[VECTORS].score) == (key("a"), 1, 0.5)


def test_a_linked_page_enters_behind_its_seed_and_a_hit_that_is_linked_gains():
    found = fused([stream("pages", ("a", 9), ("b", 8.5), ("c", 8.4))], None, exact=False)
    assert seeds(found) == [key("a"), key("b"), key("c")]
    linked = with_neighbours(found, {key("a"): [key("c"), key("new")]})
    assert paths(linked) == ["c", "a", "b", "new"]
    assert (linked[3].via, linked[3].places[LINKS].rank) == (key("a"), 2)


def test_what_is_known_of_a_page_orders_close_hits_anew():
    found = fused([stream("pages", ("log", 5.1), ("decision", 5.0))], None, exact=False)
    assert paths(weighed(found, {key("decision"): 1.25, key("log"): 0.77})) == ["decision", "log"]


def test_equal_hits_stand_in_the_order_of_their_paths():
    assert paths(fused([stream("pages", ("b", 1), ("a", 1))], None, exact=False)) == ["a", "b"]


def test_nothing_found_is_an_empty_order():
    assert fused([], None, exact=False) == []
    assert fused([stream("pages", ceiling=0.0)], stream(VECTORS), exact=True) == []
    assert with_neighbours([], {}) == []


SCORES = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 30)), max_size=8, unique_by=lambda each: each[0])


@given(pages=SCORES, turns=SCORES, near=SCORES, exact=st.booleans())
def test_every_hit_is_there_once_and_no_score_leaves_its_bounds(pages, turns, near, exact):
    best_first = [sorted(each, key=lambda pair: -pair[1]) for each in (pages, turns, near)]
    lexical = [stream("pages", *best_first[0], ceiling=30.0), stream("turns", *best_first[1], ceiling=30.0)]
    found = fused(lexical, stream(VECTORS, *best_first[2]), exact=exact)
    assert sorted(paths(found)) == sorted({path for each in best_first for path, _ in each})
    assert all(0 <= each.score <= 1 + 1e-9 for each in found)
    assert found == sorted(found, key=lambda each: -each.score)


def test_a_candidate_without_a_stream_has_no_share_of_it():
    assert Candidate(key("a")).share(VECTORS) == 0.0
