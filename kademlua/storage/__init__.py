"""State on disk, in LMDB: stored values, and the node's id, contacts and publications."""
