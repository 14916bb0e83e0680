"""From a file, a URL or an array in memory to upright slabs of pixels, and pictures reduced as their rows
pass.

Nothing here ever knows which network will see them.
"""
