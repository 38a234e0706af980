"""Loading: scenarios from their TOML files, checked as a whole before anything runs."""

from __future__ import annotations

import tomllib
from pathlib import Path

from kademlua.core.errors import ParamsError
from kademlua.core.params import Params
from kademlua.simulation.scenario.scenario import (
    ACTIONS,
    BEHAVIOURS,
    BEHAVIOURS_OF_SYBILS,
    FIGURES,
    LATENCIES,
    SECONDS,
    SHARE,
    Churn,
    Demand,
    Event,
    Hostile,
    Network,
    Scenario,
    Sybils,
    Workload,
)
from kademlua.simulation.scenario.toml_table import ScenarioError, Table

PLACE = Path(__file__).parents[1] / "scenarios"
"""The scenarios that come with the program: in a checkout a link to swarm/scenarios."""


def names() -> list[str]:
    """The scenarios that come with the program."""
    return sorted(path.stem for path in PLACE.glob("*.toml"))


def find(name: str) -> Path:
    """The file of a scenario: one of those that come with the program, or a path."""
    path = Path(name)
    if path.suffix == ".toml" or len(path.parts) > 1:
        return path
    if name not in names():
        raise ScenarioError(f"no scenario {name!r}; there are {', '.join(names())}")
    return PLACE / f"{name}.toml"


def load(path: Path) -> Scenario:
    """Read and check a file. ScenarioError names the key and what is wrong with it."""
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: no TOML: {error}") from None
    return read(values, path.stem, str(path))


def read(values: dict[str, object], name: str, source: str) -> Scenario:
    """The scenario in the tables of a TOML file called ``source``."""
    top = Table(values, source)
    seconds = top.seconds("duration", low=1)
    population = top.table("population")
    params = top.table("params")
    scenario = Scenario(
        name=name,
        title=top.text("title"),
        shows=top.text("shows"),
        duration=seconds,
        nodes=population.count("nodes", None, 2, 100_000),
        join=population.seconds("join", 60.0),
        settle=population.seconds("settle", 60.0),
        bootstraps=population.count("bootstraps", 3, 1, 20),
        churn=_churn(population.table("churn")) if population.has("churn") else None,
        hostile=_hostile(population.table("hostile")),
        sybils=_sybils(population.table("sybils")) if population.has("sybils") else None,
        network=_network(top.table("network")),
        workload=_workload(top.table("workload"), seconds),
        events=tuple(_event(each, seconds) for each in top.tables("event")),
        params=_params(params),
        demands=tuple(_demand(each, seconds) for each in top.tables("demand")),
    )
    population.end()
    top.end()
    return scenario


def _churn(table: Table) -> Churn:
    sessions = table.text("sessions", "exponential", ("exponential", "weibull"))
    if sessions == "exponential" and table.has("shape"):
        raise table.fail("shape", 'is only for sessions = "weibull"')
    churn = Churn(
        sessions=sessions,
        median=table.seconds("median", low=1),
        shape=table.number("shape", None, 0.1, 10) if sessions == "weibull" else 1.0,
        stays=table.share("stays", 0.0),
        graceful=table.share("graceful", 0.0),
        returns=table.share("returns", 0.0),
        away=table.seconds("away", 600.0),
    )
    table.end()
    return churn


def _hostile(table: Table) -> Hostile:
    hostile = Hostile(
        share=table.share("share", 0.0), behaviours=_behaviours(table, BEHAVIOURS, BEHAVIOURS)
    )
    table.end()
    return hostile


def _sybils(table: Table) -> Sybils:
    plain = Sybils(count=1)
    sybils = Sybils(
        count=table.count("count", None, 1, 100_000),
        networks=table.count("networks", plain.networks, 1, 65_536),
        bits=table.count("bits", plain.bits, 0, 96),
        join=table.seconds("join", plain.join, low=1),
        behaviours=_behaviours(table, plain.behaviours, BEHAVIOURS_OF_SYBILS),
    )
    table.end()
    return sybils


def _behaviours(table: Table, plain: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    given = table.texts("behaviours", plain, known)
    if not given:
        raise table.fail("behaviours", "must name one at least")
    return given


def _network(table: Table) -> Network:
    plain = Network()
    latency = table.text("latency", plain.latency, LATENCIES)
    if latency != "lognormal" and table.has("sigma"):
        raise table.fail("sigma", 'is only for latency = "lognormal"')
    network = Network(
        latency=latency,
        round_trip=table.seconds("round_trip", plain.round_trip, high=60),
        sigma=table.number("sigma", plain.sigma, 0, 3),
        jitter=table.seconds("jitter", plain.jitter, high=60),
        loss=table.share("loss", 0.0),
        duplication=table.share("duplication", 0.0),
        reordering=table.share("reordering", 0.0),
        bandwidth=table.number("bandwidth", 0.0, 0, 1e12),
        queue=table.count("queue", plain.queue, 0, 1 << 40),
        max_packet=table.count("max_packet", plain.max_packet, 60, 65_507),
        nat=table.share("nat", 0.0),
        nat_seconds=table.seconds("nat_seconds", plain.nat_seconds, low=0.1),
    )
    table.end()
    return network


def _workload(table: Table, seconds: float) -> Workload:
    workload = Workload(
        values=table.count("values", 0, 0, 10_000_000),
        values_a_node=table.number("values_a_node", 0.0, 0, 10_000),
        ttl=table.seconds("ttl", 0.0),
        warm_up=table.seconds("warm_up", 60.0, low=1),
        adds=table.amount("adds", seconds),
        finds=table.amount("finds", seconds),
        lookups=table.amount("lookups", seconds),
        value_bytes=table.count("value_bytes", 100, 1, 60_000),
        records=table.flag("records"),
        paths=table.count("paths", 1, 1, 16),
    )
    if workload.finds and not (workload.values or workload.values_a_node or workload.adds):
        raise table.fail("finds", "there is nothing to find without values or adds")
    table.end()
    return workload


def _event(table: Table, seconds: float) -> Event:
    at = table.seconds("at", high=seconds)
    given = [action for action in ACTIONS if table.has(action)]
    if len(given) != 1:
        raise table.fail("at", f"needs exactly one of {', '.join(ACTIONS)} beside it")
    action = given[0]
    if action == "heal":
        if not table.flag("heal"):
            raise table.fail("heal", "must be true")
        event = Event(at=at, action=action)
    elif action == "pause":
        event = Event(
            at=at, action=action, share=table.share(action), lasts=table.seconds("lasts", low=0.1)
        )
    else:
        event = Event(at=at, action=action, share=table.share(action))
    table.end()
    return event


def _params(table: Table) -> Params:
    try:
        return Params.from_mapping(table.rest())
    except ParamsError as error:
        key, _, what = str(error).partition(": ")
        raise table.fail(key, what) from None


def _demand(table: Table, seconds: float) -> Demand:
    figure = table.text("figure", None, tuple(FIGURES))
    bounds: dict[str, float] = {}
    for key in ("at_least", "at_most"):
        if not table.has(key):
            continue
        if FIGURES[figure] == SECONDS:
            bounds[key] = table.seconds(key)
        else:
            high = 1.0 if FIGURES[figure] == SHARE else 1e12
            bounds[key] = table.number(key, None, 0.0, high)
    if not bounds:
        raise table.fail("figure", "needs at_least or at_most beside it")
    begin = table.seconds("from", 0.0, high=seconds)
    demand = Demand(
        figure=figure,
        begin=begin,
        end=table.seconds("to", seconds, low=begin, high=seconds),
        **bounds,
    )
    table.end()
    return demand
