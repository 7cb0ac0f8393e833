"""A memory at work until it is killed: hooks, pages, edits from outside and searches at once.

`main(DATA, NUMBER)` says on a line of its own what it tries and what is acknowledged.
"""

import json
import os
import random
import sys
import threading
import uuid
from pathlib import Path
from urllib.parse import urlencode

from ai_memory.config import load_settings
from ai_memory.errors import ConflictError
from ai_memory.memory.intake import Delivery
from ai_memory.memory.memory import Memory
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.scope import Routing
from tests.faults.life import WORDS

ANA = Writer(user="ana")
PLACES = ("/srv/shop", "/srv/other")


class Busy:
    """One memory, and those who work with it."""

    def __init__(self, data, number):
        self.number = number
        self.memory = Memory(load_settings(data))
        routing = Routing(cwd=PLACES[0], repo_root=PLACES[0])
        self.project = self.memory.projects.ensure(routing).project
        self.folder = self.memory.stores.wiki.folder(self.project)

    def tell(self, **what):
        # One call a line: threads cannot get between.
        os.write(1, f"{json.dumps(what)}\n".encode())

    def random(self, who):
        return random.Random(f"{who} {self.number}")

    def hooks(self):
        chance = self.random("hooks")
        while True:
            session = str(uuid.UUID(int=chance.getrandbits(128), version=4))
            cwd = chance.choice(PLACES)
            turns = [[("user-prompt", {"prompt": f"About {chance.choice(WORDS)}, please."}), ("stop", {})]] * 3
            for events in [[("session-start", {})], *turns, [("session-end", {})]]:
                items = []
                for event, body in events:
                    query = {"event": event, "agent": "codex", "cwd": cwd, "repo_root": cwd}
                    query["ingest_key"] = f"{chance.getrandbits(128):032x}"
                    items.append({"url": f"/hook?{urlencode(query)}", "body": {"session_id": session, **body}})
                ((*outcomes,),) = self.memory.intake.record([Delivery(None, json.dumps(items).encode())])
                assert {outcome.what for outcome in outcomes} == {"stored"}
                self.tell(stored=[item["url"].rpartition("=")[2] for item in items])

    def pages(self):
        chance = self.random("pages")
        while True:
            path = f"notes/{self.number}-{chance.randrange(6)}.md"
            if chance.random() < 0.25:
                self.tell(trying=path, body=None)
                self.memory.pages.delete(self.project, path, ANA)
                self.tell(done=path, body=None)
                continue
            body = (
                f"{chance.choice(WORDS)} {chance.getrandbits(64):x}, see [[notes/{self.number}-{chance.randrange(9)}]]"
            )
            self.tell(trying=path, body=body)
            try:
                self.memory.pages.write(self.project, path, body, Fields(), ANA)
            except ConflictError:
                # It was deleted.
                self.memory.pages.write(self.project, path, body, Fields(), ANA, revive=True)
            self.tell(done=path, body=body)

    def outside(self):
        chance = self.random("outside")
        (self.folder / "outside").mkdir(parents=True, exist_ok=True)
        for number in range(1_000_000):
            path = f"outside/{self.number}-{number % 8}.md"
            body = (
                f"{chance.choice(WORDS)} {chance.getrandbits(64):x} in {self.number}, see [[../notes/{self.number}-1]]"
            )
            self.tell(trying=path, body=body)
            # As an editor does it, so that a kill leaves no half of a file.
            (self.folder / "outside" / ".new").write_text(f"---\ntype: Note\n---\n{body}\n")
            (self.folder / "outside" / ".new").rename(self.folder / path)
            if number % 5:
                self.memory.outside.changed([self.folder / path])
            else:
                self.memory.outside.reconcile()
            self.tell(done=path, body=body)

    def searches(self):
        chance = self.random("searches")
        while True:
            self.memory.recall.search(chance.choice(WORDS), limit=50)
            self.memory.pages.count_unresolved()
            self.memory.status(bind="")

    def compiles(self):
        while True:
            if not self.memory.sessions.settle(0.1):
                threading.Event().wait(0.01)


def run(work):
    try:
        work()
    except BaseException:
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
        # The test expects that it is killed.
        os._exit(1)


def main(data, number):
    busy = Busy(Path(data), int(number))
    works = (busy.hooks, busy.pages, busy.outside, busy.searches, busy.compiles)
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    busy.tell(ready=os.getpid())
    for thread in threads:
        thread.join()
