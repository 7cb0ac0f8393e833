import re
import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ai_memory.search.pieces import pieces_of


def words(first, last):
    return " ".join(f"w{n}" for n in range(first, last))


def test_a_text_is_cut_into_pieces_of_120_words_that_share_25():
    assert pieces_of(words(0, 250)) == [words(0, 120), words(95, 215), words(190, 250)]


def test_a_short_text_is_one_piece_as_it_is():
    assert pieces_of("One line.\n  And another. ") == ["One line.\n  And another."]


def test_a_heading_is_a_piece_of_its_own_as_well():
    assert pieces_of("Rounding\n\nPer line.\n\nNot per invoice.") == [
        "Rounding",
        "Rounding\n\nPer line.\n\nNot per invoice.",
    ]
    long = "word " * 41
    assert pieces_of(f"{long}\n\nMore.") == [f"{long}\n\nMore."]
    assert pieces_of(words(0, 120)) == [words(0, 120)]


@pytest.mark.parametrize("text", [" ", "\n\n", "\u3000"])
def test_a_text_without_words_is_one_piece(text):
    assert pieces_of(text) == [text]


def test_nothing_has_no_piece():
    assert pieces_of("") == []


def test_text_without_spaces_is_cut_by_its_characters():
    text = "".join(chr(0x4E00 + n) for n in range(500))
    assert pieces_of(text) == [text[:240], text[190:430], text[380:]]


@pytest.mark.parametrize(
    "text", ["a" * 5_000_000, "word " * 1_000_000, "語" * 3_000_000], ids=["a word", "words", "Han"]
)
def test_a_huge_text_has_64_pieces_and_takes_no_time(text):
    begun = time.process_time()
    pieces = pieces_of(text)
    assert time.process_time() - begun < 1
    assert len(pieces) == 64
    assert all(len(piece) <= 16 * 120 for piece in pieces)


@given(st.lists(st.text(st.sampled_from("aB語서é.\u0e31"), min_size=1, max_size=40), min_size=1, max_size=400))
@example(["a" * 380, *["b"] * 110] * 8)
@example(["ab"] * 121)
def test_every_word_is_whole_in_a_piece_and_stands_in_its_order(said):
    text = " \n".join(f"{n}{word}" for n, word in enumerate(said))
    pieces = pieces_of(text)
    assert all(any(word in piece for piece in pieces) for word in re.findall(r"[^\s語서\u0e31]+|.", text))
    places, place = [], 0
    for piece in pieces:
        place = text.index(piece, place)
        places.append((place, place + len(piece)))
    assert all(start <= end for (_, end), (start, _) in pairwise(places))
    assert (places[0][0], places[-1][1]) == (0, len(text))
