"""The shell of a node: ``session`` runs it; commands, input and the text that it shows."""
