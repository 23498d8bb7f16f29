"""What Grafana and Prometheus are told fits what openrs measures, in both directions.

Neither program is needed: dashboards, alerts and `openrs_core/metrics.py` are compared as text.
Where promtool is installed, it also checks the rules and plays their own tests.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from openrs_core import metrics

GRAFANA = Path(__file__).parents[2] / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
ALERTS = GRAFANA / "alerts.yml"
ROLES = {"learner", "sampler", "scorer"}

SUFFIXES = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
"""How Prometheus spells a metric of each type."""

GIVEN_BY_PROMETHEUS = {"role", "instance", "job", "le"}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed"
)


def measured() -> dict[str, MetricWrapperBase]:
    """Every metric of openrs, by each name Prometheus knows it under."""
    return {
        described.name + suffix: metric
        for metric in vars(metrics).values()
        if isinstance(metric, MetricWrapperBase)
        for described in metric.describe()
        for suffix in SUFFIXES[described.type]
    }


def panels() -> Iterator[dict[str, Any]]:
    """Every panel of every dashboard, rows left out."""
    for path in DASHBOARDS:
        yield from (p for p in json.loads(path.read_text())["panels"] if p["type"] != "row")


def expressions() -> list[str]:
    """Every question that is asked of Prometheus."""
    shown = [target["expr"] for panel in panels() for target in panel["targets"]]
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return shown + [rule["expr"] for group in groups for rule in group["rules"]]


def names(text: str) -> set[str]:
    return set(re.findall(r"\bopenrs_[a-z_]+", text))


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_a_dashboard_is_json_and_has_a_title(path: Path) -> None:
    assert json.loads(path.read_text())["title"]


@pytest.mark.parametrize("path", sorted(GRAFANA.rglob("*.y*ml")), ids=lambda path: path.name)
def test_every_yaml_file_parses(path: Path) -> None:
    assert yaml.safe_load(path.read_text())


@pytest.mark.parametrize(
    "path", [*DASHBOARDS, *sorted(GRAFANA.glob("*.yml"))], ids=lambda path: path.name
)
def test_nothing_is_asked_for_that_openrs_does_not_measure(path: Path) -> None:
    assert names(path.read_text()) <= set(measured())


def test_everything_that_openrs_measures_is_shown_or_alerted() -> None:
    asked = set().union(*(names(expression) for expression in expressions()))
    known = measured()
    forgotten = set(known.values()) - {known[name] for name in asked}
    assert {metric.describe()[0].name for metric in forgotten} == set()


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_uses_only_labels_that_exist(expression: str) -> None:
    known = measured()
    ours = {label for name in names(expression) for label in known[name]._labelnames}
    matched = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression)
    grouped = re.findall(r"\bby \(([^)]*)\)", expression)
    used = {*matched, *(label.strip() for group in grouped for label in group.split(","))}
    assert used <= ours | GIVEN_BY_PROMETHEUS | {"alertstate"}


@pytest.mark.parametrize("expression", expressions())
def test_what_one_process_measures_is_asked_of_that_process(expression: str) -> None:
    """Every process exports every name, so without a role the others' zeros would be mixed in."""
    for subsystem, selector in re.findall(r"openrs_([a-z]+)_[a-z_]+(\{[^}]*\})?", expression):
        if subsystem in ROLES:
            assert f'role="{subsystem}"' in selector


def test_every_panel_says_in_words_what_it_shows() -> None:
    assert [panel["title"] for panel in panels() if len(panel["description"]) < 20] == []


def test_every_panel_asks_the_provisioned_datasource() -> None:
    [path] = (GRAFANA / "provisioning" / "datasources").glob("*.yaml")
    [source] = yaml.safe_load(path.read_text())["datasources"]
    asked = {t["datasource"]["uid"] for panel in panels() for t in [panel, *panel["targets"]]}
    assert asked == {source["uid"]}


def test_no_two_panels_lie_on_one_another() -> None:
    for path in DASHBOARDS:
        places = [panel["gridPos"] for panel in json.loads(path.read_text())["panels"]]
        for a, b in combinations(places, 2):
            beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
            below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
            assert beside or below


def test_every_alert_says_what_it_means_and_where_to_look() -> None:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"].keys() == {"summary", "description"}, rule["alert"]
            assert rule["labels"]["severity"] in {"warning", "critical"}, rule["alert"]


@needs_promtool
def test_prometheus_accepts_its_configuration() -> None:
    promtool("check", "config", GRAFANA / "prometheus.yml")


@needs_promtool
def test_each_alert_fires_on_its_trouble_and_a_healthy_ring_raises_none() -> None:
    promtool("test", "rules", GRAFANA / "alerts_test.yml")


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
