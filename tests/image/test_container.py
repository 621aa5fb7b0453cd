"""The agent's image, run as docs/deploy says: with nothing but what it needs."""

import os
import re
import signal
import time
from pathlib import Path

import pytest
from world import tree
from world.control import REGION
from world.expected import Snapshot
from world.process import accepts, run, wait_until
from world.secrets import remember
from world.site import TERMINAL

BUNDLE = Path(__file__).resolve().parents[2] / "packaging" / "bundle"
MIB = 1024 * 1024
STATE = "/var/lib/datasync-agent"
NET_BIND_SERVICE = f"{1 << 10:016x}"
STOP_SECONDS = 5


def hardened(control, volume, *more, capabilities=("NET_BIND_SERVICE",)):
    """The arguments of docs/deploy/podman.md but for the image."""
    return [
        *("--network", "host", "--read-only", "--read-only-tmpfs=false", "--pids-limit", "256"),
        *("--cap-drop", "ALL", *(f"--cap-add={capability}" for capability in capabilities)),
        *("--security-opt", "no-new-privileges", "--memory", "512m", "--cpus", "1"),
        *("--volume", f"{volume}:{STATE}", "--volume", f"{control.ca}:/etc/datasync/ca.pem:ro"),
        *("--env", f"DATASYNC_AGENT_CONTROL=127.0.0.1:{control.agent_port}"),
        *("--env", "DATASYNC_AGENT_CONTROL_CA=/etc/datasync/ca.pem"),
        *more,
    ]


def activation_key():
    url = f"http://127.0.0.1/?gatewayType=SYNC&activationRegion={REGION}&no_redirect"

    def asked():
        answer = run(["curl", "-sf", "-m", "10", url])
        return answer.stdout.strip() if answer.returncode == 0 else None

    return remember("an activation key", wait_until("an activation key", asked, 20, 0.5))


@pytest.fixture(scope="module")
def agent(engine, references, control):
    """One container for this module; the tests are steps of its life."""
    made = engine.container("agent", *hardened(control, "agent-state"), references["agent"])
    made.wait_for("the activation port is open", lambda: accepts(80), 20)
    yield made
    engine("rm", "-f", "-t", "0", "agent")


def test_1_it_has_no_right_that_it_does_not_need(agent):
    status = agent.status()
    assert status["Uid"].split() == status["Gid"].split() == ["2000"] * 4
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert status[name] == NET_BIND_SERVICE, (name, status)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_1_nothing_but_its_state_can_be_written(agent):
    mounts = agent.mounts()
    assert "ro" in mounts["/"]
    writable = {
        point
        for point, options in mounts.items()
        if "rw" in options and not point.startswith(("/proc", "/dev", "/sys"))
    }
    # Files that the engine makes for each container.
    assert writable <= {STATE, "/etc/hosts", "/etc/resolv.conf", "/etc/hostname",
                        "/run/.containerenv", "/run/secrets"}, mounts
    assert STATE in writable


def test_1_its_limits_are_known_to_it(agent):
    assert agent.cgroup("memory", "memory.limit_in_bytes", "memory.max") == str(512 * MIB)
    started = re.search(r"agent started.*", agent.output()).group()
    assert f"memory_target_bytes={128 * MIB}" in started, started


def test_1_the_health_check_sees_an_agent_that_hangs(agent):
    assert agent.inspect()["Config"]["Healthcheck"]["Test"][-1] == "--health"
    assert agent.healthy()
    pid = agent.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        # As if it had hung for a minute.
        alive = agent.volume("agent-state") / "alive"
        past = time.time() - 60
        os.utime(alive, (past, past))
        assert not agent.healthy()
    finally:
        os.kill(pid, signal.SIGCONT)
    agent.wait_for("it is healthy again", agent.healthy, 20)


def test_2_it_is_activated_and_moves_a_tree(agent, control, nfs, store, module_logs):
    aws = control.aws
    arn = aws("create-agent", "--activation-key", activation_key(), "--agent-name", "boxed")["AgentArn"]

    def status(command, *arguments):
        return aws(f"describe-{command}", *arguments)["Status"]

    agent.wait_for("it is ONLINE", lambda: status("agent", "--agent-arn", arn) == "ONLINE", 30)
    wait_until("port 80 is closed", lambda: not accepts(80), 20)

    source = os.fsencode(nfs.open / "boxed")
    os.mkdir(source)
    tree.neighbours(source)
    tree.write(source + b"/large", tree.noise("boxed", 24 * MIB))
    snapshot = Snapshot(source, "p/")
    bucket = store.bucket("boxed")
    on = ["--on-prem-config", f"AgentArns={arn}"]
    place = ["--server-hostname", nfs.host, "--subdirectory", source.decode()]
    from_nfs = aws("create-location-nfs", *place, *on)["LocationArn"]
    place = ["--server-hostname", store.host, "--server-port", str(store.port)]
    place += ["--server-protocol", "HTTP", "--bucket-name", bucket, "--subdirectory", "/p/"]
    keys = ["--access-key", store.access_key, "--secret-key", store.secret_key]
    to = aws("create-location-object-storage", *place, *keys, "--agent-arns", arn)["LocationArn"]
    ends = ["--source-location-arn", from_nfs, "--destination-location-arn", to]
    task = aws("create-task", *ends, "--name", "boxed")["TaskArn"]
    wait_until("the task is there", lambda: status("task", "--task-arn", task) == "AVAILABLE", 30)
    # Time zones are in the program: the image has no files of them.
    table = "Key=datasync:bandwidth-timetable,Value=Europe/Berlin Mon-Sun 00:00-24:00 unlimited"
    aws("tag-resource", "--resource-arn", task, "--tags", table)
    execution = aws("start-task-execution", "--task-arn", task)["TaskExecutionArn"]
    describe = ["describe-task-execution", "--task-execution-arn", execution]

    def ended():
        described = aws(*describe)
        return described if described["Status"] in TERMINAL else None

    described = wait_until("the execution ends", ended, 120, 0.5)
    (module_logs / "container.log").write_text(agent.output())
    assert described["Status"] == "SUCCESS", described
    snapshot.assert_at(store.client, bucket)
    assert int(agent.status()["VmHWM"].split()[0]) * 1024 < 512 * MIB


