"""What the rest stands on and what would serve another program as well: the machine's memory, devices and
locks, the worker pipeline, progress and cancellation, checksums, checkpoints and the journal.

Nothing here ever knows of pictures, networks or sound.
"""
