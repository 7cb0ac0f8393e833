"""What a model proposes after a session: what is staged, what somebody decides, and what comes of it."""

import subprocess
from dataclasses import replace
from uuid import UUID

import pytest
from scripted import Scripted

from ai_memory.compile.improve import FOCUS, PageNow
from ai_memory.errors import BadRequestError, ConflictError, NotFoundError
from ai_memory.llm.chat import ModelError
from ai_memory.memory.improvement import OutsideError, ProposalConflictError
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.page import parsed, sealed
from ai_memory.store import steps
from ai_memory.store.steps import Step
from tests.memory.conftest import World

ANA = Writer(user="ana")
VAT = "concepts/vat.md"
VAT_TEXT = (
    "---\ntitle: VAT\nkind: concept\ntype: Concept\nsources:\n- earlier\n---\n# VAT\n\nVAT is rounded per line.\n"
)
VAT_BODY = "# VAT\n\nVAT is rounded per line.\n"


def item(path="decisions/rounding.md", **fields):
    return {
        "operation": "create_or_update",
        "path": path,
        "title": "Rounding",
        "kind": "decision",
        "confidence": 0.9,
        "rationale": "Invoices have to agree.",
        "evidence": [{"page": "session", "quote": "Rounded per invoice."}],
        "edit_mode": "full",
        "body_markdown": "Rounded per invoice, in `cart.py`.",
        "edits": [],
        "expected_base_body_sha256": "",
        **fields,
    }


def patch(**fields):
    return item(
        VAT,
        **{
            "title": "VAT",
            "kind": "concept",
            "edit_mode": "patch",
            "body_markdown": "",
            "edits": [{"find": "per line", "replace": "per invoice"}],
            "expected_base_body_sha256": PageNow("VAT", VAT_BODY).digest,
            **fields,
        },
    )


def answer(*items, **fields):
    return {"summary": "VAT.", "proposals": list(items), "rejected_candidates": [], "warnings": ["Look."], **fields}


class Desk:
    """A memory whose model answers as it is told, and one session in it that is over."""

    def __init__(self, tmp_path, ids):
        self.chat = Scripted(answer(item()))
        self.world = World(tmp_path, chat_of=self.chat)
        self.ids = ids
        self.works(ids[0])

    def works(self, session, **said):
        self.world.works(session, **said)
        self.world.says(session, "session-end")
        self.memory.sessions.settle()

    @property
    def memory(self):
        return self.world.memory

    @property
    def improvement(self):
        return self.memory.improvement

    @property
    def project(self):
        return self.memory.projects.named("default", "shop")

    def reviews(self, *items, session=0, **how):
        """Have a session reviewed; gives the job as it is then."""
        if items:
            self.chat.answers = [answer(*items)]
        found = self.improvement.session(self.project, self.ids[session])
        job = self.improvement.begin(found, **how)
        self.drains()
        return self.memory.stores.state.jobs.job(job.id)

    def drains(self):
        while self.memory.jobs.run_due():
            pass

    def staged(self, status="pending"):
        return self.improvement.latest(self.project, status)

    def proposes(self, *items, **how):
        assert self.reviews(*items, **how).state == "done"
        return self.staged()[0]

    def has_vat(self, text=VAT_TEXT):
        """A page that a model wrote."""
        self.memory.pages.write_several(self.project, {VAT: sealed(text)}, ANA, subject="VAT")

    def text(self, path):
        return self.memory.stores.wiki.read(self.project, path)

    def body(self, path):
        return parsed(path, self.text(path)).body


@pytest.fixture
def desk(tmp_path, ids):
    desk = Desk(tmp_path, ids)
    yield desk
    desk.world.close()


# Reviews


def test_a_review_stages_a_proposal_and_writes_no_page(desk):
    head = desk.memory.stores.wiki.git.head()
    job = desk.reviews()
    (found,) = desk.staged()
    assert job.outcome == {
        "summary": "VAT.",
        "warnings": ["Look."],
        "left_out": [],
        "refused": [],
        "skipped": [],
        "proposals": [str(found.id)],
    }
    assert (found.path, found.title, found.kind, found.confidence) == (
        "decisions/rounding.md",
        "Rounding",
        "decision",
        0.9,
    )
    assert found.body == "# Rounding\n\nRounded per invoice, in `cart.py`.\n"
    assert (found.rationale, found.evidence) == ("Invoices have to agree.", [("session", "Rounded per invoice.")])
    assert (found.run_id, found.session_id, found.base, found.status) == (job.id, UUID(desk.ids[0]), "", "pending")
    assert desk.text("decisions/rounding.md") is None
    assert desk.memory.stores.wiki.git.head() == head


