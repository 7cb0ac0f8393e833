"""`install-instructions` and `install-skills`: what agents read about ai-memory, in a project or at home."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ai_memory.cli.installing import carry_out, site_of, take_out, tell_removed
from ai_memory.cli.remote import data_dir_option, settings_of
from ai_memory.client.routing import BLOCK, COMPACT_BLOCK, SKILLS, markered
from ai_memory.errors import BadRequestError
from ai_memory.install import instructions, skills
from ai_memory.install.plan import plan_install, plan_uninstall
from ai_memory.install.staging import Connection
from ai_memory.install.target import Site, Target

_AGENTS = {"both": skills.BOTH, **{name: (name,) for name in skills.ROOTS}}


@click.command("install-instructions")
@click.option(
    "--target",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A file to write; default those of CLAUDE.md, AGENTS.md and GEMINI.md that are here, else CLAUDE.md.",
)
@click.option("--no-skills", is_flag=True, help="Write no skills; the block then says all that they would.")
@click.option("--print", "print_", is_flag=True, help="Print the block and write nothing.")
@click.option("--remove", is_flag=True, help="Take the block, and the skills, out again.")
@data_dir_option
@click.pass_context
def install_instructions(
    ctx: click.Context,
    *,
    files: tuple[Path, ...],
    no_skills: bool,
    print_: bool,
    remove: bool,
    data_dir: Path | None,
) -> None:
    """Tell the agents of this project when to use ai-memory."""
    block = BLOCK if no_skills else COMPACT_BLOCK
    if print_:
        click.echo(markered(block), nl=False)
        return
    here = Path.cwd()
    there = tuple(file.absolute() for file in files) or instructions.files_in(here)
    targets = [instructions.target(there or (() if remove else (here / instructions.NAMES[0],)), block)]
    if not no_skills:
        targets.append(skills.target(skills.project_roots(skills.BOTH, here)))
    _carry_out(targets, site_of(settings_of(ctx, data_dir).data_dir), remove=remove)


@click.command("install-skills")
@click.option("--scope", type=click.Choice(["project", "global"]), default="project", show_default=True)
@click.option("--agent", type=click.Choice(list(_AGENTS)), default="both", show_default=True, help="Whose folders.")
@click.option("--target-dir", type=click.Path(path_type=Path, file_okay=False), help="Another folder of skills.")
@click.option("--force", is_flag=True, help="Replace files of the same names that somebody else wrote; keeps a backup.")
@click.option("--print", "print_", is_flag=True, help="Print the skills and write nothing.")
@click.option("--remove", is_flag=True, help="Take the skills out again.")
@data_dir_option
@click.pass_context
def install_skills(
    ctx: click.Context,
    *,
    scope: str,
    agent: str,
    target_dir: Path | None,
    force: bool,
    print_: bool,
    remove: bool,
    data_dir: Path | None,
) -> None:
    """Write the skills that tell agents how to use ai-memory."""
    if print_:
        click.echo("\n".join(f"{skill.relative_path}\n\n{skill.content}" for skill in SKILLS), nl=False)
        return
    if force and remove:
        raise BadRequestError("--remove takes out only what ai-memory wrote: --force does not go with it.")
    site = site_of(settings_of(ctx, data_dir).data_dir)
    if target_dir:
        roots: tuple[Path, ...] = (target_dir.absolute(),)
    elif scope == "global":
        roots = skills.global_roots(_AGENTS[agent], site)
    else:
        roots = skills.project_roots(_AGENTS[agent], Path.cwd())
    _carry_out([skills.target(roots, force=force)], site, remove=remove)


def _carry_out(targets: list[Target], site: Site, *, remove: bool) -> None:
    if not remove:
        carry_out(plan_install(targets, site, Connection()), site, as_json=False)
        return
    done, refused = take_out(plan_uninstall(targets, site, everywhere=False), site)
    tell_removed(done, refused, as_json=False)
    if refused:
        sys.exit(1)
    if not done:
        click.echo("Nothing to remove.")
