"""The house rules of docs/architecture.md, as a test: layers, rooms, types, docstrings, names."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "ai_memory"
LAYERS = [
    {"errors"},
    {"client"},
    {"model", "config"},
    {"store", "capture"},
    {"search", "llm"},
    {"compile"},
    {"memory"},
    {"server", "install"},
    {"cli", "__main__"},
]
RANK = {name: row for row, names in enumerate(LAYERS) for name in names}
#: Who may import whom inside a row or against it, with the reason.
SAME_ROW = {
    ("__main__", "cli"): "the entry point",
}
#: install stands alone: it knows the client, the settings and the errors, nothing else of ours.
INSTALL_MAY = {"client", "config", "errors", "install"}
STDLIB_ONLY = "client"

#: thing -> the modules (or folders) where it may be touched.
ROOMS = {
    "subprocess": {"client", "install", "cli/bootstrap_sources", "cli/clipboard", "cli/demo"},
    "git": {"store/git"},
    "apsw": {"store"},
    "aiohttp": {"server"},
    "jinja2": {"server"},
    "mcp": {"server/mcp"},
    "mcp_types": {"server/mcp"},
    "pydantic": {"server/mcp"},
    "openai": {"search/embed", "llm"},
    "anthropic": {"llm"},
    "httpx2": {"llm"},
    "onnxruntime": {"search/embed"},
    "numpy": {"search/embed"},
    "tokenizers": {"search/embed"},
    "os.environ": {"config", "client"},
    "datetime.now": {"memory", "client", "cli"},
    "time.time": {"client", "install", "cli", "llm"},
}
FORBIDDEN_WORDS = re.compile(r"util|helper|common|misc|^base|manager|service|handler|processor|factory", re.IGNORECASE)
BROAD_EXCEPT = {"server/app", "server/worker", "server/mcp/protocol"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def name_of(path):
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "_bundle" not in path.parts)


@pytest.fixture(params=MODULES, ids=name_of, scope="module")
def module(request):
    text = request.param.read_text("utf-8")
    return name_of(request.param), ast.parse(text)


def imported(tree):
    """Dotted names of everything imported anywhere in a module."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(name):
    return name.split("/")[0]


def allowed(name, rooms):
    return any(name == place or name.startswith(place + "/") for place in rooms)


def test_imports_point_down_the_layers(module):
    name, tree = module
    here = room(name)
    if here == "__init__":
        return
    assert here in RANK, "give the new folder a row in LAYERS"
    ours = {dotted.split(".")[1] for dotted in imported(tree) if dotted.startswith("ai_memory.") and "." in dotted}
    upward = {other for other in ours & RANK.keys() if RANK[other] >= RANK[here] and other != here}
    assert {other for other in upward if (here, other) not in SAME_ROW} == set()
    if here == "install":
        assert ours & RANK.keys() <= INSTALL_MAY


def test_the_client_imports_the_standard_library_only(module):
    import sys

    name, tree = module
    if room(name) != STDLIB_ONLY:
        return
    roots = {dotted.split(".")[0] for dotted in imported(tree)}
    assert roots - sys.stdlib_module_names - {"client"} == set()


def test_lines_are_in_their_rooms(module):
    name, tree = module
    touched = {dotted.split(".")[0] for dotted in imported(tree)}
    touched |= {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {thing for thing, rooms in ROOMS.items() if thing in touched and not allowed(name, rooms)} == set()


def test_async_is_for_the_server(module):
    name, tree = module
    if room(name) != "server":
        assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(tree))


def test_no_globals_and_no_broad_except(module):
    name, tree = module
    assert not any(isinstance(node, ast.Global) for node in ast.walk(tree))
    broad = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and not any(isinstance(child, ast.Raise) for child in ast.walk(node))
    ]
    assert broad == [] or name in BROAD_EXCEPT


def test_public_things_are_typed_and_have_docstrings(module):
    name, tree = module
    assert ast.get_docstring(tree), f"{name} says what it is for"
    functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    assert [f.name for f in functions if f.returns is None] == []
    things = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and not node.name.startswith("_")
    ]
    nested = {child for f in functions for child in ast.walk(f) if isinstance(child, FUNCTIONS) and child is not f}
    assert [t.name for t in things if t not in nested and not ast.get_docstring(t)] == []


def test_names_say_what_things_are(module):
    name, tree = module
    assert not FORBIDDEN_WORDS.search(name.rsplit("/", 1)[-1])
    assert [n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and FORBIDDEN_WORDS.search(n.name)] == []


def test_errors_end_in_error(module):
    _, tree = module
    errors = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(ast.unparse(b).endswith(("Error", "Exception")) for b in node.bases)
    ]
    assert [error for error in errors if not error.endswith("Error")] == []
