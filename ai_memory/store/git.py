"""Every git call of the program, through GitPython's command runner.

Plumbing commands, because `git commit` checks every page for changes: 60 ms at 10,000 pages, where staging
what was written and writing the tree takes 10.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from git.cmd import Git as Command
from git.exc import GitCommandError, GitCommandNotFound

from ai_memory.errors import StorageError
from ai_memory.store.files import private_folder

#: Who commits; the author may be somebody else.
COMMITTER = ("ai-memory", "ai-memory@local")


class GitError(StorageError):
    """Git did not do what it was asked for."""


class Git:
    """One repository with a work tree, used by one process."""

    def __init__(self, root: Path) -> None:
        self.root = private_folder(root)
        self._command = Command(str(root))
        self._environment = _environment(root)
        if not (root / ".git").exists():
            self._run("init", "--quiet", "--initial-branch=main", "--template=")
            for key, value in (
                ("core.looseCompression", "1"),
                ("index.version", "4"),
                ("gc.auto", "2000"),
                ("gc.autoDetach", "false"),
                ("core.quotePath", "false"),
                ("core.autocrlf", "false"),
            ):
                self._run("config", key, value)
        (root / ".git").chmod(0o700)
        # Git leaves its lock behind when it is killed, and refuses every commit from then on. Whoever opens the
        # repository holds the data directory's own lock, so nobody of ours is at work here.
        for name in ("index.lock", "HEAD.lock", "packed-refs.lock", "config.lock", "refs/heads/main.lock"):
            (root / ".git" / name).unlink(missing_ok=True)

    def commit(self, paths: Sequence[str], message: str, *, author: tuple[str, str] = COMMITTER) -> str:
        """Commit the present content of these paths and nothing else.

        Args:
            paths: relative to the root; a path that no longer exists is removed.
            message: subject line, and body if there is one.
            author: name and address.

        Returns:
            the new commit's id, or "" when nothing had changed.

        Raises:
            GitError: the commit was not made.
        """
        present = [path for path in paths if (self.root / path).is_file()]
        gone = [path for path in paths if path not in present]
        if present:
            self._run("update-index", "--add", "--", *present)
        if gone:
            self._run("update-index", "--force-remove", "--", *gone)
        # Every blob was just written by update-index or is in an earlier tree: looking each of them up
        # again is what makes write-tree slow on a large wiki.
        tree = self._run("write-tree", "--missing-ok")
        head = self.head()
        if head and self._run("rev-parse", "HEAD^{tree}") == tree:
            return ""
        who = {"GIT_AUTHOR_NAME": author[0], "GIT_AUTHOR_EMAIL": author[1]}
        parents = ("-p", head) if head else ()
        oid = self._run("commit-tree", tree, *parents, "-m", message, env=who)
        self._run("update-ref", "-m", "commit", "HEAD", oid, head or "0" * 40)
        return oid

    def head(self) -> str:
        """Give the id of the newest commit, "" in a repository without one."""
        try:
            return self._run("rev-parse", "--verify", "--quiet", "HEAD")
        except GitError:
            return ""

    def unstage(self, paths: Sequence[str]) -> None:
        """Bring the index back to the newest commit for these paths."""
        if self.head():
            self._run("reset", "--quiet", "HEAD", "--", *paths)
        else:
            self._run("update-index", "--force-remove", "--", *paths)

    def show(self, path: str, revision: str = "HEAD") -> str | None:
        """Read a file as it is in a commit; None when it is not there."""
        try:
            return self._run("cat-file", "blob", f"{revision}:{path}", strip=False)
        except GitError:
            return None

    def dirty(self) -> set[str]:
        """List the files that differ from the newest commit, or are not in it."""
        output = self._run("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", strip=False)
        return {entry[3:] for entry in output.split("\0") if entry}

    def log(self, limit: int) -> str:
        """Give the newest commits, a line each: short id, date, author, subject."""
        return self._run("log", f"-{limit}", "--format=%h %ad %an: %s", "--date=format:%Y-%m-%d %H:%M", "--no-color")

    def tidy(self) -> None:
        """Pack loose objects when there are many."""
        self._run("gc", "--auto", "--quiet")

    def _run(self, *arguments: str, env: Mapping[str, str] | None = None, strip: bool = True) -> str:
        try:
            output = self._command.execute(
                ["git", *arguments],
                env={**self._environment, **(env or {})},
                strip_newline_in_stdout=strip,
                stdout_as_string=True,
            )
        except GitCommandNotFound as error:
            raise GitError("git is not installed, or not on the PATH: install it and try again") from error
        except GitCommandError as error:
            reason = str(error.stderr).strip().removeprefix("stderr: ").strip("'\n ")
            raise GitError(f"git {arguments[0]} failed: {reason or error.status}") from error
        return str(output)


def _environment(root: Path) -> dict[str, str]:
    """Override everything that would let a caller's repository or settings leak in.

    A server that was started from a git hook inherits GIT_DIR and would commit into the wrong repository.
    """
    git_dir = root / ".git"
    return {
        "GIT_DIR": str(git_dir),
        "GIT_WORK_TREE": str(root),
        "GIT_INDEX_FILE": str(git_dir / "index"),
        "GIT_OBJECT_DIRECTORY": str(git_dir / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "",
        "GIT_COMMON_DIR": str(git_dir),
        "GIT_NAMESPACE": "",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_COMMITTER_NAME": COMMITTER[0],
        "GIT_COMMITTER_EMAIL": COMMITTER[1],
        "LC_ALL": "C",
    }
