"""Sound made again from what is stored: a run's sum maps, along any path across the picture, or one array.

The network never runs here, and a finished run is never changed.
"""
