"""Loads scenarios from TOML files and checks them completely before a run."""

from __future__ import annotations

import tomllib
from pathlib import Path

from kademlua.core.errors import ParamsError
from kademlua.core.params import Params
from kademlua.simulation.scenario.scenario import (
    ACTIONS,
    BEHAVIOURS,
    LATENCIES,
    METRICS,
    SECONDS,
    SHARE,
    SYBIL_BEHAVIOURS,
    ChurnSettings,
    HostileSettings,
    NetworkSettings,
    Requirement,
    Scenario,
    ScenarioEvent,
    SybilSettings,
    WorkloadSettings,
)
from kademlua.simulation.scenario.toml_table import ScenarioError, TomlTable

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
            values = tomllib.load(file)
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: invalid TOML: {error}") from None
    return parse(values, path.stem, str(path))


def parse(tables: dict[str, object], name: str, source: str) -> Scenario:
    """Return the scenario in TOML tables; errors name the file ``source``."""
    top = TomlTable(tables, source)
    duration = top.seconds("duration", low=1)
    population = top.table("population")
    params = top.table("params")
    scenario = Scenario(
        name=name,
        title=top.text("title"),
        description=top.text("shows"),
        duration=duration,
        nodes=population.integer("nodes", None, 2, 100_000),
        join=population.seconds("join", 60.0),
        settle=population.seconds("settle", 60.0),
        bootstraps=population.integer("bootstraps", 3, 1, 20),
        churn=_parse_churn(population.table("churn")) if population.has("churn") else None,
        hostile=_parse_hostile(population.table("hostile")),
        sybils=_parse_sybils(population.table("sybils")) if population.has("sybils") else None,
        network=_parse_network(top.table("network")),
        workload=_parse_workload(top.table("workload"), duration),
        events=tuple(_parse_event(each, duration) for each in top.tables("event")),
        params=_parse_params(params),
        requirements=tuple(_parse_requirement(each, duration) for each in top.tables("demand")),
    )
    population.finish()
    top.finish()
    return scenario


def _parse_churn(table: TomlTable) -> ChurnSettings:
    sessions = table.text("sessions", "exponential", ("exponential", "weibull"))
    if sessions == "exponential" and table.has("shape"):
        raise table.error("shape", 'is allowed only with sessions = "weibull"')
    churn = ChurnSettings(
        sessions=sessions,
        median=table.seconds("median", low=1),
        shape=table.number("shape", None, 0.1, 10) if sessions == "weibull" else 1.0,
        stays=table.fraction("stays", 0.0),
        graceful=table.fraction("graceful", 0.0),
        returns=table.fraction("returns", 0.0),
        away=table.seconds("away", 600.0),
    )
    table.finish()
    return churn


def _parse_hostile(table: TomlTable) -> HostileSettings:
    hostile = HostileSettings(
        share=table.fraction("share", 0.0),
        behaviours=_parse_behaviours(table, BEHAVIOURS, BEHAVIOURS),
    )
    table.finish()
    return hostile


def _parse_sybils(table: TomlTable) -> SybilSettings:
    defaults = SybilSettings(count=1)
    sybils = SybilSettings(
        count=table.integer("count", None, 1, 100_000),
        networks=table.integer("networks", defaults.networks, 1, 65_536),
        bits=table.integer("bits", defaults.bits, 0, 96),
        join=table.seconds("join", defaults.join, low=1),
        behaviours=_parse_behaviours(table, defaults.behaviours, SYBIL_BEHAVIOURS),
    )
    table.finish()
    return sybils


def _parse_behaviours(
    table: TomlTable, default: tuple[str, ...], allowed: tuple[str, ...]
) -> tuple[str, ...]:
    behaviours = table.text_list("behaviours", default, allowed)
    if not behaviours:
        raise table.error("behaviours", "must name at least one")
    return behaviours


def _parse_network(table: TomlTable) -> NetworkSettings:
    defaults = NetworkSettings()
    latency = table.text("latency", defaults.latency, LATENCIES)
    if latency != "lognormal" and table.has("sigma"):
        raise table.error("sigma", 'is allowed only with latency = "lognormal"')
    network = NetworkSettings(
        latency=latency,
        round_trip=table.seconds("round_trip", defaults.round_trip, high=60),
        sigma=table.number("sigma", defaults.sigma, 0, 3),
        jitter=table.seconds("jitter", defaults.jitter, high=60),
        loss=table.fraction("loss", 0.0),
        duplication=table.fraction("duplication", 0.0),
        reordering=table.fraction("reordering", 0.0),
        bandwidth=table.number("bandwidth", 0.0, 0, 1e12),
        queue=table.integer("queue", defaults.queue, 0, 1 << 40),
        max_packet=table.integer("max_packet", defaults.max_packet, 60, 65_507),
        nat=table.fraction("nat", 0.0),
        nat_seconds=table.seconds("nat_seconds", defaults.nat_seconds, low=0.1),
    )
    table.finish()
    return network


def _parse_workload(table: TomlTable, duration: float) -> WorkloadSettings:
    workload = WorkloadSettings(
        values=table.integer("values", 0, 0, 10_000_000),
        values_a_node=table.number("values_a_node", 0.0, 0, 10_000),
        ttl=table.seconds("ttl", 0.0),
        warm_up=table.seconds("warm_up", 60.0, low=1),
        adds=table.integer_or_rate("adds", duration),
        finds=table.integer_or_rate("finds", duration),
        lookups=table.integer_or_rate("lookups", duration),
        value_bytes=table.integer("value_bytes", 100, 1, 60_000),
        records=table.boolean("records"),
        paths=table.integer("paths", 1, 1, 16),
    )
    if workload.finds and not (workload.values or workload.values_a_node or workload.adds):
        raise table.error("finds", "needs values or adds, else there is nothing to find")
    table.finish()
    return workload


def _parse_event(table: TomlTable, duration: float) -> ScenarioEvent:
    at = table.seconds("at", high=duration)
    actions = [action for action in ACTIONS if table.has(action)]
    if len(actions) != 1:
        raise table.error("at", f"needs exactly one of {', '.join(ACTIONS)} in its table")
    action = actions[0]
    if action == "heal":
        if not table.boolean("heal"):
            raise table.error("heal", "must be true")
        event = ScenarioEvent(at=at, action=action)
    elif action == "pause":
        event = ScenarioEvent(
            at=at,
            action=action,
            share=table.fraction(action),
            duration=table.seconds("lasts", low=0.1),
        )
    else:
        event = ScenarioEvent(at=at, action=action, share=table.fraction(action))
    table.finish()
    return event


def _parse_params(table: TomlTable) -> Params:
    try:
        return Params.from_mapping(table.unchecked_values())
    except ParamsError as error:
        key, _, message = str(error).partition(": ")
        raise table.error(key, message) from None


def _parse_requirement(table: TomlTable, duration: float) -> Requirement:
    metric = table.text("figure", None, tuple(METRICS))
    bounds: dict[str, float] = {}
    for key in ("at_least", "at_most"):
        if not table.has(key):
            continue
        if METRICS[metric] == SECONDS:
            bounds[key] = table.seconds(key)
        else:
            high = 1.0 if METRICS[metric] == SHARE else 1e12
            bounds[key] = table.number(key, None, 0.0, high)
    if not bounds:
        raise table.error("figure", "needs at_least or at_most in its table")
    start = table.seconds("from", 0.0, high=duration)
    requirement = Requirement(
        metric=metric,
        start=start,
        end=table.seconds("to", duration, low=start, high=duration),
        **bounds,
    )
    table.finish()
    return requirement
