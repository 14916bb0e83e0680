"""The command line as `python -m netsounds_stream`, for when `netsounds-stream` is not on the path."""

from .cli.main import main

if __name__ == "__main__":
    main()
