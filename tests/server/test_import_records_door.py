"""Records through the door: a batch of files, what became of each, and what is refused as a whole."""

ONE = "0f3a9c5b7d2e4816a1b2c3d4e5f60718"


async def post(server, status=200, **body):
    answer = await server.post("/admin/import-records", json=body)
    assert answer.status == status, await answer.text()
    return await answer.json()


async def test_a_batch_comes_in_and_each_file_has_its_outcome(server):
    file = {"type": "note", "content": "Use WAL mode.", "project": "atlas", "created_at": "2026-01-15T09:30:00"}
    files = [{"name": ONE, "record": file}, {"name": "x", "record": file}]
    refused = "its uuid is not its file's name of 32 hexadecimal digits: 'x'"

    def outcomes(did):
        return [
            {"name": ONE, "outcome": did, "scope": "default/atlas", "reason": None},
            {"name": "x", "outcome": "refused", "scope": None, "reason": refused},
        ]

    shown = await post(server, records=files, dry_run=True)
    assert shown == {"dry_run": True, "outcomes": outcomes("new")}
    assert (await (await server.get("/admin/projects")).json())["projects"] == []
    done = await post(server, records=files, user="ana")
    assert done == {"dry_run": False, "outcomes": outcomes("new")}
    page = {"workspace": "default", "project": "atlas", "path": f"notes/records/{ONE}.md"}
    read = await (await server.get("/admin/read-page", params=page)).json()
    assert (read["body"], read["author"]) == ("Use WAL mode.\n", "ana")
    assert (await post(server, records=files))["outcomes"] == outcomes("unchanged")


async def test_what_is_no_batch_is_refused(server):
    for records in (None, {}, [1], "x"):
        assert "records must be a list" in (await post(server, 400, records=records))["error"]
    assert (await post(server, 400, records=[{"record": {}}]))["error"] == "name is missing"
    assert (await post(server, 400, records=[], dry_run="yes"))["error"] == "dry_run must be true or false"
