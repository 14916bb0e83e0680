"""`python -m netsounds_stream`: the command line, where no program `netsounds-stream` is on the path."""

from .cli.main import main

if __name__ == "__main__":
    main()
