"""The MCP entry in every client's file, for every state that the file may be in."""

import json
import os
import stat
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from ai_memory.errors import BadRequestError, ConfigError
from ai_memory.install import mcp
from ai_memory.install.json_text import Document
from ai_memory.install.masked import masked
from ai_memory.install.mcp_clients import CLIENTS, client_named
from ai_memory.install.plan import TARGETS, apply, plan_install, plan_uninstall
from ai_memory.install.staging import Connection, base_interpreter

NOW = 1_800_000_000
URL = "http://127.0.0.1:9"
DOOR = mcp.Door(URL, token="t0ken")
JSON = [name for name, client in CLIENTS.items() if client.form == "json"]
RELAXED = [name for name, client in CLIENTS.items() if client.form == "relaxed"]
BRIDGED = "claude-desktop"


@pytest.fixture(autouse=True)
def _a_mac_for_its_own(request, monkeypatch):
    """Claude Desktop has a file on a Mac, and none here."""
    if "name" in request.fixturenames and request.getfixturevalue("name") == BRIDGED:
        monkeypatch.setattr(sys, "platform", "darwin")


def config_of(name, site):
    (path,) = CLIENTS[name].files(site)
    return path


def install(name, site, door=DOOR, config=None):
    (plan,) = plan_install([mcp.target(CLIENTS[name], door)], site, Connection(), config)
    return apply(plan, site.data_dir, NOW)


def uninstall(name, site, door=DOOR):
    return [apply(plan, site.data_dir, NOW) for plan in plan_uninstall([mcp.target(CLIENTS[name], door)], site)][-1]


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def read(name, site):
    text = config_of(name, site).read_bytes().decode("utf-8-sig")
    if CLIENTS[name].form == "toml":
        return tomllib.loads(text)
    document = Document(text, "f", relaxed=CLIENTS[name].form == "relaxed")
    return document.value(document.root)


def servers(name, site):
    found = read(name, site)
    for key in CLIENTS[name].parents:
        found = found[key]
    return found


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def around(name, entries):
    """A file of a client that holds these servers, and something else."""
    if CLIENTS[name].form == "toml":
        body = "".join(f'[mcp_servers.{each}]\nurl = "{value["url"]}"\n' for each, value in entries.items())
        return f'# mine\nmodel = "m" # fast\n\n{body}'
    value = entries
    for key in reversed(CLIENTS[name].parents):
        value = {key: value}
    text = json.dumps({"theme": "é", **value, "last": [1.50]}, indent=4, ensure_ascii=False)
    if CLIENTS[name].form == "relaxed":
        text = text.replace('"theme"', '// mine\n    "theme"').replace("]\n}", "], // end\n}")
    return text


AUTH = {"Authorization": "Bearer t0ken"}
MCP = f"{URL}/mcp"
ENTRIES = {
    "claude-code": {"type": "http", "url": MCP, "headers": AUTH},
    "codex": {"url": MCP, "default_tools_approval_mode": "approve", "http_headers": AUTH},
    "opencode": {"type": "remote", "url": MCP, "enabled": True, "oauth": False, "headers": AUTH},
    "gemini-cli": {"httpUrl": MCP, "trust": True, "headers": {"User-Agent": "gemini-cli", **AUTH}},
    "cursor": {"url": MCP, "headers": AUTH},
    "vscode": {"type": "http", "url": MCP, "headers": AUTH},
    "zed": {"url": MCP, "headers": AUTH},
    "windsurf": {"serverUrl": MCP, "headers": AUTH},
    "antigravity-cli": {"serverUrl": MCP, "headers": AUTH},
    "openclaw": {"transport": "streamable-http", "url": MCP, "headers": AUTH},
    "omp": {"type": "http", "url": MCP, "enabled": True, "headers": AUTH},
}
FILES = {
    "claude-code": (".claude.json", "mcpServers"),
    "codex": (".codex/config.toml", "mcp_servers"),
    "opencode": (".config/opencode/opencode.json", "mcp"),
    "gemini-cli": (".gemini/settings.json", "mcpServers"),
    "cursor": (".cursor/mcp.json", "mcpServers"),
    "claude-desktop": ("Library/Application Support/Claude/claude_desktop_config.json", "mcpServers"),
    "vscode": (".config/Code/User/mcp.json", "servers"),
    "zed": (".config/zed/settings.json", "context_servers"),
    "windsurf": (".codeium/windsurf/mcp_config.json", "mcpServers"),
    "antigravity-cli": (".gemini/config/mcp_config.json", "mcpServers"),
    "openclaw": (".openclaw/openclaw.json", "mcp.servers"),
    "omp": (".omp/agent/mcp.json", "mcpServers"),
}


