"""Memories: short texts that a user's agents keep by repository. Each is a page of a project of the user's own.

A user's workspace and a repository's project are found by what their manifests say, never by their names: what a
person calls `user-ana` is not Ana's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_OID, UUID, uuid5

from ai_memory.capture.plain import first_line, harmless
from ai_memory.errors import BadRequestError, NotFoundError, TooLargeError
from ai_memory.memory.pages import Fields, Pages, Writer
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.filters import Filters
from ai_memory.model.handoff import stamp
from ai_memory.model.ids import new_id
from ai_memory.model.page import formatted, front_matter
from ai_memory.model.scope import Project
from ai_memory.search.query import match_of

#: Only pages of such names are memories, whatever else somebody puts beside them.
_ALL = "memories/????????-????-????-????-????????????.md"
#: In characters: a user, a repository, a key, a tag.
_LONGEST_NAME = 500
_LONGEST_TAG = 100
_MOST_TAGS = 50
#: In bytes.
_LONGEST_CONTENT = 64 * 1024
_LONGEST_METADATA = 16 * 1024
#: Of metadata: every door takes an answer apart, level by level.
_DEEPEST = 32


@dataclass(frozen=True, slots=True)
class Remembered:
    """One memory.

    Attributes:
        id: belongs to one user and repository; of a keyed one it follows from these three.
        key: what its user calls it, "" for one without a key.
        content: what was stored, without secrets.
        tags, metadata: as they were stored.
        created_at, updated_at: RFC 3339, UTC.
    """

    id: str
    key: str
    content: str
    tags: tuple[str, ...]
    metadata: Mapping[str, object]
    created_at: str
    updated_at: str


class Memories:
    """The memories of all users; no call reaches those of another user or repository than it names."""

    def __init__(self, stores: Stores, projects: Projects, pages: Pages) -> None:
        self._stores = stores
        self._projects = projects
        self._pages = pages

    def store(
        self,
        user: str,
        repo: str,
        content: str,
        *,
        key: str = "",
        tags: Sequence[str] = (),
        metadata: Mapping[str, object] | None = None,
    ) -> tuple[Remembered, bool]:
        """Store a memory; one of the same key is written over, also where it was deleted.

        Returns:
            the memory as it is stored, and whether it is a new one.

        Raises:
            BadRequestError: something is empty, not usable or holds a secret that cannot be taken out.
            TooLargeError: something is too large; nothing was created.
            PageDeletedError: the memory of this key was purged.
            StorageError: it could not be written.
        """
        self._check_place(user, repo)
        if key:
            self._check_name(key, "key")
        if not content.strip():
            raise BadRequestError("content is empty: say what is to be remembered")
        if len(content.encode("utf-8", "replace")) > _LONGEST_CONTENT:
            raise TooLargeError(f"content is longer than {_LONGEST_CONTENT // 1024} KiB: store it in parts")
        ours = {"title": key or first_line(self._stores.scrubber.scrub(content)), "kind": "memory", "type": "Memory"}
        about = {
            "key": key or None,
            "tags": [self._stores.scrubber.scrub(tag) for tag in _tags(tags)],
            "metadata": _json(metadata) if metadata else None,
        }
        with self._stores.wiki.lock:
            now = self._stores.clock()
            project = self._project(user, repo)
            memory_id = _keyed(user, repo, key) if key else new_id(now)
            path = _path(memory_id)
            before = self._front(project, path)
            front = {**before, **ours, "id": str(memory_id), **about}
            front["created_at"] = before.get("created_at", stamp(now))
            text = formatted({name: value for name, value in front.items() if value not in (None, [])}, content)
            self._check_metadata(text)
            if project is None:
                self._pages.check_new(path, text, Fields(), expected=None)
                project = self._projects.ensure_of_user(user, repo)
            written = self._pages.write(project, path, text, Fields(), Writer(user=user), revive=True)
            (memory,) = self._read(project, [path])
            return memory, written.created

    def find(
        self,
        user: str,
        repo: str,
        *,
        query: str = "",
        key: str = "",
        tags: Sequence[str] = (),
        limit: int = 10,
        offset: int = 0,
    ) -> list[Remembered]:
        """Find memories by words, best first; without a query the last changed first.

        Args:
            user, repo: whose.
            query: any text; one of its words is in the memory.
            key: only the memory of this key.
            tags: only memories with all of these.
            limit, offset: how many, behind how many.
        """
        self._check_place(user, repo)
        project = self._project(user, repo)
        if project is None:
            return []
        paths = (_path(_keyed(user, repo, key)) if key else _ALL,)
        filters, now = Filters(paths=paths, tags=tuple(_tags(tags))), self._stores.clock()
        search, until = self._stores.page_search, offset + limit
        if query.strip():
            best = search.find(match_of(query), [project.id], until, now=now, filters=filters)
            return self._read(project, [each.path for each in best[offset:]])
        newest = search.newest([project.id], until, now=now, filters=filters)
        return self._read(project, [path for _, path in newest][offset:])

    def count(self, user: str, repo: str) -> int:
        """Count a repository's memories."""
        return dict(self.repositories(user)).get(repo, 0)

    def repositories(self, user: str) -> list[tuple[str, int]]:
        """List the repositories of a user that hold memories, with how many, by name."""
        self._check_name(user, "user")
        # Two machines may have begun the same one, whose wikis were merged: the oldest counts.
        projects = {each.repo: each.id for each in reversed(self._projects.of_user(user))}
        counts = self._stores.page_search.counts(list(projects.values()), Filters(paths=(_ALL,)))
        return sorted((repo, counts[project]) for repo, project in projects.items() if project in counts)

    def delete(self, user: str, repo: str, *, memory_id: str = "", key: str = "") -> bool:
        """Delete the memory of an id or key; gives whether there was one.

        Raises:
            BadRequestError: not exactly one of the two is said.
            StorageError: it could not be deleted.
        """
        self._check_place(user, repo)
        if bool(memory_id) == bool(key):
            raise BadRequestError("say which memory is to be deleted: either its id or its key")
        project, named = self._project(user, repo), _keyed(user, repo, key) if key else _id(memory_id)
        return bool(project and named and self._pages.delete(project, _path(named), Writer(user=user)))

    # The steps

    def _project(self, user: str, repo: str) -> Project | None:
        return next((each for each in self._projects.of_user(user) if each.repo == repo), None)

    def _read(self, project: Project, paths: Sequence[str]) -> list[Remembered]:
        """Read memories; one that is deleted meanwhile, or whose file is missing, is left out."""
        found = []
        for path in paths:
            try:
                view = self._pages.read(project, path)
            except NotFoundError:
                continue
            updated = stamp(view.version.at if view.version else self._stores.clock())
            created, tags = view.front.get("created_at"), view.front.get("tags")
            found.append(
                Remembered(
                    id=path.rpartition("/")[2].removesuffix(".md"),
                    key=str(view.front.get("key") or ""),
                    content=view.body,
                    tags=tuple(map(str, tags)) if isinstance(tags, list) else (),
                    metadata=_metadata(view.front.get("metadata")) or {},
                    created_at=created if isinstance(created, str) else updated,
                    updated_at=updated,
                )
            )
        return found

    def _front(self, project: Project | None, path: str) -> Mapping[str, object]:
        """Give the front matter of a memory that is there: what a person added to it stays."""
        text = self._stores.wiki.read(project, path) if project else None
        return front_matter(text) if text else {}

    # What is taken

    def _check_place(self, user: str, repo: str) -> None:
        self._check_name(user, "user")
        self._check_name(repo, "repo_id")

    def _check_name(self, name: str, what: str) -> None:
        if not name.strip():
            raise BadRequestError(f"{what} is empty")
        if len(name) > _LONGEST_NAME:
            raise TooLargeError(f"{what} is longer than {_LONGEST_NAME} characters")
        if harmless(name) != name or name.splitlines() != [name]:
            raise BadRequestError(f"{what} holds signs that cannot be seen: leave them out")
        if self._stores.scrubber.scrub(name) != name:
            # It would stand in manifests, in the index and in git.
            raise BadRequestError(f"{what} holds what looks like a secret: choose another")

    def _check_metadata(self, text: str) -> None:
        front = front_matter(self._stores.scrubber.scrub(text))
        if "id" not in front or ("metadata" in front and _metadata(front["metadata"]) is None):
            raise BadRequestError(
                "metadata or a tag holds what looks like a secret, which cannot be taken out of it: leave it away"
            )


