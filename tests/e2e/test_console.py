"""The local console, on a terminal of its own, beside an agent that runs."""

import contextlib
import json
import os
import re
import tarfile

import pytest
from world import tree
from world.agent import Agent
from world.process import binary, run
from world.secrets import leaks, remember
from world.site import Site
from world.terminal import ENTER, ESCAPE, Terminal

KEY = re.compile(r"([A-Z0-9]{5}-){4}[A-Z0-9]{5}")
PASSWORD = "console-canary-1"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store):
    """A site whose agent is not activated yet."""
    made = Site(directory, module_logs, nfs, store)
    made.control.start()
    made.datasync = made.control.boto()
    made.agent = Agent("agent", directory, module_logs, made.control).start()
    made.agent.server.wait_for_port(made.agent.port)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def journal(tmp_path):
    """A directory with a journalctl whose lines hold secrets."""
    programs = tmp_path / "bin"
    programs.mkdir()
    lines = [
        "2026-01-01T00:00:00+0000 vm datasync-agent[1]: the agent says something",
        "2026-01-01T00:00:01+0000 vm datasync-agent[1]: via http://me:journal-canary@proxy:3128",
        "2026-01-01T00:00:02+0000 vm datasync-agent[1]: password=journal-canary",
    ]
    program = programs / "journalctl"
    program.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(lines) + "\nEND\n")
    program.chmod(0o755)
    return programs


@contextlib.contextmanager
def console(agent, *arguments, programs=None, **terminal):
    env = dict(os.environ)
    if programs:
        env["PATH"] = f"{programs}:{env['PATH']}"
    command = [binary("datasync-agent"), "console", "--config", agent.configuration, *arguments]
    shown = Terminal(command, env=env, **terminal)
    try:
        yield shown
    finally:
        shown.close()


def leave(shown):
    shown.press("q")
    assert shown.end() == 0


def test_1_the_activation_key_makes_an_agent(site):
    with console(site.agent) as shown:
        text = shown.wait("Get activation key", "is not activated")
        # A vt100 gets ASCII.
        assert text.isascii() and "+--" in text, text
        shown.press("0")
        shown.wait("Region", "us-east-1")
        shown.press(ENTER)
        text = shown.wait("Good for one CreateAgent")
        key = remember("an activation key of the console", KEY.search(text).group())
        created = site.datasync.create_agent(ActivationKey=key, AgentName="agent")
        site.agent.arn = created["AgentArn"]
        site.agent.wait_online(site.datasync)
        shown.press("q")
        shown.wait("connected to control", "ONLINE")
        shown.press("5")
        shown.wait("Status: ONLINE", site.agent.arn.rpartition("/")[2])
        shown.press(ESCAPE)
        shown.wait("Get activation key")
        shown.press("0")
        shown.press(ENTER)
        shown.wait("activated already")
        shown.press("q")
        shown.wait("Change password")
        leave(shown)


def test_2_a_running_execution_is_seen(site):
    source, bucket = site.source("console"), site.bucket("console")
    tree.big(source + b"/large", 8 * MIB)
    tree.write(source + b"/small", b"content")
    task = site.task(source, bucket, options={"BytesPerSecond": 64 * 1024})
    execution = site.launch(task)
    site.wait_execution(execution, until=lambda described: described["Status"] == "TRANSFERRING")
    with console(site.agent, columns=60, rows=20) as shown:
        shown.wait("Running execution")
        shown.press("6")
        shown.wait(execution.rpartition("/")[2], "TRANSFERRING", "8.00 MiB", "Held up by", "limiter")
        site.datasync.update_task_execution(
            TaskExecutionArn=execution, Options={"BytesPerSecond": -1}
        )
        shown.wait("SUCCESS", "100 %", timeout=60)
        shown.resize(80, 25)
        shown.wait("SUCCESS", "2 of 2")
        shown.press("q")
        shown.wait("Change password")
        leave(shown)
    assert site.wait_execution(execution)["Status"] == "SUCCESS"


def test_3_control_and_storage_are_tested_hop_by_hop(site):
    with console(site.agent) as shown:
        shown.wait("Get activation key")
        shown.press("2")
        text = shown.wait("gRPC")
        for hop in ("DNS", "TCP", "TLS", "gRPC: control answers"):
            assert re.search(rf"OK +{hop}", text), text
        assert "FAIL" not in text, text
        shown.press("q")
        shown.press("3")
        shown.wait("Server or URL")
        shown.press(f"\t{site.nfs.host}{ENTER}{os.fsdecode(bytes(site.nfs.open))}{ENTER}{ENTER}")
        text = shown.wait("READDIR")
        assert re.search(r"OK +Portmapper: NFS is on port \d+", text), text
        assert re.search(r"OK +MOUNT: granted", text), text
        assert re.search(r"OK +READDIR: \d+ entries", text), text
        shown.press("q")
        shown.press("3")
        shown.wait("Server or URL")
        shown.press(f" \t{site.store.endpoint}{ENTER}{ENTER}{ENTER}")
        text = shown.wait("Clock")
        assert re.search(r"OK +HEAD: status \d+", text), text
        assert re.search(r"OK +Clock: this machine's agrees", text), text
        shown.press("q")
        shown.press("4")
        text = shown.wait("memory_target", "State disk")
        assert re.search(r"(OK|WARNING|FAIL) +Memory: \d+ MiB", text), text
        shown.press("q")
        leave(shown)


