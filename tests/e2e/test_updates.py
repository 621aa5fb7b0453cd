"""Updates of an agent: signed bundles by hand and by control, taken back where they do not work."""

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from world import tree
from world.expected import Snapshot
from world.process import binary, run, wait_until
from world.releases import Releases
from world.site import Site, shown

MIB = 1024 * 1024
RATE = 4 * MIB
TRIAL_SECONDS = 10


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    return Releases(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store, releases):
    made = Site(
        directory, module_logs, nfs, store,
        release_keys=releases.public, update_trial_seconds=TRIAL_SECONDS,
    )
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(autouse=True)
def packaged_again(site):
    """Each test begins with the packaged program."""
    yield
    if not site.agent.server.alive():
        site.agent.start()
    site.agent.wait_online(site.datasync)
    site.control.cli("agent", "set-version", "none", "--all")
    answer = update(site, "--packaged", "--drain")
    assert answer.returncode == 0, answer
    wait_until("the packaged program runs", lambda: running(site) == "packaged", 30)
    site.agent.wait_online(site.datasync)


def update(site, *arguments, timeout=60):
    command = [binary("datasync-agent"), "update", "--config", site.agent.configuration]
    return run([*command, *arguments], timeout=timeout)


def running(site):
    """The release that the process is, by its environment."""
    environment = Path(f"/proc/{site.agent.server.pid}/environ").read_bytes()
    found = re.search(rb"(?:^|\0)DATASYNC_UPDATE_RELEASE=([^\0]*)", environment)
    return found.group(1).decode() if found else "packaged"


def told(site):
    """What control knows of the agent's last update."""
    return json.loads(site.control.cli("agent", "show", site.agent.arn))["Update"] or {}


def wait_told(site, state, version, timeout=60):
    def is_told():
        update = told(site)
        return update if (update.get("State"), update.get("Version")) == (state, version) else None

    return wait_until(f"control knows that {version} is {state}", is_told, timeout, 0.2)


def test_update_in_the_middle_of_a_transfer(site, releases):
    since_ns = time.time_ns()
    source = site.source("updated")
    tree.big(source + b"/big", 40 * MIB)
    below = tree.directory(source + b"/small")
    for number in range(20):
        tree.write(below + b"/%02d" % number, tree.noise(number, 256 * 1024))
    bucket = site.bucket("updated")
    task = site.task(source, bucket, options={"BytesPerSecond": RATE})
    execution = site.launch(task)
    site.wait_execution(
        execution,
        until=lambda d: d["Status"] == "TRANSFERRING" and d["BytesTransferred"] >= 4 * MIB,
    )
    pid = site.agent.server.pid
    bundle = releases.good("9.1.0")
    # Without --drain it would wait for the end: it gives up, and nothing has changed.
    impatient = update(site, bundle, "--wait", "1")
    assert impatient.returncode == 1 and "still under way" in impatient.stderr, impatient
    assert running(site) == "packaged"
    answer = update(site, bundle, "--drain")
    assert answer.returncode == 0, answer
    assert running(site) == "9.1.0" and site.agent.server.pid == pid
    assert "resuming an execution" in site.agent.server.output()
    ended = site.wait_execution(execution)
    assert ended["Status"] == "SUCCESS", shown(ended)
    Snapshot(source, since_ns=since_ns).assert_at(site.store.client, bucket)
    wait_told(site, "CONFIRMED", "9.1.0")
    # It is what starts from now on.
    assert site.agent.stop() == 0
    site.agent.start()
    site.agent.wait_online(site.datasync)
    assert running(site) == "9.1.0"


def test_a_release_that_ends_at_once_has_three_starts(site, releases):
    starts = releases.directory / "starts"
    starts.unlink(missing_ok=True)
    bundle = releases.make("9.2.0", f"echo start >>{starts}; exit 1")
    with ThreadPoolExecutor(1) as executor:
        # Nobody starts the agent again, so it waits: the test does what systemd would.
        updating = executor.submit(update, site, bundle, timeout=180)
        for start in (1, 2, 3):
            if start > 1:
                site.agent.start()
            assert site.agent.server.wait_for_end() == 1
            assert starts.read_text().count("start") == start
        site.agent.start()
        site.agent.wait_online(site.datasync)
        assert running(site) == "packaged"
        answer = updating.result(timeout=60)
    assert answer.returncode == 1 and "9.2.0 was taken back: it was started 3 times" in answer.stderr
    assert starts.read_text().count("start") == 3
    assert "3 times" in wait_told(site, "ROLLED_BACK", "9.2.0")["Detail"]
    assert "update.rolled_back" in site.agent.server.output()


