"""The server is killed again and again under load: nothing that was acknowledged is lost, nothing is doubled."""

import http.client
import json
import os
import random
import re
import subprocess
import threading
import time
import uuid
from collections import Counter
from urllib.parse import urlencode

import pytest

from tests.forked import Forked, ai_memory_program

#: So many take a quarter of a minute of a processor, of the fifteen minutes that the whole suite may take.
KILLS = int(os.environ.get("AI_MEMORY_TEST_KILLS", "40"))
CLIENTS = 8
SEED = 20261120


class Server:
    """A real server process that can be killed and started again on the same port and data."""

    def __init__(self, data_dir, port):
        self.port = port
        self.log = data_dir.parent / "server.log"
        self.arguments = ["serve", "--data-dir", str(data_dir), "--bind", f"127.0.0.1:{port}"]
        self.process = None

    def start(self):
        self.process = Forked(ai_memory_program, *self.arguments, env=os.environ, stderr=self.log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            try:
                self.ask("GET", "/healthz")
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError("the server did not come up")

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


class Client(threading.Thread):
    """One agent machine: sends sessions, and each event again with its key until it is acknowledged."""

    def __init__(self, number, server, stop):
        super().__init__()
        self.server, self.stop = server, stop
        self.random = random.Random(SEED + number)
        self.number = number
        self.acknowledged = []  # (session, key)
        self.error = None

    def run(self):
        try:
            while not self.stop.is_set():
                self.session()
        except AssertionError as error:
            self.error = error

    def session(self):
        session = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        events = [("session-start", {}), ("user-prompt", {"prompt": f"Please do task {session}"})]
        for turn in range(self.random.randint(1, 3)):
            events += [
                ("post-tool-use", {"tool_name": "Bash", "tool_input": {"command": f"make t{turn}-{n}"}})
                for n in range(self.random.randint(1, 6))
            ]
            events.append(("stop", {"last_assistant_message": f"Turn {turn} is done."}))
        events.append(("session-end", {}))
        while events and not self.stop.is_set():
            size = self.random.choice([1, 1, 1, 4, 16])
            self.deliver(session, events[:size])
            events = events[size:]

    def deliver(self, session, events):
        items = []
        for event, body in events:
            key = uuid.UUID(int=self.random.getrandbits(128)).hex
            query = {"event": event, "agent": "claude-code", "cwd": f"/srv/app{self.number % 3}", "ingest_key": key}
            items.append((key, urlencode(query), {"session_id": session, **body}))
        if len(items) == 1:
            path, body, good = f"/hook?{items[0][1]}", json.dumps(items[0][2]), 202
        else:
            path, good = "/hook/batch", 200
            body = json.dumps([{"url": f"/hook?{query}", "body": body} for _, query, body in items])
        while True:
            try:
                status, answer = self.server.ask("POST", path, body)
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
                continue
            assert status in (good, 429), answer
            if status == good:
                self.acknowledged += [(session, key) for key, _, _ in items]
                return


@pytest.mark.fault
@pytest.mark.timeout(900)
def test_a_server_killed_at_random_moments_loses_and_doubles_nothing(tmp_path, free_port):
    server = Server(tmp_path / "data", free_port)
    stop = threading.Event()
    clients = [Client(number, server, stop) for number in range(CLIENTS)]
    moments = random.Random(SEED)
    server.start()
    for client in clients:
        client.start()
    for _ in range(KILLS):
        time.sleep(moments.uniform(0.0, 0.3))
        server.kill()
        server.start()
    stop.set()
    for client in clients:
        client.join(60)
    assert [client.error for client in clients if client.error] == []

    server.stop()
    server.start()
    deadline = time.monotonic() + 120
    while json.loads(server.ask("GET", "/admin/status")[1])["derived"]["sessions_uncompiled"]:
        # Sessions whose last turn had not ended are brought up to date when somebody asks for a handoff.
        for number in range(3):
            server.ask("GET", f"/handoff?agent=codex&cwd=/srv/app{number}")
        assert time.monotonic() < deadline
    server.stop()

    stored = {}
    for file in (tmp_path / "data" / "raw").rglob("*.jsonl"):
        stored[file.stem] = [json.loads(line) for line in file.read_text().splitlines() if '"kind"' in line]
    keys = Counter(row["key"] for rows in stored.values() for row in rows)
    acknowledged = [key for client in clients for _, key in client.acknowledged]
    ended = {row["key"] for rows in stored.values() for row in rows if row["kind"] == "session-end"}
    assert len(acknowledged) > KILLS
    assert [key for key, times in keys.items() if times != 1] == []
    # An end that is sent again after its session is over is acknowledged as nothing new, never stored twice.
    assert [key for key in acknowledged if key not in keys and key not in ended] == []

    pages = {file.stem: file.read_text() for file in (tmp_path / "data" / "wiki").glob("*/*/sessions/*.md")}
    wrong = {}
    for session, rows in stored.items():
        if any(row["kind"] in ("user-prompt", "post-tool-use") for row in rows):
            found = re.search(r"^observations: (\d+)$", pages.get(session, ""), re.MULTILINE)
            if found is None or int(found[1]) != len(rows):
                wrong[session] = (len(rows), found and found[1])
    assert wrong == {}

    wiki = tmp_path / "data" / "wiki"
    checked = subprocess.run(["git", "fsck", "--strict"], cwd=wiki, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    ledgers = Counter(
        line for file in wiki.glob("*/*/log-*.md") for line in file.read_text().splitlines() if "session-end" in line
    )
    committed = subprocess.run(["git", "status", "--porcelain", "--", "*/log-*.md"], cwd=wiki, capture_output=True)
    assert committed.stdout == b""
    assert sum(ledgers.values()) <= len(ended)
