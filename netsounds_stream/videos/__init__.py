"""A finished run as a video: its picture with a moving playhead, waveform and spectrogram, and its sound.

It reads a run and writes one file. No sound is made here, no network runs, and the run is never changed, but
for its record, where the video is put into its folder. PyAV, an extra, is imported inside functions only.
"""
