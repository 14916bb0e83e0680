"""Pictures, from a file, a URL or an array in memory to upright slabs of pixels.

Here also are the overviews, small pictures that rows are reduced to as they pass. Nothing here ever knows
which network will see the pixels.
"""
