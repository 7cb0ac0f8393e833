"""What a screen shows, as a reader without scripts gets it."""

import http.client
import json
import uuid
from html.parser import HTMLParser

from ai_memory.memory.intake import Delivery

VOID = {"meta", "link", "input", "img", "br", "hr", "rect", "path", "col"}


class Screen(HTMLParser):
    """A page: its `status`, all visible `text` on one line, `links` (text -> address), `ids`, and `levels` of headings.

    Elements that do not nest, or ids that are there twice, fail at once.
    """

    def __init__(self, status, body):
        super().__init__()
        self.status, self.body = status, body
        self.links, self.ids, self.levels, self.tags = {}, [], [], []
        self._open, self._words, self._link = [], [], None
        self.feed(body)
        self.close()
        self.text = " ".join(" ".join(self._words).split())
        assert self._open == []
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag, attrs):
        said = dict(attrs)
        assert not any(name == "style" or name.startswith("on") for name in said)
        self.tags.append((tag, said))
        if "id" in said:
            self.ids.append(said["id"])
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self.levels.append(int(tag[1]))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "a":
            self._link = (said.get("href"), len(self._words))

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self._open.pop() == tag
        if tag == "a":
            address, start = self._link
            self.links.setdefault(" ".join(" ".join(self._words[start:]).split()), address)

    def handle_data(self, data):
        if "head" not in self._open:
            self._words.append(data)

    def elements(self, tag, **wanted):
        """Give the attributes of the elements of a name that have these."""
        return [said for name, said in self.tags if name == tag and wanted.items() <= said.items()]


def ask(own, path, **headers):
    """Ask for a path; gives status, headers and the text of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", own.port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def look(own, path):
    """Look at a screen."""
    status, _, body = ask(own, path)
    screen = Screen(status, body)
    # One at the top, and none that skips a level.
    assert screen.levels[0] == 1
    assert screen.levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(screen.levels, screen.levels[1:], strict=False))
    return screen


def works(memory, session, prompt="Please fix the rounding.", answer="Rounded per invoice.", end=True, **where):
    """Play a session: a prompt, an edit, an answer."""
    said = {"agent": "claude-code", "cwd": "/srv/shop", "repo_root": "/srv/shop", **where}
    steps = [
        ("session-start", {}),
        ("user-prompt", {"prompt": prompt}),
        ("post-tool-use", {"tool_name": "Edit", "tool_input": {"file_path": "/srv/shop/cart.py"}}),
        ("stop", {"last_assistant_message": answer}),
    ]
    for event, body in [*steps, ("session-end", {})] if end else steps:
        query = {**said, "event": event, "ingest_key": uuid.uuid4().hex}
        memory.intake.record([Delivery(query, json.dumps({"session_id": str(session), **body}).encode())])
