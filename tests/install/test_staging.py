"""What the hooks need, copied to where nothing moves it."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ai_memory.client.agents import AGENTS
from ai_memory.errors import ConfigError
from ai_memory.install.staging import (
    Connection,
    StagedFile,
    base_interpreter,
    bundle_folder,
    check_server_url,
    check_token,
    stage,
    staged_files,
)

CODEX = AGENTS["codex"]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_is_staged_with_its_mode(site):
    stage(staged_files(CODEX, site.data_dir, site.bundle, Connection("http://10.0.0.5:8765/", "s3cret\n", "repo-root")))
    hooks = site.data_dir / "hooks"
    assert {path.name: mode(path) for path in (hooks / "codex").iterdir()} == {"hook.sh": 0o755, "hook.ps1": 0o755}
    assert (hooks / "codex" / "hook.sh").read_bytes() == (site.bundle / "codex" / "hook.sh").read_bytes()
    assert mode(hooks / "client" / "__main__.py") == 0o644
    assert [mode(folder) for folder in (site.data_dir, hooks, hooks / "codex", hooks / "client")] == [0o700] * 4
    assert json.loads((site.data_dir / "client.json").read_text()) == {
        "server_url": "http://10.0.0.5:8765",
        "project_strategy": "repo-root",
    }
    assert (site.data_dir / "auth-token").read_text() == "s3cret\n"
    assert (mode(site.data_dir / "auth-token"), mode(site.data_dir / "client.json")) == (0o600, 0o600)


def test_the_client_is_compiled_for_the_interpreter_that_runs_it(site):
    stage(staged_files(CODEX, site.data_dir, site.bundle, Connection()))
    client = site.data_dir / "hooks" / "client"
    compiled = {path.name.split(".")[0] for path in (client / "__pycache__").iterdir()}
    assert compiled == {path.stem for path in client.glob("*.py")}


def test_the_interpreter_is_not_the_one_of_the_virtual_environment(site):
    stage(staged_files(CODEX, site.data_dir, site.bundle, Connection()))
    lines = (site.data_dir / "hooks" / "python").read_text().splitlines()
    assert lines == [str(base_interpreter())]
    prefix = subprocess.run(
        [lines[0], "-I", "-S", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True
    )
    assert prefix.stdout.strip() == sys.base_prefix


def test_staging_again_has_nothing_to_write_until_something_is_damaged(site):
    def differing():
        return [
            file.path.name for file in staged_files(CODEX, site.data_dir, site.bundle, Connection()) if file.differs()
        ]

    stage(staged_files(CODEX, site.data_dir, site.bundle, Connection()))
    assert differing() == []
    (site.data_dir / "hooks" / "codex" / "hook.sh").chmod(0o644)
    (site.data_dir / "hooks" / "python").write_text("/gone/python\n")
    assert differing() == ["hook.sh", "python"]


def test_an_install_without_flags_keeps_what_an_earlier_one_was_told(site):
    stage(staged_files(CODEX, site.data_dir, site.bundle, Connection("https://memory.example", "tok", "repo-root")))
    stage(staged_files(CODEX, site.data_dir, site.bundle, Connection()))
    assert json.loads((site.data_dir / "client.json").read_text()) == {
        "server_url": "https://memory.example",
        "project_strategy": "repo-root",
    }
    assert (site.data_dir / "auth-token").read_text() == "tok\n"


def test_an_address_equal_to_the_default_counts_when_it_is_given(site):
    stage(staged_files(CODEX, site.data_dir, site.bundle, Connection("https://memory.example")))
    stage(staged_files(CODEX, site.data_dir, site.bundle, Connection("http://127.0.0.1:49374")))
    assert json.loads((site.data_dir / "client.json").read_text())["server_url"] == "http://127.0.0.1:49374"


def test_staging_from_the_staged_copy_itself_keeps_the_files(site):
    stage(staged_files(CODEX, site.data_dir, site.bundle, Connection()))
    again = staged_files(CODEX, site.data_dir, site.data_dir / "hooks", Connection())
    stage(again)
    assert (site.data_dir / "hooks" / "codex" / "hook.sh").read_bytes() == (
        site.bundle / "codex" / "hook.sh"
    ).read_bytes()


def test_a_bundle_without_the_agents_stub_is_refused_before_anything_is_written(site):
    (site.bundle / "codex" / "hook.sh").unlink()
    with pytest.raises(ConfigError, match=r"Nothing to stage: .*/codex/hook\.sh does not exist"):
        staged_files(CODEX, site.data_dir, site.bundle, Connection())
    assert not site.data_dir.exists()


def test_a_damaged_settings_file_is_named(site):
    site.data_dir.mkdir(parents=True)
    (site.data_dir / "client.json").write_text("{")
    with pytest.raises(ConfigError, match=r"client\.json is not valid JSON"):
        staged_files(CODEX, site.data_dir, site.bundle, Connection())
    (site.data_dir / "client.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"client\.json must hold a JSON object"):
        staged_files(CODEX, site.data_dir, site.bundle, Connection())


def test_an_unknown_project_strategy_is_refused(site):
    with pytest.raises(ConfigError, match="must be one of basename, repo-root"):
        staged_files(CODEX, site.data_dir, site.bundle, Connection(project_strategy="guess"))


def test_a_data_directory_that_cannot_be_made_is_named(site, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"client\.json cannot be read: Not a directory"):
        staged_files(CODEX, tmp_path / "file" / "data", site.bundle, Connection())
    with pytest.raises(ConfigError, match="cannot be made: Not a directory"):
        stage([StagedFile(tmp_path / "file" / "data" / "x", b"", 0o600)])


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("http://127.0.0.1:49374", "http://127.0.0.1:49374"),
        ("https://memory.example/", "https://memory.example"),
        (" http://localhost:1/mcp ", "http://localhost:1"),
        ("https://example.com/memory/mcp", "https://example.com/memory"),
        ("http://[::1]:8765/mcp/", "http://[::1]:8765"),
    ],
)
def test_a_server_address_loses_what_routes_do_not_need(given, wanted):
    assert check_server_url(given) == wanted


@pytest.mark.parametrize(
    "url",
    ["", "localhost:49374", "ftp://x", "http://", "http://x:port", "http://u:p@x", "http://x?a=b", "http://x:99999"],
)
def test_an_address_that_cannot_be_used_is_refused(url):
    with pytest.raises(ConfigError, match="server address"):
        check_server_url(url)


@pytest.mark.parametrize("token", ["", "  ", "two words", "line\nbreak", "é", "a\x00b"])
def test_a_token_that_cannot_travel_in_a_header_is_refused(token):
    with pytest.raises(ConfigError, match="printable ASCII"):
        check_token(token)


def test_the_bundle_of_this_checkout_is_found():
    assert (bundle_folder() / "open-code" / "plugin.js").is_file()
    assert bundle_folder() == Path(__file__).parents[2] / "hooks"
