"""`/admin/ltm-tokens`: who may use `/admin` gives out the tokens of those who use packets."""

import re

import pytest

TOKEN = "the-token-of-who-runs-the-server"
ADMIN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def guarded(server_with, no_blocking):
    return await server_with(auth__bearer_token=TOKEN)


async def issues(server, **body):
    answer = await server.post("/admin/ltm-tokens", json={"label": "laptop", **body}, headers=ADMIN)
    assert (answer.status, answer.headers["Cache-Control"]) == (201, "no-store")
    return await answer.json()


async def lists(server):
    return (await (await server.get("/admin/ltm-tokens", headers=ADMIN)).json())["tokens"]


async def asks(server, token):
    return (await server.get("/v1/packets", headers={"Authorization": f"Bearer {token}"})).status


async def test_a_token_is_for_who_runs_the_server_unless_somebody_is_named(guarded):
    own = await issues(guarded)
    assert own == {"token": own["token"], "user_id": "owner", "display": "owner"}
    assert re.fullmatch(r"[0-9a-zA-Z]{48}", own["token"])
    new = await issues(guarded, label="Ana", new_user=True)
    assert (new["user_id"] == "owner", new["display"]) == (False, "Ana")
    assert (await issues(guarded, user=new["user_id"]))["user_id"] == new["user_id"]
    of_address = [await issues(guarded, label="Ben", email="ben@example.org") for _ in range(2)]
    assert of_address[0]["user_id"] == of_address[1]["user_id"] != new["user_id"]
    assert [await asks(guarded, each["token"]) for each in (own, new, *of_address)] == [200] * 4


async def test_tokens_are_listed_without_being_told(guarded):
    given = await issues(guarded)
    (row,) = await lists(guarded)
    assert row == {
        "hash8": row["hash8"],
        "user_id": "owner",
        "display": "owner",
        "label": "laptop",
        "created_at": row["created_at"],
    }
    assert re.fullmatch(r"[0-9a-f]{8}", row["hash8"])
    assert row["hash8"] not in given["token"]


async def test_a_revoked_token_is_nobodys_at_once(guarded):
    first, second = (await issues(guarded))["token"], (await issues(guarded))["token"]
    row = (await lists(guarded))[0]
    answer = await guarded.delete(f"/admin/ltm-tokens/{row['hash8']}", headers=ADMIN)
    assert (answer.status, (await answer.json())["revoked"]["hash8"]) == (200, row["hash8"])
    assert sorted([await asks(guarded, first), await asks(guarded, second)]) == [200, 401]
    assert (await guarded.delete(f"/admin/ltm-tokens/{row['hash8']}", headers=ADMIN)).status == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"label": " "}, 400),
        ({"label": 7}, 400),
        ({"label": "x", "user": "nobody-of-this-name"}, 404),
        ({"label": "x", "user": "owner", "email": "a@b.c"}, 400),
        ({"label": "x", "email": "a@b.c", "new_user": True}, 400),
        ({"label": "x", "new_user": "yes"}, 400),
    ],
)
async def test_a_wrong_wish_gives_no_token(guarded, body, status):
    answer = await guarded.post("/admin/ltm-tokens", json=body, headers=ADMIN)
    assert (answer.status, list(await answer.json())) == (status, ["error"])
    assert await lists(guarded) == []


async def test_a_user_of_packets_gives_out_no_tokens(guarded):
    token = (await issues(guarded))["token"]
    for method, path in (("POST", ""), ("GET", ""), ("DELETE", "/00000000")):
        answer = await guarded.request(
            method, f"/admin/ltm-tokens{path}", json={"label": "x"}, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status == 401


async def test_a_server_without_a_token_asks_for_one_of_a_user_where_packets_are(server):
    assert (await server.get("/v1/packets")).status == 401
    token = (await (await server.post("/admin/ltm-tokens", json={"label": "laptop"})).json())["token"]
    assert (await asks(server, token), await asks(server, "")) == (200, 401)
