"""Objects in the network: written as a stream of blocks, and read like a file."""
