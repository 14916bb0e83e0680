"""Options and plans: what can be asked for, the geometry of layers, file formats, memory and disk space.

Integers and texts only: nothing here ever opens a file, allocates a tensor or does work.
"""
