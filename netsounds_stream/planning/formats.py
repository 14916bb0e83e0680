"""Limits and sizes of sound file formats, as integers, so that a run is refused before any work starts.

The limits of FLAC and Ogg Vorbis are those of libsndfile 1.2.2 with its encoders, as measured. libsndfile
cannot be asked: it crashes at a rate that Vorbis does not support, and reports FLAC's limits only when the
first frame is encoded.
"""

from __future__ import annotations

from ..errors import OptionError
from .sound_options import FORMATS

#: Bytes of a sample, by the subtype of the file.
SAMPLE_BYTES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}
_WAV_MAX_HZ = 768_000
_WAV_MAX_CHANNELS = 1024  # libsndfile reads no more
_FLAC_MAX_HZ = 655_350
_FLAC_FINE_HZ = 65_535  # a frame's header has 16 bits for the rate: in hertz, above that in tens of hertz
_FLAC_MAX_CHANNELS = 8
_FLAC_MAX_SAMPLES = 2**36 - 1
_OGG_MAX_HZ = 200_000  # for any number of channels; at 200001 Hz libsndfile crashes
_OGG_MAX_CHANNELS = 8  # Vorbis defines no order of speakers for more
_RESAMPLED_HZ = (8_000, 192_000)

# Allowances of the size estimates, in bytes.
_WAV_HEADERS = 4096  # all chunks before the samples, tags included
_FLAC_HEADERS = 8192
_FLAC_FRAME = 4096  # in samples, not bytes: libFLAC's default
_FLAC_FRAME_BYTES = 18  # for each frame, and one byte more for each of its channels
_OGG_HEADERS = 16384


def check_format(format: str, subtype: str, sample_rate_hz: int, channels: int, samples: int) -> None:
    """Require that a sound file can be written and read.

    Args:
        format: 'wav', 'flac' or 'ogg'.
        subtype: sample format; ignored for 'ogg', whose samples are always Vorbis.
        sample_rate_hz: samples a second.
        channels: number of channels.
        samples: samples of each channel.

    Raises:
        OptionError: the format does not support it.
    """
    if format not in FORMATS:
        raise OptionError(f"format cannot be {format!r}; use one of {', '.join(FORMATS)}")
    if format != "ogg" and subtype not in SAMPLE_BYTES:
        raise OptionError(f"subtype cannot be {subtype!r}; use one of {', '.join(SAMPLE_BYTES)}")
    if samples < 1:
        raise OptionError(f"a sound cannot have {samples} samples; use 1 or more")
    _CHECKS[format](subtype, sample_rate_hz, channels, samples)


def estimated_bytes(format: str, subtype: str, channels: int, samples: int, sample_rate_hz: int) -> int:
    """Bound the size of a sound file from above.

    The arguments are those of `check_format`, which must accept them; values lie in [-1, 1]. FLAC stores
    noise uncompressed. The size of Vorbis at libsndfile's quality (0.4) depends on the rate; the bound is at
    least a tenth above the largest measurement, made with bursts of white noise at full scale.

    Returns:
        The largest size in bytes.
    """
    if format == "ogg":
        rate = sample_rate_hz
        bits_per_second = 10 * rate if rate < 1000 else min(5 * rate, 160_000 + rate // 2)
        return _OGG_HEADERS + 64 * channels + -(-samples * channels * bits_per_second // (8 * rate))
    raw = samples * channels * SAMPLE_BYTES[subtype]
    if format == "flac":
        return _FLAC_HEADERS + raw + -(-samples // _FLAC_FRAME) * (_FLAC_FRAME_BYTES + channels)
    return _WAV_HEADERS + raw + raw % 2


def holds(container: str, subtype: str, sample_rate_hz: int, channels: int, samples: int) -> bool:
    """Return whether `check_format` accepts a file."""
    try:
        check_format(container, subtype, sample_rate_hz, channels, samples)
    except OptionError:
        return False
    return True


def check_resampling(rate_in_hz: int, rate_out_hz: int) -> None:
    """Require that sound can be resampled between two rates.

    Raises:
        OptionError: one of the rates is not supported.
    """
    least, most = _RESAMPLED_HZ
    for rate in (rate_in_hz, rate_out_hz):
        if not least <= rate <= most:
            raise OptionError(f"sound of {rate} Hz cannot be resampled; use rates of {least} to {most} Hz")


def resampled_length(samples: int, rate_in_hz: int, rate_out_hz: int) -> int:
    """Compute the length of resampled sound.

    Returns:
        The number of output samples that begin before the last of the `samples` input samples ends.
    """
    return -(-samples * rate_out_hz // rate_in_hz)


def _check_wav(subtype: str, sample_rate_hz: int, channels: int, samples: int) -> None:
    _check_rate(sample_rate_hz, _WAV_MAX_HZ, "WAV", "")
    _check_channels(channels, _WAV_MAX_CHANNELS, "WAV")


def _check_flac(subtype: str, sample_rate_hz: int, channels: int, samples: int) -> None:
    if subtype == "FLOAT":
        raise OptionError("FLAC cannot hold FLOAT samples; use the subtype PCM_24 or PCM_16, or WAV")
    _check_rate(sample_rate_hz, _FLAC_MAX_HZ, "FLAC", ", or WAV")
    if sample_rate_hz > _FLAC_FINE_HZ and sample_rate_hz % 10:
        nearest = min(sample_rate_hz // 10 * 10 + 10, _FLAC_MAX_HZ)
        raise OptionError(
            f"FLAC's sample rate cannot be {sample_rate_hz}; past {_FLAC_FINE_HZ} Hz use a multiple of 10, "
            f"such as {nearest}, or WAV"
        )
    _check_channels(channels, _FLAC_MAX_CHANNELS, "FLAC")
    if samples > _FLAC_MAX_SAMPLES:
        raise OptionError(
            f"FLAC holds {_FLAC_MAX_SAMPLES} samples a channel, and this sound has {samples}; use WAV, "
            f"fewer banks or a smaller size"
        )


def _check_ogg(subtype: str, sample_rate_hz: int, channels: int, samples: int) -> None:
    _check_rate(sample_rate_hz, _OGG_MAX_HZ, "Ogg Vorbis", ", or WAV")
    _check_channels(channels, _OGG_MAX_CHANNELS, "Ogg Vorbis")


_CHECKS = {"wav": _check_wav, "flac": _check_flac, "ogg": _check_ogg}


def _check_rate(sample_rate_hz: int, most: int, name: str, instead: str) -> None:
    if not 1 <= sample_rate_hz <= most:
        raise OptionError(f"{name}'s sample rate cannot be {sample_rate_hz}; use 1 to {most} Hz{instead}")


def _check_channels(channels: int, most: int, name: str) -> None:
    if not 1 <= channels <= most:
        raise OptionError(f"{name} cannot hold {channels} channels; use 1 to {most}")


def media_type(suffix: str) -> str:
    """Return the media type of a sound file by its suffix, such as 'audio/wav' for '.wav'."""
    return {".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg"}[suffix]
