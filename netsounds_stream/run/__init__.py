"""A run as it lies in a folder or in an object store.

Here are the names of its files, its record, the storage backend that takes them, and the finished run as
people open, check and show it. Nothing here ever computes what a run holds.
"""
