"""One server for all tests of the API that change nothing."""

import pytest

from tests.own_server import served
from tests.server.api.api_world import Client, Still, fill


@pytest.fixture(scope="package")
def own(tmp_path_factory):
    with served(tmp_path_factory, clock=Still(), maintenance__enabled=False) as own:
        fill(own)
        yield own


@pytest.fixture(scope="package")
def client(own):
    return Client(own)
