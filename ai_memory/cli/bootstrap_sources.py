"""What a repository says of itself, read from the disk and from git: rules, README, documents, history, module headers.

The list of files is git's, so what it ignores is not read; nothing that a link leads to is.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path, PurePosixPath

from ai_memory.client.marker import MarkerError, read_marker
from ai_memory.client.place import look
from ai_memory.client.policy import Patterns
from ai_memory.compile.module_header import LANGUAGES, module_header
from ai_memory.compile.sources import Source, label_of
from ai_memory.config import home_directory
from ai_memory.errors import BadRequestError, NotFoundError

_RULES = ("CLAUDE.md", "AGENTS.md", "AGENT.md", "GEMINI.md", "claude.md")
_READMES = ("README.md", "README", "Readme.md", "readme.md", "README.rst", "README.adoc", "README.txt")
#: Folders of what others wrote, or machines.
_FOREIGN = frozenset(
    "target node_modules vendor vendored third_party third-party external deps bower_components Pods dist build out "
    "site-packages __pycache__ venv .venv .git .tox .next coverage generated gen".split()
)
#: Bytes: a longer document is none that a person wrote, and a header stands in the first of a file.
_LARGEST, _HEAD = 256 * 1024, 16 * 1024
_READ = 1 << 20

_CONVENTIONAL = re.compile(r"(feat|fix|refactor|perf|design)[(:]")
_SAYS_ENOUGH = 120
_LONGEST_BODY = 4_000
_SINCE = re.compile(r"(\d{1,6}) (day|week|month|year)s? ago")
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
#: A repository may name programs of its own for git to run; and a signature costs one each.
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false", "-c", "core.quotePath=false")
_GIT_LOG = ("log", "-z", "--no-color", "--encoding=UTF-8", "--format=%H%n%an%n%aI%n%s%n%b")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is read of a repository.

    Attributes:
        since: git's history from this day on, "" for all of it.
        git, readme, docs, code: whether commits, README, documents and module headers are wanted; rules always are.
        most_tokens: of each kind; what is beyond it is counted at most, so that it takes no memory.
    """

    most_tokens: int
    since: str = ""
    git: bool = True
    readme: bool = True
    docs: bool = True
    code: bool = True


@dataclass(slots=True)
class Found:
    """What was found; `collected` counts also what is not in `sources` because nothing of it could be sent."""

    most_tokens: int
    sources: list[Source] = field(default_factory=list)
    collected: int = 0
    _tokens: int = 0

    def begin(self) -> None:
        """Begin another kind."""
        self._tokens = 0

    @property
    def is_full(self) -> bool:
        """Whether this kind has all that could be sent."""
        return self._tokens > self.most_tokens

    def add(self, source: Source) -> None:
        """Count a source, and keep it while there is room."""
        self.collected += 1
        if not self.is_full:
            self.sources.append(source)
            self._tokens += source.tokens


def repository_root(folder: Path) -> Path:
    """Find the root of the repository around a folder.

    Raises:
        NotFoundError: there is none, or no git.
    """
    root = _output(folder, "rev-parse", "--show-toplevel").rstrip(b"\n")
    if not root:
        raise NotFoundError(f"{folder} is in a repository without files: go to its work tree")
    return Path(os.fsdecode(root))


def collect(root: Path, wanted: Wanted) -> Found:
    """Read what a repository says of itself.

    Args:
        root: of its work tree.
        wanted: what of it.

    Raises:
        NotFoundError: git cannot read it; the message says what git said.
        BadRequestError: the marker file that says what is to be left out holds something wrong.
    """
    found = Found(wanted.most_tokens)
    files = _files(root)
    tree = _Tree(root)
    for source in tree.rules(files):
        found.add(source)
    if wanted.readme and (readme := tree.readme(files)):
        found.add(readme)
    if wanted.docs:
        found.begin()
        for source in tree.documents(files):
            found.add(source)
            if found.is_full:
                break
    if wanted.git:
        found.begin()
        for source in _commits(root, wanted.since):
            found.add(source)
    if wanted.code:
        found.begin()
        for source in tree.headers(files):
            found.add(source)
            if found.is_full:
                break
    return found


def since_day(text: str, today: date) -> str:
    """Read "90 days ago", "3 months ago", "1 year ago" or "2026-01-31" as a day, "" for "".

    Raises:
        BadRequestError: it is none of these.
    """
    if not text:
        return ""
    if found := _SINCE.fullmatch(" ".join(text.lower().split())):
        days = int(found[1]) * _DAYS[found[2]]
        return (today - timedelta(days=min(days, (today - date(1970, 1, 1)).days))).isoformat()
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError:
        raise BadRequestError(
            f'--since {text!r} is not understood: write "90 days ago", "3 months ago" or 2026-01-31'
        ) from None


