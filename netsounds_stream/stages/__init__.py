"""The network's stage, where pictures, network, store and sound meet: bands go in, and stored activations,
sums, levels and overviews come out, with the state that a stopped run resumes from.

Nothing here ever decides a size or asks where the run lies.
"""
