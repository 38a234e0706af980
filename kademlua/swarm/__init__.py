"""Many nodes on one machine: worker processes with thousands of nodes each, and their launcher."""
