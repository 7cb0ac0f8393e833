"""Packets of our own with the verdict that the reference gave them."""

import json
from pathlib import Path

import pytest

from ai_memory.model.packet import BadPacketError, canonical, parse, scan_text

VECTORS = json.loads((Path(__file__).parent.parent / "fixtures" / "packets" / "vectors.json").read_text("utf-8"))


def spelled(parts):
    """A text is a list of texts and of [text, how often]."""
    return "".join(part if isinstance(part, str) else part[0] * part[1] for part in parts)


@pytest.mark.parametrize("vector", VECTORS["packets"], ids=lambda vector: vector["name"])
def test_a_packet_gets_the_verdict_of_the_reference(vector):
    raw = spelled(vector["raw"]).encode()
    if vector["accept"]:
        assert canonical(parse(raw)) == spelled(vector["canonical"])
        return
    with pytest.raises(BadPacketError) as refused:
        parse(raw)
    verdict = refused.value.stage, refused.value.at, refused.value.keyword
    assert verdict == (vector["stage"], vector.get("at", ""), vector.get("keyword", ""))


@pytest.mark.parametrize("vector", VECTORS["redaction"], ids=lambda vector: ascii(spelled(vector["text"]))[:40])
def test_the_strict_scan_finds_what_the_reference_finds(vector):
    found = [[finding.kind, finding.found] for finding in scan_text(spelled(vector["text"]), strict=True)]
    assert found == [[kind, spelled(text)] for kind, text in vector["issues"]]
