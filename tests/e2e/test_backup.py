"""A backup of control is restored while an agent knows more than it does."""

import shutil

from botocore.exceptions import ClientError
from world import tree
from world.site import shown

MIB = 1024 * 1024
RATE = 2 * MIB


def slow_task(site, name):
    """A task of half a minute at RATE."""
    source = site.source(name)
    tree.big(source + b"/big", 60 * MIB)
    return site.task(source, site.bucket(name), options={"BytesPerSecond": RATE})


def in_transfer(described):
    return described["Status"] == "TRANSFERRING" and described["BytesTransferred"] > 0


def is_known(site, execution):
    try:
        site.describe(execution)
    except ClientError as error:
        assert "is not found" in str(error), error
        return False
    return True


def test_agents_go_on_with_what_the_backup_knows_and_drop_the_rest(site, directory):
    before, after = slow_task(site, "before"), slow_task(site, "after")
    kept = site.launch(before)
    site.wait_execution(kept, until=in_transfer)
    saved = directory / "saved"
    site.control.cli("backup", saved)
    site.datasync.cancel_task_execution(TaskExecutionArn=kept)
    site.wait_execution(kept)
    dropped = site.launch(after)
    site.wait_execution(dropped, until=in_transfer)

    site.control.stop()
    shutil.rmtree(site.control.state)
    site.control.cli("restore", saved)
    site.control.start()
    site.agent.wait_online(site.datasync)
    # The execution that the backup does not know is stopped by its agent, and only that one.
    site.agent.server.wait_for_line(rf"execution ended.*{dropped.rsplit('/', 1)[1]}", 30)
    assert not is_known(site, dropped)
    # In the backup nobody had cancelled this one: it is done.
    site.datasync.update_task_execution(TaskExecutionArn=kept, Options={"BytesPerSecond": -1})
    ended = site.wait_execution(kept)
    assert ended["Status"] == "SUCCESS", shown(ended)
    site.run(after, options={"BytesPerSecond": -1})
