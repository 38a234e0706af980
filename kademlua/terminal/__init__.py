"""Text for terminals, shared by the shell and the command line."""