def test_a_page_has_one_proposal_at_a_time(desk):
    first = desk.proposes()
    again = desk.reviews(item(), item("gotchas/cart.md", title="Cart"))
    assert again.outcome["skipped"] == [
        {"path": "decisions/rounding.md", "reason": "another proposal about this page waits for a decision"}
    ]
    assert {each.path for each in desk.staged()} == {"decisions/rounding.md", "gotchas/cart.md"}
    assert first in desk.staged()


def test_only_so_many_are_kept_and_the_surest_of_them(desk):
    items = [
        item(
            f"gotchas/{'x' * n}g.md",
            title=f"Cart {'x' * n}",
            body_markdown=f"Rounded {'x' * n}.",
            confidence=0.8 + n / 100,
        )
        for n in range(7)
    ]
    assert [each["reason"] for each in desk.reviews(*items).outcome["skipped"]] == ["surer ones were enough"] * 2
    assert sorted(each.path for each in desk.staged()) == sorted(f"gotchas/{'x' * n}g.md" for n in range(2, 7))


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("pinned", "concepts/vat.md is pinned"),
        ("written", "concepts/vat.md was written by a person or an agent"),
        ("changed", "it was not made for the text that concepts/vat.md has now"),
    ],
)
def test_no_proposal_is_about_a_page_that_is_somebodys_or_was_another(desk, how, why):
    if how == "changed":
        desk.has_vat(VAT_TEXT.replace("per line", "somewhere"))
    else:
        desk.memory.pages.write(desk.project, VAT, VAT_BODY, Fields(pinned=how == "pinned"), ANA)
    assert desk.reviews(patch()).outcome["refused"] == [{"what": "VAT", "why": why}]
    assert desk.staged() == []


def test_a_deleted_page_is_not_proposed_again(desk):
    desk.memory.pages.write(desk.project, "decisions/rounding.md", "Mine.", Fields(), ANA)
    desk.memory.pages.delete(desk.project, "decisions/rounding.md", ANA)
    skipped = [{"path": "decisions/rounding.md", "reason": "it was deleted"}]
    assert desk.reviews().outcome["skipped"] == skipped


def test_a_page_that_became_somebodys_while_the_model_thought_is_left_alone(desk):
    desk.has_vat()

    def pin_it(ask):
        desk.memory.pages.write(desk.project, VAT, VAT_BODY, Fields(pinned=True), ANA)
        return answer(patch())

    desk.chat.answers = [pin_it]
    assert desk.reviews().outcome["skipped"] == [{"path": VAT, "reason": "it is pinned"}]


def test_a_secret_in_an_answer_is_not_kept(desk):
    desk.reviews(item(rationale="Its key is AKIAIOSFODNN7REALKEY."))
    databases = (desk.world.data / "db").glob("*")
    assert not any(b"AKIAIOSFODNN7REALKEY" in file.read_bytes() for file in databases)


def test_what_was_rejected_is_told_to_the_next_review_and_not_proposed_again(desk):
    rejected = desk.improvement.reject(desk.project, desk.proposes().id, "We  know\nthat.")
    assert (rejected.status, rejected.reason) == ("rejected", "We know that.")
    assert desk.staged("rejected") == [rejected]
    job = desk.reviews(item("concepts/other.md"))
    assert job.outcome["refused"] == [{"what": "Rounding", "why": "it was rejected before"}]
    assert "Rounding" in desk.chat.asked[1].user
    assert "Rounding" not in desk.chat.asked[0].user
    desk.world.passes(days=181)
    desk.works(desk.ids[1])
    assert desk.proposes(item("concepts/other.md"), session=1).path == "concepts/other.md"


def test_what_cannot_be_reviewed_is_refused_with_a_reason(desk, ids):
    session = desk.improvement.session
    with pytest.raises(NotFoundError, match="there is no session"):
        session(desk.project, ids[8])
    desk.world.works(ids[1], cwd="/srv/atlas")
    with pytest.raises(OutsideError, match="it is in default/atlas"):
        session(desk.project, ids[1])
    desk.world.works(ids[2])
    with pytest.raises(ConflictError, match="is not over"):
        session(desk.project, ids[2])
    desk.world.says(ids[3], "session-start")
    desk.world.says(ids[3], "session-end")
    with pytest.raises(BadRequestError, match="did nothing"):
        session(desk.project, ids[3])


