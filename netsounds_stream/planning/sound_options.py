"""Options of turning activations into sound, as frozen values, checked when built. Nothing here acts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import OptionError
from . import scales

Scheme = Literal["sum", "concat", "filters"]
Balance = Literal["bank", "filter"]
Scale = Literal["peak", "minmax", "none"]
Subtype = Literal["PCM_16", "PCM_24", "FLOAT"]
Format = Literal["wav", "flac", "ogg"]
Method = Literal["ifft", "istft", "griffin-lim"]
Phase = Literal["zero", "random", "pghi"]
Frequency = Literal["linear", "mel", "log"]
Pan = Literal["index", "centroid"]

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
BALANCES: tuple[Balance, ...] = get_args(Balance)
SCALES: tuple[Scale, ...] = get_args(Scale)
SUBTYPES: tuple[Subtype, ...] = get_args(Subtype)
FORMATS: tuple[Format, ...] = get_args(Format)
METHODS: tuple[Method, ...] = get_args(Method)
PHASES: tuple[Phase, ...] = get_args(Phase)
FREQUENCIES: tuple[Frequency, ...] = get_args(Frequency)
PANS: tuple[Pan, ...] = get_args(Pan)

#: The word for no scheme at all.
NO_SCHEME = "none"
#: Integrated loudness of the mix.
MIX_LUFS = -16.0
#: How much quieter a bank is in the mix for each halving of its resolution, in dB; chosen by
#: `benchmarks/listening.py`, see docs/sound.md.
BANK_FALL_DB = 4.0
# The default range of frequencies, except on the linear scale.
_LOWEST_HZ = 40.0
_HIGHEST_HZ = 12000.0
# The same where rows fall on notes: from the default root, to the highest C of a piano. Below, neighbouring
# notes beat instead of being told apart, and above no melody is heard.
_NOTES_HZ = (110.0, 4200.0)
#: Default length of a frame in samples, and of one that the levels of notes follow: as long as an FFT would
#: have to be that tells semitones apart from middle C on.
FFT_SIZE = 2048
NOTES_FFT_SIZE = 8192
#: Loudness level at which low and high are made equally loud, in phon.
LISTENING_PHON = 60.0
_FFT_SIZES = (16, 1 << 17)
_RATES = (8000, 192_000)  # between which sound can be resampled


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Require that an option has one of the allowed values.

    Args:
        name: name of the option, for the error.
        value: its value.
        allowed: the values that it may have.

    Raises:
        OptionError: it has another.
    """
    if value not in allowed:
        raise OptionError(f"{name} cannot be {value!r}; use one of {', '.join(allowed)}")


