"""Signals as arrays: the inversion of frames, phases, overlap-add, limiter and loudness, each with the source
of its formula.

Nothing here ever touches a file, a journal or an option of a command.
"""
