"""Any sequence of page writes, deletes, renames, outside edits, crashes and restarts leaves disk, git and index equal."""

import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ai_memory.errors import ConflictError, NotFoundError
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.front import parts
from ai_memory.model.scope import Routing
from ai_memory.store.git import blob_of
from tests.memory.conftest import World
from tests.mirror import assert_rebuild_is_equal

ANA = Writer(user="ana")
PATHS = st.sampled_from(["notes/a.md", "notes/b.md", "decisions/a.md", "c.md", "deep/er/\u00fcber.md"])
WORDS = st.lists(
    st.sampled_from(
        ["saffron", "[[notes/b]]", "fooBar", "na\u00efve", "\u6771\u4eac", "```", "# Head", "- item", "\r"]
    ),
    min_size=1,
    max_size=6,
)


class Wiki(RuleBasedStateMachine):
    """One project; `pages` is what it should hold, `gone` what was deleted."""

    @initialize()
    def begin(self):
        self.home = Path(tempfile.mkdtemp(prefix="ai-memory-any-"))
        self.world = World(self.home)
        self.pages = {}
        self.gone = set()
        self.names = 0
        self.project_id = self.memory.projects.ensure(Routing(cwd="/srv/shop", repo_root="/srv/shop")).project.id

    @property
    def memory(self):
        return self.world.memory

    @property
    def project(self):
        return self.memory.projects.get(self.project_id)

    @property
    def folder(self):
        return self.memory.stores.wiki.folder(self.project)

    @rule(path=PATHS, words=WORDS)
    def write(self, path, words):
        self.world.passes(seconds=30)
        body = "\n".join(words) + "\n"
        try:
            self.memory.pages.write(self.project, path, body, Fields(), ANA)
        except ConflictError:
            assert path in self.gone
            return
        assert path not in self.gone
        self.pages[path] = body

    @rule(path=PATHS, words=WORDS)
    def revive(self, path, words):
        body = "\n".join(words) + "\n"
        self.memory.pages.write(self.project, path, body, Fields(), ANA, revive=True)
        self.pages[path] = body
        self.gone.discard(path)

    @rule(path=PATHS)
    def delete(self, path):
        self.world.passes(seconds=30)
        assert bool(self.memory.pages.delete(self.project, path, ANA)) == (path in self.pages)
        if self.pages.pop(path, None) is not None:
            self.gone.add(path)

    @rule(path=PATHS, words=WORDS, watched=st.booleans())
    def edit_outside(self, path, words, watched):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        text = "---\ntype: Note\n---\n" + "\n".join(words) + f" {uuid.uuid4().hex}\n"
        file.write_bytes(text.encode())
        if watched:
            self.memory.outside.changed([file])
        else:
            self.memory.outside.reconcile()
        if path in self.gone:
            file.unlink()
            self.memory.outside.changed([file])
        else:
            self.pages[path] = text.split("---\n", 2)[2]

    @precondition(lambda self: self.pages)
    @rule(data=st.data())
    def delete_outside(self, data):
        path = data.draw(st.sampled_from(sorted(self.pages)))
        was_committed = self.memory.stores.pages.newest(self.project_id, path)
        (self.folder / path).unlink()
        self.memory.outside.reconcile()
        self.memory.outside.reconcile()
        del self.pages[path]
        if was_committed and was_committed.blob:
            self.gone.add(path)

    @precondition(lambda self: self.memory.stores.wiki.git.head())
    @rule(path=PATHS, words=WORDS, other=PATHS, ours=st.booleans())
    def pull_from_a_clone_that_edited(self, path, words, other, ours):
        self.memory.pages.commit_outside(self.project)
        root, clone = self.memory.stores.wiki.root, self.home / "clone"
        self.git("clone", "-q", str(root), str(clone), cwd=self.home)
        file = clone / self.folder.relative_to(root) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        text = "---\ntype: Note\n---\n" + "\n".join(words) + f" {uuid.uuid4().hex}\n"
        file.write_bytes(text.encode())
        self.git("add", "-A", cwd=clone)
        self.git("commit", "-q", "-m", "in the clone", cwd=clone)
        if other != path:
            self.write(other, words)
        how = ["-s", "ours"] if ours else []
        self.git("pull", "-q", "--no-rebase", "--no-edit", *how, str(clone), "main", cwd=root)
        self.memory.outside.reconcile()
        shutil.rmtree(clone)
        if not ours and path not in self.gone:
            self.pages[path] = text.split("---\n", 2)[2]

    def git(self, *arguments, cwd):
        who = {f"GIT_{role}_{part}": "ann@x.org" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
        when = {f"GIT_{role}_DATE": self.world.now.isoformat() for role in ("AUTHOR", "COMMITTER")}
        environment = {**os.environ, **who, **when, "GIT_CONFIG_GLOBAL": os.devnull}
        subprocess.run(["git", *arguments], cwd=cwd, env=environment, check=True, capture_output=True)

    @rule()
    def rename_the_project(self):
        self.names += 1
        self.memory.moves.rename_project(self.project, f"shop-{self.names}")
        assert self.project.name == f"shop-{self.names}"

    @rule(ended=st.booleans())
    def work(self, ended):
        session = str(uuid.uuid4())
        self.world.works(session, repo_root="/srv/shop")
        if ended:
            self.world.says(session, "session-end")
        self.memory.sessions.settle()

    @rule(hours=st.integers(0, 48))
    def time_passes(self, hours):
        self.world.passes(hours=hours)
        self.memory.outside.reconcile()
        self.memory.sessions.close_idle()

    @rule()
    def restart(self):
        self.world.close()
        self.world.open()

    @rule()
    def crash(self):
        self.world.crash()
        self.world.open()

    @rule()
    def lose_the_index(self):
        self.world.close()
        for file in (self.world.data / "db").glob("index.db*"):
            file.unlink()
        self.world.open()

    @invariant()
    def disk_and_index_hold_the_same(self):
        stores = self.memory.stores
        rows = {row.path: row.blob for row in stores.pages.pages(self.project_id)}
        files = {file.relative_to(self.folder).as_posix(): file for file in self.folder.rglob("*.md")}
        on_disk = {
            path: blob_of(file.read_bytes())
            for path, file in files.items()
            if path != "_meta.md" and not path.startswith("log-")
        }
        assert rows == on_disk
        assert {path for path in rows if not path.startswith(("sessions/", "packets/"))} == set(self.pages)
        for path, body in self.pages.items():
            text = (self.folder / path).read_bytes().decode()
            assert parts(text).body.replace("\r\n", "\n") == body.replace("\r\n", "\n")

    @invariant()
    def what_is_gone_is_not_found(self):
        for path in self.gone:
            try:
                self.memory.pages.read(self.project, path)
            except NotFoundError:
                continue
            raise AssertionError(f"{path} is back")

    @invariant()
    def git_holds_what_is_said_to_be_committed(self):
        stores = self.memory.stores
        prefix = f"{self.project.workspace_id}/{self.project_id}/"
        head = stores.wiki.git.tree("HEAD", prefix.rstrip("/")) if stores.wiki.git.head() else {}
        uncommitted = {row.path for row in stores.pages.uncommitted(self.project_id)}
        for row in stores.pages.pages(self.project_id):
            file = next((blob for path, blob in head.items() if path.endswith(row.path)), "")
            assert (file == row.blob) != (row.path in uncommitted), row.path

    def teardown(self):
        if not hasattr(self, "home"):
            return
        self.world.close()

        def reopen():
            self.world.open()
            self.world.close()

        assert_rebuild_is_equal(self.world.data, reopen)
        shutil.rmtree(self.home)


Wiki.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestAnySequence = Wiki.TestCase
