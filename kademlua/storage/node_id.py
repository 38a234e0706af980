"""The node's id in the database ``meta`` of both files."""

from __future__ import annotations

from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.row_format import META_KEYS, NODE_ID_KEY, pack_node_id, unpack_node_id


def read_node_id(write_buffer: WriteBuffer) -> bytes | None:
    """Return the id; None if there is none. Damaged rows are dropped."""
    node_id = None
    for row_key, data in list(write_buffer.rows("meta")):
        if row_key == NODE_ID_KEY:
            node_id = unpack_node_id(data)
        if row_key not in META_KEYS or (row_key == NODE_ID_KEY and node_id is None):
            write_buffer.drop_damaged("meta", row_key)
    return node_id


def write_node_id(write_buffer: WriteBuffer, node_id: bytes) -> bool:
    """Store the id, and return whether that changed anything."""
    data = pack_node_id(node_id)
    if write_buffer.get("meta", NODE_ID_KEY) == data:
        return False
    write_buffer.put("meta", NODE_ID_KEY, data)
    return True
