import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.client.quick_json import NotJsonError, dumps, loads

scalars = st.none() | st.booleans() | st.integers() | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
finite = st.recursive(
    scalars | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(finite, st.booleans())
def test_what_the_standard_library_writes_is_read(value, ascii_only):
    assert loads(" \n" + json.dumps(value, ensure_ascii=ascii_only) + "\0\n") == value


@given(values)
def test_what_is_written_the_standard_library_reads(value):
    text = dumps(value)
    assert text.isascii()
    assert json.loads(text) == value


@given(st.text(max_size=40))
def test_any_other_text_is_refused_in_one_way(text):
    try:
        value = loads(text)
    except NotJsonError:
        return
    assert value == json.loads(text.strip(" \t\r\n\0"), strict=False)


@pytest.mark.parametrize(
    "text",
    ["", " \n", "{", '{"a":}', "{} {}", "nul", "NaN", "[Infinity]", '{"a":-Infinity}', '"a', "[" * 200_000, "{'a':1}"],
)
def test_what_is_not_json_is_refused(text):
    with pytest.raises(NotJsonError):
        loads(text)


def test_raw_control_characters_in_a_string_are_let_in():
    assert loads('{"a":"\x1b[0m\x00\n"}') == {"a": "\x1b[0m\x00\n"}


def test_what_has_no_json_form_here_is_refused():
    with pytest.raises(TypeError):
        dumps({"a": math.pi})
