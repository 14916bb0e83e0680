"""The line-buffered network: weights, layers, the row stream made of them, the label, and `verify`.

Each layer retains only the rows that it still needs. Nothing here ever writes a file of a run.
"""
