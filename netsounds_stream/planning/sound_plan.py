"""Every size decision about sound, before any is made: lengths, files, what of the picture a preview needs.

Pure functions of integers and options.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from .formats import SAMPLE_BYTES, check_format, estimated_bytes, holds
from .geometry import SMALLEST_SIDE, bank, bank_length
from .plan import AudioPlan, Stft
from .sound_options import SoundOptions

# A WAV's length field is 32 bits; room is left for its header and text chunks.
_WAV_LIMIT_BYTES = (1 << 32) - 65536
_HEADER_BYTES = 2048
# Larger WAV files are played by some browsers only.
_BROWSER_LIMIT_BYTES = (1 << 31) - 1
# Of a windowed signal whose length nobody chose, in seconds.
_DURATIONS = (10.0, 120.0)


def default_duration_s(rows: int, sound: SoundOptions) -> float:
    """Seconds of a windowed signal: bank 1's `rows` a quarter of a window apart, within bounds."""
    shortest, longest = _DURATIONS
    return min(longest, max(shortest, rows * sound.fft_size / 4 / sound.sample_rate_hz))


def stft_plan(rows: int, sound: SoundOptions) -> Stft | None:
    """Of every windowed signal of a run whose bank 1 has `rows` in time; None where nothing is windowed."""
    if not sound.windowed and not sound.mix:
        return None
    seconds = default_duration_s(rows, sound) if sound.duration_s is None else sound.duration_s
    samples = max(1, round(seconds * sound.sample_rate_hz))
    return Stft(sound.fft_size, sound.hop_samples, samples, preview_samples(sound))


def preview_samples(sound: SoundOptions) -> int | None:
    """Of each file, before any resampling, in a preview; None: all."""
    return None if sound.preview_s is None else ceil(sound.preview_s * sound.sample_rate_hz)


def preview_rows(along: int, across: int, banks: tuple[int, ...], sound: SoundOptions) -> int:
    """How many of a picture's `along` pixel rows in time the first seconds of every file need, all of them at
    most; `across` is its other side."""
    wanted = preview_samples(sound)
    if wanted is None:
        return along
    stft, most = stft_plan(bank_length(1, along), sound), 0
    for number in banks:
        frames, frequencies = bank_length(number, along), bank_length(number, across)
        needed = 0
        if not sound.windowed and sound.schemes:
            ends_later = "concat" in sound.schemes and wanted > frames * frequencies
            needed = frames if ends_later else ceil(wanted / frequencies)
        if stft is not None:
            # what is late by the phases' look-ahead, and half a window, and rows half a frame beyond
            reach = stft.overlap - 1
            late = 1 + (sound.griffin_lim_iterations * reach)
            last = ceil((stft.sounded + stft.fft_size / 2) / stft.hop) + 1 + late
            step = frames * stft.hop / stft.samples
            ends_later = sound.windowed and "concat" in sound.schemes and wanted > stft.samples
            needed = max(needed, frames if ends_later else ceil((last + 0.5) * step + max(step, 1) / 2) + 1)
        if needed >= frames:
            return along
        about = bank(number)
        # one row more: where the picture seems to end, pooling windows are cut
        most = max(most, about.offset + about.stride * (needed + 1) + about.field // 2 + 1)
    return min(along, max(most, SMALLEST_SIDE))


def chosen_filters(channels: int, sound: SoundOptions) -> int:
    """How many filters of a bank sound."""
    if sound.filters is not None:
        return len(sound.filters)
    return channels if sound.top is None else min(sound.top, channels)


def audio_plan(
    scheme: str, channels: int, frames: int, frequencies: int, sound: SoundOptions, stft: Stft | None = None
) -> AudioPlan:
    """The file or files of one scheme for a bank of that shape, or the 'mix' of all.

    Raises:
        OptionError: the format cannot hold it.
    """
    windowed = scheme == "mix" or sound.windowed
    count = chosen_filters(channels, sound)
    assert stft is not None or not windowed
    each = stft.samples if windowed and stft is not None else frames * frequencies
    files = count if scheme == "filters" else 1
    samples = count * each if scheme == "concat" else each
    wanted = preview_samples(sound)
    samples = samples if wanted is None else min(samples, wanted)
    across = 2 if scheme == "mix" else sound.sum_channels if scheme == "sum" else 1
    waiting = 4 * files * samples * across if windowed or sound.needs_finishing else 0
    rate = sound.resample_hz or sound.sample_rate_hz
    samples = -(-samples * rate // sound.sample_rate_hz)
    check_format(sound.format, sound.subtype, rate, across, samples)
    if sound.format != "wav":
        size = estimated_bytes(sound.format, sound.subtype, across, samples, rate)
        return AudioPlan(
            scheme=scheme,
            files=files,
            samples=samples,
            bytes_per_file=size,
            container=sound.format.upper(),
            channels=across,
            temporary_bytes=waiting,
        )
    size = samples * across * SAMPLE_BYTES[sound.subtype]
    container = "WAV" if size <= _WAV_LIMIT_BYTES else "RF64"
    browser = 0
    if container == "RF64" or sound.subtype == "FLOAT" or size > _BROWSER_LIMIT_BYTES:
        parts = count if scheme == "concat" else files
        each = -(-samples // parts)
        if holds("flac", "PCM_16", rate, across, each):
            browser = parts * estimated_bytes("flac", "PCM_16", across, each, rate)
    return AudioPlan(
        scheme=scheme,
        files=files,
        samples=samples,
        bytes_per_file=size + _HEADER_BYTES,
        container=container,
        channels=across,
        temporary_bytes=waiting,
        browser_bytes=browser,
    )


def stems_plan(mix: AudioPlan, banks: int) -> AudioPlan:
    """Return the plan of the parts of the mix that so many banks have, a file each in the mix's format."""
    return replace(mix, scheme="stem", files=banks, temporary_bytes=0, browser_bytes=0)


def parts_plan(mix: AudioPlan, banks: int, sound: SoundOptions) -> AudioPlan | None:
    """Return the plan of the same parts as browsers play them; None where FLAC does not take the rate."""
    rate = sound.resample_hz or sound.sample_rate_hz
    if not holds("flac", "PCM_16", rate, mix.channels, mix.samples):
        return None
    size = estimated_bytes("flac", "PCM_16", mix.channels, mix.samples, rate)
    return AudioPlan(
        scheme="part",
        files=banks,
        samples=mix.samples,
        bytes_per_file=size,
        container="FLAC",
        channels=mix.channels,
    )


def raw_plan(audio: AudioPlan, inner: SoundOptions) -> AudioPlan:
    """Of the WAV file that a raw scheme's sound waits in, by the options `inner`, to become `audio`."""
    samples = audio.temporary_bytes // (4 * audio.files * audio.channels)
    size = samples * audio.channels * SAMPLE_BYTES[inner.subtype]
    container = "WAV" if size <= _WAV_LIMIT_BYTES else "RF64"
    return AudioPlan(
        scheme=audio.scheme,
        files=audio.files,
        samples=samples,
        bytes_per_file=size + _HEADER_BYTES,
        container=container,
        channels=audio.channels,
    )
