"""From a module to a graph: its code traced, and each call lowered to a node by the rule for it.

Nothing here ever computes rows of a picture, or loads weights.
"""
