"""The operations of ``NodeApi`` on values, with a secret that its node never gets."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from kademlua.api.api_call import ApiCall
from kademlua.api.fields import BadRequest
from kademlua.core.json_codec import value_from_json, value_to_json
from kademlua.core.params import Params
from kademlua.crypto.sealed_values import open_value, seal_value
from kademlua.crypto.secret import Secret
from kademlua.runtime.clocks import boot_clock
from kademlua.runtime.time_slices import in_slices

_OPERATIONS: Final = ("add", "find", "publish", "remove", "unpublish")
_DEFAULT_MAX_NODES: Final = 3
_ALL_NODES: Final = sys.maxsize


class SecretCalls:
    """An ``ApiCall`` which blinds keys, and seals and opens values, around another one.

    The fields and results have the caller's keys and values, those of the other one their blinded
    and sealed forms.
    """

    def __init__(
        self,
        secret: Secret,
        call: ApiCall,
        params: Params,
        on_ignored: Callable[[int], object] = lambda count: None,
    ) -> None:
        """Call through ``call``.

        Args:
            params: Those of the node, or the default ones if they are not known.
            on_ignored: Called with the number of distinct values of a key that were found and not
                made with the secret, if there are any.
        """
        self._secret = secret
        self._call = call
        self._params = params
        self._on_ignored = on_ignored

    def __call__(self, name: str, **fields: Any) -> dict[str, Any]:
        """Run an operation on the values of a key.

        Raises:
            BadRequest: It is another operation, or the value is invalid or too large.
        """
        if name not in _OPERATIONS:
            raise BadRequest(f"the operation {name!r:.40} takes no secret")
        key: str = fields["key"]
        fields.pop("text", None)  # the node would show it
        if "value" in fields:
            fields["value"] = self._seal(key, fields["value"])
        fields["key"] = self._blind(key).hex()
        if name == "find":
            return self._find(key, fields)
        return {**self._call(name, **fields), "key": key}

    def stream(self, name: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """Run ``add_many`` or ``find_many``; BadRequest for other operations."""
        if name == "add_many":
            return self._add_many(**fields)
        if name == "find_many":
            return self._find_many(**fields)
        raise BadRequest(f"the operation {name!r:.40} takes no secret")

    def _add_many(self, rows: list[list[Any]], **fields: Any) -> Iterator[dict[str, Any]]:
        sealed, keys = [], {}
        for key, value in rows:
            try:
                sealed.append([self._blind(key).hex(), self._seal(key, value)])
            except BadRequest as error:
                yield {"key": key, "nodes": 0, "error": str(error)}
            else:
                keys[sealed[-1][0]] = key
        for row in self._call.stream("add_many", rows=sealed, **fields):
            yield {**row, "key": keys[row["key"]]}

    def _find_many(self, keys: list[str], **fields: Any) -> Iterator[dict[str, Any]]:
        by_blinded = {self._blind(key).hex(): key for key in keys}
        hidden = []
        for row in self._call.stream("find_many", keys=list(by_blinded), **fields):
            opened, ignored = self._open(by_blinded[row["key"]], row)
            if ignored and not opened["answers"]:
                hidden.append(opened["key"])  # perhaps; no call can be made during a stream
                continue
            if ignored:
                self._on_ignored(ignored)
            yield opened
        for key in hidden:
            yield {**self("find", key=key, **fields), "error": None}

    def _find(self, key: str, fields: dict[str, Any]) -> dict[str, Any]:
        found, ignored = self._open(key, self._call("find", **fields))
        max_nodes = fields.get("answers") or _DEFAULT_MAX_NODES
        if ignored and len(found["answers"]) < max_nodes < _ALL_NODES:
            # Values that others put there must not hide genuine ones of nodes further away.
            everything = self._call("find", **{**fields, "answers": _ALL_NODES})
            found, ignored = self._open(key, everything)
            found["answers"] = found["answers"][:max_nodes]
        if ignored:
            self._on_ignored(ignored)
        return found

    def _open(self, key: str, found: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        """Return the result of a find with the values that the secret opens, and the number of
        distinct other ones."""
        blinded = self._blind(key)
        answers, ignored = [], set()
        for answer in found["answers"]:
            values = []
            for sealed in in_slices(answer["values"], boot_clock):
                value = open_value(self._secret, value_from_json(sealed), blinded)
                if value is None:
                    ignored.add(hash(json.dumps(sealed)))
                else:
                    values.append(value_to_json(value))
            if values:
                answers.append({**answer, "values": values})
        return {**found, "key": key, "answers": answers}, len(ignored)

    def _blind(self, key: str) -> bytes:
        return self._secret.blind_key(bytes.fromhex(key))

    def _seal(self, key: str, value: Any) -> Any:
        """Return the sealed form of a value, both in JSON form."""
        try:
            sealed = seal_value(
                self._secret, value_from_json(value), self._blind(key), self._params
            )
        except ValueError as error:
            raise BadRequest(str(error)) from None
        return value_to_json(sealed)
