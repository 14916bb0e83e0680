"""What can be asked for, and what follows from it: options, the geometry of layers, formats, and the plan
with its sizes, memory and disk space.

Integers and texts only: nothing here ever opens a file, allocates a tensor or does work.
"""