class _Tree:
    """The files of a work tree; not those behind a link, and not those that its marker keeps from the memory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._home = home_directory()
        self._ignored, self._marked = _ignored(root, self._home)
        self._real = Path(os.path.realpath(root))
        self._folders: dict[str, bool] = {}

    def rules(self, files: Sequence[str]) -> Iterator[Source]:
        """Give the rules files among some files."""
        for name in _RULES:
            if name in files and (text := self._text(name, _LARGEST)):
                yield Source("project_rules", f"rules: {name}", text)

    def readme(self, files: Sequence[str]) -> Source | None:
        """Give the first README that says something."""
        for name in _READMES:
            if name in files and (text := self._text(name, _LARGEST)):
                return Source("readme", f"README ({name})", text)
        return None

    def documents(self, files: Sequence[str]) -> Iterator[Source]:
        """Give the documents among some files."""
        for path in files:
            wanted = path.startswith("docs/") and path.endswith(".md") and not _is_foreign(path)
            if wanted and (text := self._text(path, _LARGEST)):
                yield Source("doc_file", label_of("doc", path), text)

    def headers(self, files: Sequence[str]) -> Iterator[Source]:
        """Give what the source files among some files say of themselves."""
        for path in files:
            language = LANGUAGES.get(PurePosixPath(path).suffix[1:].lower())
            if language and not _is_foreign(path) and (header := module_header(language, self._text(path, None))):
                yield Source("module_header", label_of(language, path), header)

    def _about(self, path: str) -> os.stat_result | None:
        """Look at a file; None where there is no plain one."""
        folder = path.rpartition("/")[0]
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(self._root / folder) == os.path.normpath(self._real / folder)
        try:
            about = (self._root / path).lstat() if self._folders[folder] else None
        except OSError:
            # Git knows files that are not on the disk any more.
            return None
        return about if about and stat.S_ISREG(about.st_mode) else None

    def _text(self, path: str, largest: int | None) -> str:
        """Read a file, or its head where nothing is too large; "" for what is no text, too large, or not to be read."""
        about = self._about(path)
        # Made anew for each: it counts its comparisons.
        if self._ignored and Patterns(self._ignored, self._marked, self._home).match(path, str(self._root)):
            return ""
        if about is None or (largest is not None and about.st_size > largest):
            return ""
        try:
            with (self._root / path).open("rb") as file:
                content = file.read(_HEAD if largest is None else largest)
        except OSError:
            return ""
        if b"\0" in content:
            return ""
        return content.decode("utf-8", "replace").removeprefix("\ufeff").strip()


def _ignored(root: Path, home: str) -> tuple[Sequence[str], str]:
    """Give the patterns of what the marker of a repository keeps from the memory, and the marker's folder."""
    try:
        for path, text in look(str(root), home).markers:
            marker = read_marker(path, text)
            if marker.has_capture:
                return marker.ignore_paths, str(Path(marker.path).parent)
    except MarkerError as error:
        raise BadRequestError(str(error)) from error
    return (), ""


def _is_foreign(path: str) -> bool:
    return not _FOREIGN.isdisjoint(path.split("/")[:-1])


def _files(root: Path) -> list[str]:
    """List the files that git knows, and new ones that it does not ignore, the topmost first."""
    names = set(_pieces(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"))
    return sorted(map(os.fsdecode, names), key=lambda path: (path.count("/"), path))


def _commits(root: Path, since: str) -> Iterator[Source]:
    """Read the history, newest first, one commit after the other: those that say why."""
    if not _has_commits(root):
        return
    limits = [f"--since={since}T00:00:00"] if since else []
    for entry in _pieces(root, *_GIT_LOG, *limits, "HEAD", "--"):
        oid, author, at, summary, body = (*entry.decode("utf-8", "replace").split("\n", 4), "", "", "", "")[:5]
        body = body.strip()
        if len(f"{summary}{body}".encode()) >= _SAYS_ENOUGH or _CONVENTIONAL.match(summary):
            cut = body if len(body) <= _LONGEST_BODY else f"{body[:_LONGEST_BODY]}…"
            text = f"{oid[:8]} {author}, {at[:10]}\n{summary}\n\n{cut}".strip()
            yield Source("git_commit", label_of("git", summary), text)


def _has_commits(root: Path) -> bool:
    command = [*_GIT, "rev-parse", "--quiet", "--verify", "HEAD"]
    return subprocess.run(command, cwd=root, capture_output=True, check=False).returncode == 0


def _output(folder: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run([*_GIT, *arguments], cwd=folder, capture_output=True, check=False)
    except FileNotFoundError:
        raise NotFoundError("git is not on the PATH: install it, a repository is read with it") from None
    if done.returncode:
        raise NotFoundError(f"{folder} cannot be read as a repository: {_reason(done.stderr)}")
    return done.stdout


def _pieces(root: Path, *arguments: str) -> Iterator[bytes]:
    """Run git and give its answer piece by piece, as it comes; a NUL ends each."""
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen([*_GIT, *arguments], cwd=root, stdout=subprocess.PIPE, stderr=said) as running:
            rest = b""
            while running.stdout and (block := running.stdout.read(_READ)):
                *whole, rest = (rest + block).split(b"\0")
                yield from whole
            if rest:
                yield rest
        if running.returncode:
            said.seek(0)
            raise NotFoundError(f"{root} cannot be read with git: {_reason(said.read())}")


def _reason(said: bytes) -> str:
    return " ".join(said.decode("utf-8", "replace").removeprefix("fatal: ").split()) or "git does not say why"
