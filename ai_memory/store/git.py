"""Every git call of the program, through GitPython's command runner.

Plumbing commands, because `git commit` checks every page for changes: 60 ms at 10,000 pages, where staging
what was written and writing the tree takes 10.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from ai_memory.errors import NotFoundError, StorageError
from ai_memory.store.files import is_plain, private_folder, write_whole
from ai_memory.store.steps import Step, reached

try:
    # It looks for the program at once.
    from git.cmd import Git as Command
    from git.exc import GitCommandNotFound
except ImportError as error:
    raise StorageError("git was not found on the PATH: install it, or put its folder there") from error

#: Who commits; the author may be somebody else.
COMMITTER = ("ai-memory", "ai-memory@local")

#: `subprocess.PIPE`, which only the modules that start programs themselves import.
_PIPE = -1
_ID = re.compile(r"[0-9a-f]{40}")
#: What git leaves behind when it is killed: it refuses to work as long as these are there.
_LOCKS = (
    "*.lock",
    "packed-refs.new",
    "refs/**/*.lock",
    "logs/**/*.lock",
    "objects/info/**/*.lock",
    "objects/pack/*.lock",
)
#: Where `diff` has its two files for a moment.
_DIFF_FOLDER = "ai-memory-diff."
#: What says that somebody is in the middle of something, of which a commit of ours would make an end: file -> what.
_UNFINISHED = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
}
#: Two machines that add to one ledger are no conflict.
_ATTRIBUTES = "log-*.md merge=union\n"
#: What a rewrite writes to before the real refs move.
_NEW_COMMITS = "refs/rewrite/new"
_MARKS = "rewrite-marks"
#: What may hold old content or names outside of the objects that git itself keeps or throws away: unfinished packs,
#: packs that are marked to be kept, the files of a merge, a rebase or a commit in progress, recorded conflicts. The
#: commit graph names commits that are about to go.
_LEFTOVERS = (
    "[A-Z]*_*",
    "rebase-merge",
    "rebase-apply",
    "sequencer",
    "rr-cache",
    "fast_import_crash_*",
    _MARKS,
    f"{_DIFF_FOLDER}*",
    "objects/pack/*.keep",
    "objects/pack/*tmp*",
    "objects/info/commit-graph",
    "objects/info/commit-graphs",
)
#: One line of `git diff-tree`'s raw form; the path is the next one.
_RAW = re.compile(rb"\n?:(\d{6}) (\d{6}) ([0-9a-f]+) ([0-9a-f]+) [A-Z]")
_FORMAT = "%H%x00%P%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd%x00%s%x00%B"
#: Reads the commits whose ids it is given.
_READ = (
    *("diff-tree", "--stdin", "-r", "--root", "--always", "-z", "--raw", "--no-renames", "--no-abbrev"),
    *("--ignore-submodules=none", "--diff-merges=first-parent", "--encoding=UTF-8", "--date=raw"),
    f"--format={_FORMAT}",
)
#: The settings of a repository that may come from elsewhere.
_HARMLESS = re.compile(r"remote\..+\.(url|pushurl|fetch)|branch\..+\.(remote|merge)|user\.(name|email)")
_NOTHING = b"000000"
_SUBMODULE = b"160000"


class GitError(StorageError):
    """Git did not do what it was asked for."""


class MergeUnfinishedError(GitError):
    """Somebody is in the middle of a merge, a rebase or the like: nothing can be committed until it is done."""

    status = 409


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit did to one file: its new content's id, "" when the file is gone."""

    path: str
    blob: str


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit, with what it changed against its first parent."""

    oid: str
    #: The committer's date, UTC.
    at: datetime
    #: Name and address.
    author: tuple[str, str]
    subject: str
    changes: tuple[Change, ...]
    parents: tuple[str, ...] = ()


def blob_of(content: bytes) -> str:
    """Give the id that git gives to a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class Git:
    """One repository with a work tree, used by one process."""

    def __init__(self, root: Path) -> None:
        self.root = private_folder(root)
        self._command = Command(str(root))
        self._environment = _environment(root)
        #: The newest commit, its tree, and the one before, as far as they are known.
        self._newest = ("", "", "")
        #: Git's index as we left it: who else touches it may leave conflicts in it.
        self._index = (0, 0)
        #: Held by who packs or removes objects: what one of them throws away another one would put into a new pack.
        self._packing = threading.Lock()
        if not all((root / ".git" / name).exists() for name in ("config", "info/attributes")):
            self._make()
        (root / ".git").chmod(0o700)
        # Git leaves its lock behind when it is killed, and refuses every commit from then on. Whoever opens the
        # repository holds the data directory's own lock, so nobody of ours is at work here.
        for pattern in (*_LOCKS, f"{_DIFF_FOLDER}*"):
            _delete((root / ".git").glob(pattern))

    def _make(self) -> None:
        """Make the repository, or only its settings where the rest is there."""
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
        (self.root / ".git" / "config").chmod(0o600)
        private_folder(self.root / ".git" / "info")
        write_whole(self.root / ".git" / "info" / "attributes", _ATTRIBUTES.encode())

    def disarm(self) -> None:
        """Take out of a repository that came from elsewhere what could make git run a program or read other folders.

        Its remotes, branches and the user's name stay; every other setting, hook, filter and borrowed store goes.

        Raises:
            GitError: its settings cannot be read.
        """
        folder = self.root / ".git"
        listed = self._bytes("config", "--file", str(folder / "config"), "--no-includes", "--list", "-z")
        pairs = (piece.decode("utf-8", "replace").partition("\n") for piece in _pieces(listed))
        kept = [(key, value) for key, _, value in pairs if _HARMLESS.fullmatch(key)]
        _delete([folder / "config", folder / "config.worktree", folder / "info" / "attributes", folder / "hooks"])
        _delete((folder / "objects" / "info").glob("*alternates"))
        self._make()
        for key, value in kept:
            self._run("config", "--add", key, value)

    def commit(
        self,
        paths: Sequence[str],
        message: str,
        *,
        author: tuple[str, str] = COMMITTER,
        at: datetime | None = None,
    ) -> str:
        """Commit the present content of these paths, and whatever else was staged.

        Args:
            paths: relative to the root; a path that no longer exists is removed. There may be tens of thousands.
            message: subject line, and body if there is one.
            author: name and address.
            at: the author's and the committer's date; the clock's when there is none.

        Returns:
            the new commit's id, or "" when nothing had changed.

        Raises:
            GitError: the commit was not made.
            MergeUnfinishedError: it must not be made now.
        """
        self.check_free()
        # What is behind a link is none of ours, and git takes nothing from there either.
        present = {path for path in paths if is_plain(self.root, path)}
        gone = [path for path in paths if path not in present]
        if gone:
            self._run("update-index", "--force-remove", "-z", "--stdin", given=_listed(gone))
        if present:
            # --remove: a file may be deleted right now. --replace: it may stand where a folder was, or the reverse.
            flags = ("--add", "--remove", "--replace")
            self._run("update-index", *flags, "-z", "--stdin", given=_listed(sorted(present)))
        reached(Step.COMMIT_STAGED)
        # Every blob was just written by update-index or is in an earlier tree: looking each of them up
        # again is what makes write-tree slow on a large wiki.
        tree = self._run("write-tree", "--missing-ok")
        head = self.head()
        if head and self._tree_of(head) == tree:
            return ""
        who = {"GIT_AUTHOR_NAME": author[0], "GIT_AUTHOR_EMAIL": author[1]}
        if at:
            who["GIT_AUTHOR_DATE"] = who["GIT_COMMITTER_DATE"] = f"@{int(at.timestamp())} +0000"
        parents = ("-p", head) if head else ()
        text = message if message.endswith("\n") else f"{message}\n"
        oid = self._run("commit-tree", tree, *parents, env=who, given=text.encode("utf-8", "replace"))
        self._run("update-ref", "-m", "commit", "HEAD", oid, head or "0" * 40)
        self._newest = (oid, tree, head)
        self._index = self._index_state()
        return oid

    def unfinished(self) -> str:
        """Say what somebody is in the middle of, so that nothing may be committed; "" when nothing is."""
        folder = self.root / ".git"
        if not folder.exists():
            return ""
        what = next((what for name, what in _UNFINISHED.items() if (folder / name).exists()), "")
        state = self._index_state()
        if not what and state != self._index:
            # `git stash pop` leaves conflicts and no other trace. To ask git costs a process.
            if self._bytes("ls-files", "--unmerged", "-z"):
                what = "a merge"
            else:
                self._index = state
        return f"{what} is not finished in {self.root}: finish or abort it, with git" if what else ""

    def check_free(self) -> None:
        """Refuse to work in the middle of somebody's merge.

        Raises:
            MergeUnfinishedError: that is where we are.
        """
        if unfinished := self.unfinished():
            raise MergeUnfinishedError(unfinished)

    def _index_state(self) -> tuple[int, int]:
        try:
            about = (self.root / ".git" / "index").stat()
        except FileNotFoundError:
            return (0, 0)
        return about.st_mtime_ns, about.st_ino

    def _tree_of(self, commit: str) -> str:
        if self._newest[0] != commit:
            self._newest = (commit, self._run("rev-parse", f"{commit}^{{tree}}"), "")
        return self._newest[1]

    def move(self, old: str, new: str) -> None:
        """Rename a folder in git's index only: what was below `old` is below `new`. Again is nothing.

        Raises:
            GitError: nothing was moved.
        """
        removed, added = [], []
        for entry in _pieces(self._bytes("ls-files", "--stage", "-z", "--", f"{old}/")):
            mode, _, path = entry.partition(b"\t")
            target = new.encode("utf-8", "surrogateescape") + path[len(old.encode("utf-8", "surrogateescape")) :]
            removed.append(b"0 %s\t%s\0" % (b"0" * 40, path))
            added.append(b"%s\t%s\0" % (mode, target))
        if removed:
            self._run("update-index", "-z", "--index-info", given=b"".join(removed + added))

    def head(self) -> str:
        """Give the id of the newest commit, "" in a repository without one."""
        # Asked with every write: a process for it is a tenth of a commit. Git is asked where the file says nothing.
        folder = self.root / ".git"
        with contextlib.suppress(OSError, UnicodeDecodeError):
            name = (folder / "HEAD").read_text("ascii").strip().removeprefix("ref: ")
            oid = name if _ID.fullmatch(name) else (folder / name).read_text("ascii").strip()
            if _ID.fullmatch(oid):
                return oid
        try:
            return self._run("rev-parse", "--verify", "--quiet", "HEAD")
        except GitError:
            return ""

    def unstage(self, paths: Sequence[str] | None = None) -> None:
        """Bring the index back to the newest commit for these paths, or for all; not in the middle of a merge."""
        if self.unfinished():
            return
        if paths is None:
            if self.head() and self._ask("diff-index", "--cached", "--quiet", "HEAD")[0]:
                self._run("reset", "--quiet")
        elif self.head():
            source = ("--pathspec-from-file=-", "--pathspec-file-nul")
            self._run("reset", "--quiet", *source, "HEAD", given=_listed(paths))
        else:
            self._run("update-index", "--force-remove", "-z", "--stdin", given=_listed(paths))

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

    def tidy(self) -> None:
        """Pack loose objects when there are many."""
        with self._packing:
            self._run("gc", "--auto", "--quiet")

    def pack(self) -> None:
        """Pack everything. Others may commit meanwhile."""
        # What nothing leads to would be kept in a pack of its own, where `prune` does not look.
        with self._packing:
            self._run("-c", "gc.cruftPacks=false", "gc", "--quiet")

    def prune(self) -> None:
        """Delete the loose objects that nothing leads to. The caller lets nobody commit meanwhile."""
        with self._packing:
            self._run("prune", "--expire=now")

    # History

    def commits(self) -> Iterator[Commit]:
        """Read all commits of HEAD's history, also those of merged branches, parents first, one at a time."""
        if self.head():
            yield from map(_commit, self._walk("--topo-order", "--reverse", "HEAD"))

    def chain(self, since: str = "") -> Iterator[Commit]:
        """Read HEAD, its first parent, the first parent of that, and so on; the oldest first, one at a time.

        That is what this repository's branch held: a merge is one commit of it, with all that it brought.

        Args:
            since: leave out the commits of this one's history. Where it is in the chain itself, it is the first
                parent of the first commit given; where none is given, it has to be HEAD.

        Raises:
            NotFoundError: there is no commit `since` (any more).
        """
        head = self.head()
        if not head:
            return
        if since and self._newest[::2] == (head, since):
            # The one that we just made: nobody has to be asked which it is, which saves a process at each commit.
            yield from map(_commit, _history(BytesIO(self._bytes(*_READ, given=f"{head}\n".encode("ascii")))))
            return
        try:
            which = ("--first-parent", "--reverse", "HEAD", *([f"^{since}"] if since else []))
            yield from map(_commit, self._walk(*which))
        except GitError:
            if since:
                self.resolve(since)
            raise

    def recent(self, limit: int) -> list[Commit]:
        """Give the newest commits of HEAD's history, the newest first."""
        return [_commit(past) for past in self._walk(f"--max-count={limit}", "HEAD")] if self.head() else []

    def changed(self, path: str, revision: str) -> Commit | None:
        """Find the commit that made a file what it is (or is not) at a revision; None when it never was."""
        found = list(self._walk("--max-count=1", revision, "--", path))
        return _commit(found[0]) if found else None

    def resolve(self, revision: str) -> str:
        """Give the full id of the commit that an id, a short id, a branch or an expression like `HEAD~2` means.

        Raises:
            NotFoundError: it means none.
        """
        # A dash would make an option of it; control characters and half surrogates cannot even be asked for.
        if revision and revision.isprintable() and not revision.startswith("-"):
            asked = f"{revision}^{{commit}}"
            status, output, _ = self._ask("rev-parse", "--verify", "--quiet", asked)
            oid = output.decode("ascii", "replace").strip()
            if not status and _ID.fullmatch(oid):
                return oid
        raise NotFoundError(f"there is no revision {revision!r} in the wiki's history: `history` lists those of a page")

    def tree(self, revision: str, folder: str = "") -> dict[str, str]:
        """List the files of a commit, all or those below a folder: path from the root -> blob.

        Raises:
            NotFoundError: there is no such commit.
        """
        below = (f"{folder.rstrip('/')}/",) if folder else ()
        output = self._bytes("ls-tree", "-r", "-z", "--full-tree", self.resolve(revision), "--", *below)
        files = {}
        for entry in _pieces(output):
            about, _, path = entry.partition(b"\t")
            mode, _, oid = about.split(b" ")
            if mode != _SUBMODULE:
                files[_path(path)] = oid.decode("ascii")
        return files

    # Contents

    def blobs(self, oids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Read contents by their ids, one at a time; what is missing is left out."""
        waiting = iter(oids)
        with self._process("cat-file", "--batch", istream=_PIPE) as process:
            # A few at once, so that git and we work at the same time; few enough for their ids to fit into a pipe.
            while some := list(islice(waiting, 64)):
                for oid, content in zip(some, _contents(process, some), strict=True):
                    if content is not None:
                        yield oid, content

    def blob(self, oid: str) -> bytes:
        """Read a content by its id.

        Raises:
            NotFoundError: there is none.
        """
        for _, content in self.blobs([oid] if _ID.fullmatch(oid) else []):
            return content
        raise NotFoundError(f"there is no content {oid!r} in the wiki's history: it may have been purged")

    def diff(self, old: bytes, new: bytes, old_name: str, new_name: str) -> str:
        """Compare two texts: a unified diff, "" when they are equal."""
        if old == new:
            return ""
        # By git: difflib takes 36 s for 500 changed lines in a page of 5 MB.
        with tempfile.TemporaryDirectory(prefix=_DIFF_FOLDER, dir=self.root / ".git") as folder:
            sides = (Path(folder, "old"), Path(folder, "new"))
            for side, content in zip(sides, (old, new), strict=True):
                side.write_bytes(content)
            flags = ("--no-index", "--text", "--unified=3", "--no-color", "--no-ext-diff", "--no-textconv")
            status, output, reason = self._ask("diff", *flags, "--", *map(str, sides))
        if status > 1:
            raise _failed("diff", status, reason)
        hunks = output[output.index(b"\n@@ ") + 1 :]
        return f"--- {old_name}\n+++ {new_name}\n{hunks.decode('utf-8', 'replace')}"

    # The past made another

    def rewrite(
        self,
        gone: Callable[[str], bool],
        edit: Callable[[str, bytes], bytes] | None,
        edited: Callable[[str], bool],
        message: Callable[[str], str],
    ) -> int:
        """Take content out of the whole history, and out of the repository's files.

        Files leave all commits of all refs, other files and the messages are edited, and commits that are left
        without a change go. Authors and dates stay, signatures of changed commits do not; commits before the first
        change keep their ids. Stashes, reflogs, merges in progress and refs to anything but commits are deleted. The
        work tree is untouched, and git's index is that of HEAD.

        It may be killed at any moment and done again. The caller lets nobody commit meanwhile.

        Args:
            gone: says which paths go.
            edit: gives a file's new content; what it gave must not change when it is edited again.
            edited: says which paths `edit` is for.
            message: gives a commit's or a tag's new message.

        Returns:
            how many commits lost or changed files of their own or their message; 0 when it is done again.

        Raises:
            GitError: it was not finished; nothing is lost.
        """
        if any((self.root / ".git" / "worktrees").glob("*")):
            raise GitError(
                f"the history cannot be rewritten while other work trees hold on to it: remove them with "
                f"`git worktree remove` ({self.root})"
            )
        with self._packing:
            return self._rewrite(gone, edit, edited, message)

    def _rewrite(
        self,
        gone: Callable[[str], bool],
        edit: Callable[[str, bytes], bytes] | None,
        edited: Callable[[str], bool],
        message: Callable[[str], str],
    ) -> int:
        with self._process("cat-file", "--batch", istream=_PIPE) as reader:
            history = _Rewritten(gone, edit, edited, message, lambda oid: next(_contents(reader, [oid])))
            self._import(history)
        reached(Step.REWRITE_WRITTEN)
        head = self.head()
        new_head = history.now(head) if head else ""
        detached = bool(self._ask("symbolic-ref", "--quiet", "HEAD")[0])
        if detached and not new_head:
            raise GitError(f"nothing would be left of the detached HEAD: check out a branch first ({self.root})")
        # Before the refs: a commit on top of an old index would bring everything back.
        self._run("read-tree", new_head or "--empty")
        self._run("update-index", "-q", "--ignore-missing", "--refresh")
        reached(Step.REWRITE_STAGED)
        self._move_refs(history, f"update HEAD {new_head} {head}\n" if detached and new_head != head else "")
        reached(Step.REWRITE_MOVED)
        self._forget()
        return history.count

    def _import(self, history: _Rewritten) -> None:
        """Write the new commits; no ref but `_NEW_COMMITS` leads to them."""
        marks = self.root / ".git" / _MARKS
        marks.unlink(missing_ok=True)
        # --done: a stream that ends because we were killed is none. Dates as they are, also impossible ones.
        flags = ("--quiet", "--force", "--done", "--date-format=raw-permissive", f"--export-marks={marks}")
        every = ("--exclude=refs/stash", f"--exclude={_NEW_COMMITS}", "--all")
        with self._process("fast-import", *flags, istream=_PIPE) as importer:
            for past in self._walk("--topo-order", "--reverse", *every):
                importer.stdin.writelines(history.commands(past))
            importer.stdin.write(b"done\n")
        history.marks = dict(line.split(" ") for line in marks.read_text("ascii").splitlines())

    def _move_refs(self, history: _Rewritten, detached: str) -> None:
        """Let every ref lead to the new commits, in one transaction."""
        moves = []
        fields = "%(refname)%00%(objecttype)%00%(objectname)%00%(symref)"
        for line in self._bytes("for-each-ref", f"--format={fields}").splitlines():
            name, kind, oid, symbolic = line.decode("utf-8", "surrogateescape").split("\0")
            if symbolic:
                continue
            new = "" if name in {"refs/stash", _NEW_COMMITS} else self._stand_in(history, kind, oid)
            if new != oid:
                moves.append(f"update {name} {new} {oid}\n" if new else f"delete {name} {oid}\n")
        if detached:
            moves += ["option no-deref\n", detached]
        if moves:
            self._run("update-ref", "--stdin", given="".join(moves).encode("utf-8", "surrogateescape"))

    def _stand_in(self, history: _Rewritten, kind: str, oid: str) -> str:
        """Give what a ref to this object leads to from now on, "" for nothing."""
        if kind == "commit":
            return history.now(oid)
        if kind != "tag":
            return ""
        head, _, text = self._bytes("cat-file", "tag", oid).partition(b"\n\n")
        target, of, *rest = head.split(b"\n")
        old = target.removeprefix(b"object ").decode("ascii")
        new = self._stand_in(history, of.removeprefix(b"type ").decode("ascii"), old)
        former = text.decode("utf-8", "surrogateescape")
        latter = history.message(former)
        if not new or (new, latter) == (old, former):
            return oid if new else ""
        # A signature does not fit any more.
        latter = latter.partition("-----BEGIN ")[0]
        tag = b"\n".join((b"object " + new.encode("ascii"), of, *rest)) + b"\n\n"
        given = tag + latter.encode("utf-8", "surrogateescape")
        return self._run("hash-object", "-t", "tag", "-w", "--stdin", given=given)

    def _forget(self) -> None:
        """Delete every object that no ref leads to, and everything else that may hold old content."""
        for pattern in _LEFTOVERS:
            _delete((self.root / ".git").glob(pattern))
        self._run("reflog", "expire", "--expire=now", "--all")
        reached(Step.REWRITE_FORGOTTEN)
        self._run("repack", "-a", "-d", "-q")
        reached(Step.REWRITE_PACKED)
        self._run("prune", "--expire=now")

    # Git's processes

    def _walk(self, *which: str) -> Iterator[_Past]:
        """Read the commits that `git rev-list` lists, in its order."""
        with (
            self._process("rev-list", *which) as lister,
            self._process(*_READ, istream=lister.stdout) as reader,
        ):
            # Ours is a second end of that pipe: while it is open, rev-list does not hear that diff-tree is gone.
            lister.stdout.close()
            yield from _history(reader.stdout)

    @contextlib.contextmanager
    def _process(self, *arguments: str, istream: int | BinaryIO | None = None) -> Iterator[Command.AutoInterrupt]:
        """Run git while the block runs, which reads all it says; who leaves early kills it.

        Raises:
            GitError: git ended with an error.
        """
        running = self._start(arguments, istream)
        process: Any = running.proc
        try:
            yield running
            if process.stdin:
                process.stdin.close()
            reason = process.stderr.read()
        except BrokenPipeError:
            # It did not wait for all we had to say: its status and last words tell why.
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            reason = process.stderr.read()
        except BaseException:
            process.kill()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError), process:
                pass
        if process.returncode:
            raise _failed(arguments[0], process.returncode, reason)

    def _run(
        self, *arguments: str, env: Mapping[str, str] | None = None, strip: bool = True, given: bytes = b""
    ) -> str:
        output = self._bytes(*arguments, env=env, given=given).decode("utf-8", "surrogateescape")
        return output.removesuffix("\n") if strip else output

    def _bytes(self, *arguments: str, env: Mapping[str, str] | None = None, given: bytes = b"") -> bytes:
        status, output, reason = self._ask(*arguments, env=env, given=given)
        if status:
            raise _failed(arguments[0], status, reason)
        return output

    def _ask(
        self, *arguments: str, env: Mapping[str, str] | None = None, given: bytes = b""
    ) -> tuple[int, bytes, bytes]:
        """Run git to its end: status, output, last words."""
        running = self._start(arguments, _PIPE, env)
        output, reason = running.communicate(given)
        return running.returncode, output, reason

    def _start(
        self, arguments: Sequence[str], istream: int | BinaryIO | None, env: Mapping[str, str] | None = None
    ) -> Command.AutoInterrupt:
        try:
            return self._command.execute(
                ["git", *arguments], istream=istream, env={**self._environment, **(env or {})}, as_process=True
            )
        except GitCommandNotFound as error:
            raise GitError("git is not installed, or not on the PATH: install it and try again") from error


@dataclass(frozen=True, slots=True)
class _Edit:
    """One file of a commit against the first parent: modes and ids as git writes them."""

    old_mode: bytes
    mode: bytes
    old: bytes
    new: bytes
    path: str


@dataclass(frozen=True, slots=True)
class _Past:
    """One commit as git has it; people are name, address and date (seconds and time zone)."""

    oid: str
    parents: tuple[str, ...]
    author: tuple[bytes, bytes, bytes]
    committer: tuple[bytes, bytes, bytes]
    subject: bytes
    message: bytes
    edits: tuple[_Edit, ...]


class _Rewritten:
    """A history on its way into another: what each commit has become, and `git fast-import`'s commands for it."""

    def __init__(
        self,
        gone: Callable[[str], bool],
        edit: Callable[[str, bytes], bytes] | None,
        edited: Callable[[str], bool],
        message: Callable[[str], str],
        content: Callable[[str], bytes | None],
    ) -> None:
        self.message = message
        self.count = 0
        #: ":7" -> the new commit's id, when fast-import is done.
        self.marks: dict[str, str] = {}
        self._gone = gone
        self._edit = edit
        self._is_edited = edited
        self._content = content
        #: Old commit -> number of the one that stands for it; 0 is nothing.
        self._numbers: dict[str, int] = {}
        #: Number -> its id when it stays as it is, else its mark; and its parents, which have smaller numbers.
        self._names = [""]
        self._parents: list[tuple[int, ...]] = [()]
        #: Path -> the newest blob and the id of what it was edited to: the next change's old one, most of the time.
        self._latest: dict[str, tuple[bytes, bytes]] = {}

    def now(self, oid: str) -> str:
        """Give the commit that stands for an old one, "" when nothing is left."""
        name = self._names[self._numbers[oid]]
        return self.marks.get(name, name)

    def commands(self, past: _Past) -> Iterator[bytes]:
        """Take in one commit, after its parents; give the commands that make the new one, none when none is needed."""
        first = self._numbers[past.parents[0]] if past.parents else 0
        parents = tuple(dict.fromkeys(number for old in past.parents if (number := self._numbers[old])))
        names = tuple(self._names[number] for number in parents)
        former = past.message.decode("utf-8", "surrogateescape")
        message = self.message(former)
        edits, touched = self._edits(past)
        changed = touched or message != former
        self.count += changed
        if not changed and names == past.parents:
            self._add(past.oid, past.oid, parents)
        elif past.edits and not edits and all(self._leads_to(first, parent) for parent in parents):
            self._numbers[past.oid] = first
        else:
            mark = f":{len(self._names)}"
            self._add(past.oid, mark, parents)
            yield _header(past, mark, names, message.encode("utf-8", "surrogateescape"))
            if parents and not first:
                # The changes are those against a first parent of which nothing is left.
                yield b"deleteall\n"
            yield from edits

    def _add(self, old: str, name: str, parents: tuple[int, ...]) -> None:
        self._numbers[old] = len(self._names)
        self._names.append(name)
        self._parents.append(parents)

    def _leads_to(self, number: int, older: int) -> bool:
        """Say whether a new commit is `older` or has it in its history."""
        waiting, seen = [number], {number}
        while waiting:
            at = waiting.pop()
            if at == older:
                return True
            further = [parent for parent in self._parents[at] if parent >= older and parent not in seen]
            waiting += further
            seen.update(further)
        return False

    def _edits(self, past: _Past) -> tuple[list[bytes], bool]:
        """Give the commands for a commit's files, and say whether they are others than before."""
        gone, there = [], []
        touched = False
        for edit in past.edits:
            if self._gone(edit.path):
                touched = True
                continue
            old = self._old(edit)
            new, content = self._edited(edit.path, edit.mode, edit.new)
            if content is not None:
                self._latest[edit.path] = (edit.new, new)
            touched = touched or (old, new) != (edit.old, edit.new)
            path = _quoted(edit.path)
            if (edit.old_mode, old) == (edit.mode, new):
                continue
            if edit.mode == _NOTHING:
                gone.append(b"D %s\n" % path)
            elif content is None or new == edit.new:
                there.append(b"M %s %s %s\n" % (edit.mode, new, path))
            else:
                there.append(b"M %s inline %s\ndata %d\n%s\n" % (edit.mode, path, len(content), content))
        # A file may stand where a folder was, or the reverse: what goes makes room first.
        return gone + there, touched

    def _old(self, edit: _Edit) -> bytes:
        blob, edited = self._latest.get(edit.path, (b"", b""))
        return edited if blob == edit.old else self._edited(edit.path, edit.old_mode, edit.old)[0]

    def _edited(self, path: str, mode: bytes, oid: bytes) -> tuple[bytes, bytes | None]:
        """Give a file's new id and content, None when it is not one that is edited."""
        if not self._edit or mode in {_NOTHING, _SUBMODULE} or not self._is_edited(path):
            return oid, None
        content = self._content(oid.decode("ascii"))
        if content is None:
            raise GitError(f"the history cannot be rewritten: {path} is damaged in it, `git fsck` tells more")
        content = self._edit(path, content)
        return blob_of(content).encode("ascii"), content


def _header(past: _Past, mark: str, parents: tuple[str, ...], message: bytes) -> bytes:
    """Give fast-import's command for a commit up to its parents; its files follow."""
    start = b"" if parents else b"reset %s\n" % _NEW_COMMITS.encode("ascii")
    lines = [
        b"%scommit %s" % (start, _NEW_COMMITS.encode("ascii")),
        b"mark " + mark.encode("ascii"),
        b"author %s <%s> %s" % past.author,
        b"committer %s <%s> %s" % past.committer,
        b"data %d\n%s" % (len(message), message),
    ]
    lines += [b"%s %s" % (b"merge" if row else b"from", name.encode("ascii")) for row, name in enumerate(parents)]
    return b"\n".join(lines) + b"\n"


def _quoted(path: str) -> bytes:
    text = path.encode("utf-8", "surrogateescape")
    return b'"%s"' % text.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")


def _history(stream: BinaryIO) -> Iterator[_Past]:
    """Read what `git diff-tree` writes in `_FORMAT`."""
    pieces = _streamed(stream)
    piece = next(pieces, None)
    while piece is not None:
        parents, name, mail, date, *committer, subject, message = islice(pieces, 9)
        oid = piece.decode("ascii")
        edits = []
        while (piece := next(pieces, None)) is not None and (raw := _RAW.fullmatch(piece)):
            edits.append(_Edit(raw[1], raw[2], raw[3], raw[4], _path(next(pieces))))
        yield _Past(
            oid,
            tuple(parents.decode("ascii").split()),
            (name, mail, date),
            (committer[0], committer[1], committer[2]),
            subject,
            message,
            tuple(edits),
        )


def _streamed(stream: BinaryIO) -> Iterator[bytes]:
    """Split a stream at its NULs; each piece ends in one."""
    rest = b""
    while block := stream.read(1 << 16):
        *whole, rest = (rest + block).split(b"\0")
        yield from whole


def _commit(past: _Past) -> Commit:
    seconds = re.match(rb"\d+", past.committer[2])
    return Commit(
        oid=past.oid,
        # A date beyond the year 9999 is git's business, but none of Python's.
        at=datetime.fromtimestamp(min(int(seconds[0]), 253402300799) if seconds else 0, UTC),
        author=(past.author[0].decode("utf-8", "replace"), past.author[1].decode("utf-8", "replace")),
        subject=past.subject.decode("utf-8", "replace"),
        changes=tuple(
            Change(edit.path, "" if edit.mode in {_NOTHING, _SUBMODULE} else edit.new.decode("ascii"))
            for edit in past.edits
        ),
        parents=past.parents,
    )


def _contents(process: Command.AutoInterrupt, oids: Sequence[str]) -> Iterator[bytes | None]:
    """Ask a `git cat-file --batch` for contents, None for what is missing or no file."""
    process.stdin.write("".join(f"{oid}\n" for oid in oids).encode("ascii"))
    process.stdin.flush()
    for oid in oids:
        answer: list[bytes] = process.stdout.readline().split()
        if answer[-1:] == [b"missing"]:
            yield None
            continue
        kind, size = answer[-2:] if len(answer) > 1 else (b"", b"")
        content = process.stdout.read(int(size)) if size.isdigit() else b""
        if process.stdout.read(1) != b"\n":
            raise GitError(f"content {oid} of the wiki's history cannot be read: `git fsck` tells more")
        yield content if kind == b"blob" else None


def _listed(paths: Iterable[str]) -> bytes:
    """Write paths the way that git reads them from its standard input with `-z`."""
    return "".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape")


def _pieces(output: bytes) -> list[bytes]:
    """Split what git wrote with `-z`."""
    return output.split(b"\0")[:-1]


def _path(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _delete(paths: Iterable[Path]) -> None:
    for path in list(paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _failed(command: str, status: int, reason: bytes) -> GitError:
    return GitError(f"git {command} failed: {reason.decode('utf-8', 'replace').strip() or status}")


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
        **_settings_of_a_run(),
        "GIT_ATTR_NOSYSTEM": "1",
        # Paths are paths: `[a]*.md` is the name of one page.
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_DEFAULT_HASH": "sha1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_COMMITTER_NAME": COMMITTER[0],
        "GIT_COMMITTER_EMAIL": COMMITTER[1],
        "LC_ALL": "C",
    }


def _settings_of_a_run() -> dict[str, str]:
    # Set, because the defaults of the first two are files in the user's folders, and the blobs must be what is on
    # disk; the others name programs that git would run by itself, and a repository may come from elsewhere.
    settings = (
        ("core.attributesFile", os.devnull),
        ("core.excludesFile", os.devnull),
        ("core.hooksPath", os.devnull),
        ("core.fsmonitor", "false"),
    )
    named = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        named |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return named
