"""Metrics that the programs push, at a collector that reads them with OpenTelemetry's own messages."""

import re
import urllib.request

import grpc
import pytest
from world import tree
from world.collector import Collector
from world.control import Control
from world.process import binary, free_port, run, wait_until
from world.secrets import permit, remember
from world.site import Site

PROGRAMS = ("datasync-agent", "datasync-control")
TOKEN = "canary-token-of-the-collector"
# These go on while one looks: time, memory, disk, and control's own work for the page.
MOVING = re.compile(
    r"_(cpu_seconds_total|resident_memory_bytes|state_disk_free_bytes|journal_bytes|catalog_bytes"
    r"|logs_waiting_bytes)$|_(api_call|store_transaction)_duration_seconds"
)


@pytest.fixture(scope="module")
def ports():
    return {name: free_port() for name in (*PROGRAMS, "collector")}


@pytest.fixture(scope="module")
def certificate(directory):
    """A certificate for 127.0.0.1 that signs itself: certificate and key."""
    files = directory / "collector.pem", directory / "collector.key"
    made = run([
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", "/CN=collector", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
        "-addext", "basicConstraints=critical,CA:FALSE",
        "-keyout", files[1], "-out", files[0],
    ])
    assert made.returncode == 0, made.stderr
    return files


@pytest.fixture(scope="module")
def collector(ports, certificate):
    """Behind TLS; it is not there at first."""
    certificate, key = certificate
    tls = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    made = Collector(ports["collector"], tls)
    yield made
    if made.server:
        made.stop()


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store, ports, certificate, collector):
    headers = directory / "collector.headers"
    headers.touch(mode=0o600)
    remember("the collector", TOKEN)
    headers.write_text(f"Authorization: Bearer {TOKEN}\n")
    permit(TOKEN, headers)
    told = {
        "otlp_endpoint": f"https://127.0.0.1:{ports['collector']}",
        "otlp_headers_file": headers,
    }
    control = Control(
        directory, module_logs, telemetry_listen=f"127.0.0.1:{ports['datasync-control']}",
        log_format="json", ca_bundle_file=certificate[0], otlp_interval_seconds="5", **told,
    )
    made = Site(
        directory, module_logs, nfs, store, controls=[control], ca_bundle=certificate[0],
        telemetry_listen=f"127.0.0.1:{ports['datasync-agent']}", otlp_interval_seconds=5,
        **told, **{"log.format": "json"},
    )
    try:
        made.start()
        yield made
    finally:
        made.stop()


def page(port):
    """Types and values of the page in Prometheus's text format."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    values = re.findall(r"^([^#\s]\S*) (\S+)$", text, re.M)
    return types, {name: float(value) for name, value in values}


def family(name):
    return re.sub(r"_(bucket|sum|count)$", "", name.split("{")[0])


def still(values):
    return {name: value for name, value in values.items() if not MOVING.search(family(name))}


def server(site, program):
    return site.agent.server if program == "datasync-agent" else site.control.server


def pushed(collector, program):
    """What is pushed from now on."""
    collector.forget()
    return wait_until(f"{program} pushes", lambda: collector.last(program), 30)


def test_a_collector_that_is_away_is_told_of_once_and_holds_nothing_up(site, collector):
    source, bucket = site.source("otlp"), site.bucket("otlp")
    tree.write(source + b"/file", tree.noise(1, 100_000))
    for program in PROGRAMS:
        server(site, program).wait_for_line('"event":"metrics.push_failed"')
    site.run(site.task(source, bucket))
    collector.start()
    for program in PROGRAMS:
        server(site, program).wait_for_line('"event":"metrics.pushed"')
        assert server(site, program).output().count('"event":"metrics.push_failed"') == 1


@pytest.mark.parametrize("program", PROGRAMS)
def test_names_kinds_and_values_are_those_of_the_page(site, collector, ports, program):
    def same():
        """A push between two pages that are the same."""
        (types, before), told = page(ports[program]), pushed(collector, program)
        _, after = page(ports[program])
        return (types, before, after, told) if still(before) == still(after) else None

    types, before, after, told = wait_until("nothing moves", same, 60)
    values = told.values()
    assert still(values) == still(before)
    assert values.keys() == after.keys()
    present = {family(name) if types.get(name.split("{")[0]) is None else name.split("{")[0]
               for name in after}
    assert told.types() == {name: types[name] for name in present}
    for name, value in values.items():
        # Counters and histograms that move are between what was told before and after it.
        if types.get(family(name)) == "counter":
            assert before.get(name, 0) <= value <= after[name], name


def test_counters_are_cumulative_since_the_start(site, collector):
    told = pushed(collector, "datasync-agent")
    written = told.points("datasync_agent_written_bytes_total")
    assert written.is_monotonic and written.aggregation_temporality == Collector.CUMULATIVE
    [point] = written.data_points
    assert point.as_int == 100_000
    started = told.values()["datasync_agent_start_time_seconds"]
    assert abs(point.start_time_unix_nano / 1e9 - started) < 1 <= point.time_unix_nano
    calls = pushed(collector, "datasync-control").points("datasync_control_api_call_duration_seconds")
    assert calls.aggregation_temporality == Collector.CUMULATIVE


def test_who_tells_is_the_same_after_a_restart(site, collector):
    before = {program: pushed(collector, program) for program in PROGRAMS}
    for program, told in before.items():
        assert told.resource.keys() == {"service.name", "service.version", "service.instance.id"}
        assert told.headers["authorization"] == f"Bearer {TOKEN}"
    ids = {told.resource["service.instance.id"] for told in before.values()}
    assert len(ids) == len(PROGRAMS) and all(len(one) == 32 for one in ids)
    site.agent.stop()
    site.agent.start()
    again = pushed(collector, "datasync-agent")
    assert again.resource == before["datasync-agent"].resource
    site.agent.wait_online(site.datasync)


def test_a_collector_that_refuses_is_told_of(site, collector):
    collector.refusing = True
    for program in PROGRAMS:
        server(site, program).wait_for_line("PermissionDenied: no such token")
    collector.refusing = False
    pushed(collector, "datasync-agent")


@pytest.mark.parametrize("program", PROGRAMS)
def test_settings_that_cannot_be_used_are_named_without_secrets(program, tmp_path):
    headers = tmp_path / "headers"
    headers.write_text(f"Authorization: {TOKEN}\n")
    headers.chmod(0o644)
    file = tmp_path / "settings.toml"
    file.write_text(
        f'state_dir = "{tmp_path}/state"\notlp_endpoint = "http://me:{TOKEN}@collector:4317"\n'
        f'otlp_interval_seconds = 4\notlp_headers_file = "{headers}"\n'
    )
    check = {"datasync-agent": ["check-config"], "datasync-control": ["ca", "show"]}[program]
    answer = run([binary(program), *check, "--config", file])
    assert answer.returncode == 64, answer
    for fault in ("from 5 to 3600", "chmod 600", "https://HOST:PORT"):
        assert fault in answer.stderr, answer.stderr
    assert TOKEN not in answer.stderr
