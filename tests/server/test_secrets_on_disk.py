"""No secret reaches the data directory, by whatever door and field it comes."""

import json
import re
import uuid
import zlib
from pathlib import Path

import apsw

from ai_memory.memory.intake import Delivery

CORPUS = Path(__file__).parent.parent / "capture" / "secrets.json"
CAPS = (80, 1_000, 2_000, 65_536)


def corpus():
    for row in json.loads(CORPUS.read_text("utf-8")):
        yield row["before"] + "".join(row["secret"]) + row["after"], "".join(row["secret"])


def deliveries(text, secret):
    """Put a secret into every field and across every cap of a session's events."""
    session = str(uuid.uuid4())
    at = text.index(secret)
    fillers = ["word " * ((cap - at - len(secret) // 2) // 5) for cap in CAPS if cap > at + len(secret)]
    events = [("session-start", {"source": text, "model": text})]
    events += [("user-prompt", {"prompt": filler + "\n" + text}) for filler in ["", *fillers]]
    events += [("user-prompt", {"prompt": filler + text}) for filler in fillers]
    events += [
        (
            "post-tool-use",
            {
                "tool_name": text,
                "tool_use_id": text,
                "tool_input": {"command": filler + " " + text, "file_path": text},
                "tool_response": {"stdout": filler + "\n" + text, "stderr": text},
            },
        )
        for filler in ["", *fillers]
    ]
    events += [
        (
            "post-tool-use",
            {"tool_name": "Edit", "tool_input": {"file_path": f"/srv/shop/{text}", "new_string": text}, "error": text},
        ),
        ("notification", {"message": text}),
        ("post-compaction", {"compact_summary": text}),
        ("stop", {"last_assistant_message": f"We decided to use {text}.\nNext steps:\n- {text}\nIs it {text}?"}),
        ("session-end", {"reason": text}),
    ]
    for event, body in events:
        query = {"event": event, "agent": "claude-code", "cwd": "/srv/shop", "ingest_key": uuid.uuid4().hex}
        yield Delivery(query, json.dumps({"session_id": session, "cwd": "/srv/shop", **body}).encode())


def everything(folder):
    """All bytes below a folder, git's objects unpacked, the index as its rows and its searchable words.

    Between the words of a full-text index stand lengths, which can look like letters.
    """
    for file in folder.rglob("*"):
        if file.name.startswith("index.db"):
            if file.name == "index.db":
                yield file.relative_to(folder), "\n".join(index_texts(file))
        elif file.is_file():
            data = file.read_bytes()
            if "objects" in file.parts and len(file.name) == 38:
                data = zlib.decompress(data)
            yield file.relative_to(folder), data.decode("utf-8", "replace")


def index_texts(file):
    """Every value of every table of the index, and every word of its full-text tables (`…_words` lists them)."""
    connection = apsw.Connection(str(file))
    names = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%\\_fts%' ESCAPE '\\'"
    )
    names = [name for (name,) in names.fetchall()]
    assert {"chunks_words", "turns_words", "sessions_words", "turns", "vectors"} <= set(names)
    for name in names:
        for row in connection.execute(f"SELECT * FROM {name}"):
            yield from (str(value) for value in row)
    connection.close()


def eights(text):
    """All pieces of eight characters of a text."""
    return {text[start : start + 8] for start in range(len(text) - 7)}


def stretches(text):
    """Every line of a text with the beginning of what follows it: all its pieces of eight are in one of these."""
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin) + 1 or len(text)
        yield text[begin : end + 7]
        begin = end


def marks_in(files):
    """The names of what was taken out: a cut may have left a part of one."""
    return {kind for _, text in files for kind in re.findall(r"REDACTED:([a-z-]+)", text)}


def test_nothing_of_eight_characters_of_any_secret_is_in_the_data_directory(memory_with, tmp_path):
    memory = memory_with()
    secrets = list(corpus())
    for text, secret in secrets:
        memory.intake.record(list(deliveries(text, secret)))
        memory.sessions.settle()
        (project,) = memory.projects.all()
        memory.handoffs.begin(project, summary=text, next_steps=[text], open_questions=[text], files_touched=[text])
    files = list(everything(tmp_path / "data"))
    assert any("Next steps" in text for _, text in files)
    innocent = eights(" ".join(text.replace(secret, " ") for text, secret in secrets) + " ".join(marks_in(files)))
    pieces = set().union(*(eights(secret) for _, secret in secrets)) - innocent
    assert len(pieces) > 5_000
    # The same lines are in many files: each version of a ledger holds all of the one before.
    different = set()
    for _, text in files:
        different |= set(stretches(re.sub(r"\[?REDACTED:[a-z-]+\]?", "", text.replace("word ", ""))))
    left = set().union(*(pieces & eights(stretch) for stretch in different))
    assert left == set()
