"""The block in CLAUDE.md and its like, and the skills: written, brought up to date, and taken out without a trace."""

from dataclasses import replace

import pytest

from ai_memory.client.routing import BLOCK, COMPACT_BLOCK, MARKER_END, MARKER_START, SKILLS, markered
from ai_memory.errors import ConfigError
from ai_memory.install import instructions, skills
from ai_memory.install.plan import apply, plan_install, plan_uninstall
from ai_memory.install.staging import Connection

NOW = 1_800_000_000


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "a project"
    folder.mkdir()
    return folder


def install(target, site):
    return [apply(plan, site.data_dir, NOW) for plan in plan_install([target], site, Connection())]


def uninstall(target, site, *, everywhere=True):
    return [apply(plan, site.data_dir, NOW) for plan in plan_uninstall([target], site, everywhere=everywhere)]


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if ".bak-" not in path.name
    }


TEXTS = {
    "empty": "",
    "blank": "\n",
    "no line end": "# Mine\n\nrules",
    "a line end": "# Mine\n\nrules\n",
    "empty lines at the end": "# Mine\n\n\n\n",
    "crlf": "# Mine\r\nrules\r\n",
    "byte order mark": "\ufeff# Mine\n",
    "quoted markers": f"Write `{MARKER_START}` and\n  {MARKER_END}\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_block_is_added_brought_up_to_date_and_taken_out_byte_for_byte(text, project, site):
    path = project / "AGENTS.md"
    path.write_bytes(text.encode())
    (first,) = install(instructions.target((path,), COMPACT_BLOCK), site)
    assert (first.backup is not None) is True
    written = path.read_bytes().decode()
    assert written.startswith(text)
    assert written.replace("\r\n", "\n").endswith(markered(COMPACT_BLOCK))
    assert ("\r\n" in text) == ("\r\n" in written)
    install(instructions.target((path,), BLOCK), site)
    assert path.read_bytes().decode().replace("\r\n", "\n").endswith(markered(BLOCK))
    assert path.read_bytes().decode().startswith(text)
    uninstall(instructions.target((path,)), site)
    assert path.read_bytes() == text.encode()


def test_a_second_run_changes_nothing(project, site):
    path = project / "CLAUDE.md"
    path.write_text("# Mine\n")
    install(instructions.target((path,), BLOCK), site)
    before = tree(project)
    (plan,) = plan_install([instructions.target((path,), BLOCK)], site, Connection())
    assert (plan.changes, plan.diff()) == (False, "")
    assert tree(project) == before


def test_a_block_in_the_middle_is_replaced_in_its_place(project, site):
    path = project / "CLAUDE.md"
    path.write_text(f"before\n{MARKER_START}\nold\n{MARKER_END}\nafter\n")
    install(instructions.target((path,), COMPACT_BLOCK), site)
    assert path.read_text() == f"before\n{markered(COMPACT_BLOCK)}after\n"
    uninstall(instructions.target((path,)), site)
    assert path.read_text() == "before\nafter\n"


def test_without_a_note_one_empty_line_goes_with_the_block(project, site):
    path = project / "CLAUDE.md"
    path.write_text(f"# Mine\n\n{markered(BLOCK)}")
    uninstall(instructions.target((path,)), site)
    assert path.read_text() == "# Mine\n"


def test_what_the_user_writes_behind_the_block_stays(project, site):
    path = project / "CLAUDE.md"
    path.write_text("# Mine")
    install(instructions.target((path,), BLOCK), site)
    path.write_text(path.read_text() + "\nmore\n")
    uninstall(instructions.target((path,)), site)
    assert path.read_text() == "# Mine\n\nmore\n"


def test_a_file_that_was_made_for_the_block_goes_unless_somebody_wrote_into_it(project, site):
    path = project / "CLAUDE.md"
    install(instructions.target((path,), BLOCK), site)
    assert path.read_text() == markered(BLOCK)
    uninstall(instructions.target((path,)), site)
    assert tree(project) == {}
    install(instructions.target((path,), BLOCK), site)
    path.write_text("# Mine\n" + path.read_text())
    uninstall(instructions.target((path,)), site)
    assert path.read_text() == "# Mine\n"


BROKEN = (
    f"{MARKER_START}\nno end\n",
    f"no start\n{MARKER_END}\n",
    f"{MARKER_END}\n{MARKER_START}\n",
    f"{markered('one')}{markered('two')}",
)


@pytest.mark.parametrize("text", BROKEN)
def test_markers_that_are_no_pair_are_refused_and_left_alone(text, project, site):
    path = project / "CLAUDE.md"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"once each and in this order\. Nothing was written"):
        install(instructions.target((path,), BLOCK), site)
    with pytest.raises(ConfigError, match="once each and in this order"):
        uninstall(instructions.target((path,)), site)
    assert path.read_text() == text


EXAMPLES = f"# How to\n\n```markdown\n{MARKER_START}\nexample\n{MARKER_END}\n```\n"


