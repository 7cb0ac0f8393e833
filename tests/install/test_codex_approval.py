"""What Codex's own files say about the approval of our hooks."""

import json
from dataclasses import replace

import pytest

from ai_memory.client.agents import AGENTS
from ai_memory.errors import ConfigError
from ai_memory.install import codex
from ai_memory.install.plan import TARGETS, apply, plan_install
from ai_memory.install.staging import Connection

KEYS = (
    "session_start",
    "user_prompt_submit",
    "post_tool_use",
    "pre_compact",
    "post_compact",
    "stop",
    "interrupt",
    "session_end",
)


def install(site):
    (plan,) = plan_install([TARGETS["codex"]], site, Connection())
    apply(plan, site.data_dir, 1)
    return plan.config


def approve(site, path, keys=KEYS, extra="", position="0:0"):
    lines = [
        f'[hooks.state.{json.dumps(f"{path}:{key}:{position}")}]\ntrusted_hash = "sha256:00"\n{extra}' for key in keys
    ]
    codex.home(site).joinpath("config.toml").write_text('model = "m"\n' + "\n".join(lines))


def test_nothing_is_said_when_nothing_is_installed(site):
    assert codex.trust_hint(site) is None
    assert codex.approvals(site) == []


def test_a_fresh_install_is_not_approved_yet(site):
    install(site)
    assert codex.trust_hint(site) == "Codex has not approved the hooks. Open Codex, type /hooks and approve them."
    assert [approval.event for approval in codex.approvals(site)] == list(AGENTS["codex"].installed)


def test_an_approval_of_every_entry_leaves_nothing_to_say(site):
    path = install(site)
    approve(site, path)
    assert codex.trust_hint(site) is None
    assert {approval.state for approval in codex.approvals(site)} == {"approved"}


def test_the_entries_that_miss_their_approval_are_named(site):
    path = install(site)
    approve(site, path, KEYS[:-2])
    assert (
        codex.trust_hint(site)
        == "Codex has not approved these hooks: Interrupt, SessionEnd. Open Codex, type /hooks and approve them."
    )


def test_an_approval_for_another_position_does_not_count(site):
    own = json.dumps({"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "true"}]}]}})
    codex.home(site).mkdir(parents=True)
    codex.config_file(site).write_text(own)
    path = install(site)
    approve(site, path)
    assert "these hooks: SessionStart." in codex.trust_hint(site)
    approve(site, path, KEYS[:1], position="1:0")
    assert codex.approvals(site)[0].state == "approved"


def test_a_hook_that_was_switched_off_is_told_apart(site):
    path = install(site)
    approve(site, path, extra="enabled = false\n")
    assert codex.trust_hint(site).startswith("These hooks are switched off in Codex: SessionStart, ")


def test_an_approval_under_the_resolved_path_counts(site, tmp_path):
    real = tmp_path / "real codex"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    linked = replace(site, env={"CODEX_HOME": str(tmp_path / "link")})
    install(linked)
    approve(linked, real / "hooks.json")
    assert codex.trust_hint(linked) is None


@pytest.mark.parametrize("text", ["hooks = 1", "[hooks]\nstate = 2", "[hooks.state]\nx = 3"])
def test_a_config_of_another_shape_holds_no_approval(text, site):
    install(site)
    codex.home(site).joinpath("config.toml").write_text(text)
    assert "has not approved the hooks" in codex.trust_hint(site)


def test_files_that_cannot_be_read_are_reported_not_guessed(site):
    install(site)
    codex.home(site).joinpath("config.toml").write_text("= nonsense")
    assert codex.trust_hint(site).startswith("Codex's hooks could not be checked: ")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        codex.approvals(site)


def test_the_advice_names_the_approval_until_it_is_there(site):
    path = install(site)
    said = codex.advice(path, site)
    assert said[0] == "Codex runs no hook before you approve it: start codex and trust the hooks there, or type /hooks."
    assert str(codex.home(site) / "config.toml") in said[1]
    approve(site, path)
    assert codex.advice(path, site) == (
        "Codex has an approval on record for every hook. Should it ask again, look at /hooks.",
    )
