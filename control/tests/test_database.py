"""A database server that goes away and comes back while control serves."""

import tempfile
import time

import pytest
from botocore.exceptions import ClientError
from conftest import Checked, World
from control_process import Control
from world.postgres import Postgres


@pytest.fixture
def server(tmp_path):
    with tempfile.TemporaryDirectory(prefix="pg") as directory:
        running = Postgres(directory, tmp_path).start()
        yield running
        running.stop()


@pytest.fixture
def control(server, tmp_path):
    running = Control(tmp_path / "c", server)
    yield running
    if running.process.poll() is None:
        running.kill()


def test_calls_fail_while_it_is_away_and_nothing_acknowledged_is_lost(server, control):
    client = control.client()
    world = World(control, Checked(client))
    made = [world.store(ServerHostname="before")]
    server.kill()
    for _ in range(3):
        with pytest.raises(ClientError) as caught:
            client.list_locations()
        assert caught.value.response["Error"]["Code"] == "InternalException"
        with pytest.raises(ClientError) as caught:
            world.store(ServerHostname="meanwhile")
        assert caught.value.response["Error"]["Code"] == "InternalException"
        assert control.process.poll() is None
    server.start()
    deadline = time.monotonic() + 60
    while True:
        try:
            made.append(world.store(ServerHostname="after"))
            break
        except ClientError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    uris = {entry["LocationArn"] for entry in client.list_locations()["Locations"]}
    assert uris == set(made)
    while "the database is back" not in control.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert control.log.read_text().count("the database is away") == 1
    control.stop()


def test_a_database_that_is_not_there_at_the_start_is_named(server, control):
    control.stop()
    server.stop()
    with pytest.raises(AssertionError, match="failed while connecting"):
        control.start()
