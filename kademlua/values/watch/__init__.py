"""Watching keys over the network: the holder's leases and the watcher."""
