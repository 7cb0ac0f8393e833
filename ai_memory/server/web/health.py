"""How the server is: its stages and what they last failed at, sizes, models and what they cost, what needs somebody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ai_memory.memory.reports import PUT_RIGHT, STAGES, TROUBLES, worth_compacting
from ai_memory.server.web.screen import Screen, Values, Visit
from ai_memory.server.web.templates import many, size

_JOBS = 20
_NOT_DONE = ("queued", "leased", "failed", "poison")


@dataclass(frozen=True, slots=True)
class Matter:
    """What needs somebody: what it is, the first cases of it, and what to do ("" where the sentence says so)."""

    what: str
    cases: Sequence[str] = ()
    way_out: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage did since the server started: counters, when it last did something, and what it last failed at."""

    name: str
    counts: Mapping[str, int]
    last: datetime | None
    error: str
    error_at: datetime | None


def status(visit: Visit) -> Values:
    """Show what `/admin/status` says."""
    memory = visit.memory
    scrubber = memory.stores.scrubber
    # An error may quote what was sent, and nobody has looked for secrets in it.
    report: dict[str, Any] = scrubber.scrub_all(visit.report())
    jobs = [(each, memory.projects.known(each.project_id)) for each in memory.jobs.latest(_NOT_DONE, _JOBS)]
    return {
        "report": report,
        "opened": memory.opened,
        "matters": _matters(report),
        "stages": [_stage(name, report["stages"][key]) for key, name in STAGES.items()],
        "usage": memory.models.usage()["calls"],
        "jobs": [(each, project, scrubber.scrub(each.error)) for each, project in jobs],
        "sizes": _sizes(report["storage"]),
    }


def _stage(name: str, meter: Mapping[str, Any]) -> Stage:
    return Stage(
        name,
        {key.replace("_", " "): value for key, value in meter.items() if isinstance(value, int) and value},
        _moment(meter["last_at"]),
        meter["last_error"] or "",
        _moment(meter["last_error_at"]),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _sizes(storage: Mapping[str, Any]) -> list[tuple[str, int]]:
    return [
        ("Raw log", storage["raw"]["bytes"]),
        ("Pages", storage["wiki_bytes"]),
        ("History (git)", storage["git_bytes"]),
        ("Databases", storage["database_bytes"]),
        ("Spool", storage["spool_bytes"]),
    ]


def _matters(report: Mapping[str, Any]) -> list[Matter]:
    """Say what needs somebody, what is urgent first."""
    pages, derived, storage = report["pages"], report["derived"], report["storage"]
    found = [Matter(warning) for warning in report["warnings"]]
    if report["state_lost"]:
        found.append(Matter("db/state.db was gone at the start: handoffs that were open are lost"))
    if count := pages["with_problems"]:
        cases = [f"{each['page']}: {each['problem']}" for each in pages["problems"]]
        found.append(Matter(f"{many(count, 'page')} with a problem", cases, PUT_RIGHT))
    found += [
        Matter(f"{trouble.label}: {trouble.what}", pages[trouble.key]["first"], trouble.way_out)
        for trouble in TROUBLES
        if pages[trouble.key]["count"]
    ]
    missing = [
        f"{what}: {derived[f'{what}_fts_rows']} of {derived[f'{what}_rows']}"
        for what in ("pages", "observations")
        if derived[f"{what}_fts_rows"] != derived[f"{what}_rows"]
    ]
    if missing:
        found.append(Matter("searches miss a part", missing, "stop the server and run `ai-memory reindex`"))
    found += _of_models(report)
    if damaged := storage["damaged_raw_lines"]:
        found.append(Matter(f"{many(damaged, 'damaged line')} of the raw log passed over"))
    if reclaimable := worth_compacting(storage):
        found.append(Matter(f"{size(reclaimable)} of the databases are free", (), "run `ai-memory compact`"))
    if unknown := report["unknown_settings"]:
        found.append(Matter("settings that are not known and have no effect", unknown, "put the names right"))
    return found


def _of_models(report: Mapping[str, Any]) -> list[Matter]:
    model, embedding, jobs = report["providers"]["llm"], report["providers"]["embedding"], report["counts"]["jobs"]
    found = []
    if model["configured"] and model["month"]["over_budget"]:
        way_out = "raise llm.monthly_budget and start the server again, or wait for the next month"
        found.append(Matter("the month's budget for models is spent: none is asked any more", (), way_out))
    if model["configured"] and model["month"]["unpriced_calls"]:
        calls = many(model["month"]["unpriced_calls"], "call")
        found.append(Matter(f"the price of {calls} is not known", (), "put it into prices.toml"))
    if model["configured"] and model["warning"]:
        found.append(Matter(model["warning"]))
    if embedding["configured"] and embedding["state"] not in ("ready", "loading"):
        found.append(Matter(f"embedding {embedding['state']}", (), "`ai-memory embed` tries again"))
    if failed := jobs["failed"] + jobs["poison"]:
        way_out = "`ai-memory jobs list` says why, `ai-memory jobs retry ID` tries one again"
        found.append(Matter(f"{many(failed, 'job')} failed", (), way_out))
    return found


SCREENS = (Screen("/status", "status.html", status),)
