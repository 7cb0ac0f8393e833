"""A memory whose raw logs are compressed starts, rebuilds its index and goes on as before."""


def compress_all(world):
    rawlog = world.memory.stores.rawlog
    assert all(rawlog.compress(file.path) > 0 for file in list(rawlog.files()))
    assert {file.compressed for file in rawlog.files()} == {True}


def story(world):
    for number in range(3):
        session = f"0000000{number}-0000-4000-8000-000000000000"
        world.works(session, prompt=f"Please fix the rounding of case {number}.")
        world.says(session, "session-end")
    world.works("00000009-0000-4000-8000-000000000000", prompt="This one goes on.")
    world.memory.sessions.settle()


def counts(world):
    status = world.memory.status(bind="")
    derived = {**status["derived"], "index_rebuilt": None}
    return status["counts"], derived, status["storage"]["damaged_raw_lines"]


def test_a_start_reads_nothing_again_after_logs_were_compressed(world):
    story(world)
    before = counts(world)
    compress_all(world)
    world.close()
    world.open()
    assert counts(world) == before
    assert world.memory.catch_up_meter["observations"] == 0


def test_an_index_is_rebuilt_from_compressed_logs(world):
    story(world)
    before, pages, subjects = counts(world), world.pages(), world.subjects()
    compress_all(world)
    world.close()
    for file in (world.data / "db").glob("index.db*"):
        file.unlink()
    world.open()
    world.memory.sessions.settle()
    assert (counts(world), world.pages(), world.subjects()) == (before, pages, subjects)
    assert {file.compressed for file in world.memory.stores.rawlog.files()} == {True}


def test_a_session_goes_on_after_its_log_was_compressed(world):
    story(world)
    compress_all(world)
    session = "00000009-0000-4000-8000-000000000000"
    world.says(session, "user-prompt", prompt="And the totals?")
    world.says(session, "stop", last_assistant_message="Done as well.")
    world.memory.sessions.settle()
    page = world.pages()[session]
    assert "This one goes on." in page
    assert "And the totals?" in page
