"""Work on other machines through Dask: a picture's segments through the network, their results merged in
order, filters inverted.

Nothing here is ever needed by a run on one machine.
"""
