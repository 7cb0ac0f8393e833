"""Closed schemas: what no vendor refuses, and what a value has wrong, by pointer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.llm.closed import faults, for_gemini, misshapen, problems

ITEM = {
    "type": "object",
    "properties": {"kind": {"type": "string", "enum": ["a", "b"]}, "n": {"type": "integer"}, "x": {"type": "number"}},
    "required": ["kind", "n", "x"],
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": ITEM}, "a/b~c": {"type": "boolean"}},
    "required": ["items", "a/b~c"],
    "additionalProperties": False,
}


def value(**more):
    return {"items": [{"kind": "a", "n": 1, "x": 1}], "a/b~c": True, **more}


def test_what_fits_has_no_problems():
    assert (faults(SCHEMA), problems(value(), SCHEMA), misshapen(value(), SCHEMA)) == ([], [], "")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], ["/: an object is wanted, not []"]),
        ({"items": []}, ["/a~1b~0c: is missing"]),
        (value(items={}), ["/items: a list is wanted, not {}"]),
        (value(more=1), ["/more: nobody asked for it"]),
        (value(**{"a/b~c": 1}), ["/a~1b~0c: true or false is wanted, not 1"]),
        (
            value(items=[{"kind": "state", "n": True, "x": "1"}, {"kind": "b", "n": 1.5, "x": 0.5}]),
            [
                "/items/0/kind: one of a, b is wanted, not 'state'",
                "/items/0/n: a whole number is wanted, not True",
                "/items/0/x: a number is wanted, not '1'",
                "/items/1/n: a whole number is wanted, not 1.5",
            ],
        ),
        (value(items=["x" * 90]), [f"/items/0: an object is wanted, not '{'x' * 56}..."]),
    ],
)
def test_each_problem_is_named_by_its_pointer(wrong, said):
    assert problems(wrong, SCHEMA) == said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (None, "it is no JSON object"),
        ([], "it is no JSON object"),
        ({"items": []}, "a/b~c is missing"),
        (value(items="none"), "items has to be a list"),
        (value(items=["anything", {}], more=1), ""),
    ],
)
def test_the_outline_is_the_keys_and_their_kinds(wrong, said):
    assert misshapen(wrong, SCHEMA) == said


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": ["string", "null"]}, "/: type ['string', 'null'] is none that every vendor knows"),
        ({"anyOf": []}, "/: type None is none that every vendor knows"),
        ({"type": "string", "minLength": 1}, "/: minLength is not known to every vendor"),
        ({"type": "string", "enum": [1]}, "/: enum has to be a list of texts"),
        ({"type": "array"}, "/items: type None is none that every vendor knows"),
        ({**SCHEMA, "additionalProperties": True}, "/: additionalProperties has to be false"),
        ({**SCHEMA, "required": ["items"]}, "/: properties has to name keys, and required all of them"),
        (
            {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
            "/: properties has to name keys, and required all of them",
        ),
        (
            {**SCHEMA, "properties": {**SCHEMA["properties"], "a/b~c": {"$ref": "#"}}},
            "/properties/a~1b~0c: type None is none that every vendor knows",
        ),
    ],
)
def test_what_some_vendor_would_refuse_is_found(schema, said):
    assert faults(schema) == [said]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda i: st.lists(i) | st.dictionaries(st.sampled_from(["items", "kind", "a/b~c"]), i),
        max_leaves=6,
    )
)
def test_any_value_is_judged_and_a_misshapen_one_has_problems(any_value):
    if misshapen(any_value, SCHEMA):
        assert problems(any_value, SCHEMA)


def test_geminis_words_keep_the_order_of_the_keys():
    assert for_gemini(SCHEMA) == {
        "type": "object",
        "properties": {
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": ITEM["properties"],
                    "required": ["kind", "n", "x"],
                    "propertyOrdering": ["kind", "n", "x"],
                },
            },
            "a/b~c": {"type": "boolean"},
        },
        "required": ["items", "a/b~c"],
        "propertyOrdering": ["items", "a/b~c"],
    }
