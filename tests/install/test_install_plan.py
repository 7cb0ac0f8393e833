"""Installing and removing hooks, for every agent and every state that its file may be in."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_memory.client.agents import AGENTS
from ai_memory.errors import ConfigError
from ai_memory.install.plan import TARGETS, apply, plan_install, plan_uninstall
from ai_memory.install.staging import Connection
from ai_memory.install.target import Site

NESTED = ("claude-code", "codex", "gemini-cli")
NOW = 1_800_000_000
THEIRS = {
    "matcher": "*",
    "hooks": [{"type": "command", "command": "/opt/ai-memory-tools/hooks/notify.sh ai-memory stop"}],
}


def config_of(name, site):
    (path,) = TARGETS[name].files(site)
    return path


def install(name, site, config=None, now=NOW):
    (plan,) = plan_install([TARGETS[name]], site, Connection(), config)
    return apply(plan, site.data_dir, now)


def uninstall(name, site, now=NOW):
    return [apply(plan, site.data_dir, now) for plan in plan_uninstall([TARGETS[name]], site)][-1]


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def tree(folder):
    """Every file and link below a folder with its content and mode."""
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else (path.read_bytes() if path.is_file() else None, stat.S_IMODE(path.lstat().st_mode))
        for path in sorted(folder.rglob("*"))
    }


def expected(name, site, event):
    agent = AGENTS[name]
    command = f"'{site.data_dir}/hooks/{name}/hook.sh' {agent.events[event]}"
    if name == "gemini-cli":
        return {
            "matcher": "*",
            "hooks": [{"name": "ai-memory", "type": "command", "command": command, "timeout": 10000}],
        }
    timeout = 3 if name == "codex" and event in ("SessionEnd", "Interrupt") else 10
    return {"hooks": [{"type": "command", "command": command, "timeout": timeout}]}


@pytest.mark.parametrize("name", NESTED)
def test_a_new_file_holds_exactly_our_entries_in_the_order_of_the_table(name, site):
    applied = install(name, site)
    written = json.loads(config_of(name, site).read_text())
    assert written == {"hooks": {event: [expected(name, site, event)] for event in AGENTS[name].installed}}
    assert list(written["hooks"]) == list(AGENTS[name].installed)
    assert applied.backup is None
    assert stat.S_IMODE(config_of(name, site).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", TARGETS)
def test_a_second_run_changes_nothing_and_makes_no_backup(name, site):
    install(name, site)
    before = tree(site.home)
    (plan,) = plan_install([TARGETS[name]], site, Connection())
    assert (plan.changes, plan.diff(), plan.stage) == (False, "", ())
    assert apply(plan, site.data_dir, NOW).backup is None
    assert tree(site.home) == before


@pytest.mark.parametrize("name", TARGETS)
def test_plans_write_nothing(name, site, tmp_path):
    before = tree(tmp_path)
    (plan,) = plan_install([TARGETS[name]], site, Connection(token="t0ken"))
    assert plan.diff().startswith(f"--- /dev/null\n+++ {config_of(name, site)}\n")
    assert "t0ken" not in plan.diff()
    plan_uninstall([TARGETS[name]], site)
    assert tree(tmp_path) == before


FILES = {
    "empty object": "{}",
    "empty object, spaced": " { } \n",
    "empty hooks": '{"hooks": {}, "x": 1}\n',
    "empty event": '{\n  "hooks": {\n    "SessionStart": [ ]\n  }\n}\n',
    "foreign hooks": json.dumps({"model": "m", "hooks": {"SessionStart": [THEIRS], "Other": [THEIRS]}}, indent=2)
    + "\n",
    "mentions us": json.dumps(
        {
            "hooks": {
                "SessionStart": [THEIRS, {"hooks": [{"type": "command", "command": "ai-memory hook --event stop"}]}]
            }
        },
        indent="\t",
    ),
    "crlf": '{\r\n    "model": "m"\r\n}\r\n',
    "one line": '{"model":"\\u00e9\\ud83d\\ude00","hooks":{"SessionStart":[{"hooks":[]}]}}',
    "byte order mark": "\ufeff{}\n",
    "blank": "\n",
    "empty": "",
    "odd groups": '{"hooks": {"SessionStart": ["x", 5, {"hooks": 1}, {"hooks": [null, {"type": "command"}]}]}}\n',
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
@pytest.mark.parametrize("name", NESTED)
def test_install_and_uninstall_give_the_file_back_byte_for_byte(name, text, site):
    path = put(config_of(name, site), text)
    path.chmod(0o640)
    applied = install(name, site)
    assert applied.backup == Path(f"{path}.bak-{NOW}")
    assert applied.backup.read_bytes() == text.encode()
    written = json.loads(path.read_text("utf-8-sig"))
    for event in AGENTS[name].installed:
        assert written["hooks"][event][-1] == expected(name, site, event)
    uninstall(name, site)
    assert path.read_bytes() == text.encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_not_there_before_is_gone_afterwards(name, site, tmp_path):
    site.home.joinpath(".config").mkdir()
    before = tree(site.home)
    install(name, site)
    uninstall(name, site)
    assert tree(site.home) == before
    assert sorted(tree(site.data_dir)) == ["client.json"]


@pytest.mark.parametrize("name", TARGETS)
def test_a_folder_that_somebody_else_uses_meanwhile_stays(name, site):
    install(name, site)
    other = config_of(name, site).with_name("other.txt")
    other.write_text("x")
    uninstall(name, site)
    assert other.read_text() == "x"
    assert not config_of(name, site).exists()


@pytest.mark.parametrize("name", NESTED)
def test_what_the_user_adds_to_our_file_survives_the_uninstall(name, site):
    install(name, site)
    path = config_of(name, site)
    written = json.loads(path.read_text())
    written["hooks"]["SessionStart"].append(THEIRS)
    written["hooks"]["SessionStart"][0]["hooks"].append({"type": "command", "command": "true"})
    path.write_text(json.dumps(written))
    uninstall(name, site)
    assert json.loads(path.read_text()) == {
        "hooks": {
            "SessionStart": [
                {**expected(name, site, "SessionStart"), "hooks": [{"type": "command", "command": "true"}]},
                THEIRS,
            ]
        }
    }


@pytest.mark.parametrize("name", NESTED)
def test_a_timeout_that_the_user_changed_is_respected(name, site):
    install(name, site)
    path = config_of(name, site)
    path.write_text(path.read_text().replace('"timeout": 10', '"timeout": 99', 1))
    (plan,) = plan_install([TARGETS[name]], site, Connection())
    assert plan.changes is False


@pytest.mark.parametrize("name", NESTED)
def test_an_entry_that_was_lost_is_added_again_at_the_end(name, site):
    path = put(config_of(name, site), json.dumps({"hooks": {"SessionStart": [THEIRS]}}))
    install(name, site)
    whole = json.loads(path.read_text())
    damaged = json.loads(path.read_text())
    del damaged["hooks"]["SessionStart"][1]
    damaged["hooks"]["SessionStart"].append({"hooks": []})
    path.write_text(json.dumps(damaged))
    install(name, site)
    whole["hooks"]["SessionStart"].insert(1, {"hooks": []})
    assert json.loads(path.read_text()) == whole


@pytest.mark.parametrize("name", NESTED)
def test_another_data_directory_takes_the_place_of_the_old_one_entry_by_entry(name, site, tmp_path):
    path = put(config_of(name, site), json.dumps({"hooks": {"SessionStart": [THEIRS]}}))
    original = path.read_bytes()
    install(name, site)
    before = path.read_text()
    moved = replace(site, data_dir=tmp_path / "elsewhere")
    applied = install(name, moved)
    assert path.read_text() == before.replace(
        f"'{site.data_dir}/hooks/{name}/hook.sh'",
        f"'{moved.data_dir}/hooks/{name}/hook.sh'".replace("'", "" if " " not in str(moved.data_dir) else "'"),
    )
    assert applied.plan.old_data_dirs == (site.data_dir,)
    uninstall(name, moved)
    assert path.read_bytes() == original


@pytest.mark.parametrize("name", NESTED)
def test_doubles_and_events_that_are_no_longer_registered_go(name, site):
    path = config_of(name, site)
    install(name, site)
    whole = json.loads(path.read_text())
    crowded = json.loads(path.read_text())
    crowded["hooks"]["SessionStart"].append(expected(name, site, "SessionStart"))
    crowded["hooks"]["PreToolUse"] = [
        {"hooks": [{"type": "command", "command": f"'{site.data_dir}/hooks/{name}/hook.sh' pre-tool-use"}]}
    ]
    path.write_text(json.dumps(crowded))
    install(name, site)
    assert json.loads(path.read_text()) == whole


THIRD_PARTY = (
    "/opt/other/hooks/{agent}/hook.sh stop",
    "/opt/ai-memory/hooks/{agent}/hook.sh stop --loud",
    "/opt/ai-memory/hooks/{agent}/hook.sh my-event",
    "AI_MEMORY_HOOK_URL=http://x /opt/ai-memory/hooks/{agent}/hook.sh stop",
    "/opt/ai-memory/hooks/{agent}/hook.sh stop; rm -rf x",
    "/opt/ai-memory/hooks/cursor/hook.sh stop",
    "hooks/{agent}/hook.sh stop",
    "echo '/opt/ai-memory/hooks/{agent}/hook.sh stop'",
    "unbalanced 'quote",
)


@pytest.mark.parametrize("line", THIRD_PARTY)
@pytest.mark.parametrize("name", NESTED)
def test_an_entry_that_only_looks_like_ours_is_never_touched(name, line, site):
    entry = {"hooks": [{"type": "command", "command": line.format(agent=name)}]}
    text = json.dumps({"hooks": {"SessionStart": [entry]}}, indent=2)
    path = put(config_of(name, site), text)
    assert uninstall(name, site).plan.changes is False
    install(name, site)
    assert json.loads(path.read_text())["hooks"]["SessionStart"] == [entry, expected(name, site, "SessionStart")]
    uninstall(name, site)
    assert path.read_text() == text


@pytest.mark.parametrize("name", NESTED)
def test_entries_whose_data_directory_was_deleted_are_still_recognised(name, site):
    text = '{"model": "m"}'
    path = put(config_of(name, site), text)
    install(name, site)
    subprocess.run(["rm", "-rf", site.data_dir], check=True)
    uninstall(name, site)
    assert path.read_text() == text


@pytest.mark.parametrize("name", TARGETS)
def test_a_chain_of_links_is_written_through(name, site, tmp_path):
    text = (
        "{}" if name in NESTED else TARGETS[name].installed(config_of(name, site), None, site).text.replace("15", "16")
    )
    real = put(tmp_path / "dotfiles" / "settings", text)
    middle = tmp_path / "middle"
    middle.symlink_to(real)
    path = config_of(name, site)
    path.parent.mkdir(parents=True)
    path.symlink_to(middle)
    install(name, site)
    assert (os.readlink(path), os.readlink(middle)) == (str(middle), str(real))
    assert f"hooks/{name}/hook.sh" in real.read_text()
    if name in NESTED:
        uninstall(name, site)
        assert (path.is_symlink(), real.read_text()) == (True, text)


@pytest.mark.parametrize("name", TARGETS)
def test_the_missing_target_of_a_link_is_made_and_removed_again(name, site, tmp_path):
    path = config_of(name, site)
    path.parent.mkdir(parents=True)
    target = tmp_path / "dotfiles" / "not yet" / "settings.json"
    path.symlink_to(target)
    install(name, site)
    assert path.is_symlink()
    assert f"hooks/{name}/hook.sh" in target.read_text()
    uninstall(name, site)
    assert path.is_symlink()
    assert not (tmp_path / "dotfiles").exists()


@pytest.mark.parametrize("name", TARGETS)
def test_a_link_to_itself_is_refused(name, site):
    path = config_of(name, site)
    path.parent.mkdir(parents=True)
    path.symlink_to(path)
    with pytest.raises(ConfigError, match=r"symbolic link that leads back to itself|cannot be read"):
        install(name, site)
    assert path.is_symlink()


RELOCATED = {
    "claude-code": ("CLAUDE_CONFIG_DIR", "settings.json"),
    "codex": ("CODEX_HOME", "hooks.json"),
    "gemini-cli": ("GEMINI_CLI_HOME", ".gemini/settings.json"),
    "open-code": ("XDG_CONFIG_HOME", "opencode/plugins/ai-memory.js"),
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_relocated_home_is_honoured_by_both_commands(name, site, tmp_path):
    variable, rest = RELOCATED[name]
    moved = replace(site, env={variable: str(tmp_path / "else where")})
    install(name, moved)
    assert [path for path in tmp_path.joinpath("else where").rglob("*") if path.is_file()] == [
        tmp_path / "else where" / rest
    ]
    assert list(site.home.iterdir()) == []
    uninstall(name, moved)
    assert not tmp_path.joinpath("else where").exists()


@pytest.mark.parametrize("name", TARGETS)
def test_files_of_former_homes_are_found_although_the_variable_is_gone(name, site, tmp_path):
    variable, _ = RELOCATED[name]
    for folder in ("first", "second"):
        install(name, replace(site, env={variable: str(tmp_path / folder)}))
    uninstall(name, replace(site, env={}))
    assert [(tmp_path / folder).exists() for folder in ("first", "second")] == [False, False]
    assert sorted(tree(site.data_dir)) == ["client.json"]


def test_a_damaged_note_is_named(site):
    install("codex", site)
    note = site.data_dir / "installed.json"
    note.write_text("[{}]")
    with pytest.raises(ConfigError, match=r"installed\.json is damaged\. Delete it"):
        uninstall("codex", site)
    note.unlink()
    uninstall("codex", site)
    assert config_of("codex", site).read_text() == "{}\n"


@pytest.mark.parametrize("name", TARGETS)
def test_an_empty_variable_relocates_nothing(name, site):
    variable, _ = RELOCATED[name]
    plain = config_of(name, replace(site, env={}))
    assert config_of(name, replace(site, env={variable: " "})) == plain
    assert plain.is_relative_to(site.home)


REFUSED = {
    "comments": (
        '{\n  // mine\n  "hooks": {}\n}',
        "{path}, line 2: there is a comment, which strict JSON does not allow. Nothing was written.",
    ),
    "hooks of a wrong type": (
        '{\n "hooks": []\n}',
        "{path}, line 2: hooks must be a JSON object. Nothing was written.",
    ),
    "event of a wrong type": (
        '{\n "hooks": {\n"SessionStart": {}}}',
        "{path}, line 3: hooks.SessionStart must be an array. Nothing was written.",
    ),
    "not an object": ("[1]", "{path}, line 1: the whole file must be a JSON object. Nothing was written."),
    "twice": (
        '{"hooks": {}, "hooks": {}}',
        '{path}, line 1: the key "hooks" stands twice in one object. Nothing was written.',
    ),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("name", NESTED)
def test_a_file_that_cannot_be_edited_safely_is_refused_and_left_alone(name, text, message, site, tmp_path):
    path = put(config_of(name, site), text)
    before = tree(tmp_path)
    with pytest.raises(ConfigError) as refused:
        install(name, site)
    assert str(refused.value) == message.format(path=path)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", NESTED)
def test_a_file_of_another_encoding_is_refused(name, site):
    path = config_of(name, site)
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(ConfigError, match=r"is not UTF-8 text \(byte 7\)"):
        install(name, site)


@pytest.mark.parametrize("name", TARGETS)
def test_a_read_only_file_is_refused_even_for_root(name, site):
    text = '{"a": 1}' if name in NESTED else "// ai-memory plugin for OpenCode, generated by hand\n"
    path = put(config_of(name, site), text)
    path.chmod(0o444)
    with pytest.raises(ConfigError, match="is read-only"):
        install(name, site)
    assert path.read_text() == text


def test_a_plugin_of_somebody_else_is_refused_and_never_removed(site):
    path = put(config_of("open-code", site), "export const Mine = async () => ({})\n")
    with pytest.raises(ConfigError, match="was not generated by ai-memory"):
        install("open-code", site)
    assert uninstall("open-code", site).plan.changes is False
    assert path.exists()


def test_the_plugin_names_the_staged_stub(site):
    install("open-code", site)
    text = config_of("open-code", site).read_text()
    assert f"const STUB = {json.dumps(str(site.data_dir / 'hooks/open-code/hook.sh'))}\n" in text
    assert "@STUB@" not in text


def test_backups_of_one_second_do_not_overwrite_each_other(site, tmp_path):
    path = put(config_of("codex", site), '{"hooks": {}}')
    first = install("codex", site).backup
    second = install("codex", replace(site, data_dir=tmp_path / "second")).backup
    assert (first, second) == (Path(f"{path}.bak-{NOW}"), Path(f"{path}.bak-{NOW}-1"))
    assert first.read_text() == '{"hooks": {}}'


def test_a_file_that_changed_since_the_plan_is_not_overwritten(site):
    (plan,) = plan_install([TARGETS["codex"]], site, Connection())
    path = put(config_of("codex", site), '{"hooks": {}}')
    with pytest.raises(ConfigError, match="was changed by somebody else"):
        apply(plan, site.data_dir, NOW)
    assert path.read_text() == '{"hooks": {}}'


def test_windows_is_refused_instead_of_configured_wrongly(site, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigError, match="cannot be installed on Windows yet"):
        plan_install([TARGETS["codex"]], site, Connection())


def test_the_shared_client_goes_with_the_last_agent(site):
    targets = list(TARGETS.values())
    for plan in plan_install(targets, site, Connection()):
        apply(plan, site.data_dir, NOW)
    uninstall("codex", site)
    assert sorted(path.name for path in (site.data_dir / "hooks").iterdir()) == [
        "claude-code",
        "client",
        "gemini-cli",
        "open-code",
        "python",
    ]
    for plan in plan_uninstall(targets, site):
        apply(plan, site.data_dir, NOW)
    assert sorted(tree(site.data_dir)) == ["client.json"]
    assert [plan.changes for plan in plan_uninstall(targets, site)] == [False] * 4


@pytest.mark.parametrize("name", NESTED)
def test_the_registered_command_runs_under_a_shell_with_spaces_in_every_path(name, site):
    install(name, site)
    written = json.loads(config_of(name, site).read_text())
    for event in AGENTS[name].installed:
        line = written["hooks"][event][0]["hooks"][0]["command"]
        done = subprocess.run(["/bin/sh", "-c", line], input=b'{"a": 1}', capture_output=True, check=True)
        assert (done.stdout, done.stderr) == (b"{}", b"")
        assert (site.data_dir / f"seen-{AGENTS[name].events[event]}.json").read_bytes() == b'{"a": 1}'


@pytest.mark.parametrize("character", ["'", '"', "$HOME", "`x`", "é", "\\", "&", "*"])
def test_any_data_directory_survives_the_shell(character, site, tmp_path):
    odd = replace(site, data_dir=tmp_path / f"a{character}b")
    install("codex", odd)
    line = json.loads(config_of("codex", odd).read_text())["hooks"]["Stop"][0]["hooks"][0]["command"]
    subprocess.run(["/bin/sh", "-c", line], input=b"{}", check=True, capture_output=True)
    assert (odd.data_dir / "seen-stop.json").exists()
    assert install("codex", odd).plan.changes is False


SPACE = st.sampled_from(["", " ", "\n", "\r\n  ", "\t", "\n    "])
ENTRY = st.sampled_from([THEIRS, {"hooks": []}, {"matcher": "é😀", "hooks": [{"type": "mcp_tool"}]}])
HOOKS = st.dictionaries(
    st.sampled_from(["SessionStart", "Stop", "PreToolUse", "Interrupt", "AfterTool"]),
    st.lists(ENTRY, max_size=2),
    max_size=4,
)
ROOT = st.dictionaries(
    st.sampled_from(["a", "hooks ", "é", "z"]),
    st.integers() | st.text() | st.lists(st.integers(), max_size=2),
    max_size=3,
)


@st.composite
def config_texts(draw):
    value = draw(ROOT)
    if draw(st.booleans()):
        value["hooks"] = draw(HOOKS)
    text = json.dumps(
        value,
        indent=draw(st.sampled_from([None, 0, 2, 4, "\t"])),
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (",", ": "), (" ,", " : ")])),
    )
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    empty = draw(SPACE)
    text = text.replace("{}", "{" + empty + "}").replace("[]", "[" + draw(SPACE) + "]")
    return draw(st.sampled_from(["", "\ufeff"])) + draw(SPACE) + text + draw(SPACE)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=config_texts(), name=st.sampled_from(NESTED), moved=st.booleans())
def test_any_file_comes_back_byte_for_byte(text, name, moved, tmp_path_factory, bundle):
    place = tmp_path_factory.mktemp("property")
    site = Site(place / "home", {}, place / "one" / "ai-memory", bundle)
    path = put(config_of(name, site), text)
    install(name, site)
    if moved:
        site = replace(site, data_dir=place / "two")
        install(name, site)
    assert json.loads(path.read_bytes().decode("utf-8-sig"))["hooks"][AGENTS[name].installed[0]][-1] == expected_plain(
        name, site
    )
    uninstall(name, site)
    assert path.read_bytes() == text.encode()


def expected_plain(name, site):
    entry = expected(name, site, AGENTS[name].installed[0])
    entry["hooks"][0]["command"] = f"{site.data_dir}/hooks/{name}/hook.sh session-start"
    return entry