def test_a_release_that_never_reaches_control_goes_back_by_itself(site, releases):
    gate = releases.directory / "gate"
    waits = f'while [ ! -e {gate} ]; do sleep 0.1; done; exec {binary("datasync-agent")} "$@"'
    bundle = releases.make("9.3.0", waits)
    pid = site.agent.server.pid
    with ThreadPoolExecutor(1) as executor:
        updating = executor.submit(update, site, bundle, timeout=180)
        wait_until("it is started", lambda: running(site) == "9.3.0", 30)
        site.control.stop()
        gate.touch()
        site.agent.server.wait_for_line(r'version="9\.3\.0".*update\.rolled_back', 60)
        site.control.start()
        answer = updating.result(timeout=60)
    assert answer.returncode == 1, answer
    assert f"did not reach control within {TRIAL_SECONDS} s" in answer.stderr
    assert running(site) == "packaged" and site.agent.server.pid == pid
    site.agent.wait_online(site.datasync)
    assert "did not reach control" in wait_told(site, "ROLLED_BACK", "9.3.0")["Detail"]


def test_a_release_that_the_configuration_is_wrong_for_is_taken_back(site, releases):
    """It must not end with the code that service managers take as final."""
    wrong = f'exec {binary("datasync-agent")} "$@" --surprise'
    with ThreadPoolExecutor(1) as executor:
        updating = executor.submit(update, site, releases.make("9.4.0", wrong), timeout=180)
        for start in (1, 2, 3):
            if start > 1:
                site.agent.start()
            assert site.agent.server.wait_for_end() == 1
        site.agent.start()
        site.agent.wait_online(site.datasync)
        assert updating.result(timeout=60).returncode == 1
    assert running(site) == "packaged"


def test_controls_wish_is_fetched_and_followed(site, releases):
    added = json.loads(site.control.cli("release", "add", releases.good("9.5.0")))
    assert (added["Version"], added["Status"]) == ("9.5.0", "Complete")
    site.control.cli("agent", "set-version", "9.5.0", "--all")
    update = wait_told(site, "CONFIRMED", "9.5.0")
    assert update["ByControl"]
    assert running(site) == "9.5.0"
    # Back again: an older one only where that is said.
    site.control.cli("release", "add", releases.good("9.4.9"))
    site.control.cli("agent", "set-version", "9.4.9", "--agent", site.agent.arn, "--drain")
    assert "older than 9.5.0" in wait_told(site, "REFUSED", "9.4.9")["Detail"]
    site.control.cli(
        "agent", "set-version", "9.4.9", "--agent", site.agent.arn, "--drain", "--allow-downgrade"
    )
    wait_told(site, "CONFIRMED", "9.4.9")
    assert running(site) == "9.4.9"
    versions = [json.loads(line)["Version"] for line in site.control.cli("release", "list").splitlines()]
    assert versions == ["9.4.9", "9.5.0"]


def test_what_is_not_signed_by_a_known_key_is_refused(site, releases, tmp_path):
    stranger = Releases(tmp_path)
    answer = update(site, stranger.good("9.6.0"))
    assert answer.returncode == 1 and "not among release_keys" in answer.stderr, answer
    bundle = releases.good("9.6.0")
    bundle.write_bytes(bundle.read_bytes().replace(b"9.6.0", b"9.6.1", 1))
    answer = update(site, bundle)
    assert answer.returncode == 1 and "its signature is not good" in answer.stderr, answer
    assert not os.path.exists(site.agent.state / "releases" / "9.6.1")
    assert running(site) == "packaged"


def test_the_machine_is_left_alone_while_an_execution_is_under_way(site):
    """As the appliance asks before its operating system is updated, or restarted for that."""
    def idle():
        return run([binary("datasync-agent"), "idle", "--config", site.agent.configuration])

    assert idle().returncode == 0
    source = site.source("busy")
    tree.big(source + b"/big", 16 * MIB)
    execution = site.launch(site.task(source, site.bucket("busy"), options={"BytesPerSecond": MIB}))
    site.wait_execution(execution, until=lambda d: d["Status"] == "TRANSFERRING")
    answer = idle()
    assert answer.returncode == 1 and "1 executions are under way" in answer.stderr, answer
    site.datasync.update_task_execution(TaskExecutionArn=execution, Options={"BytesPerSecond": -1})
    assert site.wait_execution(execution)["Status"] == "SUCCESS"
    assert idle().returncode == 0
