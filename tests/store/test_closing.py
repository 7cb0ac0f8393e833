"""A database is closed while somebody asks it something."""

import threading
from contextlib import contextmanager

import apsw
import pytest

from ai_memory.store.sqlite import Database

ENDLESS = "WITH RECURSIVE n (i) AS (SELECT asked() UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@contextmanager
def asking(database, sql, asked):
    """Ask a question in another thread, with a function `asked` in it that is called while the block runs."""
    begun, errors = threading.Event(), []

    def called():
        begun.set()
        return asked()

    def ask():
        database.reader().create_scalar_function("asked", called, 0)
        try:
            database.all(sql)
        except apsw.Error as error:
            errors.append(type(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        assert begun.wait(10)
        yield errors
    finally:
        thread.join(10)
        assert not thread.is_alive()


def is_closed(connection):
    try:
        connection.execute("SELECT 1")
    except apsw.ConnectionClosedError:
        return True
    return False


@pytest.fixture
def database(tmp_path):
    return Database(tmp_path / "index.db", "index", durable=False)


def test_a_question_that_is_asked_just_now_is_broken_off(database):
    connections = [database._writer, database.reader()]
    with asking(database, ENDLESS, lambda: 1) as errors:
        connections += database._readers
        database.close()
    assert errors == [apsw.InterruptError]
    assert [is_closed(each) for each in connections] == [True] * 4


def test_a_question_that_cannot_be_broken_off_keeps_no_other_connection_open(database):
    answer = threading.Event()
    with asking(database, "SELECT asked()", lambda: answer.wait(10)):
        held = database._readers[0]
        others = [database._writer, database.reader()]
        try:
            with pytest.raises(apsw.ThreadingViolationError):
                database.close()
        finally:
            answer.set()
    assert [is_closed(each) for each in others] == [True, True]
    held.close()
