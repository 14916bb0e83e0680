"""The line-buffered network: weights, layers that retain the rows they still need, the stream made of them,
the label, and the comparison with the network run on the whole picture.

Nothing here ever writes a file of a run.
"""
