"""What the parts of a node share: context, transports, observers, workers."""
