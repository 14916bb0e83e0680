"""Stored activations, in compressed zarr arrays on disk or in an object store.

Shards are written as frames come, and read by filters. Nothing here ever computes an activation or a sample.
"""
