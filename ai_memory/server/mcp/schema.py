"""Schemas of tools: what every vendor of models takes, and no more.

Tools travel with each request to a model, and some vendors refuse the whole request for one `anyOf`, `$ref` or nullable
type. Ours hold none for anybody, so a dialect is a name that is known, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from ai_memory.errors import BadRequestError

#: The dialects that clients ask for with `?flavor=`.
FLAVORS = ("bedrock", "gemini", "moonshot")

#: The words that all of them understand, and that say something to a model.
_WORDS = (
    "type",
    "description",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
)


def schema_of(takes: type[BaseModel]) -> dict[str, Any]:
    """Write the JSON schema of a tool's arguments: no combinators, no references, one type each.

    Raises:
        TypeError: a field has no type of its own, as a union has none; a tool's author reads this.
    """
    whole = takes.model_json_schema()
    # OpenAI wants properties of the whole, also when there are none; Gemini wants none that are empty anywhere below.
    return {"type": "object", "properties": {}, **_flat(whole, whole.get("$defs", {}), takes.__name__)}


def check_flavor(name: str) -> None:
    """Check the name of a dialect, "" when none is asked for.

    Raises:
        BadRequestError: nobody knows it.
    """
    if name and name not in FLAVORS:
        raise BadRequestError(f"there is no flavor {name!r}: leave it out, or say one of {', '.join(FLAVORS)}")


def _flat(node: Mapping[str, Any], definitions: Mapping[str, Any], place: str) -> dict[str, Any]:
    if "$ref" in node:
        node = {**definitions[node["$ref"].rpartition("/")[2]], **node}
    if not isinstance(node.get("type"), str):
        raise TypeError(f"{place} has no type of its own: {dict(node)}")
    flat = {word: node[word] for word in _WORDS if word in node}
    if "const" in node:
        flat["enum"] = [node["const"]]
    # "", 0 and [] mean that nothing was said; a model that reads them as a default would say them.
    if default := node.get("default"):
        flat["default"] = default
    if "items" in node:
        flat["items"] = _flat(node["items"], definitions, f"{place}[]")
    if properties := node.get("properties"):
        flat["properties"] = {key: _flat(each, definitions, f"{place}.{key}") for key, each in properties.items()}
    if required := node.get("required"):
        flat["required"] = required
    return flat
