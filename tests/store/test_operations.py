import json

import pytest

from ai_memory.errors import StorageError
from ai_memory.store.operations import Operations, UnfinishedOperationError


def operations(tmp_path, done, fails=(), *, changes=True):
    found = Operations(tmp_path / "operation.json")
    failures = list(fails)

    def way(order):
        if changes:
            found.changed()
        if failures and failures.pop(0):
            raise StorageError("the disk is full")
        done.append(order["n"])
        return f"commit {order['n']}"

    found.teach("count", way)
    return found


def test_an_operation_that_is_done_leaves_no_note(tmp_path):
    done = []
    found = operations(tmp_path, done)
    assert found.run("count", {"n": 1}) == "commit 1"
    assert (done, found.pending(), found.finish()) == ([1], None, "")


def test_an_operation_that_failed_is_done_before_the_next_one(tmp_path):
    done = []
    found = operations(tmp_path, done, [True])
    with pytest.raises(StorageError):
        found.run("count", {"n": 1})
    assert found.pending() == ("count", {"n": 1})
    assert found.run("count", {"n": 2}) == "commit 2"
    assert done == [1, 2]


def test_another_process_finishes_what_this_one_noted(tmp_path):
    with pytest.raises(StorageError):
        operations(tmp_path, [], [True]).run("count", {"n": 7})
    done = []
    assert operations(tmp_path, done).finish() == "commit 7"
    assert done == [7]


def test_a_note_of_a_newer_program_is_kept_and_says_what_to_do(tmp_path):
    file = tmp_path / "operation.json"
    file.write_text(json.dumps({"operation": "split-project", "order": {}}))
    with pytest.raises(StorageError, match="newer version"):
        operations(tmp_path, []).finish()
    assert file.exists()


def test_a_damaged_note_is_told_of(tmp_path):
    (tmp_path / "operation.json").write_text("{")
    with pytest.raises(StorageError, match="cannot be read"):
        operations(tmp_path, []).finish()


def test_an_operation_whose_first_step_failed_is_not_done_later(tmp_path):
    done = []
    found = operations(tmp_path, done, [True], changes=False)
    with pytest.raises(StorageError, match="count was not begun, and nothing was changed: the disk is full"):
        found.run("count", {"n": 1, "project": "shop"})
    assert (found.pending(), found.problem, found.refusal("shop")) == (None, "", "")
    assert (found.finish(), done) == ("", [])


def test_a_project_is_left_alone_until_the_operation_that_concerns_it_is_finished(tmp_path):
    found = operations(tmp_path, [], [True])
    with pytest.raises(UnfinishedOperationError):
        found.run("count", {"n": 1, "source": "shop"})
    assert "the disk is full" in found.refusal("shop")
    assert found.refusal("other") == ""
    assert (found.settle(), found.refusal("shop")) == (True, "")
