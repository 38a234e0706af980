"""The operations of a node, listed once for ``Node``, ``ThreadedNode`` and ``AsyncNode``.

Their arguments, documentation and checks are in the part named.
"""

from __future__ import annotations

from typing import Any

from kademlua.node.bulk_iterators import (
    add_many_method,
    find_many_method,
    overwrite_many_method,
    publish_many_method,
)
from kademlua.node.calls import Calls
from kademlua.node.inbox_iterators import inbox_method
from kademlua.node.mailboxes import Mailboxes
from kademlua.node.objects import Objects
from kademlua.node.operation import operation
from kademlua.node.records import Records
from kademlua.node.secret_operations import secret_method
from kademlua.node.values import Values
from kademlua.node.watch_iterators import watch_method


class NodeOperations:
    """One line for each operation."""

    find_node = operation("_values", Values.find_node)
    find_value = operation("_values", Values.find_value)
    add = operation("_values", Values.add)
    overwrite = operation("_values", Values.overwrite)
    publish = operation("_values", Values.publish)
    unpublish = operation("_values", Values.unpublish)
    published = operation("_values", Values.published)
    remove = operation("_values", Values.remove)
    add_many = add_many_method
    overwrite_many = overwrite_many_method
    publish_many = publish_many_method
    find_many = find_many_method
    put_immutable = operation("_records", Records.put_immutable)
    get_immutable = operation("_records", Records.get_immutable)
    put_signed = operation("_records", Records.put_signed)
    get_signed = operation("_records", Records.get_signed)
    put_object = operation("_objects", Objects.put_object)
    publish_object = operation("_objects", Objects.publish_object)
    unpublish_object = operation("_objects", Objects.unpublish_object)
    published_objects = operation("_objects", Objects.published_objects)
    name_object = operation("_objects", Objects.name_object)
    find_named_object = operation("_objects", Objects.find_named_object)
    call = operation("_calls", Calls.call)
    ping = operation("_calls", Calls.ping)
    is_alive = operation("_calls", Calls.is_alive)
    register = operation("_calls", Calls.register)
    put_for = operation("_mailboxes", Mailboxes.put_for)
    secret = secret_method
    inbox = inbox_method
    watch = watch_method

    # What differs between the kinds of nodes.

    def _prepared(self, method: Any) -> Any:
        """Return a method of a part as this kind of node runs it."""
        return method

    def _as_reader(self, opened: Any) -> Any:
        """Return what ``open_object`` returns in the node as a reader of this kind of node."""
        return opened
