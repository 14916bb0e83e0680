"""A finished run as notes: ridges of its banks' spectra, as a MIDI file and a table.

It reads a run and writes two files. No sound is made here, no network runs, and the run is never changed.
mido, an extra, is imported inside functions only.
"""
