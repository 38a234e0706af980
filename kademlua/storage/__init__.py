"""What survives a node's process: values in LMDB, the node's id, contacts and publications."""
