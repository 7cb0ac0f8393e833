"""The document of `/api/v1`: it is one, and the server answers as it says to whatever can be asked by it."""

import json

import openapi_spec_validator
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks

from ai_memory.server.api.document import document
from ai_memory.server.api.mount import TABLE
from tests.server.api.api_world import ONE, TWO

load_all_checks()
AS_DOCUMENTED = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    )
]
#: What is there: of names that nobody has nothing but 404 is learnt.
THERE = {
    "workspace": ["default"],
    "project": ["atlas", "shop"],
    "path": ["decisions/0003-index.md", "concepts/index.md", f"sessions/{ONE}.md"],
    "session": [ONE, TWO],
    "q": ["saffron", "kind:decision"],
    "scope": ["default/atlas", "default/atlas,default/shop"],
}


def told():
    """Give the document with names that are there in it, and without the stream, of which there is no end."""
    paths = json.loads(json.dumps(document([route for route in TABLE if route.door is None], "")))
    for path, operations in paths["paths"].items():
        for parameter in (each for operation in operations.values() for each in operation["parameters"]):
            if there := THERE.get(parameter["name"]):
                known = {"enum": there}
                of_project = parameter["name"] in ("workspace", "project") and "{project}" in path
                parameter["schema"] = known if of_project else {"anyOf": [known, parameter["schema"]]}
    return paths


SCHEMA = schemathesis.openapi.from_dict(told())


def test_the_document_is_one(client):
    openapi_spec_validator.validate(client.document)


@SCHEMA.parametrize()
@settings(max_examples=12, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_the_server_answers_as_documented_to_whatever_can_be_asked(case, own):
    response = case.call(base_url=f"{own.url}/api/v1", timeout=20)
    case.validate_response(response, checks=AS_DOCUMENTED)
