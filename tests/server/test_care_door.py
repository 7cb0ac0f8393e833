"""Lint and the briefing through the door, and the brief at a session's start."""

import pytest

from ai_memory.model.handoff import TEXT_LIMIT

SHOP = {"workspace": "default", "project": "shop"}


async def post(server, path, status=200, /, **body):
    answer = await server.post(f"/admin/{path}", json=body)
    assert answer.status == status, await answer.text()
    return await answer.json()


async def write(server, path, body="Text.\n", **fields):
    await post(server, "write-page", **SHOP, path=path, body=body, **fields)


async def briefing(server, status=200, **query):
    answer = await server.get("/admin/briefing", params={**SHOP, **query})
    assert answer.status == status
    return await answer.json()


async def test_lint_says_what_it_finds_and_keeps_the_report(server):
    await write(server, "notes/a.md", title="VAT")
    await write(server, "notes/b.md", title="VAT")
    finding = {
        "kind": "duplicate",
        "severity": "warning",
        "message": "Two pages share a title: merge them, or give each its own",
        "pages": ["notes/a.md", "notes/b.md"],
        "detail": "VAT",
    }
    dry = await post(server, "lint", **SHOP, dry_run=True, no_llm=True)
    assert dry == {"findings": [finding], "report": None, "dry_run": True, "scope": "default/shop"}
    report = {**SHOP, "path": "_lint/report.md"}
    assert (await server.get("/admin/read-page", params=report)).status == 404
    assert await post(server, "lint", **SHOP) == {**dry, "report": "_lint/report.md", "dry_run": False}
    assert (await server.get("/admin/read-page", params=report)).status == 200


async def test_a_briefing_says_how_the_project_stands(server):
    await write(server, "_rules/style.md")
    await write(server, "notes/a.md")
    told = await briefing(server, limit="1")
    assert told["counts"] == {"pages_latest": 2, "pages_all": 2, "sessions": 0, "observations": 0}
    assert [page["path"] for page in told["rules"]] == ["_rules/style.md"]
    assert len(told["recent_pages"]) == 1
    assert told["scope"] == "default/shop"
    assert "limit must be" in (await briefing(server, 400, limit="101"))["error"]


async def test_no_project_is_refused_and_none_is_created(server):
    assert "there is no project" in (await post(server, "lint", 404, **SHOP))["error"]
    assert "there is no project" in (await briefing(server, 404))["error"]
    assert (await (await server.get("/admin/projects")).json())["projects"] == []


@pytest.mark.parametrize("wanted", ["1", "true", "on"])
async def test_a_start_with_the_markers_word_has_the_brief(server, agent, wanted):
    await agent(server).works()
    await write(server, "_rules/style.md", "# Style\n\nTabs.\n")
    text = await agent(server, "codex").starts(briefing=wanted)
    assert text.startswith("> 📥")
    assert "> 🧭 ai-memory: project brief of default/shop" in text
    assert "Tabs." in text


@pytest.mark.parametrize("query", [{}, {"briefing": ""}, {"briefing": "0"}, {"briefing_budget": "4000"}])
async def test_a_start_without_it_has_none(server, agent, query):
    await agent(server).works()
    await write(server, "_rules/style.md")
    assert "🧭" not in await agent(server, "codex").starts(**query)


@pytest.mark.parametrize(
    ("budget", "least", "most"),
    [("", 3_900, 4_000), ("x", 3_900, 4_000), ("1", 400, 500), ("800", 700, 800), ("99999999", 9_800, TEXT_LIMIT)],
)
async def test_the_markers_budget_is_kept_within_the_bounds(server, agent, budget, least, most):
    await agent(server).says("session-start")
    await write(server, "_rules/style.md", "Tabs. " * 5_000)
    text = await agent(server, "codex").starts(briefing="1", briefing_budget=budget)
    assert least <= len(text) <= most
