"""What is written about the metrics, and asks for them, is what the program tells."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

import api.metrics
import shared.metrics
import worker.metrics
from api.watch import Standing
from shared.errors import ModelError
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text()
RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((ROOT / "deploy/grafana/treadle.json").read_text())
TARGETS = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
SERIES = re.compile(r"(treadle_\w+)(?:\{([^}]*)\})?")


def described() -> dict[str, tuple[str, list[str], str]]:
    """Type, labels and meaning of each metric, whoever tells it."""
    found: dict[str, tuple[str, list[str], str]] = {}
    for module in (shared.metrics, api.metrics, worker.metrics):
        for one in vars(module).values():
            if isinstance(one, Counter | Gauge | Histogram):
                name = one._name + ("_total" if one._type == "counter" else "")
                found[name] = one._type, list(one._labelnames), one._documentation
    for family in Standing(Settings(database_url="postgresql://h/d")).describe():
        labels: Any = family
        found[family.name] = family.type, list(labels._labelnames), family.documentation
    return found


METRICS = described()
EXPOSED = {
    f"{name}{ending}": labels
    for name, (kind, labels, _) in METRICS.items()
    for ending in (("_bucket", "_count", "_sum") if kind == "histogram" else ("",))
}


def test_the_page_describes_every_metric_as_the_program_does_and_no_other() -> None:
    rows = re.findall(r"^\| `(treadle_\w+)` \| (\w+) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
    told = {name: (kind, re.findall(r"`(\w+)`", labels), text) for name, kind, labels, text in rows}
    assert len(rows) == len(told)
    assert told == METRICS


def test_the_page_names_the_values_of_the_labels() -> None:
    for name in (*shared.metrics.CODES, *ModelError.KINDS, shared.metrics.OTHER):
        assert f"`{name}`" in PAGE


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_asks_for_what_there_is(rule: dict[str, Any]) -> None:
    assert asks_in_vain(rule["expr"]) == []
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    named = re.findall(r"treadle_\w+", json.dumps(rule["annotations"]))
    assert [name for name in named if name not in METRICS] == []


def test_every_panel_asks_for_what_there_is() -> None:
    assert len(TARGETS) > 20
    assert {
        target["expr"]: vain for target in TARGETS if (vain := asks_in_vain(target["expr"]))
    } == {}
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_dashboard_shows_and_the_alerts_watch_most_of_it() -> None:
    asked = "".join(target["expr"] for target in TARGETS)
    assert [name for name in METRICS if name not in asked] == []


def test_the_settings_that_alerts_name_exist() -> None:
    names = {one.metadata["env"] for one in Settings.__dataclass_fields__.values()}
    assert set(re.findall(r"TREADLE_[A-Z_]+", json.dumps(RULES) + PAGE)) <= names


def asks_in_vain(expression: str) -> list[str]:
    """Series and labels that nothing tells."""
    vain: list[str] = []
    for name, chosen in SERIES.findall(expression):
        if name not in EXPOSED:
            vain.append(name)
            continue
        labels = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", chosen)
        vain += [f"{name} {label}" for label in labels if label not in EXPOSED[name]]
    return vain
