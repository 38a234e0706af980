"""Many nodes on one machine: a launcher, and worker processes with thousands of nodes each."""
