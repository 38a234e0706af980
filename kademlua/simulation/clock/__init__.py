"""Virtual time: the event loop of a simulation."""
