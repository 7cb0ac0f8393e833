"""The table of ltm_table.py against a server: our own, or the one of `bin/test --ltm-url URL --ltm-token T`."""

import json
import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from string import Template

import pytest
from ltm_table import ROWS, Later, packet

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def fresh():
    """What is new for a row."""
    ids = {name: "".join(secrets.choice(ALPHABET) for _ in range(26)) for name in ("id", "id2", "id3")}
    return {**ids, "n": secrets.token_hex(4), "team": f"t-{secrets.token_hex(5)}", "team2": f"t-{secrets.token_hex(5)}"}


def filled(value, known):
    """Put the values of a row into everything that a step says."""
    if isinstance(value, str):
        return Template(value).safe_substitute(known)
    if isinstance(value, bytes):
        return value.replace(b"$packet", json.dumps(filled(packet(), known)).encode())
    if isinstance(value, dict):
        return {filled(key, known): filled(each, known) for key, each in value.items()}
    return [filled(each, known) for each in value] if isinstance(value, list) else value


def sent(body, known):
    """The bytes of a body."""
    if body is None or isinstance(body, bytes):
        return filled(body, known)
    if isinstance(body, tuple):
        plain = json.dumps(filled(packet(), known)).encode()
        return plain + b" " * (body[1] - len(plain))
    return json.dumps(filled(body, known), ensure_ascii=False).encode()


def part_of(wanted, found):
    """A text that ends with "…" is the beginning of one; an object may have more keys."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and part_of(wanted[key], found[key]) for key in wanted)
    if isinstance(wanted, str) and wanted.endswith("…"):
        return isinstance(found, str) and found.startswith(wanted[:-1])
    return wanted == found


def at(found, path):
    for key in path.split("."):
        found = found[key]
    return found


def request_of(step, peer, known):
    headers = filled(dict(step.headers), known)
    if step.header is not None:
        headers["Authorization"] = filled(step.header, known)
    elif step.who != "nobody":
        headers["Authorization"] = f"Bearer {peer.tokens[step.who]}"
    body = sent(step.body, known)
    if body is not None:
        headers["Content-Type"] = "application/json"
    return step.method, filled(step.path, known), body, headers


def does(step, peer, known):
    asked = request_of(step, peer, known)
    about = f"{step.method} {filled(step.path, known)} as {step.who}"
    if step.at_once > 1:
        with ThreadPoolExecutor(step.at_once) as pool:
            answers = [each.result() for each in [pool.submit(peer.ask, *asked) for _ in range(step.at_once)]]
        assert Counter(status for status, _, _ in answers) == step.status, about
        return
    status, headers, content = peer.ask(*asked)
    right = step.status if isinstance(step.status, tuple) else (step.status,)
    assert status in right, f"{about}: {status} {content[:500]!r}"
    for name, value in step.answers.items():
        assert value in headers.get(name, ""), f"{about}: {headers}"
    if status == 204 or step.method == "HEAD":
        assert content == b"", about
        return
    if not (step.says or step.is_ is not None or step.has is not None or step.lacks or step.keeps or step.check):
        return
    found = json.loads(content)
    assert all(text in found["error"] and found["error"] for text in step.says), f"{about}: {found}"
    assert step.is_ is None or found == filled(step.is_, known), f"{about}: {found}"
    assert step.has is None or part_of(filled(step.has, known), found), f"{about}: {found}"
    assert not set(step.lacks) & set(found), f"{about}: {found}"
    known.update({name: at(found, path) for name, path in step.keeps.items()})
    assert step.check is None or step.check(found, known), f"{about}: {found}"


def marked(row):
    return pytest.param(row, id=row.name, marks=[pytest.mark.beyond_reference] if row.beyond else [])


@pytest.mark.parametrize("row", [marked(row) for row in ROWS])
def test_the_server_answers_as_the_protocol_says(row, peer):
    if row.needs_clock and peer.later is None:
        pytest.skip("nobody can make time pass on a server of somebody else")
    known = {**fresh(), "token": peer.tokens["a"], "host": peer.url.netloc}
    for step in row.steps:
        if isinstance(step, Later):
            peer.later(step.days)
        else:
            does(step, peer, known)
