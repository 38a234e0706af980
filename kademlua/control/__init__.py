"""A running node, driven from outside: its operations as JSON, its control socket, a client."""
