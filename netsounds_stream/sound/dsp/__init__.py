"""Signal processing on arrays: inverse transforms, phases, overlap-add, limiter and loudness.

Each module names the source of its formulas. Nothing here ever touches a file, a journal or a command's
options.
"""
