"""Every size decision about sound: signals, files, and the part of a picture that a preview needs.

Pure functions of integers and options.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from ..graph.layers import Banks
from ..graph.values import Axis
from .formats import SAMPLE_BYTES, check_format, estimated_bytes, holds
from .plan import AudioPlan, BankPlan, Plan, Stft
from .sound_options import FFT_SIZE, NOTES_FFT_SIZE, SoundOptions

# A WAV's length field has 32 bits; the rest is room for its header and text chunks.
_WAV_LIMIT_BYTES = (1 << 32) - 65536
_HEADER_BYTES = 2048 + 610  # texts, and where a file lies on the time line
# Not all browsers play larger WAV files.
_BROWSER_LIMIT_BYTES = (1 << 31) - 1
# Bounds of a windowed signal's default length, in seconds.
_DURATIONS = (10.0, 120.0)
_MIXED_BYTES = 256 << 20  # of the banks' parts in a browser: three minutes of four banks in stereo


def default_duration_s(rows: int, sound: SoundOptions) -> float:
    """Choose the length of a windowed signal.

    Args:
        rows: rows of bank 1 along the time axis.
        sound: the options.

    Returns:
        Seconds in which the rows follow each other at a quarter of a window, but 10 to 120. With notes the
        windows are longer, the sound is not.
    """
    rows_a_window = 4 if sound.scale_notes is None else 4 * NOTES_FFT_SIZE / FFT_SIZE
    return clipped_duration_s(rows * sound.fft_size / rows_a_window / sound.sample_rate_hz)


def clipped_duration_s(seconds: float) -> float:
    """Return a length within the bounds of a windowed signal's default one."""
    shortest, longest = _DURATIONS
    return min(longest, max(shortest, seconds))


def stft_plan(rows: int, sound: SoundOptions) -> Stft | None:
    """Plan the frames of a run's windowed signals, which all have the same length.

    Args:
        rows: rows of bank 1 along the time axis, in the whole picture.
        sound: the options.

    Returns:
        The frames; None if no signal is windowed.
    """
    if not sound.windowed and not sound.mix:
        return None
    seconds = default_duration_s(rows, sound) if sound.duration_s is None else sound.duration_s
    return stft_of(seconds, sound)


def stft_of(seconds: float, sound: SoundOptions) -> Stft:
    """Plan the frames of windowed signals of a length.

    Args:
        seconds: the length.
        sound: the options.
    """
    samples = max(1, round(seconds * sound.sample_rate_hz))
    return Stft(
        fft_size=sound.fft_size,
        hop=sound.hop_samples,
        samples=samples,
        wanted=preview_samples(sound),
        notes=0 if sound.notes is None else len(sound.notes.hz),
    )


def preview_samples(sound: SoundOptions) -> int | None:
    """Return the length of each file in a preview, before any resampling; None without a preview."""
    return None if sound.preview_s is None else ceil(sound.preview_s * sound.sample_rate_hz)


def preview_rows(
    banks: Banks, numbers: tuple[int, ...], axis: Axis, along: int, across: int, sound: SoundOptions
) -> int:
    """Work out how much of a picture the first seconds of every file need.

    Args:
        banks: the network's banks.
        numbers: numbers of those that are wanted.
        axis: the picture's time axis.
        along: its length, in pixels.
        across: length of the other axis, in pixels.
        sound: the options.

    Returns:
        Rows along the time axis, from the first; `along` without a preview.
    """
    wanted = preview_samples(sound)
    if wanted is None:
        return along
    other: Axis = "y" if axis == "x" else "x"
    stft = stft_plan(banks.length(1, axis, along), sound)
    most = 0
    for number in numbers:
        frames = banks.length(number, axis, along)
        needed = 0
        if not sound.windowed and sound.schemes:
            needed = _raw_frames(wanted, frames, banks.length(number, other, across), sound)
        if stft is not None:
            needed = max(needed, _windowed_frames(wanted, frames, sound, stft))
        if needed >= frames:
            return along
        lie = banks.bank(number).along(axis)
        # one frame more, because pooling windows are cut where the picture seems to end
        most = max(most, lie.stop + lie.stride * (needed + 1))
    return min(along, max(most, banks.smallest_side))


def _raw_frames(wanted: int, frames: int, frequencies: int, sound: SoundOptions) -> int:
    """Return how many of a bank's frames the first `wanted` samples of its raw sound need."""
    if "concat" in sound.schemes and wanted > frames * frequencies:
        return frames  # the second filter needs the first one's last frame
    return ceil(wanted / frequencies)


def _windowed_frames(wanted: int, frames: int, sound: SoundOptions, stft: Stft) -> int:
    """Return how many of a bank's frames the first `wanted` samples of its windowed sound need."""
    if sound.windowed and "concat" in sound.schemes and wanted > stft.samples:
        return frames
    # The last frame of the STFT: half a window beyond the samples, and the phases' look-ahead beyond that.
    look_ahead = 1 + sound.griffin_lim_iterations * (stft.overlap - 1)
    last = ceil((stft.sounded + stft.fft_size / 2) / stft.hop) + 1 + look_ahead
    rows_a_frame = frames * stft.hop / stft.samples
    return ceil((last + 0.5) * rows_a_frame + max(rows_a_frame, 1) / 2) + 1


