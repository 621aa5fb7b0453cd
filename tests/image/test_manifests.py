"""Compose file, Quadlet unit and Kubernetes manifest say the same as the image needs."""

import configparser
import json
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from world.process import run

IMAGE = Path(__file__).resolve().parents[2] / "image"
KUBERNETES = ("1.28", "1.34")


def manifest():
    return list(yaml.safe_load_all((IMAGE / "kubernetes.yaml").read_text()))


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("document", manifest(), ids=lambda d: d["kind"])
def test_kubernetes_knows_every_member(document, version):
    kubernetes_validate.validate(document, version, strict=True)


def test_a_wrong_member_is_found():
    document = next(d for d in manifest() if d["kind"] == "Deployment")
    document["spec"]["replica"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, KUBERNETES[-1], strict=True)


def test_the_pod_has_no_right_that_it_does_not_need():
    found = {document["kind"]: document for document in manifest()}
    assert set(found) == {"Namespace", "ConfigMap", "PersistentVolumeClaim", "Deployment",
                          "PodDisruptionBudget"}
    spec = found["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["hostNetwork"] and not pod["automountServiceAccountToken"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 2000
    security = container["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
    assert spec["replicas"] == 1 and spec["strategy"]["type"] == "Recreate"
    labels = spec["template"]["metadata"]["labels"]
    for selector in (spec["selector"], found["PodDisruptionBudget"]["spec"]["selector"]):
        assert selector["matchLabels"].items() <= labels.items()
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_the_pod_is_asked_whether_it_starts_lives_and_is_ready():
    found = {document["kind"]: document for document in manifest()}
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["startupProbe"]["exec"]["command"] == ["/usr/bin/datasync-agent", "--health"]
    told = found["ConfigMap"]["data"]["DATASYNC_AGENT_TELEMETRY_LISTEN"]
    for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        asked = container[probe]["httpGet"]
        assert asked["path"] == path and f"{asked['host']}:{asked['port']}" == told
        # The agent itself takes up to 8 s to say that it does not know.
        assert container[probe]["timeoutSeconds"] * container[probe]["failureThreshold"] >= 15
    # Loopback is the node's: the kubelet is there, and nobody else's network is.
    assert told.startswith("127.0.0.1:")


def test_nobody_takes_the_agent_off_its_node_unasked():
    found = {document["kind"]: document for document in manifest()}
    budget = found["PodDisruptionBudget"]["spec"]
    assert budget["maxUnavailable"] == 0 and "minAvailable" not in budget
    # The end of a transfer's requests and the farewell to control take less than 5 s.
    pod = found["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= 15
    assert found["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteOncePod"]


def test_the_compose_file_is_read_as_it_is_meant(engine):
    answer = run(["podman-compose", "-f", IMAGE / "compose.yaml", "config"])
    assert answer.returncode == 0, answer
    services = yaml.safe_load(answer.stdout)["services"]
    for service in services.values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["network_mode"] == "host"
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(services["agent"]["cap_add"]) == {"NET_BIND_SERVICE", "SETGID", "SETUID"}
    assert "cap_add" not in services["control"]


def test_the_quadlet_unit_says_what_the_image_says(images, references):
    """Read here, not run: Podman has Quadlet since 4.4."""
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read(IMAGE / "quadlet" / "datasync-agent.container")
    container = unit["Container"]
    assert container["Image"] == references["agent"]
    assert container["DropCapability"] == "all"
    assert container["AddCapability"] == "CAP_NET_BIND_SERVICE"
    assert container["ReadOnly"] == container["NoNewPrivileges"] == "true"
    assert json.loads(container["HealthCmd"]) == ["/usr/bin/datasync-agent", "--health"]
    volume = (IMAGE / "quadlet" / "datasync-agent.volume").read_text()
    assert "VolumeName=datasync-agent" in volume
