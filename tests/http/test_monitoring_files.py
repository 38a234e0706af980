"""Alerts and dashboard are valid and use existing metrics."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from tests.support.programs import ROOT

DEPLOY = ROOT / "swarm" / "deploy" / "metrics"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed"
)


@needs_promtool
@pytest.mark.parametrize(
    "command",
    ["check rules alerts.yaml", "test rules alerts.test.yaml", "check config prometheus.yaml"],
)
def test_promtool_accepts_the_files(command):
    done = subprocess.run(
        ["promtool", *command.split()], cwd=DEPLOY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["alerts.yaml", "grafana.json"])
def test_files_use_existing_metrics(client, name):
    client.node.find_node(client.node.id)
    existing = set(re.findall(r"^# TYPE (\w+)", client.get("/metrics").body.decode(), re.M))
    used = set(re.findall(r"\b(?:kademlua|process)_\w+", (DEPLOY / name).read_text()))
    assert len(used) > 5
    assert {re.sub(r"_bucket$", "", each) for each in used} <= existing


def test_dashboard_panels_are_distinct():
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    assert all(panel["targets"] for panel in panels)