@dataclass(frozen=True, kw_only=True)
class SoundOptions:
    """Options of turning activations into sound, as checked values.

    Each field is an option of `RenderKeywords` or `SonifyKeywords`, which describe it, with its unit in the
    name: `fmin_hz` is `fmin`, `duration_s` is `duration`, `loudness_lufs` is `loudness`. `schemes` is
    `scheme`; () is none.

    Raises:
        OptionError: an option has a value that cannot be used, or options cannot be used together.

    Example:
        >>> from netsounds_stream import SoundOptions
        >>> sound = SoundOptions(schemes=("sum",), method="istft", duration_s=30.0, stereo=True)
        >>> sound.hop_samples, sound.frequencies_hz
        (512, (40.0, 12000.0))
    """

    schemes: tuple[Scheme, ...] = ("sum",)
    mix: bool = True
    stems: bool = False
    balance: Balance = "bank"
    scale: Scale = "peak"
    sample_rate_hz: int = 44100
    resample_hz: int | None = None
    format: Format = "wav"
    subtype: Subtype = "PCM_16"
    method: Method = "ifft"
    phase: Phase | None = None
    iterations: int = 8
    seed: int = 0
    duration_s: float | None = None
    fft_size: int = None  # type: ignore[assignment]  # None becomes a number, so that records stay alike
    hop: int | None = None
    contrast: float = 3.0
    frequency: Frequency = "log"
    fmin_hz: float | None = None
    fmax_hz: float | None = None
    flip_frequency: bool = False
    scale_notes: str | None = None
    root_hz: float | None = None
    equal_loudness: bool = False
    bank_fall_db: float = BANK_FALL_DB
    stereo: bool = False
    pan: Pan = "index"
    top: int | None = None
    filters: tuple[int, ...] | None = None
    loudness_lufs: float | None = None
    preview_s: float | None = None

    def __post_init__(self) -> None:
        for scheme in self.schemes:
            one_of("scheme", scheme, SCHEMES)
        if len(set(self.schemes)) < len(self.schemes):
            raise OptionError(f"a scheme is given twice: {', '.join(self.schemes)}; give each once")
        for name, value, allowed in (
            ("balance", self.balance, BALANCES),
            ("scale", self.scale, SCALES),
            ("subtype", self.subtype, SUBTYPES),
            ("format", self.format, FORMATS),
            ("method", self.method, METHODS),
            ("phase", self.first_phase, PHASES),
            ("frequency", self.frequency, FREQUENCIES),
            ("pan", self.pan, PANS),
        ):
            one_of(name, value, allowed)
        if self.stems and not self.mix:
            raise OptionError("stems are parts of the mix: leave out --no-mix, or --stems")
        self._check_levels()
        self._check_frames()
        self._check_frequencies()
        if self.scale_notes is not None:
            object.__setattr__(self, "scale_notes", scales.canonical(self.scale_notes))
            assert self.notes is not None  # it raises where there are none
        self._check_filters()

    def _check_levels(self) -> None:
        if not 1 <= self.sample_rate_hz <= 768_000:
            raise OptionError(f"sample rate cannot be {self.sample_rate_hz}; use 1 to 768000 Hz")
        low, high = _RATES
        rates = [("resample", self.resample_hz)]
        if self.mix or self.method != "ifft" or self.resample_hz is not None:
            rates.append(("sample rate", self.sample_rate_hz))
        for name, rate in rates:
            if rate is not None and not low <= rate <= high:
                others = ", or --method ifft with --no-mix" if name == "sample rate" else ""
                raise OptionError(f"{name} cannot be {rate}; use {low} to {high} Hz{others}")
        if self.scale == "none" and self.subtype != "FLOAT":
            raise OptionError("scale 'none' may exceed full scale: use it with --subtype FLOAT")
        if self.loudness_lufs is not None and not -70 < self.loudness_lufs <= 0:
            raise OptionError(f"loudness cannot be {self.loudness_lufs} LUFS; use -69 to 0, such as -16")

    def _check_frames(self) -> None:
        if self.fft_size is None:
            size = FFT_SIZE if self.scale_notes is None else NOTES_FFT_SIZE
            object.__setattr__(self, "fft_size", size)
        low, high = _FFT_SIZES
        if not low <= self.fft_size <= high or self.fft_size % 2:
            raise OptionError(f"FFT size cannot be {self.fft_size}; use an even number, {low} to {high}")
        if self.hop is not None and not 1 <= self.hop <= self.fft_size // 2:
            raise OptionError(
                f"hop cannot be {self.hop}; use 1 to {self.fft_size // 2}, half the FFT size: frames further "
                f"apart would leave gaps"
            )
        if not 0.1 <= self.contrast <= 5:
            raise OptionError(f"contrast cannot be {self.contrast}; use 0.1 to 5, where 1 changes nothing")
        if not 0 <= self.bank_fall_db <= 12:
            raise OptionError(f"bank fall cannot be {self.bank_fall_db} dB; use 0 to 12")
        if not 0 <= self.iterations <= 1000:
            raise OptionError(f"iterations cannot be {self.iterations}; use 0 to 1000")
        if self.seed < 0:
            raise OptionError(f"the seed cannot be {self.seed}; use 0 or more")
        for name, seconds in (("duration", self.duration_s), ("preview", self.preview_s)):
            if seconds is not None and not (math.isfinite(seconds) and 0.01 <= seconds <= 1e6):
                raise OptionError(f"{name} cannot be {seconds} s; use 0.01 to 1000000 seconds")

    def _check_frequencies(self) -> None:
        low, high = self.frequencies_hz
        nyquist = self.sample_rate_hz / 2
        if self.fmax_hz is not None and self.fmax_hz > nyquist:
            raise OptionError(f"fmax cannot be {self.fmax_hz:g} Hz; the sample rate holds up to {nyquist:g}")
        least = 0.0 if self.frequency != "log" and self.scale_notes is None else 1.0
        if not (math.isfinite(low) and math.isfinite(high) and least <= low < high):
            raise OptionError(
                f"frequencies cannot go from {low:g} to {high:g} Hz; use --fmin below --fmax, from {least:g}"
            )

    def _check_filters(self) -> None:
        if self.top is not None and self.filters is not None:
            raise OptionError("give --top or --filters, not both")
        if self.top is not None and self.top < 1:
            raise OptionError(f"top cannot be {self.top}; use 1 or more filters")
        if self.filters is not None:
            if not self.filters or min(self.filters) < 0:
                raise OptionError("filters are counted from 0; write them as 3,17,40")
            if len(set(self.filters)) < len(self.filters):
                raise OptionError("a filter is given twice; give each once")
            object.__setattr__(self, "filters", tuple(sorted(self.filters)))

    @property
    def hop_samples(self) -> int:
        """Distance between windowed frames, with its default filled in."""
        return self.hop or self.fft_size // 4

    @property
    def file_rate_hz(self) -> int:
        """Sample rate of the finished files: `resample_hz`, or the rate that sound is made at."""
        return self.resample_hz or self.sample_rate_hz

    @property
    def frequencies_hz(self) -> tuple[float, float]:
        """Lowest and highest frequency of the picture's rows, with defaults filled in."""
        nyquist = self.sample_rate_hz / 2
        low, high = (0.0, nyquist) if self.frequency == "linear" else (_LOWEST_HZ, _HIGHEST_HZ)
        if self.scale_notes is not None:
            low, high = _NOTES_HZ
        high = min(high, nyquist)
        return low if self.fmin_hz is None else self.fmin_hz, high if self.fmax_hz is None else self.fmax_hz

    @property
    def notes(self) -> scales.Notes | None:
        """The notes that the picture's rows fall on; None where they are spread over all frequencies."""
        if self.scale_notes is None:
            return None
        root_hz = scales.ROOT_HZ if self.root_hz is None else self.root_hz
        return scales.notes_of(self.scale_notes, root_hz, *self.frequencies_hz)

    @property
    def audible_bins(self) -> int:
        """Number of FFT bins, from the lowest, up to the highest frequency of the scale."""
        return int(self.frequencies_hz[1] * self.fft_size / self.sample_rate_hz) + 1

    @property
    def first_phase(self) -> str:
        """Initial phases of windowed frames, with the default filled in.

        Without iterations, phases from the gradient fit best. With iterations random ones fit as well, and
        the sound does not buzz at the frames' rate.
        """
        return self.phase or ("pghi" if self.method == "istft" else "random")

    @property
    def griffin_lim_iterations(self) -> int:
        """Iterations of Griffin-Lim on windowed frames, those of the mix included; notes need none."""
        return 0 if self.method == "istft" or self.scale_notes is not None else self.iterations

    @property
    def windowed(self) -> bool:
        """True if the schemes are made of windowed frames; the mix always is."""
        return self.method != "ifft"

    @property
    def sum_channels(self) -> int:
        """Number of channels of a sum: 1, or 2 in stereo."""
        return 2 if self.stereo else 1

    @property
    def needs_finishing(self) -> bool:
        """True if raw sound takes one more step after the inversion: another format, rate or loudness."""
        return self.format != "wav" or self.resample_hz is not None or self.loudness_lufs is not None

    @property
    def needs_second_pass(self) -> bool:
        """True if sums over the filters depend on measurements of the whole picture."""
        panned = self.pan == "centroid" and (self.mix or (self.stereo and "sum" in self.schemes))
        return self.balance == "filter" or self.top is not None or panned

    @property
    def needs_energies(self) -> bool:
        """True if the filters' energies, and their places in the picture, must be measured."""
        return self.top is not None or self.pan == "centroid"

    @property
    def one_pass(self) -> bool:
        """True if all sound consists of sums whose weights are known beforehand: no store is needed."""
        return not {*self.schemes} - {"sum"} and not self.needs_second_pass
