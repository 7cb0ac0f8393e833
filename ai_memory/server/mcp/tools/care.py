"""Tools that keep the pages good: lint, and what readers say of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from ai_memory.compile.lint import FLAGS
from ai_memory.memory.feedback import REASON_LIMIT
from ai_memory.memory.lint import Report
from ai_memory.server.care import lint_report, model_report
from ai_memory.server.mcp.tool import Caller, InProject, Tool, fenced, scope_of
from ai_memory.server.pages import page_id

#: So many findings are given at once.
_FINDINGS = 100


class Lint(InProject):
    """What `memory_lint` takes."""

    dry_run: bool = Field(False, description="Only say it; write no report page.")
    no_llm: bool = Field(False, description="By rules alone: ask no model for contradictions.")


class Rate(InProject):
    """What `memory_feedback` takes."""

    path: str = Field(min_length=1, max_length=1_000, description="The page that you have read.")
    signal: Literal["helpful", "not_helpful", "stale", "wrong"] = Field(description="What it was.")
    reason: str = Field("", max_length=REASON_LIMIT, description="Why, in one line.")


def lint(caller: Caller, asks: Lint) -> Mapping[str, object]:
    """Look at the pages of a project, where there is a model with its help."""
    memory, linting = caller.memory, caller.memory.lint
    scope = caller.find(asks) if asks.dry_run else caller.sure(asks)
    compared: dict[str, object] = {}
    if not (asks.no_llm or asks.dry_run or memory.models.chat is None):
        job = memory.contradictions.begin(scope.project)
        job = caller.when_over(job, f"{memory.models.chat.model} compares pages")
        compared = {"model": model_report(job)}
    report = Report(linting.look(scope.project), "") if asks.dry_run else linting.run(scope.project)
    shown = [
        {**each.as_json(), **({"detail": fenced(each.detail)} if each.detail else {})}
        for each in report.findings[:_FINDINGS]
    ]
    more = len(report.findings) - len(shown)
    return {
        **lint_report(report),
        **compared,
        "findings": shown,
        **({"findings_left_out": more} if more else {}),
        "scope": scope_of(scope),
    }


def rate(caller: Caller, asks: Rate) -> Mapping[str, object]:
    """Keep what a reader says of a page."""
    scope = caller.sure(asks)
    said = caller.memory.feedback.give(scope.project, asks.path, asks.signal, asks.reason)
    return {
        "recorded": True,
        "path": said.path,
        "page_id": page_id(scope.project.id, said.path),
        "signal": said.signal,
        "salience": said.salience,
        "routed_to_lint": said.signal in FLAGS,
        "scope": scope_of(scope),
    }


TOOLS = (
    Tool(
        "memory_lint",
        "Check the pages",
        "Check the pages of a project: shared titles, broken links, rules to copy, pages that readers called stale or "
        "wrong. When the user asks for it, or before you tidy up.",
        Lint,
        lint,
        repeats=True,
    ),
    Tool(
        "memory_feedback",
        "Rate a page",
        "Say whether a page that you read helped, or is stale or wrong. It ranks accordingly, and a stale or wrong one "
        "is listed for rewriting; if you know better, rewrite it with memory_write_page instead.",
        Rate,
        rate,
    ),
)
