"""A search for requests that make a node send too much, and attacks on real sockets."""
