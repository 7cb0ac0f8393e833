import base64

import pytest

TOKEN = "t0ken-of-the-test"


@pytest.fixture
async def guarded(server_with):
    return await server_with(auth__bearer_token=TOKEN)


def basic(password):
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


@pytest.mark.parametrize(
    "authorization", [None, "Bearer wrong", "Bearer", TOKEN, "Digest x", basic("wrong"), "Basic %%%"]
)
@pytest.mark.parametrize("path", ["/admin/status", "/handoff", "/admin/handoffs", "/nowhere"])
async def test_without_the_token_nothing_is_told(guarded, path, authorization):
    headers = {"Authorization": authorization} if authorization else {}
    answer = await guarded.get(path, headers=headers)
    assert (answer.status, await answer.text()) == (401, "auth required\n")
    assert answer.headers["WWW-Authenticate"].startswith('Basic realm="ai-memory", Bearer realm="ai-memory"')


@pytest.mark.parametrize("authorization", [f"Bearer {TOKEN}", f"bearer {TOKEN}", basic(TOKEN)])
async def test_the_token_opens_reading(guarded, authorization):
    assert (await guarded.get("/admin/status", headers={"Authorization": authorization})).status == 200


async def test_writing_needs_the_bearer_header(guarded):
    answer = await guarded.post("/hook?event=stop", json={}, headers={"Authorization": basic(TOKEN)})
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="ai-memory", error="invalid_token"'


async def test_liveness_needs_no_token(guarded):
    answer = await guarded.get("/healthz")
    assert (answer.status, await answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:49374", "127.0.0.1:1", "[::1]:49374", "[::1]"])
async def test_known_hosts_are_answered(server, host):
    assert (await server.get("/healthz", headers={"Host": host})).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil:80", "memory.lan"])
async def test_an_unknown_host_is_refused_before_anything_else(guarded, host):
    answer = await guarded.get("/admin/status", headers={"Host": host})
    assert (answer.status, await answer.text()) == (403, "forbidden host\n")


async def test_a_host_that_was_allowed_is_answered(server_with):
    server = await server_with(allowed_hosts=["memory.lan"])
    assert (await server.get("/healthz", headers={"Host": "memory.lan:49374"})).status == 200


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/admin/handoffs?project=x", 400, "name both, workspace and project, or neither"),
        ("/admin/handoffs?workspace=default&project=x", 404, "there is no project default/x (known: none yet)"),
        ("/admin/handoffs?limit=0", 400, "limit must be a number from 1 to 500"),
        ("/admin/open-sessions?all=1&session_id=x", 400, "all and session_id exclude each other"),
        ("/admin/where?cwd=/", 400, "nothing is recorded for /: a home directory"),
        ("/admin/self-test?nonce=x", 404, "no test event with this nonce has arrived"),
    ],
)
async def test_admin_errors_have_one_shape(server, path, status, error):
    answer = await server.get(path)
    assert answer.status == status
    said = await answer.json()
    assert list(said) == ["error"]
    assert said["error"].startswith(error)


CROSS = [
    {"Origin": "https://evil.example", "Content-Type": "text/plain"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", CROSS)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/admin/handoffs/begin"), ("POST", "/hook?event=stop"), ("GET", "/handoff")]
)
async def test_a_page_of_another_site_can_make_a_browser_do_nothing_here(server, method, path, headers):
    answer = await server.request(method, path, data=b"{}" if method == "POST" else None, headers=headers)
    assert (answer.status, await answer.text()) == (403, "cross-site requests are refused\n")


async def test_the_servers_own_pages_are_answered(server):
    own = {"Origin": f"http://127.0.0.1:{server.port}", "Sec-Fetch-Site": "same-origin"}
    assert (await server.get("/admin/status", headers=own)).status == 200


async def test_a_token_of_strange_bytes_is_a_wrong_token(guarded):
    answer = await guarded.get("/admin/status", headers={"Authorization": "Bearer \xff\xfe"})
    assert answer.status == 401
