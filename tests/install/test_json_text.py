"""Editing JSON as text: our change and nothing else."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_memory.install.json_text import Document, NotStrictJsonError

SPACE = st.text(" \t\r\n", max_size=3)
KEYS = st.text(max_size=6)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())
VALUES = st.recursive(
    LEAVES, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(KEYS, v, max_size=3)), max_leaves=12
)


@st.composite
def written(draw, value):
    """Any way of writing a value as JSON: every gap holds any white space."""
    gap = lambda: draw(SPACE)  # noqa: E731
    if isinstance(value, dict):
        inner = ",".join(
            gap() + json.dumps(k, ensure_ascii=draw(st.booleans())) + gap() + ":" + gap() + draw(written(v)) + gap()
            for k, v in value.items()
        )
        return "{" + (inner or gap()) + "}"
    if isinstance(value, list):
        return "[" + (",".join(gap() + draw(written(v)) + gap() for v in value) or gap()) + "]"
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


@st.composite
def documents(draw):
    value = draw(st.dictionaries(KEYS, VALUES, max_size=4))
    return draw(st.sampled_from(["", "\ufeff"])) + draw(SPACE) + draw(written(value)) + draw(SPACE), value


def plain(node):
    if node.members is not None:
        return {key: plain(child) for key, child in node.members.items()}
    return [plain(child) for child in node.items] if node.items is not None else node.value


@settings(deadline=None)
@given(documents())
def test_every_way_of_writing_json_is_read_with_the_right_values_and_places(case):
    text, value = case
    document = Document(text, "f")
    assert plain(document.root) == json.loads(json.dumps(value), parse_int=float)
    for key, node in document.root.members.items():
        assert json.loads(text[node.opens : node.end], parse_int=float) == plain(node)
        assert text[node.start] == '"'
        assert key in value


@settings(deadline=None)
@given(documents(), VALUES)
def test_a_member_that_is_added_and_taken_out_leaves_no_trace(case, addition):
    text, value = case
    document = Document(text, "f")
    inside = "" if value else document.inside(())
    key = "new" + "".join(value)
    changed = document.append((), addition, key=key)
    assert json.loads(changed.text.lstrip("\ufeff")) == {
        **json.loads(json.dumps(value)),
        key: json.loads(json.dumps(addition)),
    }
    assert changed.remove((key,), inside=inside).text == text


@settings(deadline=None)
@given(st.lists(VALUES, max_size=3).flatmap(lambda v: st.tuples(st.just(v), written(v))), VALUES)
def test_an_item_that_is_added_and_taken_out_leaves_no_trace(case, addition):
    value, text = case
    document = Document(text, "f")
    inside = "" if value else document.inside(())
    changed = document.append((), addition)
    assert json.loads(changed.text) == json.loads(json.dumps([*value, addition]))
    assert changed.remove((len(value),), inside=inside).text == text


@settings(deadline=None)
@given(st.text(max_size=40) | st.text('{}[]:,"1 a/*\\\n', max_size=40))
def test_any_text_is_read_or_refused_with_its_line(text):
    try:
        json.loads(text)
        strict = "NaN" not in text and "Infinity" not in text
    except ValueError:
        strict = False
    said = ""
    try:
        Document(text, "settings.json")
    except NotStrictJsonError as error:
        said = str(error)
    assert said == "" or said.startswith("settings.json, line ")
    assert strict == (said == "") or "twice" in said


STYLES = {
    "two spaces": ('{\n  "a": 1\n}\n', '{\n  "a": 1,\n  "hooks": {\n    "Stop": [\n      1\n    ]\n  }\n}\n'),
    "four spaces": (
        '{\n    "a": 1\n}',
        '{\n    "a": 1,\n    "hooks": {\n        "Stop": [\n            1\n        ]\n    }\n}',
    ),
    "tabs": ('{\n\t"a": 1\n}', '{\n\t"a": 1,\n\t"hooks": {\n\t\t"Stop": [\n\t\t\t1\n\t\t]\n\t}\n}'),
    "crlf": (
        '{\r\n  "a": 1\r\n}\r\n',
        '{\r\n  "a": 1,\r\n  "hooks": {\r\n    "Stop": [\r\n      1\r\n    ]\r\n  }\r\n}\r\n',
    ),
    "one line": ('{"a": 1}', '{"a": 1, "hooks": {"Stop": [1]}}'),
    "tight": ('{"a":1}', '{"a":1,"hooks":{"Stop":[1]}}'),
    "empty": ("{}", '{\n  "hooks": {\n    "Stop": [\n      1\n    ]\n  }\n}'),
    "mark": ("\ufeff{}\n", '\ufeff{\n  "hooks": {\n    "Stop": [\n      1\n    ]\n  }\n}\n'),
}


@pytest.mark.parametrize(("text", "wanted"), STYLES.values(), ids=STYLES)
def test_what_is_added_is_written_in_the_style_of_the_file(text, wanted):
    assert Document(text, "f").append((), {"Stop": [1]}, key="hooks").text == wanted


def test_an_item_goes_into_a_list_that_is_written_on_one_line_on_that_line():
    text = '{\n  "Stop": [{"x": 1}]\n}\n'
    assert Document(text, "f").append(("Stop",), {"y": 2}).text == '{\n  "Stop": [{"x": 1}, {"y": 2}]\n}\n'


def test_an_empty_list_deep_in_a_file_is_filled_at_its_own_depth():
    text = '{\n  "hooks": {\n    "Stop": []\n  }\n}\n'
    assert (
        Document(text, "f").append(("hooks", "Stop"), 1).text
        == '{\n  "hooks": {\n    "Stop": [\n      1\n    ]\n  }\n}\n'
    )


def test_the_first_of_several_is_removed_without_touching_the_others():
    text = '{\n  "a": 1,\n  "b": [2, 3]\n}\n'
    assert Document(text, "f").remove(("a",)).text == '{\n  "b": [2, 3]\n}\n'
    assert Document(text, "f").remove(("b", 0)).text == '{\n  "a": 1,\n  "b": [3]\n}\n'


def test_a_string_is_replaced_in_its_place():
    text = '{ "a" :  "old" , "b": "\\u00e9"}'
    assert Document(text, "f").replace(("a",), 'n"w').text == '{ "a" :  "n\\"w" , "b": "\\u00e9"}'


def test_integers_of_any_length_are_read():
    text = '{"n": ' + "9" * 6000 + "}"
    assert Document(text, "f").append((), True, key="x").text == text[:-1] + ', "x": true}'


REFUSED = {
    "line comment": (
        '{\n  // mine\n  "a": 1\n}',
        "f, line 2: there is a comment, which strict JSON does not allow. Nothing was written.",
    ),
    "block comment": (
        '{"a": 1 /* x */}',
        "f, line 1: there is a comment, which strict JSON does not allow. Nothing was written.",
    ),
    "trailing comma": (
        '{\n "a": 1,\n}',
        "f, line 3: there is a comma too many before '}', or a value is missing. Nothing was written.",
    ),
    "duplicate key": ('{"a": 1,\n"a": 2}', 'f, line 2: the key "a" stands twice in one object. Nothing was written.'),
    "cut off": ('{"a": [1', "f, line 1: the file ends in the middle of a value. Nothing was written."),
    "two values": ("{}\n{}", "f, line 2: there is more text behind the end of the JSON value. Nothing was written."),
    "not a number": ('{"a": NaN}', "f, line 1: NaN is not a JSON value. Nothing was written."),
    "single quotes": ("{'a': 1}", "f, line 1: \"'a': 1}\" is not what strict JSON has here. Nothing was written."),
    "too deep": ("[" * 200 + "]" * 200, "f, line 1: it is nested deeper than 100 levels. Nothing was written."),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_strict_json_is_refused_with_its_line_and_reason(text, message):
    with pytest.raises(NotStrictJsonError) as refused:
        Document(text, "f")
    assert str(refused.value) == message


RELAXED = st.sampled_from(["", " ", "\n", "// a, {b\n", " /* c, */", "\r\n  // d\r\n", "/* e */ // f\n\t"])


@st.composite
def commented(draw, value):
    """Any way of writing a value with comments and trailing commas."""
    gap = lambda: draw(RELAXED)  # noqa: E731
    comma = lambda: draw(st.sampled_from(["", ","])) + gap()  # noqa: E731
    if isinstance(value, dict):
        inner = ",".join(
            gap() + json.dumps(k) + gap() + ":" + gap() + draw(commented(v)) + gap() for k, v in value.items()
        )
        return "{" + (inner + comma() if inner else gap()) + "}"
    if isinstance(value, list):
        return "[" + (",".join(gap() + draw(commented(v)) + gap() for v in value) + comma() if value else gap()) + "]"
    return json.dumps(value)


@st.composite
def commented_documents(draw):
    value = draw(st.dictionaries(KEYS, VALUES, max_size=4))
    return draw(RELAXED) + draw(commented(value)) + draw(RELAXED), value


@settings(deadline=None)
@given(commented_documents())
def test_comments_and_trailing_commas_are_read_over_where_they_are_allowed(case):
    text, value = case
    document = Document(text, "f", relaxed=True)
    assert document.value(document.root) == json.loads(json.dumps(value), parse_int=float)


@settings(deadline=None)
@given(commented_documents(), VALUES)
def test_a_member_that_is_added_and_taken_out_leaves_every_comment_where_it_was(case, addition):
    text, value = case
    key = "".join(value) + "x"
    document = Document(text, "f", relaxed=True)
    inside = document.inside(()) if not document.root.children else ""
    added = document.append((), addition, key=key)
    assert added.value(added.root) == json.loads(json.dumps({**value, key: addition}), parse_int=float)
    assert added.remove((key,), inside=inside).text == text


@settings(deadline=None)
@given(commented_documents(), st.data())
def test_a_member_that_is_taken_out_takes_no_other_with_it(case, data):
    text, value = case
    if value:
        key = data.draw(st.sampled_from(list(value)))
        left = Document(text, "f", relaxed=True).remove((key,))
        assert left.value(left.root) == json.loads(
            json.dumps({k: v for k, v in value.items() if k != key}), parse_int=float
        )


def test_an_item_is_added_behind_the_comment_on_the_last_one():
    text = '{\n  // first\n  "a": 1 // one\n  // end\n}\n'
    added = Document(text, "f", relaxed=True).append((), [True], key="b")
    assert added.text == '{\n  // first\n  "a": 1, // one\n  // end\n  "b": [\n    true\n  ]\n}\n'
    trailing = Document('{\n  "a": 1, // one\n}\n', "f", relaxed=True).append((), 2, key="b")
    assert trailing.text == '{\n  "a": 1, // one\n  "b": 2,\n}\n'


def test_a_comment_in_an_emptied_container_stays():
    document = Document('{\n  // theirs\n  "a": 1\n}', "f", relaxed=True)
    assert document.remove(("a",)).text == "{\n  // theirs\n}"


@pytest.mark.parametrize("value", [{"b": [1, {}]}, "x", [], {}])
def test_a_value_that_is_replaced_is_written_in_the_style_of_the_file(value):
    lines = json.dumps({"a": {"k": 1}, "z": 2}, indent=2)
    assert Document(lines, "f").replace(("a",), value).text == json.dumps({"a": value, "z": 2}, indent=2)
    line = '{"a":{"k":1},"z":2}'
    assert Document(line, "f").replace(("a",), value).text == json.dumps({"a": value, "z": 2}, separators=(",", ":"))


@pytest.mark.parametrize("text", ["{/* a}", "{'a': 1}", "{a: 1}", "{,}", "[1,,]", '{"a": 1} // b\n{}'])
def test_what_is_more_than_comments_is_refused_there_too(text):
    with pytest.raises(NotStrictJsonError, match="Nothing was written"):
        Document(text, "f", relaxed=True)