def test_4_a_support_bundle_has_no_secrets(site, journal, tmp_path):
    key = (site.agent.state / "identity" / "key.pem").read_text().splitlines()[1]
    with console(site.agent, programs=journal) as shown:
        shown.wait("Get activation key")
        shown.press("7")
        text = shown.wait("the agent says something")
        assert "journal-canary" not in text, text
        shown.press("q")
        shown.press("8")
        shown.wait("Directory")
        shown.press(ENTER)
        shown.wait("The bundle is written", "log.txt", timeout=60)
        shown.press("q")
        leave(shown)
    [bundle] = (site.agent.state / "support").glob("datasync-support-*.tar.gz")
    assert bundle.stat().st_mode & 0o777 == 0o600
    unpacked = tmp_path / "unpacked"
    with tarfile.open(bundle) as archive:
        archive.extractall(unpacked, filter="data")
    status = json.loads((unpacked / "status.json").read_text())
    assert status["phase"]["Active"]["arn"] == site.agent.arn
    assert "gRPC: control answers" in (unpacked / "connection.txt").read_text()
    assert "the agent says something" in (unpacked / "log.txt").read_text()
    assert "control_ca" in (unpacked / "settings.txt").read_text()
    secrets = {
        "the journal": "journal-canary",
        "the agent's key": key,
        "the store": site.store.secret_key,
    }
    assert not leaks(secrets, [unpacked])


def appliance(root):
    """What marks the image."""
    (root / "etc" / "datasync").mkdir(parents=True)
    (root / "etc" / "datasync" / "appliance").touch()


def test_5_the_appliance_wants_a_password_and_its_network_is_configured(site, tmp_path):
    root = tmp_path / "root"
    appliance(root)
    remember("the console", PASSWORD)
    with console(site.agent, "--root", root) as shown:
        shown.wait("First login")
        shown.press(f"{ESCAPE}")
        shown.press(f"short{ENTER}short{ENTER}{ENTER}")
        shown.wait("needs 8 characters")
        shown.press("\x10" * 2 + "\x7f" * 5 + PASSWORD + ENTER + "\x7f" * 5 + PASSWORD)
        shown.press(ENTER * 2)
        text = shown.wait("The password is set")
        assert PASSWORD not in text
        shown.press("q")
        shown.wait("Get activation key")
        shown.press("1")
        shown.wait("Interface", "DHCP")
        shown.press("\x7f" * 16 + f"ens3{ENTER} {ENTER}192.0.2.10/24{ENTER}192.0.2.1{ENTER}")
        shown.press(f"192.0.2.53{ENTER}" + ENTER * 6)
        shown.wait("files written")
        shown.press("q")
        shown.wait("Get activation key")
        shown.press("7")
        shown.wait("l level")
        shown.press("l")
        shown.wait("< info >")
        shown.press(" " + ENTER)
        shown.wait("The level of the log is debug.")
        shown.press("q")
        # Leaving the appliance's console is locking it.
        shown.press("q")
        shown.wait("This console is locked")
        shown.press(f"wrong{ENTER}")
        shown.wait("Wrong password")
        shown.press(f"{PASSWORD}{ENTER}")
        shown.wait("Get activation key")
    written = root / "etc/systemd/network/05-datasync-console.network"
    assert "Address=192.0.2.10/24\nGateway=192.0.2.1" in written.read_text()
    assert '[log]\nlevel = "debug"' in (root / "etc/datasync/agent.toml").read_text()
    # Where the agent's user cannot write.
    hashed = root / "etc/datasync/console-password"
    assert hashed.stat().st_mode & 0o777 == 0o600
    assert hashed.read_text().startswith("$argon2id$")


def test_6_the_console_says_that_the_agent_is_down(site):
    site.agent.stop()
    with console(site.agent, term="linux") as shown:
        text = shown.wait("The agent is not running", "not running")
        assert "\u2500" in text, text
        shown.press("0")
        shown.press(ENTER)
        shown.wait("no agent runs on state directory")
        shown.press("q")
        shown.press("2")
        # The way to control is there without the agent.
        shown.wait("gRPC: control answers")
        shown.press("q")
        leave(shown)


def test_7_a_configuration_that_cannot_be_used_is_named(site, tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text(f'state_dir = "{tmp_path / "none"}"\ncontrol = "nonsense"\n')
    shown = Terminal([binary("datasync-agent"), "console", "--config", bad])
    try:
        shown.wait("configuration cannot be used", "nonsense")
        leave(shown)
    finally:
        shown.close()


def test_8_a_serial_line_has_no_size_and_may_be_noisy(site):
    with console(site.agent, rows=24, knows_size=False) as shown:
        text = shown.wait("The agent is not running")
        # Drawn to 80x24.
        assert text.splitlines()[22].startswith("+--"), text
        shown.screen.draw("noise")
        shown.press("\x0c")
        shown.wait("The agent is not running", gone="noise")


def test_9_without_a_terminal_it_says_so(site):
    command = [binary("datasync-agent"), "console", "--config", site.agent.configuration]
    answer = run(["setsid", "--wait", *command], env=os.environ | {"TERM": "vt100"})
    assert answer.returncode == 1, answer
    assert "terminal" in answer.stderr, answer
