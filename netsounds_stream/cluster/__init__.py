"""Work on other machines, through Dask.

Workers compute a picture's segments and invert filters; the command merges their results in order. Nothing
here is ever needed by a run on one machine.
"""