def test_without_a_model_a_review_says_how_to_have_one(world, ids):
    world.works(ids[0])
    world.says(ids[0], "session-end")
    session = world.memory.improvement.session(world.memory.projects.named("default", "shop"), ids[0])
    with pytest.raises(ModelError, match="a review of a session needs a model, and none is set"):
        world.memory.improvement.begin(session)
    assert world.memory.jobs.latest() == []


def test_a_model_that_fails_stages_nothing_and_says_so(desk):
    desk.chat.answers = [ModelError("it answered in prose", "unparsable")]
    job = desk.reviews()
    assert (job.state, job.error, desk.staged()) == ("failed", "it answered in prose", [])


# Decisions


def test_an_approved_proposal_is_one_commit_with_its_reason(desk):
    before = len(desk.world.subjects())
    approved = desk.improvement.approve(desk.project, desk.proposes().id, ANA)
    commit = desk.memory.stores.wiki.git.recent(1)[0]
    assert desk.world.subjects()[0] == "auto-improve(session 00000000): Rounding"
    assert len(desk.world.subjects()) == before + 1
    assert (commit.author[0], approved.revision, approved.status) == ("ana", commit.oid, "approved")
    said = ["git", "log", "-1", "--format=%b", commit.oid]
    assert subprocess.check_output(said, cwd=desk.world.data / "wiki", text=True).strip() == "Invoices have to agree."
    page = parsed("decisions/rounding.md", desk.text("decisions/rounding.md"))
    assert page.body == "# Rounding\n\nRounded per invoice, in `cart.py`.\n"
    assert (page.title, page.kind, page.type, page.sealed) == ("Rounding", "decision", "Decision", True)
    assert (page.front["sources"], page.front["evidence"]) == ([desk.ids[0]], ["Rounded per invoice."])
    assert desk.staged("approved") == [approved]
    assert [hit.path for hit in desk.memory.recall.search("rounded invoice", limit=9)].count(page.path) == 1


def test_an_approved_edit_keeps_what_the_page_says_of_itself(desk):
    desk.has_vat()
    proposal = desk.proposes(patch())
    assert proposal.body == VAT_BODY.replace("per line", "per invoice")
    desk.improvement.approve(desk.project, proposal.id, ANA)
    page = parsed(VAT, desk.text(VAT))
    assert (page.body, page.kind, page.sealed) == (proposal.body, "concept", True)
    assert page.front["sources"] == ["earlier", desk.ids[0]]


def test_a_diff_shows_what_would_become_of_the_page(desk):
    desk.has_vat()
    desk.reviews(patch(), item())
    edit, new = sorted(desk.staged(), key=lambda each: each.path)
    shown = desk.improvement.diff(desk.project, edit.id)
    assert shown.startswith(f"--- a/{VAT}\n+++ b/{VAT}\n")
    assert "-VAT is rounded per line.\n+VAT is rounded per invoice.\n" in shown
    assert "seal" not in shown
    assert desk.improvement.diff(desk.project, new.id).startswith("--- /dev/null\n+++ b/decisions/rounding.md\n")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("edited", "a person or an agent wrote it"),
        ("outside", "a person or an agent wrote it"),
        ("pinned", "it is pinned"),
        ("deleted", "it was deleted"),
        ("rewritten", "it has changed since the proposal was made"),
    ],
)
def test_a_page_that_is_another_by_now_is_a_conflict_and_stays(desk, how, why):
    desk.has_vat()
    proposal = desk.proposes(patch())
    if how == "deleted":
        desk.memory.pages.delete(desk.project, VAT, ANA)
    elif how == "rewritten":
        desk.has_vat(VAT_TEXT + "More.\n")
    elif how == "outside":
        (desk.memory.stores.wiki.folder(desk.project) / VAT).write_text(VAT_TEXT + "By hand.\n")
    else:
        desk.memory.pages.write(desk.project, VAT, "Mine.", Fields(pinned=how == "pinned"), ANA)
    before, head = desk.text(VAT), desk.memory.stores.wiki.git.head()
    with pytest.raises(ProposalConflictError, match=why) as error:
        desk.improvement.approve(desk.project, proposal.id, ANA)
    assert error.value.status == 409
    assert (desk.text(VAT), desk.memory.stores.wiki.git.head()) == (before, head)
    (kept,) = desk.staged("conflict")
    assert (kept.id, kept.reason) == (proposal.id, f"{VAT}: {why}")


