"""The command line as `python -m netsounds_stream`, for when `netsounds-stream` is not on the path."""

import os
import sys

if __name__ == "__main__":
    # `-m` looks for modules in the current folder first; nothing of ours lies there, unless the package does
    home = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    if not sys.flags.safe_path and os.path.realpath(sys.path[0]) != home:
        del sys.path[0]
    from .cli import main

    main()