def test_markers_that_a_text_shows_as_an_example_are_no_block(project, site):
    path = project / "CLAUDE.md"
    path.write_text(EXAMPLES)
    install(instructions.target((path,), BLOCK), site)
    install(instructions.target((path,), BLOCK), site)
    assert path.read_text() == f"{EXAMPLES}\n{markered(BLOCK)}"
    uninstall(instructions.target((path,)), site)
    assert path.read_text() == EXAMPLES


def test_a_block_behind_a_byte_order_mark_is_brought_up_to_date(project, site):
    path = project / "CLAUDE.md"
    path.write_text(f"\ufeff{markered('old')}Mine.\n", "utf-8")
    install(instructions.target((path,), BLOCK), site)
    assert path.read_text("utf-8") == f"\ufeff{markered(BLOCK)}Mine.\n"


def test_the_files_of_a_project_are_those_that_are_there_each_once(project):
    assert instructions.files_in(project) == ()
    (project / "AGENTS.md").write_text("x")
    (project / "CLAUDE.md").symlink_to("AGENTS.md")
    (project / "GEMINI.md").write_text("y")
    assert instructions.files_in(project) == (project / "CLAUDE.md", project / "GEMINI.md")


def test_an_uninstall_finds_the_blocks_of_other_projects(project, site, tmp_path):
    other = tmp_path / "other" / "CLAUDE.md"
    other.parent.mkdir()
    other.write_text("# Theirs\n")
    install(instructions.target((other,), BLOCK), site)
    here = project / "CLAUDE.md"
    install(instructions.target((here,), BLOCK), site)
    uninstall(instructions.target((here,)), site, everywhere=False)
    assert (here.exists(), MARKER_START in other.read_text()) == (False, True)
    uninstall(instructions.target(()), site)
    assert other.read_text() == "# Theirs\n"
    assert tree(site.data_dir) == {}


def test_a_read_only_file_is_refused(project, site):
    path = project / "CLAUDE.md"
    path.write_text("# Mine\n")
    path.chmod(0o444)
    with pytest.raises(ConfigError, match="is read-only"):
        install(instructions.target((path,), BLOCK), site)


def test_every_skill_is_a_file_of_its_own_and_all_go_again(project, site):
    target = skills.target(skills.project_roots(skills.BOTH, project))
    install(target, site)
    assert tree(project) == {
        name: content
        for root in (".claude", ".agents")
        for name, content in {
            root: None,
            f"{root}/skills": None,
            **{f"{root}/skills/{skill.name}": None for skill in SKILLS},
            **{f"{root}/skills/{skill.relative_path}": skill.content.encode() for skill in SKILLS},
        }.items()
    }
    assert [plan.changes for plan in plan_install([target], site, Connection())] == [False] * 10
    uninstall(target, site)
    assert tree(project) == {}
    assert tree(site.data_dir) == {}


def test_a_folder_of_skills_that_somebody_else_uses_stays(project, site):
    mine = project / ".claude" / "skills" / "mine" / "SKILL.md"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    before = tree(project)
    target = skills.target(skills.project_roots(("claude-code",), project))
    install(target, site)
    uninstall(target, site)
    assert tree(project) == before


def test_of_a_skill_that_somebody_changed_a_copy_stays(project, site):
    target = skills.target((project / "skills",))
    install(target, site)
    path = project / "skills" / SKILLS[0].relative_path
    path.write_text(SKILLS[0].content + "\nMine.\n")
    done = uninstall(target, site)
    assert [one.backup.read_text() for one in done if one.backup] == [SKILLS[0].content + "\nMine.\n"]
    assert not path.exists()


def test_an_old_skill_of_ours_is_brought_up_to_date(project, site):
    target = skills.target((project / "skills",))
    install(target, site)
    path = project / "skills" / SKILLS[0].relative_path
    path.write_text(SKILLS[0].content + "older\n")
    install(target, site)
    assert path.read_text() == SKILLS[0].content


def test_a_skill_of_somebody_else_is_never_removed_and_replaced_only_with_force(project, site):
    path = project / "skills" / SKILLS[1].relative_path
    path.parent.mkdir(parents=True)
    path.write_text("---\nname: theirs\n---\n")
    with pytest.raises(ConfigError, match=r"was not written by ai-memory.*--force"):
        install(skills.target((project / "skills",)), site)
    assert list(tree(project / "skills")) == [SKILLS[1].name, SKILLS[1].relative_path]
    uninstall(skills.target((project / "skills",)), site)
    assert path.read_text() == "---\nname: theirs\n---\n"
    done = install(skills.target((project / "skills",), force=True), site)
    assert [one.backup.read_text() for one in done if one.backup] == ["---\nname: theirs\n---\n"]
    assert path.read_text() == SKILLS[1].content


def test_global_skills_stand_where_each_agent_looks(site, tmp_path):
    assert skills.global_roots(tuple(skills.ROOTS), site) == (
        site.home / ".claude" / "skills",
        site.home / ".agents" / "skills",
        site.home / ".devin" / "skills",
        site.home / ".grok" / "skills",
    )
    moved = replace(site, env={"CLAUDE_CONFIG_DIR": str(tmp_path / "c"), "GROK_HOME": str(tmp_path / "g")})
    assert skills.global_roots(("claude-code", "grok"), moved) == (tmp_path / "c" / "skills", tmp_path / "g" / "skills")
