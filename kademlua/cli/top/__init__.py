"""kademlua top: a live view of a node."""
