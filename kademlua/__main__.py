"""The command ``kademlua``, also as ``python -m kademlua``."""

import gc
import signal


def main() -> None:
    """Run the command line.

    ^C while it is imported, which takes some tenths of a second, ends the process without a
    traceback.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # not ignored, as in the background of a script
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.disable()  # imports leave no garbage: collections would take a quarter of the time
    from kademlua import cli

    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGINT, handler)
    cli.main(prog_name="kademlua")


if __name__ == "__main__":
    main()
