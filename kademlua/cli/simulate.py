"""``kademlua simulate SCENARIO``: simulate a network in virtual time."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import click

from kademlua.cli.options import FILE, seconds
from kademlua.cli.signals import exit_on_signals
from kademlua.simulation.report import formatting, plot
from kademlua.simulation.report.metrics import RunResult
from kademlua.simulation.runner import run
from kademlua.simulation.scenario import loader
from kademlua.simulation.scenario.scenario import Scenario
from kademlua.simulation.scenario.toml_table import ScenarioError

_MIN_SECONDS = 1.0


def _duration(text: str) -> float:
    duration = seconds(text)
    if duration < _MIN_SECONDS:
        raise click.BadParameter(f"must be 1s or more, not {text!r}")
    return duration


@click.command(epilog=f"Scenarios: {', '.join(loader.scenario_names())}.")
@click.argument("name", metavar="SCENARIO")
@click.option("--seed", type=click.IntRange(0), default=1, help="Random seed.")
@click.option(
    "--nodes", type=click.IntRange(2, 100_000), help="Number of nodes.  [default: the scenario's]"
)
@click.option(
    "--for",
    "seconds",
    type=_duration,
    metavar="DURATION",
    help="Measured virtual time, 1s or more: 90s, 10m, 1h.  [default: the scenario's]",
)
@click.option(
    "--json",
    "json_to",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Write the results as JSON; - replaces the report on standard output.",
)
@click.option(
    "--plot",
    "plot_to",
    type=FILE,
    metavar="FILE",
    help="Plot latency, success rate and traffic as SVG or PNG.",
)
@click.option(
    "--trace",
    "trace_to",
    type=FILE,
    metavar="FILE",
    help="Write one line of JSON per packet, for kademlua trace.",
)
@click.pass_context
def simulate(
    context: click.Context,
    name: str,
    seed: int,
    nodes: int | None,
    seconds: float | None,
    json_to: Path | None,
    plot_to: Path | None,
    trace_to: Path | None,
) -> None:
    """Run SCENARIO, a network of real nodes in virtual time, and report the results.

    SCENARIO is a built-in name or a TOML file. The same seed gives the same run, packet by packet.
    Exit status 1: the results miss a requirement of the scenario.

    \b
    Examples:
        kademlua simulate quiet
        kademlua simulate half-vanishes --seed 7 --plot picture.svg
        kademlua simulate lossy-20 --nodes 100 --for 2m --trace packets.jsonl
    """
    # Scenarios cause thousands of warnings by design; only errors indicate defects.
    logging.getLogger("kademlua").setLevel(logging.ERROR)
    try:
        scenario = loader.load(loader.scenario_path(name)).scaled(nodes, seconds)
    except ScenarioError as error:
        raise click.UsageError(str(error)) from None
    if plot_to is not None:
        plot.check_path(plot_to)
    for path in (json_to, trace_to):
        if path is not None and not path.parent.is_dir():
            raise click.ClickException(f"{path.parent}: no such directory")
    with exit_on_signals():
        result = _run(scenario, seed, trace_to)
    _write(result, json_to, plot_to)
    _exit_if_failed(context, result, formatting.replay_command(name, seed, nodes, seconds))


def _run(scenario: Scenario, seed: int, trace_path: Path | None) -> RunResult:
    """Run a scenario; on a terminal, show a progress bar in virtual time."""
    if not sys.stderr.isatty():
        return run(scenario, seed, trace_path=trace_path)
    total = round(scenario.measure_end)

    def virtual_time(now: float | None) -> str:
        return f"{round(now or 0):,} of {total:,} virtual seconds"

    with click.progressbar(
        length=total, label=scenario.name, file=sys.stderr, item_show_func=virtual_time
    ) as bar:
        return run(
            scenario,
            seed,
            on_progress=lambda now, _: bar.update(round(now) - bar.pos, now),
            trace_path=trace_path,
        )


def _write(result: RunResult, json_path: Path | None, plot_path: Path | None) -> None:
    is_dash = json_path == Path("-")
    if json_path is not None:
        text = json.dumps(formatting.to_json(result), indent=2)
        if is_dash:
            click.echo(text)
        else:
            json_path.write_text(text + "\n")
    if not is_dash:
        click.echo(formatting.format_text(result))
    if plot_path is not None:
        plot.draw(result, plot_path)


def _exit_if_failed(context: click.Context, result: RunResult, command: str) -> None:
    """Exit with status 1 if a requirement was missed or a node raised an exception."""
    failures = [formatting.requirement_text(verdict) for verdict in formatting.failed(result)]
    handler_errors = result.packets["raised"]
    if handler_errors:
        failures.append(f"{handler_errors} packets caused an exception in a node")
    if failures:
        click.echo("\n".join([*failures, f"again: {command}"]), err=True)
        context.exit(1)
