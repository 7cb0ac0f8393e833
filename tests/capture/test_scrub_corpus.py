import json
from collections import Counter
from dataclasses import asdict

from ai_memory.capture.payload import OTHER_LIMIT, TEXT_LIMIT
from ai_memory.capture.plain import TITLE_LIMIT

LINE = "the quick brown fox jumps over the lazy dog, and then some more\n"


def test_the_corpus_is_large_and_has_every_form(secrets, innocent):
    forms = Counter(one.form for one in secrets)
    assert len(secrets) >= 120
    assert len(innocent) >= 300
    assert {"json", "escaped-json", "header", "url", "env", "shell", "yaml", "windows-path", "powershell"} <= set(forms)


def test_no_eight_characters_of_any_secret_survive(secrets, scrub):
    left = [(one.form, one.text, pieces) for one in secrets if (pieces := one.left_in(scrub(one.text)))]
    assert left == []


def test_secrets_go_from_text_in_which_they_follow_escapes_and_other_text(secrets, scrub):
    left = []
    for one in secrets:
        for text in (json.dumps({"output": f"line\n{one.text}\nline"}), f"> {one.text}", f"+{one.text}"):
            escaped = json.loads(text)["output"] if text.startswith("{") else text
            left += [(one.form, text) for stored in (scrub(text), scrub(escaped)) if one.left_in(stored)]
    assert left == []


def test_scrubbing_the_corpus_twice_changes_nothing(secrets, innocent, scrub):
    texts = [one.text for one in secrets] + innocent
    assert [scrub(scrub(text)) for text in texts] == [scrub(text) for text in texts]


def test_at_most_one_in_a_hundred_look_alikes_is_touched(innocent, scrub):
    touched = [(text, scrub(text)) for text in innocent if scrub(text) != text]
    assert len(touched) <= len(innocent) * 0.01, touched


def test_no_secret_survives_at_any_cut_of_an_observation(secrets, seen):
    left = []
    for one in secrets:
        for where, observation in _placements(one, seen):
            stored = json.dumps(asdict(observation), default=str, ensure_ascii=False)
            # Stored text is read back from JSON, where quotes and backslashes are escaped.
            left += [(one.form, where, piece) for piece in one.left_in(stored) if piece]
            plain = "\n".join(
                (observation.title, observation.body, observation.tool.command if observation.tool else "")
            )
            left += [(one.form, where, piece) for piece in one.left_in(plain)]
    assert left == []


def _placements(one, seen):
    for part in (3, 2):
        reach = len(one.secret) // part + one.text.index(one.secret)
        yield "title", seen("user-prompt", {"prompt": "x" * max(0, TITLE_LIMIT - reach - 1) + " " + one.text})
        command = "echo " + "x" * max(0, 1_000 - reach - 6) + " " + one.text
        yield "command", seen("post-tool-use", {"tool_name": "Bash", "tool_input": {"command": command}})
        for limit, event, payload in (
            (OTHER_LIMIT, "post-tool-use", lambda text: {"tool_name": "Bash", "tool_response": {"stdout": text}}),
            (TEXT_LIMIT, "user-prompt", lambda text: {"prompt": text}),
        ):
            head, tail = limit * 2 // 3 - 20, limit // 3 - 10
            behind = one.text[one.text.index(one.secret) :]
            yield f"head of {limit}", seen(event, payload(_filled(head - reach) + one.text + "\n" + _filled(limit)))
            after = _filled(tail - len(behind) + len(one.secret) // part)
            yield f"tail of {limit}", seen(event, payload(_filled(limit) + one.text + "\n" + after))


def _filled(size):
    lines = LINE * (max(0, size) // len(LINE) + 1)
    return lines[: max(0, size - 1)] + "\n"
