"""The shapes that answers may be asked for, the vendors' dialects of them, and whether a value has one.

A shape is a JSON schema of few words, which every vendor's strict mode can express: objects whose keys are all named
and required, arrays, texts (of an enum, or any), numbers, whole numbers and truth values; no combinators or references.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_ALWAYS = frozenset({"type", "description"})
_WORDS = {
    "object": _ALWAYS | {"properties", "required", "additionalProperties"},
    "array": _ALWAYS | {"items"},
    "string": _ALWAYS | {"enum"},
    "number": _ALWAYS,
    "integer": _ALWAYS,
    "boolean": _ALWAYS,
}
_NAMES = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
}


def faults(schema: Mapping[str, Any], at: str = "") -> list[str]:
    """List what some vendor would refuse in a schema, each with its JSON pointer; for whoever writes one."""
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _WORDS:
        return [f"{at or '/'}: type {kind!r} is none that every vendor knows"]
    found = [f"{at or '/'}: {word} is not known to every vendor" for word in sorted(schema.keys() - _WORDS[kind])]
    if kind == "array":
        return found + faults(schema.get("items", {}), f"{at}/items")
    if kind == "string" and "enum" in schema and not (schema["enum"] and all(type(e) is str for e in schema["enum"])):
        found.append(f"{at or '/'}: enum has to be a list of texts")
    if kind == "object":
        inside: Mapping[str, Any] = schema.get("properties", {})
        if schema.get("additionalProperties") is not False:
            found.append(f"{at or '/'}: additionalProperties has to be false")
        if not inside or sorted(schema.get("required", ())) != sorted(inside):
            found.append(f"{at or '/'}: properties has to name keys, and required all of them")
        for key, each in inside.items():
            found += faults(each, f"{at}/properties/{_escaped(key)}")
    return found


def problems(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """List what a value has wrong, each with its JSON pointer: "/pages/2/kind: ..."; empty when it fits."""
    return list(_problems(value, schema, ""))


def misshapen(value: Any, schema: Mapping[str, Any]) -> str:
    """Say why a value is not even in outline what an object's schema asks for, "" if it is.

    The outline is its keys, and the kind of each.
    Keys that nobody asked for, and what is inside of the others, do not count.
    """
    if not isinstance(value, dict):
        return "it is no JSON object"
    for key, each in schema["properties"].items():
        if key not in value:
            return f"{key} is missing"
        if not _is(value[key], each["type"]):
            return f"{key} has to be {_NAMES[each['type']]}"
    return ""


def _problems(value: Any, schema: Mapping[str, Any], at: str) -> Iterator[str]:
    kind = schema["type"]
    if not _is(value, kind):
        yield f"{at or '/'}: {_NAMES[kind]} is wanted, not {_shown(value)}"
    elif kind == "array":
        for n, each in enumerate(value):
            yield from _problems(each, schema["items"], f"{at}/{n}")
    elif kind == "object":
        inside = schema["properties"]
        for key in inside:
            if key in value:
                yield from _problems(value[key], inside[key], f"{at}/{_escaped(key)}")
            else:
                yield f"{at}/{_escaped(key)}: is missing"
        for key in value:
            if key not in inside:
                yield f"{at}/{_escaped(key)}: nobody asked for it"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{at or '/'}: one of {', '.join(schema['enum'])} is wanted, not {_shown(value)}"


def _is(value: Any, kind: str) -> bool:
    types: dict[str, tuple[type, ...]] = {
        "object": (dict,),
        "array": (list,),
        "string": (str,),
        "number": (int, float),
        "integer": (int,),
        "boolean": (bool,),
    }
    return isinstance(value, types[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def for_gemini(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Say a schema in Gemini's words: without `additionalProperties`, with the order in which keys are to come."""
    said = {key: value for key, value in schema.items() if key != "additionalProperties"}
    if "items" in said:
        said["items"] = for_gemini(said["items"])
    if "properties" in said:
        said["properties"] = {key: for_gemini(each) for key, each in said["properties"].items()}
        said["propertyOrdering"] = list(said["properties"])
    return said
