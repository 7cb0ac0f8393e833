"""A memory is closed, whatever happens to one of its parts."""

import pytest

from ai_memory.errors import StorageError


def fails(*_, **__):
    raise StorageError("no space left")


@pytest.mark.parametrize("part", ["sessions.settle", "upkeep.reads.flush", "embedding.close", "stores.database.close"])
def test_what_fails_keeps_neither_the_durable_rows_open_nor_the_lock(world, monkeypatch, part):
    closed, memory = [], world.memory
    state_close = memory.stores.state.close
    *path, name = part.split(".")
    owner = memory
    for each in path:
        owner = getattr(owner, each)
    with monkeypatch.context() as patch:
        patch.setattr(memory.stores.state, "close", lambda: closed.append(state_close()))
        patch.setattr(owner, name, fails)
        with pytest.raises(StorageError, match="no space left"):
            world.close()
    assert closed == [None]
    world.open()
