"""Health, metrics and the log of running programs, as an operator reads them."""

import json
import re
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from world import tree
from world.control import Control
from world.process import free_port, wait_until
from world.site import Site

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
PAGES = ("agent", "control")


class Page:
    """One page of metrics."""

    def __init__(self, text):
        self.types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
        self.values = {
            name: float(value) for name, value in re.findall(r"^([^#\s]\S*) (\S+)$", text, re.M)
        }

    def __getitem__(self, name):
        return self.values[name]


def get(port, path):
    """Status and text."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def page(port):
    status, text = get(port, "/metrics")
    assert status == 200, text
    return Page(text)


@pytest.fixture(scope="module")
def ports():
    return {name: free_port() for name in PAGES}


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store, ports):
    control = Control(
        directory, module_logs, telemetry_listen=f"127.0.0.1:{ports['control']}",
        log_format="json", log_filter="info",
    )
    made = Site(
        directory, module_logs, nfs, store, controls=[control],
        telemetry_listen=f"127.0.0.1:{ports['agent']}", **{"log.format": "json", "log.level": "info"},
    )
    try:
        made.start()
        yield made
    finally:
        made.stop()


def events(server):
    """The events that its lines name, in order."""
    lines = [line for line in server.output().splitlines() if line.startswith("{")]
    return [line["event"] for line in map(json.loads, lines) if "event" in line]


def test_a_transfer_is_counted(site, ports):
    source, bucket = site.source("metrics"), site.bucket("metrics")
    for number in range(5):
        tree.write(source + b"/%d" % number, tree.noise(number, 100_000))
    before = page(ports["agent"])
    described = site.run(site.task(source, bucket))
    after = page(ports["agent"])

    def grown(name):
        return after[name] - before.values.get(name, 0)

    assert grown("datasync_agent_items_transferred_total") == described["FilesTransferred"]
    assert grown("datasync_agent_written_bytes_total") == described["BytesWritten"] == 500_000
    assert grown("datasync_agent_sent_bytes_total") >= 500_000
    assert grown("datasync_agent_read_bytes_total") >= 500_000
    assert grown('datasync_agent_nfs_requests_total{kind="READ"}') >= 5
    assert grown('datasync_agent_s3_requests_total{kind="PutObject"}') >= 5
    assert grown('datasync_agent_executions_ended_total{status="SUCCESS"}') == 1
    assert after["datasync_agent_connected"] == 1
    assert after["datasync_agent_certificate_expiry_timestamp_seconds"] > 1.7e9
    assert after["datasync_agent_resident_memory_bytes"] > 1e6
    control = page(ports["control"])
    assert control['datasync_control_agents{status="ONLINE"}'] == 1
    assert control["datasync_control_agent_sessions"] == 1
    started = 'datasync_control_api_calls_total{operation="StartTaskExecution",result="answered"}'
    assert control[started] >= 1
    assert control["datasync_control_api_call_duration_seconds_count"] > 3
    assert control['datasync_control_store_transaction_duration_seconds_count{access="write"}'] > 3


@pytest.mark.parametrize("program", PAGES)
def test_the_page_has_what_the_document_lists_and_no_more(site, ports, program):
    listed = dict(
        re.findall(rf"^\| `(datasync_{program}_\w+)` \| (\w+) \|", DOCUMENT.read_text(), re.M)
    )
    shown = page(ports[program])
    assert shown.types == listed
    for name in shown.values:
        bare = name.split("{")[0]
        family = re.sub(r"_(bucket|sum|count)$", "", bare)
        assert bare in listed or listed.get(family) == "histogram", name


def test_the_agent_is_ready_while_control_is_there(site, ports):
    for port in ports.values():
        assert get(port, "/livez") == (200, "ok\n")
        assert get(port, "/readyz") == (200, "ok\n")
    site.control.stop()
    wait_until("the agent is not ready", lambda: get(ports["agent"], "/readyz")[0] == 503, 30)
    assert "no session with control" in get(ports["agent"], "/readyz")[1]
    assert get(ports["agent"], "/livez") == (200, "ok\n")
    site.control.start()
    wait_until("the agent is ready", lambda: get(ports["agent"], "/readyz")[0] == 200, 60)
    site.agent.wait_online(site.datasync)


def test_log_lines_name_what_happened(site):
    # Whoever waited for its ports may have been told of before.
    assert "control.started" in events(site.control.server)
    assert "agent.connected" in events(site.control.server)
    seen = events(site.agent.server)
    order = [seen.index(event) for event in (
        "agent.started", "activation.awaited", "agent.activated", "session.opened",
        "execution.started", "execution.ended",
    )]
    assert order == sorted(order), seen


def test_the_level_of_controls_log_changes_at_sighup(site):
    configuration = site.control.configuration
    before = configuration.read_text()
    configuration.write_text(before.replace('log_filter = "info"', 'log_filter = "debug"'))
    site.control.server.signal(signal.SIGHUP)
    site.control.server.wait_for_line('"event":"log.level_changed"')
    site.datasync.list_tasks()
    site.control.server.wait_for_line('"level":"DEBUG".*"message":"answered"')
    configuration.write_text(before.replace('log_filter = "info"', 'log_filter = "a=b=c"'))
    site.control.server.signal(signal.SIGHUP)
    site.control.server.wait_for_line('"event":"log.level_kept"')
    configuration.write_text(before)
    site.control.server.signal(signal.SIGHUP)
    wait_until("all is as before", lambda: events(site.control.server).count("log.level_changed") == 2, 20)


def test_the_level_of_the_agents_log_changes_at_sighup(site):
    agent = site.agent

    def told(level, line):
        agent.settings["log.level"] = level
        agent.write()
        agent.server.signal(signal.SIGHUP)
        agent.server.wait_for_line(line)

    before = dict(agent.settings)
    assert '"level":"DEBUG"' not in agent.server.output()
    # What only a restart takes is not looked at, and changes nothing.
    agent.settings["executions_max"] = 7
    told("debug", '"level":"debug".*"event":"log.level_changed"')
    # Control asks for it again and again.
    agent.server.wait_for_line('"level":"DEBUG"')
    told("a=b=c", '"event":"log.level_kept"')
    agent.server.wait_for_line('"level":"DEBUG"')
    agent.settings = before
    told("info", '"level":"info".*"event":"log.level_changed"')
    assert events(agent.server).count("log.level_changed") == 2
    assert agent.server.alive()
