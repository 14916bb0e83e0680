"""The stages of a run: the network, the sound of each bank, the mix, and the report.

Here picture, network, store and sound meet. Bands of pixels go in; stored activations, sums, levels and
overviews come out, with the state that a stopped run resumes from. Nothing here ever decides a size or asks
where the run lies.
"""