def test_a_new_page_that_is_there_by_now_is_a_conflict(desk):
    proposal = desk.proposes()
    desk.memory.pages.write_several(
        desk.project, {proposal.path: sealed("---\ntype: Decision\n---\nOther.\n")}, ANA, subject="other"
    )
    with pytest.raises(ProposalConflictError, match="has changed since"):
        desk.improvement.approve(desk.project, proposal.id, ANA)


def test_what_is_decided_stays_decided(desk):
    proposal = desk.proposes()
    desk.improvement.approve(desk.project, proposal.id, ANA)
    for decide in (
        lambda: desk.improvement.approve(desk.project, proposal.id, ANA),
        lambda: desk.improvement.reject(desk.project, proposal.id, ""),
    ):
        with pytest.raises(ConflictError, match="is approved already"):
            decide()
    with pytest.raises(NotFoundError, match="there is no proposal"):
        desk.improvement.reject(desk.project, UUID(int=1), "")


def test_the_focus_may_be_proposed_while_nobody_made_it_theirs(desk):
    proposal = desk.proposes(item(FOCUS, kind="slot"))
    desk.improvement.approve(desk.project, proposal.id, ANA)
    page = parsed(FOCUS, desk.text(FOCUS))
    assert (page.type, page.front["slot_kind"], page.sealed) == ("State", "state", True)
    more = item(FOCUS, kind="slot", body_markdown="Rounded.", expected_base_body_sha256=PageNow("", page.body).digest)
    second = desk.proposes(more)
    desk.memory.pages.write(desk.project, FOCUS, page.body, Fields(), ANA)
    with pytest.raises(ProposalConflictError, match="a person or an agent wrote it"):
        desk.improvement.approve(desk.project, second.id, ANA)


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", [Step.COMMIT_INTENT_NOTED, Step.COMMIT_MADE])
def test_a_kill_while_a_proposal_is_approved_leaves_it_to_be_approved_once(desk, step, monkeypatch):
    proposal = desk.proposes()

    def kill(reached):
        if reached is step:
            raise Killed

    monkeypatch.setattr(steps, "_listeners", [kill])
    with pytest.raises(Killed):
        desk.improvement.approve(desk.project, proposal.id, ANA)
    monkeypatch.setattr(steps, "_listeners", [])
    desk.world.crash()
    desk.world.open()
    assert [each.status for each in desk.staged("")] == ["pending"]
    approved = desk.improvement.approve(desk.project, proposal.id, ANA)
    assert desk.world.subjects().count("auto-improve(session 00000000): Rounding") == 1
    assert approved.revision == desk.memory.stores.pages.newest(desk.project.id, proposal.path).revision
    assert desk.body(proposal.path) == proposal.body


def test_a_review_that_is_killed_after_its_answer_pays_once_and_stages_once(desk, monkeypatch):
    def kill(reached):
        if reached is Step.JOB_WRITTEN:
            raise Killed

    monkeypatch.setattr(steps, "_listeners", [kill])
    desk.improvement.begin(desk.improvement.session(desk.project, desk.ids[0]))
    with pytest.raises(Killed):
        desk.memory.jobs.run_due()
    monkeypatch.setattr(steps, "_listeners", [])
    desk.world.crash()
    desk.world.open()
    (before,) = desk.staged()
    desk.drains()
    (job,) = desk.memory.jobs.latest()
    assert (job.state, job.outcome["proposals"], job.outcome["skipped"]) == ("done", [str(before.id)], [])
    assert (desk.staged(), len(desk.chat.asked)) == ([before], 1)


def test_where_no_approval_is_required_a_proposal_is_approved_at_once(desk):
    desk.world.close()
    desk.world.open(auto_improve__require_approval=False)
    job = desk.reviews()
    (found,) = desk.staged("approved")
    assert job.outcome["proposals"] == [str(found.id)]
    assert desk.body("decisions/rounding.md") == found.body


# What goes and what moves


