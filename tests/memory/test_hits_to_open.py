"""Hits for who looks through pages: each can be opened, and is of the projects that were asked for."""


def test_a_session_without_its_page_is_no_hit_until_it_is_written(world, ids):
    world.works(ids[0], prompt="Which colour has the saffron crocus?", answer="Violet.")
    recall = world.memory.recall

    def found(**how):
        return [hit.path for hit in recall.ask("saffron", **how).hits]

    assert (found(), found(pages_alone=True)) == ([f"sessions/{ids[0]}.md"], [])
    world.memory.sessions.settle()
    assert found(pages_alone=True) == [f"sessions/{ids[0]}.md"]


def test_so_many_hits_are_found_as_are_asked_for_whatever_is_left_out(world, ids):
    world.works(ids[0], prompt="Saffron, saffron, saffron?", answer="Saffron.")
    world.memory.sessions.settle()
    world.works(ids[1], prompt="Saffron, saffron and saffron?", answer="Saffron!")
    (project,) = world.memory.projects.all()
    hits = world.memory.recall.ask("saffron", [project], limit=1, pages_alone=True).hits
    assert [hit.path for hit in hits] == [f"sessions/{ids[0]}.md"]
