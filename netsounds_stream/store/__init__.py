"""Activations in compressed zarr arrays: shards that are written as frames come and read by filters, on disk
or in an object store.

Nothing here ever computes an activation or a sample.
"""
