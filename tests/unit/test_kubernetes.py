"""What is deployed to Kubernetes is what the image runs and the program understands."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.main import main
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
SETTINGS = {setting.metadata["env"] for setting in fields(Settings)}
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
KUSTOMIZATIONS = sorted(KUBERNETES.rglob("kustomization.yaml"))


def documents(path: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((KUBERNETES / path).read_text()))


def literals(path: str) -> dict[str, str]:
    """The settings that a kustomization gives."""
    [generated] = documents(f"{path}/kustomization.yaml")[0]["configMapGenerator"]
    return dict(line.split("=", 1) for line in generated["literals"])


BASE = [one for name in ("api", "worker", "migrate") for one in documents(f"base/{name}.yaml")]
WORKLOADS = {
    one["metadata"]["name"]: one["spec"]["template"]
    for one in BASE
    if one["kind"] in ("Deployment", "Job")
}
PODS = [pytest.param(pod["spec"], id=name) for name, pod in WORKLOADS.items()]


def test_the_base_has_all_three_parts() -> None:
    assert set(WORKLOADS) == {"treadle-api", "treadle-worker", "treadle-migrate"}


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: path.parent.name)
def test_what_a_kustomization_takes_is_there(path: Path) -> None:
    taken = yaml.safe_load(path.read_text())
    named = [*taken.get("resources", []), *taken.get("components", [])]
    assert named
    assert [name for name in named if not (path.parent / name).exists()] == []


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_each_runs_the_command_that_it_runs_with_compose(name: str) -> None:
    [container] = WORKLOADS[name]["spec"]["containers"]
    assert container["args"] == COMPOSE[container["name"]]["command"]
    assert container["args"][0] in main.commands
    assert "command" not in container


def test_only_settings_are_given() -> None:
    [secret] = documents("base/secret.example.yaml")
    given = {**literals("base"), **literals("overlays/example"), **literals("overlays/demo")}
    assert given.keys() | secret["stringData"].keys() <= SETTINGS
    # And what names S3 to any client of AWS, passed on only where it is set.
    passed_on = {name for name, value in COMPOSE["api"]["environment"].items() if value is None}
    assert COMPOSE["api"]["environment"].keys() - passed_on <= SETTINGS
    assert all(name.startswith("AWS_") for name in passed_on)
    Settings.from_env({**given, **secret["stringData"]})


@pytest.mark.parametrize("pod", PODS)
def test_each_may_do_no_more_than_it_needs(pod: dict[str, Any]) -> None:
    account = re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)
    assert [str(pod["securityContext"]["runAsUser"])] == account
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    # Kubernetes would name a port of its own in TREADLE_PORT.
    assert pod["enableServiceLinks"] is False
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]


def test_ports_and_probes_are_where_the_processes_listen() -> None:
    api = WORKLOADS["treadle-api"]["spec"]["containers"][0]
    worker = WORKLOADS["treadle-worker"]["spec"]["containers"][0]
    metrics = int(literals("base")["TREADLE_METRICS_PORT"])
    assert api["ports"] == [
        {"name": "http", "containerPort": Settings().port},
        {"name": "metrics", "containerPort": metrics},
    ]
    assert worker["ports"] == [{"name": "metrics", "containerPort": metrics}]
    assert f"EXPOSE {Settings().port}" in DOCKERFILE
    probed = {
        (container["name"], probe["httpGet"]["path"], probe["httpGet"]["port"])
        for container in (api, worker)
        for kind in ("startupProbe", "livenessProbe", "readinessProbe")
        if (probe := container.get(kind))
    }
    assert probed == {
        ("api", "/healthz", "http"),
        ("api", "/readyz", "http"),
        ("worker", "/healthz", "metrics"),
    }


def test_a_worker_is_given_the_time_that_its_runs_are() -> None:
    [patch] = documents("overlays/example/kustomization.yaml")[0]["patches"]
    base = literals("base")
    for settings, seconds in (
        (base, WORKLOADS["treadle-worker"]["spec"]["terminationGracePeriodSeconds"]),
        (
            {**base, **literals("overlays/example")},
            yaml.safe_load(patch["patch"])[0]["value"],
        ),
    ):
        assert seconds >= Settings.from_env(settings).shutdown_seconds + 10


def test_every_selector_chooses_pods_that_there_are() -> None:
    labels = [pod["metadata"]["labels"] for pod in WORKLOADS.values()]
    for one in [*BASE, *documents("base/network.yaml")]:
        spec = one["spec"]
        chosen = spec.get("selector") or spec.get("podSelector") or {}
        wanted = chosen.get("matchLabels", chosen) if chosen else {}
        wanted = {name: told for name, told in wanted.items() if not name.endswith("/part-of")}
        assert any(wanted.items() <= has.items() for has in labels), one["metadata"]["name"]


def test_the_directory_for_files_is_a_volume_that_apis_write_and_workers_read() -> None:
    [component] = documents("components/files/kustomization.yaml")
    [claim] = documents("components/files/claim.yaml")
    patched = {patch["target"]["name"]: patch["patch"] for patch in component["patches"]}
    assert patched.keys() == {"treadle-api", "treadle-worker"}
    for name, patch in patched.items():
        volume, mount, [setting] = (one["value"] for one in yaml.safe_load(patch))
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert volume["name"] == mount["name"]
        assert mount.get("readOnly", False) == (name == "treadle-worker")
        assert setting == {"name": "TREADLE_BLOBS", "value": mount["mountPath"]}
        assert setting["name"] in SETTINGS
        assert "env" not in WORKLOADS[name]["spec"]["containers"][0]
