"""The agents' programs, the model and the desk of a test."""

import desk as desks
import model as models
import programs
import pytest


@pytest.fixture(scope="session")
def installed_programs():
    """The four agents' real programs."""
    programs.install_all()


@pytest.fixture
def model():
    with models.Model() as scripted:
        yield scripted


@pytest.fixture
def desk(installed_programs, tmp_path, model, free_port):
    """A fresh home with a user's settings; nothing that was started there is left."""
    opened = desks.Desk(tmp_path, model, free_port)
    try:
        yield opened
    finally:
        opened.close()
        print(opened.story())
