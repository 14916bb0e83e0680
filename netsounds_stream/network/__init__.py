"""The line-buffered network: its weights, its layers, which retain the rows that they still need, its stream.

Here also are the label, and the comparison with the network run on the whole picture. Nothing here ever
writes a file of a run.
"""
