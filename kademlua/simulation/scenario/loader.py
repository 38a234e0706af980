"""Loads scenarios from TOML files and checks them completely before a run."""

from __future__ import annotations

import tomllib
from functools import partial
from pathlib import Path

from kademlua.core.errors import ParamsError
from kademlua.core.params import Params
from kademlua.simulation.network.conditions import NetworkConditions
from kademlua.simulation.scenario.scenario import (
    ACTIONS,
    METRICS,
    SECONDS,
    SHARE,
    ChurnSettings,
    HostileSettings,
    NetworkSettings,
    Requirement,
    Scenario,
    ScenarioEvent,
    SybilSettings,
    WorkloadSettings,
)
from kademlua.simulation.scenario.toml_table import (
    ScenarioError,
    TomlTable,
    count,
    fraction,
    integer,
    number,
    one_of,
    seconds,
    text,
)

_MAX_BYTES = 1 << 20
"""Size of a file, at most."""

SCENARIO_DIR = Path(__file__).parents[1] / "scenarios"
"""The directory of the built-in scenarios; in a checkout a link to swarm/scenarios."""


def scenario_names() -> list[str]:
    """Return the names of the built-in scenarios."""
    return sorted(path.stem for path in SCENARIO_DIR.glob("*.toml"))


def scenario_path(name: str) -> Path:
    """Return the file of a built-in scenario, or the path if ``name`` is one.

    Raises:
        ScenarioError: there is no such built-in scenario.
    """
    path = Path(name)
    if path.suffix == ".toml" or len(path.parts) > 1:
        return path
    if name not in scenario_names():
        raise ScenarioError(f"no scenario {name!r}; choose from {', '.join(scenario_names())}")
    return SCENARIO_DIR / f"{name}.toml"


def load(path: Path) -> Scenario:
    """Read and check a scenario file.

    Raises:
        ScenarioError: the file cannot be read, or a key is invalid.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ScenarioError(f"{path}: more than {_MAX_BYTES:,} bytes, which is the limit")
        values = tomllib.loads(text.decode())
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: invalid TOML: {error}") from None
    return parse(values, path.stem, str(path))


def parse(tables: dict[str, object], name: str, source: str) -> Scenario:
    """Return the scenario in TOML tables; errors name the file ``source``."""
    top = TomlTable(tables, source)
    duration = top.get("duration", seconds, low=1)
    population, network = top.table("population"), top.table("network")
    scenario = Scenario(
        name=name,
        title=top.get("title", text),
        description=top.get("shows", text),
        duration=duration,
        nodes=population.get("nodes", integer, low=2, high=100_000),
        join=population.get("join", seconds, 60.0),
        settle=population.get("settle", seconds, 60.0),
        bootstraps=population.get("bootstraps", integer, 3, low=1, high=20),
        churn=_read_churn(population.table("churn")) if population.has("churn") else None,
        hostile=population.table("hostile").read(HostileSettings),
        sybils=population.table("sybils").read(SybilSettings) if population.has("sybils") else None,
        network=_read_network(network),
        conditions=network.read(NetworkConditions),
        workload=_read_workload(top.table("workload"), duration),
        events=tuple(_read_event(each, duration) for each in top.tables("event")),
        params=_read_params(top.table("params")),
        requirements=tuple(_read_requirement(each, duration) for each in top.tables("demand")),
    )
    top.refuse_unknown_keys()
    return scenario


def _read_churn(table: TomlTable) -> ChurnSettings:
    churn = table.read(ChurnSettings)
    if churn.sessions != "weibull" and table.has("shape"):
        raise table.error("shape", 'is allowed only with sessions = "weibull"')
    if churn.sessions == "weibull" and not table.has("shape"):
        raise table.error("shape", "is missing")
    return churn


def _read_network(table: TomlTable) -> NetworkSettings:
    network = table.read(NetworkSettings)
    if network.latency != "lognormal" and table.has("sigma"):
        raise table.error("sigma", 'is allowed only with latency = "lognormal"')
    return network


def _read_workload(table: TomlTable, duration: float) -> WorkloadSettings:
    parse = partial(count, duration=duration)
    counts = ("adds", "finds", "lookups", "object_reads", "changes")
    workload = table.read(WorkloadSettings, **dict.fromkeys(counts, parse))
    if workload.finds and not workload.has_values:
        raise table.error("finds", "needs values or adds, else there is nothing to find")
    if workload.object_reads and not workload.objects:
        raise table.error("object_reads", "needs objects, else there is nothing to read")
    if workload.changes and not workload.watches:
        raise table.error("changes", "needs watches, else there is nothing to change")
    return workload


def _read_event(table: TomlTable, duration: float) -> ScenarioEvent:
    at = table.get("at", seconds, high=duration)
    actions = [action for action in ACTIONS if table.has(action)]
    if len(actions) != 1:
        raise table.error("at", f"needs exactly one of {', '.join(ACTIONS)} in its table")
    action = actions[0]
    if action == "heal":
        if table.values[action] is not True:
            raise table.error(action, "must be true")
        return ScenarioEvent(at=at, action=action)
    pause_seconds = table.get("lasts", seconds, low=0.1) if action == "pause" else 0.0
    return ScenarioEvent(
        at=at, action=action, share=table.get(action, fraction), duration=pause_seconds
    )


def _read_params(table: TomlTable) -> Params:
    values = {key: table.get(key, lambda value: value) for key in table.values}
    try:
        return Params.from_mapping(values)
    except ParamsError as error:
        key, _, message = str(error).partition(": ")
        raise table.error(key, message) from None


def _read_requirement(table: TomlTable, duration: float) -> Requirement:
    metric = table.get("figure", one_of, allowed=METRICS)
    high = 1 if METRICS[metric] == SHARE else 1e12
    bound = seconds if METRICS[metric] == SECONDS else partial(number, low=0, high=high)
    bounds = {key: table.get(key, bound) for key in ("at_least", "at_most") if table.has(key)}
    if not bounds:
        raise table.error("figure", "needs at_least or at_most in its table")
    start = table.get("from", seconds, 0.0, high=duration)
    end = table.get("to", seconds, duration, low=start, high=duration)
    return Requirement(metric=metric, start=start, end=end, **bounds)