def test_a_purged_page_takes_along_what_is_proposed_about_it_and_what_quotes_it(desk):
    desk.has_vat()
    quoting = item(evidence=[{"page": VAT, "quote": "VAT is rounded per line."}])
    desk.reviews(patch(), quoting, item("gotchas/cart.md", title="Cart", body_markdown="In `cart.py`."))
    assert len(desk.staged()) == 3
    desk.memory.purge.page(desk.project, VAT, confirm=True)
    assert [each.path for each in desk.staged()] == ["gotchas/cart.md"]


def test_a_purged_session_takes_its_proposals_and_its_approved_pages_along(desk):
    proposal = desk.proposes(item(), item("gotchas/cart.md", title="Cart", body_markdown="In `cart.py`."))
    desk.improvement.approve(desk.project, proposal.id, ANA)
    desk.memory.purge.session(desk.project, UUID(desk.ids[0]), confirm=True)
    assert (desk.staged(""), desk.text(proposal.path)) == ([], None)


def test_a_session_takes_its_proposals_to_another_project(desk):
    proposal = desk.proposes()
    desk.memory.moves.move_session(desk.project, UUID(desk.ids[0]), "other", confirm=True, create=True)
    other = desk.memory.projects.named("default", "other")
    assert desk.staged("") == []
    assert desk.improvement.named(other, proposal.id) == replace(proposal, project_id=other.id)
    desk.improvement.approve(other, proposal.id, ANA)
    assert desk.memory.stores.wiki.read(other, proposal.path)


def test_where_two_projects_become_one_each_page_has_one_proposal_and_they_follow_their_pages(desk):
    desk.has_vat()
    desk.reviews(item(), patch())
    source, rows = desk.project, desk.memory.stores.state.proposals
    target = desk.memory.projects.create("team", "shop")
    there = replace(desk.staged()[0], id=UUID(int=7), project_id=target.id, path="decisions/rounding.md")
    assert rows.stage(there)
    desk.memory.pages.write(target, VAT, "Theirs.", Fields(), ANA)
    desk.memory.moves.move_project(source, "team", confirm=True, on_conflict="duplicate")
    found = {each.path: each.id for each in desk.improvement.latest(target)}
    moved = next(path for path in found if path != "decisions/rounding.md")
    assert found["decisions/rounding.md"] == there.id
    assert moved.startswith("concepts/vat-from-")
    assert VAT_BODY in desk.memory.stores.wiki.read(target, moved)


# By itself


def eligible(desk, session, cwd="/srv/shop"):
    """A session that is worth a review."""
    for _ in range(3):
        desk.world.works(session, cwd=cwd)
        desk.world.passes(minutes=2)
    desk.world.says(session, "session-end", cwd=cwd)
    desk.memory.sessions.settle()


def test_nothing_is_reviewed_by_itself_unless_somebody_switched_that_on(desk, ids):
    desk.improvement.come_round()
    desk.world.passes(minutes=1)
    eligible(desk, ids[1])
    desk.world.passes(hours=1)
    desk.improvement.come_round()
    assert desk.memory.jobs.latest() == []


def test_one_session_a_project_and_hour_is_reviewed_the_oldest_first_and_none_of_before(desk, ids):
    desk.world.close()
    desk.world.open(auto_improve__scheduler__enabled=True)
    eligible(desk, ids[1])
    desk.improvement.come_round()
    for session in ids[2:4]:
        eligible(desk, session)
    eligible(desk, ids[4], cwd="/srv/atlas")
    desk.works(ids[5])
    desk.world.passes(minutes=11)
    reviewed = []
    for _ in range(4):
        desk.improvement.come_round()
        desk.improvement.come_round()
        reviewed.append([str(job.session_id) for job in desk.memory.jobs.latest(["queued"])])
        desk.drains()
        desk.world.passes(hours=1)
    assert [sorted(each) for each in reviewed] == [sorted([ids[2], ids[4]]), [ids[3]], [], []]


def test_a_session_that_is_over_for_moments_only_waits(desk, ids):
    desk.world.close()
    desk.world.open(auto_improve__scheduler__enabled=True)
    desk.improvement.come_round()
    eligible(desk, ids[1])
    desk.improvement.come_round()
    assert desk.memory.jobs.latest() == []
    desk.world.passes(hours=1)
    desk.improvement.come_round()
    assert [job.asked for job in desk.memory.jobs.latest()] == [False]
