"""Options as keyword arguments, with the types that editors and type checkers show.

Each option is described here once, by the name that the command line has for it. `SonifyOptions` and
`SoundOptions` hold the same as values, in units that their names say; a test keeps the two alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypedDict

from .options import Codec, Device, Precision, TimeAxis
from .presets import PresetName
from .sound_options import Balance, Format, Frequency, Method, Pan, Phase, Scale, Scheme, Subtype


class NetworkKeywords(TypedDict, total=False):
    """How a picture goes through the network: what `verify` takes."""

    size: int | Literal["native"] | None
    """Short edge to which the picture is resized, in pixels. 'native' or None keeps its own size."""
    weights: str | Path
    """'pretrained' (the default), 'untrained', or the path of a `squeezenet1_0` state_dict."""
    normalize: bool
    """Whether ImageNet's mean is subtracted and its deviation divided out. False feeds values of 0 to 1."""
    time_axis: TimeAxis
    """The picture's axis that becomes time: 'x', 'y', or 'auto' (the default), its long edge."""
    precision: Precision
    """Number format of the computation: 'fp32', 'bf16' or 'fp16'. 'auto' (the default): fp32 on a CPU, else
    fp16."""
    device: Device
    """Where the network runs: 'cpu', 'cuda' or 'mps'. 'auto' (the default) is the CPU."""
    memory: int | str | None
    """Budget for the whole process's resident memory, in bytes or as '800MiB'. None: 1 GiB, less if less is
    free."""
    gpu_memory: int | str | None
    """Budget for what torch holds on a GPU, in bytes or as '2GiB'. None: 2 GiB, or half of what is free."""
    max_pixels: int | str | None
    """Refuse a picture that has more pixels than this, in its file or after `size`; a number or as '100M'."""


class RenderKeywords(TypedDict, total=False):
    """How activations become sound: what `render` takes."""

    balance: Balance
    """'bank' (the default): one scale for the whole bank. 'filter': each filter to full range first."""
    scale: Scale
    """'peak' (the default): divide by the largest magnitude. 'minmax': stretch to -1 to 1, as netsounds does.
    'none': keep the samples as they are, for subtype 'FLOAT'."""
    sample_rate: int
    """Samples a second, 44100 by default. For method 'ifft' it changes the pitch only."""
    resample: int | None
    """Convert the sound to this sample rate, in Hz. None keeps `sample_rate`."""
    format: Format
    """File format: 'wav' (the default), 'flac' or 'ogg'."""
    subtype: Subtype
    """Sample format of WAV and FLAC files: 'PCM_16' (the default), 'PCM_24', or in WAV 'FLOAT'."""
    method: Method
    """'ifft' (the default): each row of activations inverted by itself, as netsounds does. 'istft' and
    'griffin-lim': overlapping windowed frames."""
    phase: Phase | None
    """Phases with which windowed frames begin: 'zero', 'random' or 'pghi' (from the magnitudes' gradient).
    None: 'pghi' for method 'istft', else 'random'."""
    iterations: int
    """Iterations of Griffin-Lim in the mix and in method 'griffin-lim', 8 by default."""
    seed: int
    """Seed of all random numbers: phases and dither."""
    duration: float | None
    """Length of a windowed signal in seconds. None: by the picture's length, 10 to 120 s."""
    fft_size: int
    """Length of a windowed frame in samples, 2048 by default."""
    hop: int | None
    """Distance between windowed frames in samples. None: a quarter of `fft_size`."""
    contrast: float
    """Power to which activations are raised before they become windowed frames' magnitudes, 3 by default."""
    frequency: Frequency
    """Frequency scale on which the picture's rows lie in windowed sound: 'log' (the default), 'mel' or
    'linear'."""
    fmin: float | None
    """Frequency of the lowest row in Hz. None: 40, or 0 on the linear scale."""
    fmax: float | None
    """Frequency of the highest row in Hz. None: 12000, or half the sample rate on the linear scale."""
    flip_frequency: bool
    """Whether high and low frequencies change places."""
    stereo: bool
    """Whether the filters of a sum are panned between left and right."""
    pan: Pan
    """Where a filter is panned to: by its number ('index', the default), or by where on the picture's short
    edge its energy lies ('centroid')."""
    top: int | None
    """Sound only this many filters of each bank: those with the most energy."""
    filters: Iterable[int] | None
    """Sound only these filters, counted from 0."""
    loudness: float | None
    """Bring every file to this integrated loudness in LUFS. None: the mix to -16, other files by `scale`."""
    preview: float | None
    """Write only the first seconds of each file, from the part of the picture that they need."""


class SonifyKeywords(NetworkKeywords, RenderKeywords, total=False):
    """All options of a run: what `sonify`, `plan`, `batch`, `plan_batch` and `bench` take."""

    preset: PresetName | None
    """Several options at once; options given beside it win. 'netsounds': what netsounds made, as it made it.
    'features': the activations alone. 'listen': the page and the sounds, no activations."""
    banks: int | Iterable[int]
    """Filter banks that are stored and made into sound: one or several of 1, 2, 3 and 4. All by default."""
    scheme: Scheme | Iterable[Scheme] | Literal["none"] | None
    """Sound files of each bank: 'sum' (all filters added), 'concat' (one after another), 'filters' (a file
    each), or several of these. 'none' or () for no file; None for the default, 'sum'."""
    mix: bool
    """Whether all banks are mixed into one stereo file. True by default."""
    stems: bool
    """Whether each bank's part of the mix is written as a file of the same length, too. False by default."""
    codec: Codec
    """Compression of stored activations: 'lz4' (the default), 'zstd' (smaller, slower), 'pcodec' (smallest,
    slowest) or 'none'."""
    activations: bool
    """Whether activations are kept as arrays. True by default."""
    report: bool
    """Whether the run gets its page, `index.html`, with pictures. True by default."""
    single_file: bool
    """Whether the page is also written as one file that needs no other, `share.html`. False by default."""
    label: str | None
    """Name used in the names of files. None: what the network sees in the picture."""
