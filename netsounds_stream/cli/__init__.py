"""The command line.

A command parses its words, makes one call and prints. Texts, progress on a terminal, `demo` and `bench` live
here, too. click is imported here and in no other room, and the library never imports this room.
"""


def main() -> None:
    """Run the command line; every error is one line on stderr."""
    from .commands import run  # here, since shells complete words by importing less

    run()
