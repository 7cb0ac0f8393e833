"""The house rules of docs/architecture.md, as a test: layers, rooms, types, docstrings, names."""

import ast
import re
import sys
from dataclasses import dataclass
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
    "markdown_it": {"server/web"},
    "mdit_py_plugins": {"server/web"},
    "nh3": {"server/web"},
    "pygments": {"server/web"},
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


@dataclass(frozen=True, slots=True)
class Module:
    """One file: its name below the package, its syntax tree, and all nodes of that, the outer ones first."""

    name: str
    tree: ast.Module
    nodes: list

    @property
    def room(self):
        return self.name.split("/")[0]

    @property
    def imported(self):
        """Dotted names of everything imported anywhere in the module."""
        names = set()
        for node in self.all(ast.Import, ast.ImportFrom):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif node.level == 0:
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        return names

    def all(self, *kinds):
        return [node for node in self.nodes if isinstance(node, kinds)]

    def is_in(self, rooms):
        return any(self.name == place or self.name.startswith(place + "/") for place in rooms)


@pytest.fixture(scope="module")
def modules():
    trees = {name_of(path): ast.parse(path.read_text("utf-8")) for path in MODULES}
    return [Module(name, tree, list(ast.walk(tree))) for name, tree in trees.items()]


def told(findings):
    """Keep what was found, by the name of the module where it is."""
    return {module.name: found for module, found in findings if found}


def test_imports_point_down_the_layers(modules):
    modules = [module for module in modules if module.room != "__init__"]
    assert {module.room for module in modules} - RANK.keys() == set(), "give the new folder a row in LAYERS"

    def upward(module):
        here = module.room
        ours = {dotted.split(".")[1] for dotted in module.imported if dotted.startswith("ai_memory.")} & RANK.keys()
        above = {other for other in ours if RANK[other] >= RANK[here] and other != here}
        above = {other for other in above if (here, other) not in SAME_ROW}
        return above | (ours - INSTALL_MAY if here == "install" else set())

    assert told((module, upward(module)) for module in modules) == {}


def test_the_client_imports_the_standard_library_only(modules):
    known = sys.stdlib_module_names | {"client"}
    client = [module for module in modules if module.room == STDLIB_ONLY]
    assert client
    assert told((module, {dotted.split(".")[0] for dotted in module.imported} - known) for module in client) == {}


def test_lines_are_in_their_rooms(modules):
    def misplaced(module):
        touched = {dotted.split(".")[0] for dotted in module.imported}
        dotted = [node for node in module.all(ast.Attribute) if isinstance(node.value, ast.Name)]
        touched |= {f"{node.value.id}.{node.attr}" for node in dotted}
        return {thing for thing, rooms in ROOMS.items() if thing in touched and not module.is_in(rooms)}

    assert told((module, misplaced(module)) for module in modules) == {}


def test_async_is_for_the_server(modules):
    found = [(module, module.all(ast.AsyncFunctionDef, ast.Await)) for module in modules if module.room != "server"]
    assert told((module, [node.lineno for node in nodes]) for module, nodes in found) == {}


def test_there_are_no_globals(modules):
    assert told((module, [node.lineno for node in module.all(ast.Global)]) for module in modules) == {}


def test_no_except_is_broad(modules):
    def broad(module):
        return [
            node.lineno
            for node in module.all(ast.ExceptHandler)
            if (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
            and not any(isinstance(child, ast.Raise) for child in ast.walk(node))
        ]

    assert told((module, broad(module)) for module in modules if module.name not in BROAD_EXCEPT) == {}


def test_public_things_are_typed_and_have_docstrings(modules):
    assert [module.name for module in modules if not ast.get_docstring(module.tree)] == []

    def untyped(module):
        return [f.name for f in module.all(*FUNCTIONS) if f.returns is None]

    def unsaid(module):
        functions = module.all(*FUNCTIONS)
        things = [node for node in module.all(*FUNCTIONS, ast.ClassDef) if not node.name.startswith("_")]
        nested = {child for f in functions for child in ast.walk(f) if isinstance(child, FUNCTIONS) and child is not f}
        return [t.name for t in things if t not in nested and not ast.get_docstring(t)]

    assert told((module, untyped(module)) for module in modules) == {}
    assert told((module, unsaid(module)) for module in modules) == {}


def test_names_say_what_things_are(modules):
    assert [module.name for module in modules if FORBIDDEN_WORDS.search(module.name.rsplit("/", 1)[-1])] == []

    def empty_names(module):
        return [node.name for node in module.all(ast.ClassDef) if FORBIDDEN_WORDS.search(node.name)]

    assert told((module, empty_names(module)) for module in modules) == {}


def test_errors_end_in_error(modules):
    def misnamed(module):
        return [
            node.name
            for node in module.all(ast.ClassDef)
            if any(ast.unparse(base).endswith(("Error", "Exception")) for base in node.bases)
            and not node.name.endswith("Error")
        ]

    assert told((module, misnamed(module)) for module in modules) == {}
