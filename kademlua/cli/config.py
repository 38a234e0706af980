"""The configuration file of a node: TOML whose keys are the fields of ``Params``.

# kademlua.toml
k = 20
ttl = 3600
overwrite_drops_others = true
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import click

from kademlua.core.errors import ParamsError
from kademlua.core.params import Params

_MAX_BYTES = 1 << 20
"""Size of a file, at most."""


def load_params(path: Path) -> Params:
    """Load the Params from a file.

    Raises:
        click.BadParameter: the file is invalid; the message names file and key.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ParamsError(f"more than {_MAX_BYTES:,} bytes, which is the limit")
        return Params.from_mapping(tomllib.loads(text.decode()))
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