def expected(name, site):
    arguments = ["-I", "-S", f"{site.data_dir}/hooks/client/__main__.py", "mcp", "--data-dir", str(site.data_dir)]
    return ENTRIES.get(name) or {"command": str(base_interpreter()), "args": arguments}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_new_file_holds_exactly_our_entry_in_the_clients_own_place(name, site):
    applied = install(name, site)
    path, key = FILES[name]
    assert config_of(name, site) == site.home / path
    assert ".".join(CLIENTS[name].parents) == key
    value = {"ai-memory": expected(name, site)}
    for each in reversed(CLIENTS[name].parents):
        value = {each: value}
    assert read(name, site) == value
    assert applied.backup is None
    assert stat.S_IMODE(config_of(name, site).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", CLIENTS)
def test_a_second_run_changes_nothing_and_makes_no_backup(name, site):
    put(config_of(name, site), around(name, {"other": {"url": "http://x"}}))
    install(name, site)
    before = tree(site.home)
    (plan,) = plan_install([mcp.target(CLIENTS[name], DOOR)], site, Connection())
    assert (plan.changes, plan.diff()) == (False, "")
    assert apply(plan, site.data_dir, NOW).backup is None
    assert tree(site.home) == before


@pytest.mark.parametrize("name", CLIENTS)
def test_a_plan_writes_nothing_and_shows_no_token(name, site, tmp_path):
    before = tree(tmp_path)
    (plan,) = plan_install([mcp.target(CLIENTS[name], DOOR)], site, Connection(token="t0ken"))
    assert plan.diff().startswith(f"--- /dev/null\n+++ {config_of(name, site)}\n")
    assert "t0ken" not in plan.diff()
    assert ("Bearer …" in plan.diff()) is (name != BRIDGED)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", CLIENTS)
def test_what_others_wrote_stays_and_comes_back_byte_for_byte(name, site):
    text = around(name, {"other": {"url": "https://example.org/mcp"}})
    path = put(config_of(name, site), text)
    applied = install(name, site)
    assert applied.backup.read_bytes() == text.encode()
    assert servers(name, site) == {"other": {"url": "https://example.org/mcp"}, "ai-memory": expected(name, site)}
    for comment in ("// mine", "// end", "# mine", "# fast"):
        assert path.read_text().count(comment) == text.count(comment)
    uninstall(name, site)
    assert path.read_bytes() == text.encode()


ODD_FILES = {
    "empty object": "{}",
    "spaced": " { } \n",
    "one line": '{"a":1,"b":"\\u00e9"}',
    "crlf": '{\r\n\t"a": 1\r\n}\r\n',
    "byte order mark": "\ufeff{}\n",
    "blank": "\n",
    "empty": "",
}


@pytest.mark.parametrize("text", ODD_FILES.values(), ids=ODD_FILES)
@pytest.mark.parametrize("name", [*JSON, *RELAXED])
def test_install_and_uninstall_give_any_file_back_byte_for_byte(name, text, site):
    path = put(config_of(name, site), text)
    install(name, site)
    assert servers(name, site) == {"ai-memory": expected(name, site)}
    uninstall(name, site)
    assert path.read_bytes() == text.encode()


@pytest.mark.parametrize("inside", ["", " ", "\n  "])
@pytest.mark.parametrize("name", [*JSON, *RELAXED])
def test_a_list_that_was_empty_before_stays(name, inside, site):
    value = "{" + inside + "}"
    for key in reversed(CLIENTS[name].parents):
        value = f'{{"{key}": {value}}}'
    path = put(config_of(name, site), value)
    install(name, site)
    uninstall(name, site)
    assert path.read_text() == value


COMMENTED = """// Zed settings
{
  "theme": "One Dark", // dark
  /* servers
     of mine */
  "%s": {
    // nothing yet
  },
}
"""


@pytest.mark.parametrize("name", ["vscode", "zed", "opencode"])
def test_every_comment_of_a_commented_file_stays(name, site):
    text = COMMENTED % CLIENTS[name].parents[0]
    path = put(config_of(name, site), text)
    install(name, site)
    installed = path.read_text()
    for comment in ("// Zed settings", "// dark", "/* servers\n     of mine */", "// nothing yet"):
        assert comment in installed
    assert servers(name, site) == {"ai-memory": expected(name, site)}
    uninstall(name, site)
    assert path.read_text() == text


@pytest.mark.parametrize("name", CLIENTS)
def test_what_was_not_there_before_is_gone_afterwards(name, site):
    site.home.joinpath(".config").mkdir()
    before = tree(site.home)
    install(name, site)
    uninstall(name, site)
    assert tree(site.home) == before
    assert set(tree(site.data_dir)) <= {"client.json"}


@pytest.mark.parametrize("name", CLIENTS)
def test_what_the_user_changed_in_our_entry_survives_the_next_install(name, site):
    install(name, site)
    path = config_of(name, site)
    text = path.read_text()
    if CLIENTS[name].form == "toml":
        path.write_text(text.replace('"approve"', '"prompt" # careful') + "enabled = false\n")
    else:
        text = text.replace('"trust": true', '"trust": false').replace('"enabled": true', '"enabled": false')
        path.write_text(text.replace('"ai-memory": {', '"ai-memory": {"disabled": true,'))
    changed = servers(name, site)["ai-memory"]
    (plan,) = plan_install([mcp.target(CLIENTS[name], DOOR)], site, Connection())
    assert plan.changes is False
    install(name, site, mcp.Door("http://127.0.0.1:10", token="new"))
    now = servers(name, site)["ai-memory"]
    routes = {"url", "httpUrl", "serverUrl", "headers", "http_headers"}
    assert {k: v for k, v in now.items() if k not in routes} == {k: v for k, v in changed.items() if k not in routes}
    if name != BRIDGED:
        assert "http://127.0.0.1:10/mcp" in now.values()
        assert (now.get("headers") or now["http_headers"])["Authorization"] == "Bearer new"


def test_another_token_takes_the_place_of_the_old_one_and_other_headers_stay(site):
    install("cursor", site)
    path = config_of("cursor", site)
    path.write_text(path.read_text().replace('"Authorization"', '"X-Mine": "1",\n        "Authorization"'))
    install("cursor", site, replace(DOOR, token="new"))
    assert servers("cursor", site)["ai-memory"]["headers"] == {"X-Mine": "1", "Authorization": "Bearer new"}


def test_without_a_token_the_old_one_stays_but_goes_to_no_other_server(site):
    install("cursor", site)
    install("cursor", site, mcp.Door(URL, toolset="wiki"))
    assert servers("cursor", site)["ai-memory"] == {"url": MCP, "headers": AUTH}
    install("cursor", site, mcp.Door("http://other:1"))
    assert servers("cursor", site)["ai-memory"] == {"url": "http://other:1/mcp"}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_server_of_somebody_else_under_our_name_is_refused(name, site):
    text = around(name, {"ai-memory": {"url": "https://example.org/other"}})
    path = put(config_of(name, site), text)
    with pytest.raises(ConfigError, match=r"has a server 'ai-memory' that is not ai-memory's.*--name"):
        install(name, site)
    assert path.read_text() == text
    assert plan_uninstall([mcp.target(CLIENTS[name], DOOR)], site)[0].changes is False


@pytest.mark.parametrize("name", CLIENTS)
def test_two_names_live_side_by_side_and_both_are_removed(name, site):
    put(config_of(name, site), around(name, {"other": {"url": "https://example.org/mcp"}}))
    install(name, site)
    install(name, site, replace(DOOR, name="notes", toolset="records"))
    assert list(servers(name, site)) == ["other", "ai-memory", "notes"]
    uninstall(name, site)
    assert servers(name, site) == {"other": {"url": "https://example.org/mcp"}}


def test_each_toolset_has_its_own_door_and_name(site):
    for toolset in ("wiki", "records", "memories", "packets"):
        install("cursor", site, mcp.Door(URL, toolset=toolset))
    assert servers("cursor", site) == {
        "ai-memory": {"url": f"{URL}/mcp"},
        "ai-memory-records": {"url": f"{URL}/mcp/records"},
        "ai-memory-memories": {"url": f"{URL}/mcp/memories"},
        "ai-memory-packets": {"url": f"{URL}/mcp/packets"},
    }


def test_a_flavor_is_a_part_of_the_address(site):
    install("cursor", site, mcp.Door(URL, flavor="moonshot"))
    assert servers("cursor", site)["ai-memory"] == {"url": f"{URL}/mcp?flavor=moonshot"}
    install("cursor", site, mcp.Door(URL))
    assert servers("cursor", site)["ai-memory"] == {"url": f"{URL}/mcp"}
    with pytest.raises(BadRequestError, match="--flavor is a part of an address"):
        mcp.target(CLIENTS["claude-desktop"], mcp.Door(URL, flavor="moonshot"))


def test_session_aware_starts_the_staged_program_and_http_takes_its_place_again(site):
    install("claude-code", site)
    bridged = replace(DOOR, bridged=True)
    (plan,) = plan_install([mcp.target(CLIENTS["claude-code"], bridged)], site, Connection(URL, "t0ken"))
    apply(plan, site.data_dir, NOW)
    assert servers("claude-code", site)["ai-memory"] == {"type": "stdio", **expected(BRIDGED, site)}
    assert "t0ken" not in config_of("claude-code", site).read_text()
    assert (site.data_dir / "auth-token").read_text() == "t0ken\n"
    assert (site.data_dir / "hooks" / "client" / "bridge.py").is_file()
    install("claude-code", site)
    assert servers("claude-code", site)["ai-memory"] == ENTRIES["claude-code"]
    with pytest.raises(BadRequestError, match="--session-aware gains nothing"):
        mcp.target(CLIENTS["cursor"], bridged)


def test_the_program_stays_while_hooks_or_another_client_need_it(site):
    bridged = replace(DOOR, bridged=True)
    install("claude-code", site, bridged)
    (hooks,) = plan_install([TARGETS["codex"]], site, Connection())
    apply(hooks, site.data_dir, NOW)
    program = site.data_dir / "hooks" / "client" / "bridge.py"
    for plan in plan_uninstall([TARGETS["codex"]], site):
        apply(plan, site.data_dir, NOW)
    assert program.is_file()
    uninstall("claude-code", site, bridged)
    assert sorted(tree(site.data_dir)) == ["client.json"]


@pytest.mark.parametrize("first", ["hooks", "mcp"])
@pytest.mark.parametrize("last", ["hooks", "mcp"])
@pytest.mark.parametrize("text", [None, "", "{}", '{\n  "theme": 1\n}\n'])
def test_hooks_and_server_in_one_file_leave_it_as_it_was_in_any_order(first, last, text, site):
    targets = {"hooks": TARGETS["gemini-cli"], "mcp": mcp.target(CLIENTS["gemini-cli"], DOOR)}
    path = config_of("gemini-cli", site)
    if text is not None:
        put(path, text)
    for kind in (first, *({*targets} - {first})):
        (plan,) = plan_install([targets[kind]], site, Connection())
        apply(plan, site.data_dir, NOW)
    assert set(read("gemini-cli", site)) >= {"hooks", "mcpServers"}
    for kind in (*({*targets} - {last}), last):
        for plan in plan_uninstall([targets[kind]], site):
            apply(plan, site.data_dir, NOW)
    assert (path.read_bytes() if path.exists() else None) == (None if text is None else text.encode())
    assert sorted(tree(site.data_dir)) == ["client.json"]


def test_folders_that_two_files_shared_go_with_the_last(site):
    for name in ("gemini-cli", "antigravity-cli"):
        install(name, site)
    for name in ("gemini-cli", "antigravity-cli"):
        uninstall(name, site)
    assert tree(site.home) == {}


@pytest.mark.parametrize("name", JSON)
def test_comments_are_refused_where_the_client_reads_strict_json(name, site):
    text = "{\n  // mine\n}\n"
    path = put(config_of(name, site), text)
    with pytest.raises(ConfigError, match="line 2: there is a comment, which strict JSON does not allow"):
        install(name, site)
    assert path.read_text() == text


@pytest.mark.parametrize("text", ['{"a": 1', "[]", '{"%s": []}', '{"a": 1} x'])
@pytest.mark.parametrize("name", [*JSON, *RELAXED])
def test_a_broken_file_is_refused_with_the_line_and_left_alone(name, text, site, tmp_path):
    text = text.replace("%s", CLIENTS[name].parents[0])
    path = put(config_of(name, site), text)
    before = tree(tmp_path)
    with pytest.raises(ConfigError, match=rf"^{path}, line 1: .*Nothing was written\."):
        install(name, site)
    assert tree(tmp_path) == before


def test_a_broken_toml_file_is_refused_and_left_alone(site, tmp_path):
    path = put(config_of("codex", site), "a = \n")
    before = tree(tmp_path)
    with pytest.raises(ConfigError, match=rf"^{path} is not valid TOML.*Nothing was written\."):
        install("codex", site)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", CLIENTS)
def test_a_broken_file_that_never_names_us_keeps_no_uninstall_from_the_others(name, site):
    path = put(config_of(name, site), "{ // of somebody")
    assert [plan.changes for plan in plan_uninstall([mcp.target(CLIENTS[name], DOOR)], site)] == [False]
    assert path.read_text() == "{ // of somebody"


@pytest.mark.parametrize("name", CLIENTS)
def test_a_read_only_file_is_refused_even_for_root(name, site):
    text = around(name, {"other": {"url": "http://x"}})
    path = put(config_of(name, site), text)
    path.chmod(0o444)
    with pytest.raises(ConfigError, match="is read-only"):
        install(name, site)
    assert path.read_text() == text


@pytest.mark.parametrize("name", CLIENTS)
def test_a_link_is_written_through(name, site, tmp_path):
    text = around(name, {"other": {"url": "http://x"}})
    real = put(tmp_path / "dotfiles" / "settings", text)
    path = config_of(name, site)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(real)
    install(name, site)
    assert os.readlink(path) == str(real)
    assert "ai-memory" in real.read_text()
    uninstall(name, site)
    assert (path.is_symlink(), real.read_text()) == (True, text)


@pytest.mark.parametrize("name", [name for name in CLIENTS if name != BRIDGED])
def test_a_file_with_the_token_becomes_private_and_one_without_keeps_its_mode(name, site):
    path = put(config_of(name, site), around(name, {}))
    path.chmod(0o644)
    install(name, site, mcp.Door(URL))
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    install(name, site)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


RELOCATED = {
    "claude-code": ("CLAUDE_CONFIG_DIR", ".claude.json"),
    "codex": ("CODEX_HOME", "config.toml"),
    "gemini-cli": ("GEMINI_CLI_HOME", ".gemini/settings.json"),
    "opencode": ("XDG_CONFIG_HOME", "opencode/opencode.json"),
    "vscode": ("XDG_CONFIG_HOME", "Code/User/mcp.json"),
    "zed": ("XDG_CONFIG_HOME", "zed/settings.json"),
    "omp": ("PI_CODING_AGENT_DIR", "mcp.json"),
}


@pytest.mark.parametrize("name", RELOCATED)
def test_a_relocated_home_is_honoured_and_found_again_without_the_variable(name, site, tmp_path):
    variable, rest = RELOCATED[name]
    moved = replace(site, env={variable: str(tmp_path / "else where")})
    install(name, moved)
    assert [path for path in tmp_path.joinpath("else where").rglob("*") if path.is_file()] == [
        tmp_path / "else where" / rest
    ]
    uninstall(name, replace(site, env={}))
    assert not tmp_path.joinpath("else where").exists()


def test_a_commented_file_of_opencode_is_taken_where_it_is_the_only_one(site):
    folder = site.home / ".config" / "opencode"
    path = put(folder / "opencode.jsonc", "{\n  // mine\n}\n")
    install("opencode", site)
    assert not (folder / "opencode.json").exists()
    assert '"ai-memory"' in path.read_text()
    assert "// mine" in path.read_text()


def test_a_program_without_a_file_on_this_system_wants_one_named(site, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(ConfigError, match=r"Claude Desktop has no such file on this system.*--config-file"):
        install("claude-desktop", site)
    install("claude-desktop", site, config=tmp_path / "named.json")
    assert "ai-memory" in json.loads((tmp_path / "named.json").read_text())["mcpServers"]
    uninstall("claude-desktop", site)
    assert not (tmp_path / "named.json").exists()


@pytest.mark.parametrize(
    ("platform", "name", "expected"),
    [
        ("darwin", "vscode", "Library/Application Support/Code/User/mcp.json"),
        ("darwin", "zed", ".config/zed/settings.json"),
        ("win32", "vscode", "AppData/Roaming/Code/User/mcp.json"),
        ("win32", "zed", "AppData/Roaming/Zed/settings.json"),
        ("win32", "claude-desktop", "AppData/Roaming/Claude/claude_desktop_config.json"),
    ],
)
def test_each_system_has_its_own_place(platform, name, expected, site, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    assert config_of(name, replace(site, env={})) == site.home / expected


@pytest.mark.parametrize(
    ("spelling", "name"),
    [("claude", "claude-code"), ("Open-Code", "opencode"), (" gemini ", "gemini-cli"), ("agy", "antigravity-cli")],
)
def test_a_client_is_found_by_its_other_names(spelling, name):
    assert client_named(spelling).name == name


def test_an_unknown_client_is_answered_with_the_known_ones_and_pi_with_the_reason():
    with pytest.raises(BadRequestError, match=r"There is no client 'clippy'\. Known clients: claude-code, codex,"):
        client_named("clippy")
    with pytest.raises(BadRequestError, match="Pi keeps no list of MCP servers"):
        client_named("pi")


def test_an_entry_of_an_earlier_program_under_our_name_is_taken_over(site):
    old = {"command": "npx", "args": ["-y", "mcp-remote", MCP], "env": {"X": "1"}, "disabled": True}
    put(config_of("cursor", site), json.dumps({"mcpServers": {"ai-memory": old}}))
    install("cursor", site)
    assert servers("cursor", site)["ai-memory"] == {"disabled": True, "url": MCP, "headers": AUTH}


def test_a_file_that_changed_since_the_plan_is_not_overwritten(site):
    (plan,) = plan_install([mcp.target(CLIENTS["cursor"], DOOR)], site, Connection())
    path = put(config_of("cursor", site), "{}")
    with pytest.raises(ConfigError, match="was changed by somebody else"):
        apply(plan, site.data_dir, NOW)
    assert path.read_text() == "{}"


def test_the_user_is_told_where_the_token_stands_and_what_hooks_do_not_know(site):
    path = Path("/a/file")
    advice = mcp.target(CLIENTS["cursor"], replace(DOOR, name="mine")).advice(path, site)
    assert "The token stands in /a/file, which only you can read. Keep it out of version control." in advice
    assert advice[-1] == "Hooks know its tools by the usual names only, so calls of mine are recorded."
    assert len(mcp.target(CLIENTS["cursor"], mcp.Door(URL)).advice(path, site)) == 1


def test_the_page_about_clients_names_each_with_its_file_and_key():
    page = (Path(__file__).resolve().parent.parent.parent / "docs" / "clients.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    told = {row[1]: row for row in rows[1:] if len(row) == 5 and row[1].startswith("`")}
    assert {name.strip("`"): (row[0], FILES[name.strip("`")][0] in row[2], row[3]) for name, row in told.items()} == {
        name: (client.title, True, f"`{'.'.join(client.parents)}`") for name, client in CLIENTS.items()
    }


@pytest.mark.parametrize(("name", "bridged"), [("claude-desktop", False), ("claude-code", True)])
def test_no_program_that_sends_the_owners_token_is_given_the_memories(name, bridged, site):
    with pytest.raises(BadRequestError, match=r"--toolset memories takes the token of a user\..*mcp-remote"):
        mcp.target(CLIENTS[name], mcp.Door(URL, token="users", toolset="memories", bridged=bridged))


@pytest.mark.parametrize("name", JSON)
def test_a_neighbour_at_a_door_like_ours_makes_no_file_our_business(name, site):
    text = '{ // mine\n"mcpServers": {"other": {"url": "https://example.org/mcp"}}}'
    path = put(config_of(name, site), text)
    plans = plan_uninstall([mcp.target(CLIENTS[name], DOOR)], site)
    assert [(plan.changes, plan.refused) for plan in plans] == [(False, "")]
    assert path.read_text() == text


@pytest.mark.parametrize("called", ["other", "ai-memory"])
@pytest.mark.parametrize("url", ["http://[bad/mcp", "http://[::1/mcp"])
def test_a_neighbour_without_a_real_address_is_somebody_elses(called, url, site):
    text = around("cursor", {called: {"url": url}})
    path = put(config_of("cursor", site), text)
    install("cursor", site, replace(DOOR, name="mine"))
    assert servers("cursor", site) == {called: {"url": url}, "mine": ENTRIES["cursor"]}
    uninstall("cursor", site)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "entry",
    [
        {"url": "https://example.org/mcp"},
        {"url": f"{URL}/other/mcp"},
        {"command": "npx", "args": ["mcp-remote", "https://example.org/mcp"]},
        {"command": "npx", "args": ["-y", "@somebody/ai-memory"]},
    ],
)
def test_a_server_of_our_name_elsewhere_is_neither_taken_over_nor_removed(entry, site):
    text = json.dumps({"mcpServers": {"ai-memory": entry}})
    path = put(config_of("cursor", site), text)
    with pytest.raises(ConfigError, match=rf"does not lead to {URL}, nor .* --server-url if it is, .* --name\.$"):
        install("cursor", site)
    assert uninstall("cursor", site).plan.changes is False
    assert path.read_text() == text


def test_an_entry_that_an_earlier_install_led_elsewhere_is_still_ours(site):
    install("cursor", site, mcp.Door("http://127.0.0.1:10"))
    install("cursor", site, mcp.Door("http://127.0.0.1:11"))
    uninstall("cursor", site)
    assert not config_of("cursor", site).exists()


@pytest.mark.parametrize("name", [name for name in CLIENTS if name != BRIDGED])
def test_a_file_with_the_token_that_others_can_read_is_mended(name, site):
    install(name, site)
    path = config_of(name, site)
    path.chmod(0o644)
    before = path.read_bytes()
    for door in (DOOR, mcp.Door(URL)):
        (plan,) = plan_install([mcp.target(CLIENTS[name], door)], site, Connection())
        assert (plan.changes, plan.diff()) == (True, "")
    assert install(name, site).backup is None
    assert (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) == (0o600, before)
    assert plan_install([mcp.target(CLIENTS[name], DOOR)], site, Connection())[0].changes is False


def test_a_backup_is_its_owners_alone(site):
    path = put(config_of("cursor", site), around("cursor", {"other": {"headers": {"Authorization": "Bearer x"}}}))
    path.chmod(0o644)
    assert stat.S_IMODE(install("cursor", site).backup.stat().st_mode) == 0o600


NEIGHBOURS = {
    "env": {"PLAIN_NAME": "5ecret-a", "HOME": "/5ecret-b"},
    "headers": {"X-Who": "5ecret-c", "Authorization": "Bearer 5ecret-d"},
    "apiKey": "5ecret-e",
    "url": "https://me:5ecret-f@example.org/?token=5ecret-g&a=1",
    "args": ["--api-key", "5ecret-h", "--token=5ecret-i", "--header", "Authorization: Bearer 5ecret-j"],
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", [*JSON, *RELAXED])
def test_what_is_shown_holds_no_secret_of_a_neighbour(name, indent, site):
    value = {"other": NEIGHBOURS}
    for key in reversed(CLIENTS[name].parents):
        value = {key: value}
    put(config_of(name, site), json.dumps(value, indent=indent))
    (plan,) = plan_install([mcp.target(CLIENTS[name], DOOR)], site, Connection())
    assert "5ecret" not in plan.diff()
    assert "ai-memory" in plan.diff()
    apply(plan, site.data_dir, NOW)
    for plan in plan_uninstall([mcp.target(CLIENTS[name], DOOR)], site):
        assert "5ecret" not in plan.diff()
        assert "t0ken" not in plan.diff()


def test_what_is_shown_of_toml_holds_no_secret_of_a_neighbour(site):
    text = '[mcp_servers.other]\nurl = "http://x"\n[mcp_servers.other.env]\nPLAIN = "5ecret"\n'
    put(config_of("codex", site), text + "[mcp_servers.third]\nenv = { PLAIN = '5ecret' }")
    (plan,) = plan_install([mcp.target(CLIENTS["codex"], DOOR)], site, Connection())
    assert "5ecret" not in plan.diff()
    assert masked(plan.before) == plan.before.replace("5ecret", "…")


def test_another_token_is_shown_as_another(site):
    install("cursor", site)
    (plan,) = plan_install([mcp.target(CLIENTS["cursor"], replace(DOOR, token="new-one"))], site, Connection())
    assert [line.strip() for line in plan.diff().splitlines()[3:]] == [
        '-        "Authorization": "Bearer …"',
        '+        "Authorization": "Bearer … (new)"',
    ]
