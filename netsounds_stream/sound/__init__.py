"""From activations and their sums to sound files: which filters are mixed and how loud, spectra, raw and
windowed sound, the mix, levels, WAV and encoded files.

Nothing here ever runs the network.
"""
