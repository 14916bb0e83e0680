"""A run as it lies on disk or in an object store: the layout of its files, its record and its storage
backend, and the finished run as people open, check and show it.

Nothing here ever computes what a run holds.
"""
