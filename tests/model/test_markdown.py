from hypothesis import given
from hypothesis import strategies as st

from ai_memory.model.markdown import unfenced


def test_fenced_lines_are_blank_and_everything_keeps_its_place():
    text = "a\n```py\nb\n```\nc\n> ~~~\n> d\ne\n"
    blank = unfenced(text)
    assert blank.split() == ["a", "c", "e"]
    assert [blank.index(sign) for sign in "ace"] == [text.index(sign) for sign in "ace"]


@given(st.text(st.sampled_from("`~> -1.\n\tab\r"), max_size=60))
def test_any_text_keeps_its_length_and_loses_only_whole_lines(text):
    blank = unfenced(text)
    assert len(blank) == len(text)
    assert all(now in (was, " ", "\n") for was, now in zip(text, blank, strict=True))
    assert unfenced(blank) == blank
