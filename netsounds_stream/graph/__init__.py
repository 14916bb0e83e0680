"""Networks as data: graphs of operations on rows, and integer arithmetic on them.

Which rows of the picture a value sees, how many rows come out, which layers can be streamed and which become
banks. Neither torch nor a weight is ever needed here.
"""
