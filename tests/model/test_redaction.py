"""What may not travel is found wherever it stands; nothing else is touched."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.model.packet import (
    About,
    Attempt,
    Decision,
    Finding,
    Method,
    Packet,
    Provenance,
    scan,
    scan_text,
)
from ai_memory.model.redaction import redacted_text

INNOCENT = (Path(__file__).parent.parent / "fixtures" / "packets" / "innocent.txt").read_text("utf-8").splitlines()
#: Name -> kind and a text; put together here, so that no scanner of secrets stumbles over this file.
STRICT = {
    "unix path": ("abs-path", "/home/bob/notes.txt"),
    "windows path": ("abs-path", "C:\\Users\\bob"),
    "aws-key": ("aws-key", "AK" + "IAIOSFODNN7EXAMPLE"),
    "gh-token": ("gh-token", "gh" + "p_" + "aB3d" * 9),
    "jwt": ("jwt", "ey" + "JhbGciOi.eyJzdWIi.c2ln-_"),
    "private-key": ("private-key", "-----BEGIN " + "RSA PRIVATE KEY-----"),
    "bare private-key": ("private-key", "-----BEGIN " + "PRIVATE KEY-----"),
    "google-api-key": ("google-api-key", "AI" + "za" + "Sy0-_" * 7),
    "slack-token": ("slack-token", "xox" + "b-1234567890"),
    "stripe-key": ("stripe-key", "sk" + "_live_" + "a1B2" * 5),
    "webhook secret": ("stripe-key", "wh" + "sec_" + "a1B2" * 8),
    "ssh-public-key": ("ssh-public-key", "ssh" + "-ed25519 AAAA" + "C3Nz" * 5),
}
MORE = {
    "aws-arn": ("aws-arn", "arn:aws:iam::123456789012:role/deploy"),
    "bucket": ("aws-arn", "arn:aws:s3:::payroll/2026.csv"),
    "aws-secret": ("aws-secret", 'aws_secret_access_key = "' + "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    "AWS_SECRET": ("aws-secret", "AWS_SECRET_ACCESS_KEY=" + "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    "gh-pat": ("gh-pat", "github" + "_pat_11ABCDEFG0" + "aB3d" * 12),
    "gitlab-token": ("gitlab-token", "gl" + "pat-" + "aB3_-" * 4),
    "npm-token": ("npm-token", "np" + "m_" + "aB3d" * 9),
    "anthropic": ("model-api-key", "sk" + "-ant-api03-" + "aB3_-" * 8),
    "openai": ("model-api-key", "sk" + "-proj-" + "aB3_-" * 8),
    "openai of old": ("model-api-key", "sk" + "-" + "aB3d" * 12),
    "hugging face": ("model-api-key", "hf" + "_" + "aBcD" * 9),
}
ALL = STRICT | MORE
AROUND = {
    "alone": "{}",
    "at the beginning": "{} was left in the log",
    "at the end": "it says {}",
    "inside": "first\n{}\nlast",
    "in brackets": "({})",
    "after an accent": "é{}",
    "between emoji": "\U0001f642{}\U0001f642",
    "in Chinese": "密钥：{}。",
    "in quotes": "„{}“",
    "after NUL": "\x00{}",
}
FIELDS = [
    *("goal", "next_step", "success_criteria[0]", "constraints[0]", "decisions[0].what", "decisions[0].why"),
    *("decisions[0].consequences", "methods[0].when_applicable", "methods[0].how", "attempts[0].tried"),
    *("attempts[0].learned", "open_questions[0]"),
]
LABELS = [
    *("id", "parent_id", "tags[0]", "project.name", "project.ref"),
    *("provenance.author_model", "provenance.author_human", "methods[0].name"),
]
EMPTY = Packet("0.2", "0123456789", "2026-04-21T12:00:00Z", "g", "n")
ITEMS = {
    "decisions": Decision("w", "y"),
    "methods": Method("n", "w", "h"),
    "attempts": Attempt("t", "failed"),
    "project": About(),
    "provenance": Provenance(),
}


def holding(field, text):
    """Give a packet that holds a text in one field."""
    name, _, inner = field.replace("[0]", "").partition(".")
    value = replace(ITEMS[name], **{inner: text}) if inner else text
    return replace(EMPTY, **{name: (value,) if "[0]" in field else value})


@pytest.mark.parametrize("sample", ALL)
def test_each_kind_is_found_in_any_surroundings(sample):
    kind, text = ALL[sample]
    missed = [name for name, around in AROUND.items() if kind not in [f.kind for f in scan_text(around.format(text))]]
    assert missed == []


@pytest.mark.parametrize("sample", ALL)
def test_each_kind_is_found_in_each_field_and_the_finding_names_it(sample):
    kind, text = ALL[sample]
    for field in [*FIELDS, *LABELS]:
        assert [(finding.kind, finding.field) for finding in scan(holding(field, text))] == [(kind, field)]


@pytest.mark.parametrize("sample", ALL)
def test_the_strict_scan_looks_at_what_the_reference_looks_at(sample):
    kind, text = ALL[sample]
    expected = [kind] if sample in STRICT else []
    for field in FIELDS:
        assert [finding.kind for finding in scan(holding(field, text), strict=True)] == expected
    for field in LABELS:
        assert scan(holding(field, text), strict=True) == []


def test_of_two_hundred_innocent_texts_none_is_touched():
    assert len(set(INNOCENT)) == len(INNOCENT) >= 200
    assert [(text, scan_text(text)) for text in INNOCENT if scan_text(text)] == []


def test_findings_come_in_the_order_of_fields_and_kinds_one_of_each_pattern():
    secret, path = ALL["gh-token"][1], "/etc/passwd"
    packet = replace(EMPTY, goal=f"{secret} {path} /var/log {secret}", next_step="D:/x", constraints=("fine", path))
    assert [(finding.field, finding.kind) for finding in scan(packet)] == [
        ("goal", "abs-path"),
        ("goal", "gh-token"),
        ("next_step", "abs-path"),
        ("constraints[1]", "abs-path"),
    ]


def test_a_finding_shows_at_most_32_bytes_and_never_a_key():
    exact, longer = "/opt/" + "a" * 27, "/opt/" + "a" * 28
    assert scan_text(exact) == [Finding("abs-path", exact)]
    assert scan_text(longer) == [Finding("abs-path", f"{exact}…")]
    assert scan_text(ALL["private-key"][1], field="goal") == [Finding("private-key", "-----BEGIN …", "goal")]


@pytest.mark.parametrize("sample", ALL)
def test_of_a_redacted_text_nothing_is_left_to_find(sample):
    kind, text = ALL[sample]
    for around in AROUND.values():
        redacted = redacted_text(around.format(text))
        assert f"[REDACTED:{kind}]" in redacted
        assert scan_text(redacted) == []
        assert redacted_text(redacted) == redacted


def test_a_path_directly_after_a_token_is_redacted_with_it():
    token = ALL["gh-token"][1]
    assert redacted_text(f"{token}/home/bob") == "[REDACTED:gh-token][REDACTED:abs-path]"


def test_an_innocent_text_is_not_redacted():
    assert [redacted_text(text) for text in INNOCENT] == INNOCENT


@pytest.mark.parametrize("sample", ALL)
def test_a_line_of_a_report_says_where_and_hides_what(sample):
    kind, text = ALL[sample]
    (finding,) = scan_text(text, field="goal")
    shown = {"abs-path": text, "private-key": "-----BEGIN …"}.get(kind, f"{text[:4]}…")
    assert (str(finding), finding.masked) == (f"goal/{kind}: {shown}", shown)
    assert str(replace(finding, field="")) == f"{kind}: {shown}"


@pytest.mark.parametrize("sample", ["aws-key", "gh-token", "google-api-key", "slack-token", "stripe-key", "npm-token"])
def test_a_token_in_a_path_is_hidden_like_any_other(sample):
    secret = ALL[sample][1]
    for path in ("/opt/{}", "/home/someone/work/{}", "/etc/{}/x", "/var/old-{}", "C:\\keys\\{}"):
        for finding in scan_text(path.format(secret)):
            assert secret[4:10] not in str(finding)


def test_of_a_path_only_what_may_be_a_token_is_hidden():
    token = "gh" + "p_" + "aB3d" * 9
    found = scan_text(f"/opt/{token}/x C:\\src\\{token}")
    assert [each.masked for each in found] == ["/opt/ghp_…", "C:\\src\\ghp_…", "ghp_…"]
    assert scan_text("/home/bob/notes.txt")[0].masked == "/home/bob/notes.txt"


@pytest.mark.parametrize(
    "text",
    [
        *("AK" + "IAIOSFODNN7EXAMPL", "AK" + "IAIOSFODNN7EXAMPLEX", "_AK" + "IAIOSFODNN7EXAMPLE"),
        *("gh" + "p_" + "a" * 35, "AI" + "za" + "a" * 34, "xox" + "b-123456789", "sk" + "_live_" + "a" * 19),
        *("wh" + "sec_" + "a" * 31, "ssh" + "-rsa AAAA" + "B" * 19, "ssh" + "-rsa\x0bAAAA" + "B" * 20),
        *("np" + "m_" + "a" * 35, "gl" + "pat-" + "a" * 19, "github" + "_pat_" + "a" * 21, "sk" + "-ant-" + "a" * 19),
        *("-----BEGIN " + "DSA PRIVATE KEY-----", "----BEGIN " + "PRIVATE KEY-----", "foo/home/bob", "_/etc/x"),
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_what_falls_short_of_a_pattern_is_let_through(text):
    assert scan_text(text) == []


@given(st.text(max_size=30), st.sampled_from(sorted(ALL)), st.text(max_size=30))
def test_a_secret_on_a_line_of_its_own_is_found_in_any_text(before, sample, after):
    kind, text = ALL[sample]
    findings = scan_text(f"{before}\n{text}\n{after}")
    assert kind in [finding.kind for finding in findings]
    assert all(len(finding.found.encode()) <= 35 for finding in findings)