def _keyed(user: str, repo: str, key: str) -> UUID:
    """Give the id of the memory of a key, so that two calls at once cannot make two of them."""
    return uuid5(NAMESPACE_OID, json.dumps(["memory", user, repo, key]))


def _path(memory_id: UUID) -> str:
    return f"memories/{memory_id}.md"


def _id(text: str) -> UUID | None:
    """Read an id as it was given out; any other text is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def _tags(tags: Sequence[str]) -> list[str]:
    if len(tags) > _MOST_TAGS:
        raise TooLargeError(f"there are {len(tags)} tags, more than {_MOST_TAGS}")
    clean = [" ".join(harmless(tag).split()).removeprefix("#") for tag in tags]
    if any(not tag or len(tag) > _LONGEST_TAG for tag in clean):
        raise BadRequestError(f"a tag is empty or longer than {_LONGEST_TAG} characters")
    return list(dict.fromkeys(clean))


def _json(metadata: Mapping[str, object]) -> str:
    if _is_deep(metadata, _DEEPEST):
        raise BadRequestError(f"metadata is nested more than {_DEEPEST} deep")
    try:
        text = json.dumps(metadata, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        # YAML takes them for ends of lines.
        text = re.sub("[\x85\u2028\u2029]", lambda sign: f"\\u{ord(sign[0]):04x}", text)
        size = len(text.encode())
    except (ValueError, TypeError) as error:
        raise BadRequestError(f"metadata cannot be written as JSON: {error}") from None
    if size > _LONGEST_METADATA:
        raise TooLargeError(f"metadata is longer than {_LONGEST_METADATA // 1024} KiB as JSON: put it into the content")
    return text


def _metadata(text: object) -> dict[str, object] | None:
    """Read metadata from front matter; None where somebody made something else of it."""
    try:
        found = json.loads(str(text)) if text else {}
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and not _is_deep(found, _DEEPEST) else None


def _is_deep(value: object, deepest: int) -> bool:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return deepest < 0 or any(_is_deep(each, deepest - 1) for each in inner)
