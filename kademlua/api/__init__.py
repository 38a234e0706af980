"""The node's operations by name and their JSON form, for every edge."""
