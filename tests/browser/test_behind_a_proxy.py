"""Behind Debian's nginx, below a path: the same screens, signing in, live changes, and nothing outside of the path."""

import os
import re
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import pytest

from tests.browser.story import tell
from tests.own_server import served

TOKEN = "the-token-of-who-runs-the-server"
CONFIG = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; {user}
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/a; uwsgi_temp_path {folder}/b; scgi_temp_path {folder}/c;
  server {{
    listen 127.0.0.1:{port};
    location /team/memory/ {{
      proxy_pass http://127.0.0.1:{upstream}{strip};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_http_version 1.1;
    }}
    location / {{ return 404 "outside"; }}
  }}
}}
"""


def find(program):
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if not found:
        assert not os.environ.get("CI"), f"no {program}: .ci/run installs it"
        pytest.skip(f"no {program}: `apt-get install nginx-light`")
    return found


@contextmanager
def nginx(folder, port, upstream, *, strips):
    user = "user root;" if os.getuid() == 0 else ""
    text = CONFIG.format(folder=folder, port=port, upstream=upstream, strip="/" if strips else "", user=user)
    (folder / "nginx.conf").write_text(text)
    process = subprocess.Popen(
        [find("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    )
    try:
        deadline = time.monotonic() + 10
        while not is_listening(port) and time.monotonic() < deadline:
            assert process.poll() is None, (folder / "error.log").read_text()
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module", params=[True, False], ids=["path stripped", "path kept"])
def proxied(request, tmp_path_factory):
    port = free_port()
    flags = {
        "auth__bearer_token": TOKEN,
        "base_path": "/team/memory",
        "external_url": f"http://127.0.0.1:{port}/team/memory",
    }
    with served(tmp_path_factory, **flags) as own:
        own.story = tell(own, TOKEN)
        with nginx(tmp_path_factory.mktemp("nginx"), port, own.port, strips=request.param) as url:
            own.proxy = url
            yield own


def test_a_person_signs_in_and_reads_everything_below_the_path(proxied, desk_at):
    desk = desk_at(proxied.proxy)
    page = desk.opens("/team/memory/web")
    assert "/team/memory/web/sign-in?next=" in page.url
    page.get_by_label("Your token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="shop", exact=True).first.click()
    page.get_by_role("link", name=re.compile("VAT is rounded per invoice")).first.click()
    assert page.get_by_role("heading", name="VAT is rounded per invoice").count() == 1
    seen = {page.url}
    for link in page.locator("a[href]").evaluate_all("links => links.map(link => link.href)"):
        if link.startswith(proxied.proxy) and link.partition("#")[0] not in seen:
            seen.add(link.partition("#")[0])
            assert page.request.get(link).status == 200, link
    assert [url for url in desk.asked if "/team/memory/" not in url] == []


def test_what_changes_is_told_through_the_proxy(proxied, desk_at):
    from ai_memory.memory.pages import Fields, Writer

    desk = desk_at(proxied.proxy, extra_http_headers={"Authorization": f"Bearer {TOKEN}"})
    page = desk.opens("/team/memory/web/w/default/shop/p/decisions/vat-rounding.md")
    with page.expect_response(lambda answer: "/api/v1/events" in answer.url):
        page.reload()
    shop = proxied.story["shop"]
    proxied.memory.pages.write(shop, "decisions/vat-rounding.md", "It is otherwise now.", Fields(), Writer("codex"))
    page.get_by_text("Something has changed here").wait_for(timeout=10_000)
