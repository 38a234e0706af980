"""``python -m kademlua``: the command line."""

from kademlua.cli import main

if __name__ == "__main__":
    main(prog_name="kademlua")
