"""Scopes: which project a caller means that no hook tells us of, and how sure that is.

Hooks say where they are with each event. A call over MCP may say nothing, or only which session it is of; what it means
then follows from the sessions that the index knows, so a restart forgets nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from ai_memory.capture.scope import New
from ai_memory.errors import NotFoundError, ScopeUnresolvedError
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.ids import session_uuid
from ai_memory.model.scope import Project, Resolved
from ai_memory.model.session import Session

#: How a scope was found where nobody said it and no session is known: good enough to read, not to write.
GUESSED = "last-active"
#: So many sessions are looked at for those that are at work.
_LOOKED_AT = 200
#: So many projects are named as candidates.
_NAMED = 20


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks, as a call says it.

    Attributes:
        agent: the wire name of the agent, "" when unknown.
        session: the agent's own id of the session, "" when unknown.
        routing: what a client on the caller's machine found out about its directory (parameters of `/hook`).
        user: who the token stands for, "" when tokens name nobody.
        token_hash8: the first eight digits of the token's SHA-256, "" without one; by it people tell tokens apart.
    """

    agent: str = ""
    session: str = ""
    routing: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    token_hash8: str = ""


class Scopes:
    """Finds the project of a call."""

    def __init__(self, stores: Stores, projects: Projects, alive: timedelta) -> None:
        """Compose; a session that has not ended and spoke within `alive` is at work."""
        self._stores = stores
        self._projects = projects
        self._alive = alive

    def find(self, workspace: str, project: str, who: Who) -> Resolved:
        """Find the project that is to be read.

        In this order: the names, the session, what the client found out about its directory, the only project that this
        agent is at work in, the one in which anybody was asked something last ("last-active", which is a guess).

        Raises:
            NotFoundError: a name that no project has, or several have; the message says which there are.
            ScopeUnresolvedError: nothing tells; the message lists the projects.
        """
        found = self._said(workspace, project) or self._known(who)
        if found:
            return found
        at_work = self._at_work(who.agent) or self._at_work("")
        if not at_work:
            raise ScopeUnresolvedError(
                f"no scope: nothing tells which project you mean. Name workspace and project: {self._listed()}"
            )
        return Resolved(at_work[0], GUESSED)

    def sure(self, workspace: str, project: str, who: Who, *, create: bool = False) -> Resolved:
        """Find the project that is to be written to, or in which something is taken; never by a guess.

        Args:
            workspace, project: names, or "".
            who: asks.
            create: make the project that the names say where there is none.

        Raises:
            NotFoundError: as for `find`; nothing was created.
            BadNameError: a name that cannot be one.
            ScopeUnresolvedError: it would be a guess; the message lists the candidates.
        """
        if create and workspace and project and self._projects.called(workspace, project) is None:
            self._projects.check_name(workspace, "workspace")
            self._projects.check_name(project, "project")
            return self._projects.ensure(self._projects.routing({"workspace": workspace, "project": project}))
        found = self._said(workspace, project) or self._known(who)
        if found:
            return found
        candidates = list(dict.fromkeys([*self._at_work(who.agent), *self._at_work("")]))
        raise ScopeUnresolvedError(
            "no scope: nothing was written, because nothing tells for sure which project you mean. "
            f"Name workspace and project: {self._listed(candidates)}"
        )

    def _said(self, workspace: str, project: str) -> Resolved | None:
        """Find the project that names say; a project's name alone has to be the name of one."""
        if workspace and project:
            return Resolved(self._projects.named(workspace, project), "explicit")
        if workspace:
            if self._projects.workspace(workspace) is None:
                raise NotFoundError(f"there is no workspace {workspace} (projects: {self._listed()})")
            raise ScopeUnresolvedError(f"name the project, too: workspace {workspace} alone says not which is meant")
        if not project:
            return None
        called = self._called(project)
        if len(called) > 1:
            raise NotFoundError(f"several projects are called {project}: name the workspace, too: {_labels(called)}")
        if not called:
            raise NotFoundError(f"there is no project {project} (known: {self._listed()})")
        return Resolved(called[0], "explicit")

    def _called(self, name: str) -> list[Project]:
        """List the projects of a name, or where there is none those that were called so before.

        A user's repositories are reached by both names alone: else whoever has a token would choose what others mean.
        """
        wanted = name.casefold()
        everybodys = [each for each in self._projects.all() if not each.repo]
        called = [each for each in everybodys if each.name.casefold() == wanted]
        return called or [each for each in everybodys if wanted in map(str.casefold, each.aliases)]

    def _known(self, who: Who) -> Resolved | None:
        """Find the project of the caller's session or directory, or the only one that its agent is at work in."""
        if who.session:
            parts = self._stores.index.sessions_of(session_uuid(who.session))
            if home := next((home for part in parts if (home := self._projects.now(part.project_id))), None):
                return Resolved(home, "session")
        if who.routing:
            found = self._projects.look_up(self._projects.routing(who.routing))
            if not isinstance(found, New) and found.by != "default":
                return found
        # One of the agent's sessions that we do not know may be anywhere.
        if who.agent and not who.session and len(at_work := self._at_work(who.agent)) == 1:
            return Resolved(at_work[0], "client")
        return None

    def _at_work(self, agent: str) -> list[Project]:
        """List the projects in which an agent ("" is any) is at work, the one that was asked something last first."""
        since = self._stores.clock() - self._alive
        recent = self._stores.index.recent(agent=agent, limit=_LOOKED_AT)
        alive = [session for session in recent if session.last > since and not session.is_over]
        asked = self._stores.index.last_asked(alive)
        # A tool's result may come long after somebody went on to another project.
        alive.sort(key=lambda each: asked.get((each.project_id, each.id), each.started), reverse=True)
        return list(dict.fromkeys(home for each in alive if (home := self._home(each))))

    def _home(self, session: Session) -> Project | None:
        return self._projects.now(session.project_id)

    def _listed(self, candidates: Iterable[Project] = ()) -> str:
        everybodys = (each for each in self._projects.all() if not each.repo)
        return _labels(candidates) or _labels(everybodys) or "there is none yet"


def _labels(projects: Iterable[Project]) -> str:
    labels = [each.label for each in projects]
    more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
    return ", ".join(sorted(labels[:_NAMED])) + more
