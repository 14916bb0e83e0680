"""From activations and their sums to sound files.

Weights and levels of filters, spectra, raw and windowed sound, the mix, WAV and encoded files, and views of
them. Nothing here ever runs the network.
"""
