"""Pictures: from a file, a URL or an array in memory to upright slabs of pixels, and their small overviews.

Nothing here ever knows which network will see them.
"""
