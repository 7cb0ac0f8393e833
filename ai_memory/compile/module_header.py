"""What a source file says of itself at its top: the module's documentation, without licences and directives. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

#: Ending of a file -> its language, as labels name it.
LANGUAGES = {
    ending: language
    for language, endings in {
        "c": "c h",
        "c#": "cs",
        "c++": "cc cpp cxx hh hpp hxx",
        "dart": "dart",
        "elixir": "ex exs",
        "go": "go",
        "java": "java",
        "javascript": "js mjs cjs jsx",
        "kotlin": "kt kts",
        "php": "php",
        "python": "py pyi",
        "ruby": "rb",
        "rust": "rs",
        "scala": "scala",
        "shell": "sh bash zsh",
        "swift": "swift",
        "typescript": "ts mts cts tsx",
    }.items()
    for ending in endings.split()
}
#: Of so many letters a header says something, and so many of it are taken.
_LEAST, _MOST = 40, 4_000
_HASHES = frozenset({"python", "ruby", "shell", "elixir"})

_LICENCE = re.compile(
    r"(?i)\bcopyright\b|\(c\) *\d{4}|SPDX-License|licensed (under|to)|\blicen[sc]e\b.{0,40}\b(version|file|terms)\b"
    r"|permission is hereby granted|all rights reserved|without warranties|general public license"
    r"|redistribution and use"
)
_DIRECTIVE = re.compile(
    r"^(-\*-.*|vim?:.*|(en)?coding[:=].*|frozen_string_literal:.*|eslint\b.*|@ts-\S+.*|tslint:.*|prettier-\S+.*"
    r"|istanbul .*|global .*|jshint .*|shellcheck .*|go:\S+.*|\+build .*|nolint.*|noqa.*|pylint:.*|mypy:.*|ruff:.*"
    r"|type: ignore.*|rubocop:.*|typed: .*|swiftlint:.*|clang-format .*|!.*|[-=*/#~ ]*|Created by .*)$"
)
_GENERATED = re.compile(r"(?i)@generated|\bdo not (edit|modify)\b|auto-?generated|\bcode generated\b")
#: What stands before the first documentation in many languages, and is none of it.
_PRELUDE = re.compile(
    r"\s*(package|import|using|namespace|#\s*(include|pragma|ifndef|define|if|endif|import)|<\?php|declare\s*\(|"
    r"['\"]use (strict|client|server)['\"]|extern crate|use |open |export \* |\{\s*$)"
)
_HASH_PRELUDE = re.compile(r"\s*require")
_PYTHON_DOC = re.compile(
    r'(?:[ \t\f]*+(?:#[^\n]*+)?\n)*+[rRuU]?(?:"""(.*?)"""|\'\'\'(.*?)\'\'\'|"([^"\n]+)"|\'([^\'\n]+)\')',
    re.DOTALL,
)
_ELIXIR_DOC = re.compile(r'@moduledoc\s+(?:~[sS])?"""(.*?)"""', re.DOTALL)
_TAG = re.compile(r"</?(summary|remarks|para|p)>|\{@\w+ ([^}]*)\}")


def module_header(language: str, text: str) -> str:
    """Give the documentation at the top of a source file, "" where there is none, or a generator wrote the file.

    Args:
        language: one of `LANGUAGES`.
        text: the file's beginning; some thousand letters are enough.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if _GENERATED.search(text[:1_000]):
        return ""
    blocks: Iterable[str]
    if language == "rust":
        blocks = [_rust(text)]
    elif language == "go":
        blocks = [_go(text)]
    elif language == "python" and (found := _PYTHON_DOC.match(text)):
        blocks = [next(filter(None, found.groups()), "")]
    elif language == "elixir" and (found := _ELIXIR_DOC.search(text)):
        blocks = [found[1]]
    else:
        blocks = _comments(text.split("\n"), hashes=language in _HASHES)
    for block in blocks:
        said = _said(block)
        if len(said) >= _LEAST:
            return said if len(said) <= _MOST else f"{said[: _MOST - 1]}…"
    return ""


def _rust(text: str) -> str:
    """Join the lines `//!` at the top."""
    lines = []
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped.startswith("//!"):
            lines.append(stripped[3:].removeprefix(" "))
        elif lines or (stripped and not stripped.startswith(("//", "#!"))):
            break
    return "\n".join(lines)


def _go(text: str) -> str:
    """Give the comment right above `package`; one that a blank line parts from it documents nothing."""
    found = re.search(r"^package\s+\w+", text, re.MULTILINE)
    above = text[: found.start()] if found else ""
    if not above.endswith("\n") or above.endswith("\n\n"):
        return ""
    return next(reversed([*_comments(above.split("\n"), hashes=False)]), "")


def _comments(lines: Sequence[str], *, hashes: bool) -> Iterator[str]:
    """Give the blocks of comments before the first line of code, each without its signs."""
    block: list[str] = []
    inside = False
    sign, prelude = ("#", _HASH_PRELUDE) if hashes else ("//", _PRELUDE)
    for line in lines:
        stripped = line.strip()
        if inside or (not hashes and stripped.startswith("/*")):
            text, end, _ = stripped.partition("*/")
            text = text.removeprefix("/**").removeprefix("/*") if not inside else text
            block.append(re.sub(r"^\*+ ?", "", text.strip()))
            inside = not end
        elif stripped.startswith(sign) and not (hashes and stripped.startswith("#!")):
            block.append(stripped.lstrip("/#").removeprefix("!").removeprefix(" "))
        else:
            if block:
                yield "\n".join(block)
                block = []
            if stripped and not stripped.startswith("#!") and not prelude.match(line):
                return
    if block:
        yield "\n".join(block)


def _said(block: str) -> str:
    """Take licences and directives out of a comment."""
    block = _TAG.sub(lambda tag: tag[2] or "", block)
    indents = [len(line) - len(line.lstrip()) for line in block.split("\n")[1:] if line.strip()]
    cut = min(indents, default=0)
    lines = [line[cut:] if number and line[:cut].isspace() else line for number, line in enumerate(block.split("\n"))]
    kept = "\n".join("" if _DIRECTIVE.fullmatch(line.strip()) else line.rstrip() for line in lines)
    paragraphs = re.split(r"\n\s*\n", kept.strip("\n"))
    return "\n\n".join(each.strip("\n") for each in paragraphs if each.strip() and not _LICENCE.search(each)).strip()
