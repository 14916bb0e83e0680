"""Foundations that would serve any program: memory, devices, threads, progress, checksums, the journal.

Pictures, networks and sound never appear here.
"""
