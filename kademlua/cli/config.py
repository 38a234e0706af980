"""The configuration file of a node: TOML whose keys are the fields of ``Params``, and network keys.

# kademlua.toml
k = 20
ttl = "1h"
overwrite_drops_others = true
network_key = "network.key"    # beside this file; or a list of files
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import click

from kademlua.core.durations import parse_duration
from kademlua.core.errors import ParamsError
from kademlua.core.params import TIMES, Params

_MAX_BYTES = 1 << 20
"""Size of a file, at most."""


@dataclass(frozen=True, slots=True)
class Config:
    """The contents of a configuration file."""

    params: Params = field(default_factory=Params)
    network_key_files: tuple[Path, ...] = ()


def load_config(path: Path) -> Config:
    """Load a configuration file.

    Raises:
        click.BadParameter: the file is invalid; the message names file and key.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ParamsError(f"more than {_MAX_BYTES:,} bytes, which is the limit")
        table = tomllib.loads(text.decode())
        key_files = _key_files(table.pop("network_key", []), path.parent)
        fields = {key: _to_seconds(key, each) for key, each in table.items()}
        return Config(Params.from_mapping(fields), key_files)
    except OSError as error:
        reason = str(error.strerror)
    except UnicodeDecodeError:
        reason = "not TOML: not UTF-8"
    except tomllib.TOMLDecodeError as error:
        reason = f"not TOML: {error}"
    except RecursionError:
        reason = "not TOML: nested too deeply"
    except ParamsError as error:
        reason = str(error)
    raise click.BadParameter(f"{path}: {reason}", param_hint="'--config'")


def _key_files(names: object, directory: Path) -> tuple[Path, ...]:
    """Return the paths of one name of a file or a list of them, relative to a directory."""
    found = [names] if isinstance(names, str) else names
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ParamsError("network_key: must be the name of a file, or a list of names")
    return tuple(directory / each for each in found)


def _to_seconds(name: str, value: object) -> object:
    """Return the seconds of a duration such as "1h", if the parameter is a time."""
    if name not in TIMES or not isinstance(value, str):
        return value
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise ParamsError(f"{name}: {error}") from None
    return int(seconds) if seconds.is_integer() else seconds