def test_3_it_stops_at_once_and_control_knows(agent, control):
    arn = control.aws("list-agents")["Agents"][0]["AgentArn"]
    began = time.monotonic()
    code = agent.stop()
    assert time.monotonic() - began < STOP_SECONDS
    assert code == 0, agent.output()[-4000:]

    def offline():
        return control.aws("describe-agent", "--agent-arn", arn)["Status"] == "OFFLINE"

    # Long before an agent counts as lost.
    wait_until("it is OFFLINE", offline, 5, 0.2)


def test_4_a_new_container_is_the_same_agent(engine, references, control, agent):
    arn = control.aws("list-agents")["Agents"][0]["AgentArn"]
    engine("rm", "agent")
    again = engine.container("agent", *hardened(control, "agent-state"), references["agent"])
    again.wait_for(
        "it is ONLINE",
        lambda: control.aws("describe-agent", "--agent-arn", arn)["Status"] == "ONLINE",
        30,
    )
    assert again.stop() == 0


def test_5_a_bundle_is_installed_in_its_volume_and_outlives_the_container(
    engine, references, control, tmp_path
):
    """The root stays as it is, and the first process the same one."""
    arn = control.aws("list-agents")["Agents"][0]["AgentArn"]
    key, program = tmp_path / "key.pem", tmp_path / "datasync-agent"
    static = f"{os.environ['DATASYNC_STATIC']}/datasync-agent"
    for command in (
        [BUNDLE, "--new-key", key],
        ["strip", "--strip-all", "-o", program, static],
        [BUNDLE, "--key", key, "--version", "9.0.0", program, tmp_path],
    ):
        answer = run(command)
        assert answer.returncode == 0, answer
    bundle = answer.stdout.strip()
    trusted = f"{tmp_path / 'key.pub.pem'}:/etc/datasync/release-keys.d/key.pem:ro"
    arguments = [*hardened(control, "agent-state", "--volume", trusted), references["agent"]]

    def online():
        return control.aws("describe-agent", "--agent-arn", arn)["Status"] == "ONLINE"

    def running():
        return b"DATASYNC_UPDATE_RELEASE=9.0.0" in Path(f"/proc/{made.pid}/environ").read_bytes()

    made = engine.container("updated", *arguments)
    try:
        made.wait_for("it is ONLINE", online, 30)
        pid, status = made.pid, made.status()
        assert not running()
        command = 'podman exec -i updated /usr/bin/datasync-agent update - <"$0"'
        answer = run(["sh", "-c", command, bundle], env=os.environ | engine.environment)
        assert answer.returncode == 0, answer.stderr + made.output()[-4000:]
        assert made.pid == pid and running()
        rights = ("Uid", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp")
        assert {name: made.status()[name] for name in rights} == {name: status[name] for name in rights}
        assert made.healthy()
        assert made.stop() == 0
        engine("rm", "updated")
        made = engine.container("updated", *arguments)
        made.wait_for("it is ONLINE again", online, 30)
        assert running()
        assert made.stop() == 0
    finally:
        engine("rm", "-f", "-t", "0", "updated")


def test_5_as_root_it_becomes_another_user_and_keeps_the_port(engine, references, control):
    """Docker and Kubernetes give capabilities to root alone."""
    capabilities = ("NET_BIND_SERVICE", "SETUID", "SETGID")
    more = ["--user", "0:0", "--env", "DATASYNC_AGENT_RUN_AS=2000:2000"]
    arguments = hardened(control, "root-state", *more, capabilities=capabilities)
    made = engine.container("rooted", *arguments, references["agent"])
    try:
        made.wait_for("the activation port is open", lambda: accepts(80), 20)
        status = made.status()
        assert status["Uid"].split() == status["Gid"].split() == ["2000"] * 4
        assert status["Groups"].strip() == ""
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert status[name] == NET_BIND_SERVICE, (name, status)
        assert made.healthy()
        assert activation_key()
        assert made.stop() == 0
    finally:
        engine("rm", "-f", "-t", "0", "rooted")


def refused(engine, references, control, *more, **rights):
    """What it says instead of running, and its exit code."""
    arguments = [*hardened(control, "refused-state", *more, **rights), references["agent"]]
    answer = engine.call("run", "--rm", *arguments)
    return answer.returncode, answer.stdout + answer.stderr


def test_6_too_little_memory_for_what_it_is_to_do_is_refused(engine, references, control):
    code, said = refused(engine, references, control, "--env", "DATASYNC_AGENT_EXECUTIONS_MAX=4")
    assert code == 64, said
    assert "memory_target" in said and "together 256 MiB" in said, said


def test_6_what_it_lacks_is_named(engine, references, control):
    code, said = refused(engine, references, control, capabilities=())
    assert code == 1 and "CAP_NET_BIND_SERVICE" in said, said
    run_as = ["--env", "DATASYNC_AGENT_RUN_AS=2001:2001"]
    code, said = refused(engine, references, control, *run_as)
    assert code == 64 and "only root can become another user" in said, said
    code, said = refused(engine, references, control, "--user", "0:0", *run_as)
    assert code == 64 and "SETUID" in said, said
