"""Search must not get worse: pages and sessions of a made-up vocabulary, asked for in words that they hold."""

import itertools
import json
import random
import uuid
from statistics import fmean

from ai_memory.memory.intake import Delivery
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.scope import Routing
from ai_memory.server.app import create_app

SHOP = "/srv/shop"
SESSIONS, PAGES = 40, 20
#: R@1, R@5, MRR.
FLOORS = 0.8, 0.95, 0.88
SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]


class Author:
    """Writes texts about a few words each; the same in every run."""

    def __init__(self):
        self.random = random.Random(11)
        words = ["".join(each) for each in itertools.product(SYLLABLES, SYLLABLES, SYLLABLES[:3])]
        self.random.shuffle(words)
        # What everybody talks of, and what a few do: every rare word is in three texts or so.
        self.frequent, self.rare = words[:60], words[60:160]

    def topic(self):
        return self.random.sample(self.rare, 5)

    def text(self, topic, count):
        words = self.random.choices(self.frequent, k=count - len(topic))
        for word in topic:
            words.insert(self.random.randrange(len(words)), word)
        return " ".join(words)

    def question(self, topic):
        first, second = self.random.sample(topic, 2)
        one, other = self.random.sample(self.frequent, 2)
        return f"How did we {one} the {first} of the {second} when it was {other}?"


def write_session(memory, author, topic):
    """Three prompts and answers, the words of the topic apart from each other; gives the path of its page."""
    session = str(uuid.UUID(int=author.random.getrandbits(128), version=4))
    turns = [topic[0:1], topic[1:2], topic[2:3], topic[3:4], topic[4:5], []]
    events = [("session-start", {})]
    for number, said in enumerate(turns):
        text = author.text(said, 40)
        events.append(("stop", {"last_assistant_message": text}) if number % 2 else ("user-prompt", {"prompt": text}))
    events.append(("session-end", {}))
    frame = {"agent": "claude-code", "cwd": SHOP, "repo_root": SHOP}
    memory.intake.record(
        [
            Delivery({**frame, "event": event}, json.dumps({"session_id": session, **body}).encode())
            for event, body in events
        ]
    )
    memory.sessions.settle()
    return f"sessions/{session}.md"


def write_page(memory, author, topic):
    path = f"notes/{uuid.UUID(int=author.random.getrandbits(128))}.md"
    project = memory.projects.ensure(Routing(cwd=SHOP, repo_root=SHOP)).project
    text = f"# {author.text(topic[:1], 4)}\n\n{author.text(topic[1:], 150)}\n"
    memory.pages.write(project, path, text, Fields(), Writer(user="ann"))
    return path


def figures(answers):
    """R@1, R@5 and the mean reciprocal rank of (path that answers, paths found)."""
    places = [found.index(path) + 1 if path in found else 0 for path, found in answers]
    return [
        fmean(place == 1 for place in places),
        fmean(0 < place <= 5 for place in places),
        fmean(1 / place if place else 0 for place in places),
    ]


def is_above(found, floors):
    return [figure > floor for figure, floor in zip(found, floors, strict=True)]


async def test_what_is_asked_for_in_its_own_words_stands_first(memory_with, aiohttp_client):
    memory, author = memory_with(), Author()
    writers = [write_session] * SESSIONS + [write_page] * PAGES
    author.random.shuffle(writers)
    topics = [author.topic() for _ in writers]
    paths = [write(memory, author, topic) for write, topic in zip(writers, topics, strict=True)]
    server = await aiohttp_client(create_app(memory, bind="127.0.0.1:0"))
    answers = []
    for path, topic in zip(paths, topics, strict=True):
        for _ in range(3):
            answer = await server.get("/admin/search", params={"q": author.question(topic), "limit": "100"})
            answers.append((path, [hit["path"] for hit in await answer.json()]))
    assert is_above(figures(answers), FLOORS) == [True, True, True], figures(answers)
    # The same hits in an order that knows nothing of the question.
    assert is_above(figures([(path, sorted(found)) for path, found in answers]), FLOORS) == [False, False, False]