def selected_filters(channels: int, sound: SoundOptions) -> int:
    """Return how many of a bank's `channels` filters are selected."""
    if sound.filters is not None:
        return len(sound.filters)
    return channels if sound.top is None else min(sound.top, channels)


def audio_plan(
    scheme: str, channels: int, frames: int, frequencies: int, sound: SoundOptions, stft: Stft | None = None
) -> AudioPlan:
    """Plan the file or files of one scheme.

    Args:
        scheme: 'sum', 'concat' or 'filters' of a bank, or the 'mix' of all banks.
        channels: filters of the bank; ignored for the mix, as are the next two.
        frames: its frames.
        frequencies: values in a frame.
        sound: the options.
        stft: frames of windowed signals; may be None for raw sound.

    Returns:
        Lengths and sizes of the scheme's files, those of temporary files included.

    Raises:
        OptionError: the format cannot hold the sound.
    """
    windowed = scheme == "mix" or sound.windowed
    count = selected_filters(channels, sound)
    assert stft is not None or not windowed
    signal = stft.samples if windowed and stft is not None else frames * frequencies
    files = count if scheme == "filters" else 1
    samples = count * signal if scheme == "concat" else signal
    wanted = preview_samples(sound)
    samples = samples if wanted is None else min(samples, wanted)
    file_channels = 2 if scheme == "mix" else sound.sum_channels if scheme == "sum" else 1
    temporary = 4 * files * samples * file_channels if windowed or sound.needs_finishing else 0
    rate = sound.file_rate_hz
    samples = -(-samples * rate // sound.sample_rate_hz)
    check_format(sound.format, sound.subtype, rate, file_channels, samples)
    browser = 0
    if sound.format == "wav":
        size, container = _wav_file(samples * file_channels * SAMPLE_BYTES[sound.subtype])
        if container == "RF64" or sound.subtype == "FLOAT" or size - _HEADER_BYTES > _BROWSER_LIMIT_BYTES:
            # concatenated filters are played one by one
            browser = _browser_bytes(count if scheme == "concat" else files, samples, file_channels, rate)
    else:
        size = estimated_bytes(sound.format, sound.subtype, file_channels, samples, rate)
        container = sound.format.upper()
    return AudioPlan(
        scheme=scheme,
        files=files,
        samples=samples,
        bytes_per_file=size,
        container=container,
        channels=file_channels,
        temporary_bytes=temporary,
        browser_bytes=browser,
    )


def filter_samples(plan: Plan, bank_plan: BankPlan | None, sound: SoundOptions) -> int:
    """Return the samples of one filter's sound, or of the mix (`bank_plan` None), before any resampling."""
    if bank_plan is None or sound.windowed:
        assert plan.stft is not None
        return plan.stft.samples
    return bank_plan.frames * bank_plan.frequencies


def _wav_file(sample_bytes: int) -> tuple[int, str]:
    """Return the size of a WAV file and its container, 'WAV' or 'RF64', by the size of its samples."""
    return sample_bytes + _HEADER_BYTES, "WAV" if sample_bytes <= _WAV_LIMIT_BYTES else "RF64"


def _browser_bytes(parts: int, samples: int, channels: int, rate_hz: int) -> int:
    """Return the size of a file's copies in FLAC, in so many parts; 0 if FLAC cannot hold them."""
    part = -(-samples // parts)
    if not holds("flac", "PCM_16", rate_hz, channels, part):
        return 0
    return parts * estimated_bytes("flac", "PCM_16", channels, part, rate_hz)


def stems_plan(mix: AudioPlan, banks: int) -> AudioPlan:
    """Plan the stems: each bank's part of the mix, as a file in the mix's format."""
    return replace(mix, scheme="stem", files=banks, temporary_bytes=0, browser_bytes=0)


def parts_plan(mix: AudioPlan, banks: int, sound: SoundOptions) -> AudioPlan | None:
    """Plan the banks' parts of the mix for the page, in FLAC; None if FLAC cannot hold them."""
    rate = sound.file_rate_hz
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


def mixable(parts: AudioPlan) -> bool:
    """Return whether a page can mix the banks' parts itself, which it then holds in memory in float32."""
    return 4 * parts.files * parts.samples * parts.channels <= _MIXED_BYTES


def raw_plan(audio: AudioPlan, inner: SoundOptions) -> AudioPlan:
    """Plan the temporary WAV file that holds a scheme's raw sound until it is finished.

    Args:
        audio: the file that it will become.
        inner: options of the temporary file.

    Returns:
        The temporary file, of which one is made for each file of `audio`.
    """
    samples = audio.temporary_bytes // (4 * audio.files * audio.channels)
    size, container = _wav_file(samples * audio.channels * SAMPLE_BYTES[inner.subtype])
    return AudioPlan(
        scheme=audio.scheme,
        files=audio.files,
        samples=samples,
        bytes_per_file=size,
        container=container,
        channels=audio.channels,
    )
