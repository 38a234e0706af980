"""What outlives a node's process: its values on LMDB, its id, contacts and publications."""
