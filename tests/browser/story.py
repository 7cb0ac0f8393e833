"""A small life of two projects, told through the real doors: sessions by hooks, pages and packets by the memory."""

import json
import uuid
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from ai_memory.memory.packets import Push
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.packet import VERSIONS

ANA = Writer("claude-code", "Ana")
PAGES = {
    "_rules/money.md": (
        "Money is decimal",
        "Amounts are `Decimal`, never `float`. See [[decisions/vat-rounding]].",
        {},
    ),
    "_slots/stack.md": ("Stack", "Python 3.11, PostgreSQL 16, no ORM.", {}),
    "decisions/vat-rounding.md": (
        "VAT is rounded per invoice",
        (
            "# VAT is rounded per invoice\n\nThe sum of rounded lines is **off by a cent**[^1] when rates are mixed.\n\n"
            "## Why\n\nThe tax office adds up, then rounds. Compare [the refunds](../gotchas/refunds.md#what-goes-wrong).\n\n"
            "## How\n\n```python\ndef total(lines):\n    net = sum(line.net for line in lines)\n    return net.quantize(CENT)  # half even\n```\n\n"
            "| rate | lines | tax |\n| --- | --: | --: |\n| 7 % | 3 | 2.10 |\n| 19 % | 2 | 7.98 |\n\n"
            "- [x] invoices\n- [ ] refunds, see [[infra:runbooks/ledger|the ledger]]\n\n"
            "## Open\n\nWhat happens with [[concepts/not-written-yet]]?\n\n"
            "```mermaid\ngraph TD; Lines-->Total\n```\n\n[^1]: Found by a customer in Graz.\n"
        ),
        {"tags": ["vat", "invoices"], "pinned": True},
    ),
    "gotchas/refunds.md": (
        "Partial refunds round twice",
        "## What goes wrong\n\nA partial refund is rounded again. [[decisions/vat-rounding|The rule]] holds here, too.\n",
        {"tags": ["vat"]},
    ),
    "concepts/invoice.md": (
        "Invoice",
        "An invoice has lines; see [[decisions/vat-rounding]] and [[_rules/money]].",
        {},
    ),
    "procedures/release.md": ("Release", "1. tag\n2. build\n3. [[gotchas/refunds|check the refunds]]\n", {}),
    "notes/日本語 メモ.md": (
        "請求書のメモ",
        "## 消費税\n\n消費税は [[decisions/vat-rounding]] を見る。\n\n[先頭](#消費税)\n",
        {},
    ),
    "notes/العربية.md": ("ملاحظة عن الفواتير", "## الضريبة\n\nانظر [[concepts/invoice]].\n", {}),
}


def tell(own, token=""):
    """Fill a server's memory; gives what the tests want to name."""
    memory = own.memory
    session = uuid.uuid5(uuid.NAMESPACE_URL, "shop")
    _work(own, session, token)
    shop = memory.projects.named("default", "shop")
    infra = memory.projects.create("default", "infra")
    for path, (title, body, fields) in PAGES.items():
        memory.pages.write(shop, path, body, Fields(title=title, **fields), ANA)
    ledger = "How the ledger is closed. It needs [[shop:decisions/vat-rounding]]."
    memory.pages.write(infra, "runbooks/ledger.md", ledger, Fields(title="Closing the ledger"), ANA)
    for text in ("Rounded per line.", "Rounded per invoice, **half even**."):
        memory.pages.write(shop, "concepts/rounding.md", f"## Rounding\n\n{text}\n", Fields(title="Rounding"), ANA)
    memory.pages.write(shop, "notes/wrong.md", "This was wrong.", Fields(title="A wrong note"), ANA)
    memory.pages.delete(shop, "notes/wrong.md", ANA)
    first = _packet(1, "Round invoices as the tax office does")
    second = {**_packet(2, "Round refunds as invoices are"), "parent_id": first["id"]}
    for packet in (first, second):
        memory.packets.push([Push("owner", json.dumps(packet).encode())])
    memory.packets.settle()
    kept = memory.packets.get("owner", second["id"])
    memory.handoffs.begin(
        shop,
        summary="VAT is done, refunds are next.",
        next_steps=["Test mixed rates in refunds"],
        open_questions=["Half even or half up?"],
        files_touched=["cart.py"],
        packet_id=second["id"],
    )
    memory.sessions.settle()
    workspace, _, name = kept.project.partition("/")
    return {
        "shop": shop,
        "session": memory.sessions.newest(shop).id,
        "packet": second["id"],
        "packets": (workspace, name),
    }


def _packet(number, goal):
    return {
        "ltm_version": VERSIONS[-1],
        "id": f"01890a5d-ac96-774b-bcce-b302099a805{number}",
        "created_at": f"2026-11-0{number}T10:00:00Z",
        "goal": goal,
        "next_step": "Write the test with mixed rates, then fix cart.py.",
        "project": {"name": "shop"},
        "decisions": [{"what": "Round once, at the end", "why": "The tax office does", "locked": True}],
        "attempts": [{"tried": "Rounding each line", "outcome": "failed", "learned": "A cent is lost"}],
        "open_questions": ["Half even or half up?"],
    }


def _work(own, session, token):
    def says(event, **body):
        query = {
            "agent": "claude-code",
            "cwd": "/srv/shop",
            "repo_root": "/srv/shop",
            "event": event,
            "ingest_key": uuid.uuid4().hex,
        }
        request = Request(
            f"{own.url}/hook?{urlencode(query)}", json.dumps({"session_id": str(session), **body}).encode()
        )
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urlopen(request, timeout=10) as answer:
            assert answer.status in (200, 202), answer.status

    says("session-start", source="startup")
    says("user-prompt", prompt="Invoice totals are off by a cent when VAT rates are mixed. Please find out why.")
    says("post-tool-use", tool_name="Read", tool_input={"file_path": "/srv/shop/cart.py"})
    says(
        "post-tool-use",
        hook_event_name="PostToolUseFailure",
        tool_name="Bash",
        tool_input={"command": "pytest -q"},
        error="Exit code 1\n1 failed",
    )
    says("post-tool-use", tool_name="Edit", tool_input={"file_path": "/srv/shop/cart.py"})
    says(
        "stop", last_assistant_message="Fixed: the total is rounded **once**, at the end.\n\n- refunds are still open\n"
    )
