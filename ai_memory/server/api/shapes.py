"""The shapes of what `/api/v1` answers, as JSON Schema: the document shows them, and tests hold the answers to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ai_memory.model.event import Kind
from ai_memory.model.page import TIERS

Shape = Mapping[str, Any]

TEXT: Shape = {"type": "string"}
TRUTH: Shape = {"type": "boolean"}
COUNT: Shape = {"type": "integer", "minimum": 0}
MOMENT: Shape = {"type": "string", "format": "date-time"}
ID: Shape = {"type": "string", "format": "uuid"}
TIER: Shape = {"type": "string", "enum": list(TIERS)}


def record(shapes: Mapping[str, Shape], **optional: Shape) -> Shape:
    """Describe an object that has all of these, and may have the optional ones; it has nothing else."""
    return {
        "type": "object",
        "properties": {**shapes, **optional},
        "required": list(shapes),
        "additionalProperties": False,
    }


def many(shape: Shape) -> Shape:
    """Describe a list."""
    return {"type": "array", "items": shape}


def or_null(shape: Shape) -> Shape:
    """Describe what may be null."""
    return {"anyOf": [shape, {"type": "null"}]}


def named(name: str) -> Shape:
    """Refer to one of `SHAPES`."""
    return {"$ref": f"#/components/schemas/{name}"}


_PLACE = {"workspace": TEXT, "project": TEXT}
_LISTED = {"path": TEXT, "title": TEXT, "kind": TEXT, "tier": TIER, "updated_at": MOMENT}

SHAPES: Mapping[str, Shape] = {
    "Error": record({"error": TEXT}),
    "Workspace": record(
        {"workspace_name": TEXT, "project_count": COUNT, "page_count": COUNT, "last_updated": or_null(MOMENT)}
    ),
    "Project": record(
        {"workspace_name": TEXT, "project_name": TEXT, "page_count": COUNT, "last_updated": or_null(MOMENT)}
    ),
    "PageSummary": record(_LISTED),
    "PagesSince": record({"pages": many(named("PageSummary")), "next_cursor": or_null(TEXT)}),
    "LinkedPage": record({"path": TEXT, "title": TEXT, "kind": TEXT}),
    "Page": record(
        {
            **_PLACE,
            "path": TEXT,
            "title": TEXT,
            "kind": TEXT,
            "tier": TIER,
            "pinned": TRUTH,
            "created_at": MOMENT,
            "updated_at": MOMENT,
            "supersedes": or_null(TEXT),
            "frontmatter": {"type": "object"},
            "body_markdown": TEXT,
            "links": many(named("LinkedPage")),
            "backlinks": many(named("LinkedPage")),
        },
        author=record({"username": TEXT, "email": TEXT}),
        expires_at=MOMENT,
        expired=TRUTH,
    ),
    "BriefingPage": record(_LISTED, summary=TEXT),
    "Activity": record({"days": COUNT, "sessions": COUNT, "observations": COUNT, "pages_updated": COUNT}),
    "Neighbour": record({**_PLACE, "links": COUNT}),
    "Briefing": record(
        {
            "counts": record({"pages_latest": COUNT, "pages_all": COUNT, "sessions": COUNT, "observations": COUNT}),
            "activity_7d": named("Activity"),
            "activity_30d": named("Activity"),
            "last_observation_at": or_null(MOMENT),
            "pending_handoff_count": COUNT,
            "pending_message_count": COUNT,
            "narrative": or_null(record({"path": TEXT, "sessions_behind": COUNT})),
            "rules": many(named("BriefingPage")),
            "slots": many(named("BriefingPage")),
            "pinned": many(named("BriefingPage")),
            "recent_pages": many(named("BriefingPage")),
            "cross_project_dependents": many(named("Neighbour")),
            "cross_project_dependencies": many(named("Neighbour")),
        }
    ),
    "HealthPage": record({**_PLACE, "path": TEXT, "title": TEXT, "kind": TEXT}),
    "Health": record(
        {
            "stale": COUNT,
            "duplicates": COUNT,
            "contradictions": COUNT,
            "orphans": COUNT,
            "audited_at": or_null(MOMENT),
            "stale_pages": many(named("HealthPage")),
            "duplicate_pages": many(named("HealthPage")),
            "orphan_pages": many(named("HealthPage")),
        }
    ),
    "Overview": record(
        {
            "handoff": or_null(
                record(
                    {
                        "agent": TEXT,
                        "at": MOMENT,
                        "project": TEXT,
                        "summary": TEXT,
                        "open_questions": many(TEXT),
                        "next_steps": many(TEXT),
                    }
                )
            ),
            "briefing": named("Briefing"),
            "health": named("Health"),
        }
    ),
    "Hit": record(
        {**_PLACE, "path": TEXT, "title": TEXT, "kind": TEXT, "snippet": TEXT, "rank": {"type": "number", "maximum": 0}}
    ),
    "Scope": {**record(_PLACE), "additionalProperties": True},
    # What else a client sends is passed over.
    "Search": {
        "type": "object",
        "properties": {
            "q": TEXT,
            "query": {**TEXT, "description": "The same as q, where that is missing."},
            "limit": {"type": "integer", "default": 10},
            "scopes": {"type": "array", "items": named("Scope"), "maxItems": 25},
            "workspace": TEXT,
            "project": TEXT,
        },
    },
    "Edge": record(
        {
            "from_workspace": TEXT,
            "from_project": TEXT,
            "from_path": TEXT,
            "to_workspace": TEXT,
            "to_project": TEXT,
            "to_path": TEXT,
        }
    ),
    "Graph": record({"edges": many(named("Edge"))}),
    "Handoff": record(
        {
            "id": ID,
            "agent": TEXT,
            "at": MOMENT,
            "state": {"type": "string", "enum": ["open", "accepted", "expired"]},
            "summary": TEXT,
            "open_questions": many(TEXT),
            "next_steps": many(TEXT),
            "redacted": TRUTH,
            "files_touched": many(TEXT),
        },
        cwd=TEXT,
        accepted_by=TEXT,
        accepted_at=MOMENT,
    ),
    "Handoffs": record({"handoffs": many(named("Handoff"))}),
    "Session": record(
        {
            "session_id": ID,
            "cwd": or_null(TEXT),
            "agent_kind": TEXT,
            "started_at": MOMENT,
            "ended_at": or_null(MOMENT),
            "observation_count": COUNT,
            "actor_user": or_null(TEXT),
        }
    ),
    "Sessions": record({"sessions": many(named("Session"))}),
    "Observation": record(
        {
            "id": ID,
            "session_id": ID,
            "kind": {"type": "string", "enum": list(Kind)},
            "title": TEXT,
            "body": TEXT,
            "importance": {"type": "integer", "minimum": 1, "maximum": 10},
            "created_at": MOMENT,
            "extension": or_null(TEXT),
            "source_event": or_null(TEXT),
        }
    ),
    "Observations": record(
        {
            "session": named("Session"),
            "observations": many(named("Observation")),
            "total": COUNT,
            "offset": COUNT,
            "limit": COUNT,
            "order": {"type": "string", "enum": ["asc", "desc"]},
            "elided_other_scope": COUNT,
            "body_max_chars": COUNT,
        }
    ),
}
