"""A configuration that running workers follow, in a plain program without gevent.

    python live_config.py set --sign config.key '{"workers": 4}'
    python live_config.py follow PUBLICKEY

``kademlua keygen config.key`` makes the key and prints the public one. The programs join through a
node on port 8001 (``kademlua node 8001``), or at ``--bootstrap HOST:PORT``.

The configuration is a signed record: only the holder of the key can change it, whichever node
keeps it. A worker watches the record's key, and is told within moments.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

import kademlua
from kademlua.core.values.records import signed_key

SALT = b"live config"


def set_config(node: kademlua.ThreadedNode, key_file: str, config: Any) -> int:
    """Replace the configuration, and return the number of replicas."""
    signer = kademlua.SigningKey.load(key_file)
    result = node.put_signed(json.dumps(config).encode(), signer, salt=SALT)
    return len(result.report.acknowledged)


def follow(node: kademlua.ThreadedNode, public_key: bytes) -> Iterator[Any]:
    """Yield the configuration, and each later one."""
    with node.watch(signed_key(public_key, SALT)) as watch:
        for change in watch:
            # The watch has verified the signature.
            if change.kind in (kademlua.ChangeKind.ADDED, kademlua.ChangeKind.REPLACED):
                yield json.loads(change.value[b"v"])


def main() -> None:
    """Set the configuration, or follow it."""
    parser = argparse.ArgumentParser(description="A configuration that workers follow.")
    parser.add_argument("--bootstrap", default="127.0.0.1:8001", metavar="HOST:PORT")
    actions = parser.add_subparsers(dest="action", required=True)
    setting = actions.add_parser("set", help="replace the configuration")
    setting.add_argument("--sign", required=True, metavar="KEYFILE")
    setting.add_argument("config", type=json.loads, metavar="JSON")
    following = actions.add_parser("follow", help="print each configuration, until ^C")
    following.add_argument("public_key", type=bytes.fromhex, metavar="PUBLICKEY")
    options = parser.parse_args()
    host, _, port = options.bootstrap.rpartition(":")
    try:
        with kademlua.ThreadedNode(bootstrap=[(host, int(port))]) as node:
            if options.action == "set":
                print("stored on", set_config(node, options.sign, options.config), "nodes")
                return
            for config in follow(node, options.public_key):
                print("working with", json.dumps(config), flush=True)
    except kademlua.KademluaError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
