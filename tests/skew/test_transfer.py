"""An agent and a control of two releases, the previous one ($DATASYNC_PREVIOUS_BIN_DIR) and this: one transfer,
and another after the older side was updated."""

import os

import pytest
from world import tree
from world.agent import Agent
from world.control import Control
from world.expected import Snapshot
from world.site import ROLE, Site

PRESENT = os.environ["DATASYNC_BIN_DIR"]
PREVIOUS = os.environ["DATASYNC_PREVIOUS_BIN_DIR"]


class Skewed(Site):
    """A site whose two sides are programs of different releases."""

    def __init__(self, world, folder, of_control, of_agent):
        directory, logs, nfs, store = world
        self.of_agent = of_agent
        os.environ["DATASYNC_BIN_DIR"] = of_control
        control = Control(directory / folder, logs / folder, roles=[ROLE])
        super().__init__(directory / folder, logs / folder, nfs, store, controls=[control])

    def start(self):
        self.control.start()
        self.datasync = self.control.boto()
        os.environ["DATASYNC_BIN_DIR"] = self.of_agent
        self.agent = Agent("agent", self.directory, self.logs, self.control)
        self.agent.start()
        self.agent.activate(self.datasync)
        return self

    def replace(self, server, program):
        """Stops one side and starts the other release on its state."""
        server.stop()
        server.arguments[0] = program
        server.start()
        self.agent.wait_online(self.datasync)


@pytest.fixture(params=["old-agent", "old-control"])
def skewed(request, directory, module_logs, nfs, store):
    sides = (PRESENT, PREVIOUS) if request.param == "old-agent" else (PREVIOUS, PRESENT)
    made = Skewed((directory, module_logs, nfs, store), request.param, *sides)
    try:
        yield made.start()
    finally:
        os.environ["DATASYNC_BIN_DIR"] = PRESENT
        made.stop()


def test_a_tree_is_moved_and_after_an_update_what_changed(skewed):
    source, bucket = skewed.source("skew"), skewed.bucket("skew")
    tree.odd_names(source)
    tree.write(source + b"/large", tree.noise(1, 20_000_000))
    task = skewed.task(source, bucket)
    snapshot = Snapshot(source, "")
    first = skewed.run(task)
    snapshot.assert_at(skewed.store.client, bucket)
    assert first["FilesTransferred"] > 1
    # The older side becomes what the other one is.
    if skewed.of_agent == PREVIOUS:
        skewed.replace(skewed.agent.server, f"{PRESENT}/datasync-agent")
    else:
        skewed.replace(skewed.control.server, f"{PRESENT}/datasync-control")
    tree.write(source + b"/later", tree.noise(2, 1_000_000))
    second = skewed.run(task)
    moved = skewed.store.client.get_object(Bucket=bucket, Key="later")["Body"].read()
    assert moved == tree.noise(2, 1_000_000)
    # The directory that the file is in counts as well.
    assert 1 <= second["FilesTransferred"] <= 2
