"""What a tool is here: a row of a table. Its call is a plain function, which runs in a thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ai_memory.capture.plain import harmless
from ai_memory.memory.memory import Memory
from ai_memory.memory.scopes import Who
from ai_memory.model.handoff import FENCE_END, FENCE_START, unfenced
from ai_memory.model.scope import Resolved
from ai_memory.store.jobs import Job

#: Clients wait a minute for an answer: so many turns, of so many seconds.
_TURNS, _TURN_SECONDS = 10, 5.0
#: Says done, total (0 when unknown) and a sentence to who waits for a long call.
Progress = Callable[[float, float, str], None]


class Arguments(BaseModel):
    """What a tool takes; an argument that it does not know is refused, and null means not said.

    Every field has one plain type and a description: a type that needs `anyOf` or `$ref` is refused by some models'
    vendors. What may be left out has a default that means that ("", 0, [], False).
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        return {key: each for key, each in values.items() if each is not None} if isinstance(values, dict) else values


class InProject(Arguments):
    """What a tool takes that works in one project."""

    workspace: str = Field("", max_length=255, description="Workspace of the project; name it together with project.")
    project: str = Field("", max_length=255, description="Project; left out, it is that of your session.")


@dataclass(frozen=True, slots=True)
class Caller:
    """What a call comes with.

    Attributes:
        memory: what is asked.
        who: asks.
        progress: tells who waits how far a long call is.
    """

    memory: Memory
    who: Who
    progress: Progress

    def find(self, named: InProject) -> Resolved:
        """Find the project to read; see `Scopes.find`."""
        return self.memory.scopes.find(named.workspace, named.project, self.who)

    def sure(self, named: InProject, *, create: bool = False) -> Resolved:
        """Find the project to write to; see `Scopes.sure`."""
        return self.memory.scopes.sure(named.workspace, named.project, self.who, create=create)

    def when_over(self, job: Job, what: str) -> Job:
        """Wait for a job as long as a client does, and tell it `what` is under way; gives the job as it is then."""
        for turn in range(_TURNS):
            self.progress(turn, 0, what)
            job = self.memory.jobs.wait(job, _TURN_SECONDS)
            if not self.memory.jobs.is_moving(job):
                break
        return job


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool.

    Attributes:
        name: as clients call it.
        title: for people.
        doc: for models: when to call it, and what it answers.
        takes: the arguments.
        run: the call; gives a JSON object. An `AiMemoryError` becomes an error that the model reads.
        reads: it changes nothing.
        destroys: it may take away what was there.
        repeats: to call it again with the same arguments changes nothing more.
        always: clients that defer tools are asked to show this one at once.
        aliases: names under which it can be called, too, and is not listed: clients may be written for another server.
        told: which key of the answer is the text of it, and no part of the structured content; "" for all as JSON.
    """

    name: str
    title: str
    doc: str
    takes: type[Arguments]
    run: Callable[[Caller, Any], Mapping[str, object]]
    reads: bool = False
    destroys: bool = False
    repeats: bool = False
    always: bool = False
    aliases: tuple[str, ...] = ()
    told: str = ""


@dataclass(frozen=True, slots=True)
class Toolset:
    """Tools that are offered together.

    Attributes:
        name: "wiki", "records", "memories" or "packets".
        instructions: what a model is told when it connects: at most 2,000 characters, whole in themselves.
        tools: in the order of their listing.
        of_user: each call needs the token of a user, whose own part of the memory it works in.
    """

    name: str
    instructions: str
    tools: tuple[Tool, ...]
    of_user: bool = False


def scope_of(resolved: Resolved) -> dict[str, object]:
    """Say which scope answered, and how it was found."""
    project = resolved.project
    return {"workspace": project.workspace, "project": project.name, "resolved_by": resolved.by}


def fenced(text: str) -> str:
    """Put stored text between the marks of untrusted history; it can neither end them nor move a terminal."""
    return f"{FENCE_START}\n{unfenced(harmless(text))}\n{FENCE_END}" if text else ""


def bare(text: str) -> str:
    """Take the marks off a text that a model hands back as it was given."""
    if FENCE_START not in text:
        return text
    return text.strip().removeprefix(FENCE_START).removesuffix(FENCE_END).removeprefix("\n").removesuffix("\n")


def plain(value: object) -> object:
    """Make every text in an answer harmless, names and titles as well; what is fenced stays so."""
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
