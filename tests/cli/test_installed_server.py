"""What an install has said of the server holds for every command; what it did not stage is not its to delete."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*arguments, **env):
    return subprocess.run(
        [sys.executable, "-m", "ai_memory", *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_commands_ask_the_server_that_the_hooks_were_installed_for(own_home, tmp_path, free_port):
    data, url = str(tmp_path / "data"), f"http://127.0.0.1:{free_port}"
    install = ("install-hooks", "--agent", "claude-code", "--apply", "--data-dir", data)
    assert "spooled" in run(*install, "--server-url", url).stdout
    status = run("--data-dir", data, "status")
    assert f"hooks deliver to  {url}" in status.stdout
    assert f"no server answers at {url}" in status.stderr


def test_an_address_in_the_installers_own_environment_does_not_make_the_test_green(own_home, tmp_path, free_port):
    done = run(
        "install-hooks",
        "--agent",
        "claude-code",
        "--apply",
        "--data-dir",
        str(tmp_path / "data"),
        "--json",
        AI_MEMORY_HOOK_URL=f"http://127.0.0.1:{free_port}",
    )
    assert json.loads(done.stdout)["agents"][0]["self_test"] != "arrived"


def test_uninstall_takes_entries_that_name_a_checkout_out_and_leaves_its_files(own_home, tmp_path):
    stub = own_home / "src" / "ai-memory" / "hooks" / "claude-code" / "hook.sh"
    stub.parent.mkdir(parents=True)
    stub.write_text("#!/bin/sh\n")
    settings = own_home / ".claude" / "settings.json"
    settings.parent.mkdir()
    entry = {"hooks": [{"type": "command", "command": f"{stub} stop"}]}
    settings.write_text(json.dumps({"model": "x", "hooks": {"Stop": [entry]}}))
    done = run("uninstall", "--agent", "claude-code", "--apply", "--yes", "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 0
    assert str(stub) not in settings.read_text()
    assert stub.read_text() == "#!/bin/sh\n"
