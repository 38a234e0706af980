"""What ``node.secret(...)`` returns: the operations of a node with a secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar, cast

from kademlua.core.values.validation import validate_key
from kademlua.core.watch.changes import Change
from kademlua.core.watch.opened_changes import open_changes
from kademlua.crypto.sealed_values import open_value
from kademlua.crypto.secret import Secret
from kademlua.node.objects import Objects
from kademlua.node.operation import AnyNode, AwaitableCalls, BlockingCalls, MethodByKind, operation
from kademlua.node.secret_records import SecretRecords
from kademlua.node.secret_values import SecretValues
from kademlua.node.watch_iterators import AsyncWatch, Watch, open_watch
from kademlua.objects.reader import ObjectReader
from kademlua.values.watch.subscription import Subscription

AnySecret = Secret | bytes | str
"""A secret, its 32 bytes, or a passphrase."""
_R = TypeVar("_R")
_Open: TypeAlias = Callable[[bytes], _R]
_WITH_SECRET: Final[dict[str, Callable[[Any, Secret], Any]]] = {
    "_values": SecretValues,
    "_records": SecretRecords,
    "_objects": Objects.with_secret,
}
"""What wraps a part of a node, by the attribute of the part."""


def _watch(secret_node: Any, key: bytes) -> Any:
    """Return an iterator over the changes of the secret values of a key; see ``Node.watch``.

    A value that is not encrypted with the secret, for this key, counts as none.
    """
    return secret_node._open_watch(key)


_watch.__name__ = "watch"


def _open_object(secret_node: Any, key: bytes) -> Any:
    """Return an object that was made with the secret as a binary file; see ``Node.open_object``.

    Raises:
        MalformedObject: Also if it was made without the secret.
    """
    return secret_node._node._as_reader(secret_node._run("_objects", Objects.open_object, key))


_open_object.__name__ = "open_object"


class SecretOperations:
    """One line for each operation; ``SecretValues``, ``SecretRecords`` and ``Objects`` have their
    arguments and documentation."""

    def __init__(self, node: AnyNode, secret: Secret) -> None:
        """Run the operations of a node with a secret."""
        self._node = node
        self._secret = secret

    find_holders = operation("_values", SecretValues.find_holders)
    find_value = operation("_values", SecretValues.find_value)
    add = operation("_values", SecretValues.add)
    overwrite = operation("_values", SecretValues.overwrite)
    publish = operation("_values", SecretValues.publish)
    unpublish = operation("_values", SecretValues.unpublish)
    remove = operation("_values", SecretValues.remove)
    put_immutable = operation("_records", SecretRecords.put_immutable)
    get_immutable = operation("_records", SecretRecords.get_immutable)
    put_signed = operation("_records", SecretRecords.put_signed)
    get_signed = operation("_records", SecretRecords.get_signed)
    put_object = operation("_objects", Objects.put_object)
    open_object = cast("MethodByKind[_Open[ObjectReader], _Open[Awaitable[Any]]]", _open_object)
    publish_object = operation("_objects", Objects.publish_object)
    unpublish_object = operation("_objects", Objects.unpublish_object)
    published_objects = operation("_objects", Objects.published_objects)
    name_object = operation("_objects", Objects.name_object)
    find_named_object = operation("_objects", Objects.find_named_object)
    watch = cast("MethodByKind[Callable[[bytes], Watch], Callable[[bytes], AsyncWatch]]", _watch)

    def _open_watch(self, key: bytes) -> Watch | AsyncWatch:
        secret, blinded = self._secret, self._secret.blind_key(validate_key(key))

        def open_all(changes: list[Change]) -> list[Change]:
            return open_changes(changes, lambda sealed: open_value(secret, sealed, blinded))

        return open_watch(self._node, Subscription(blinded, open_all))

    def _run(self, part: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run an operation of this class in the node."""
        secret, method = self._secret, self._node._prepared(method)

        def run(of_node: Any, /, *args: Any, **kwargs: Any) -> Any:
            return method(_WITH_SECRET[part](of_node, secret), *args, **kwargs)

        return self._node._run(part, run, *args, **kwargs)


class SecretNode(SecretOperations, BlockingCalls):
    """The operations with a secret of a ``Node`` or ``ThreadedNode``, which block."""


class AsyncSecretNode(SecretOperations, AwaitableCalls):
    """The operations with a secret of an ``AsyncNode``, which are coroutines."""


def _secret(node: Any, secret: AnySecret) -> Any:
    """Return the operations on values that only holders of a secret can find and read.

    Args:
        secret: A ``Secret``, 32 random bytes, or a passphrase as for ``Secret.from_passphrase``.

    Raises:
        TypeError, ValueError: The secret is invalid.
        CryptoUnavailable: ``cryptography`` is not installed.
    """
    kind = AsyncSecretNode if isinstance(node, AwaitableCalls) else SecretNode
    return kind(node, _as_secret(secret))


def _as_secret(secret: AnySecret) -> Secret:
    if isinstance(secret, Secret):
        return secret
    return Secret.from_passphrase(secret) if isinstance(secret, str) else Secret(secret)


_secret.__name__ = "secret"
secret_method = cast(
    "MethodByKind[Callable[[AnySecret], SecretNode], Callable[[AnySecret], AsyncSecretNode]]",
    _secret,
)
"""The method ``secret`` of each kind of node."""
