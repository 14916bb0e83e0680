"""Options as keyword arguments, with types for editors and type checkers.

Each option is described here once, under the name that it has on the command line. `SonifyOptions` and
`SoundOptions` hold the same options as values, with units in their names; a test keeps the two alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypedDict

from .options import Codec, Device, Precision, TimeAxis
from .presets import PresetName
from .sound_options import Balance, Format, Frequency, Method, Pan, Phase, Scale, Scheme, Subtype


class NetworkKeywords(TypedDict, total=False):
    """Options of a picture's way through the network, which `verify` takes.

    Example:
        >>> from netsounds_stream import NetworkKeywords, verify
        >>> words: NetworkKeywords = {"size": 64, "weights": "untrained"}
        >>> verify("landscape.png", **words).agreed
        True
    """

    size: int | Literal["native"] | None
    """Short edge to which the picture is resized, in pixels. 'native' or None keeps its own size."""
    channels: str | int | Iterable[int] | None
    """Channels of the file that are read as red, green and blue, or one as grey, counted from 1. None: the
    first three, or the first where there are fewer."""
    page: int | None
    """Picture of a file that holds several, counted from 1. None: the main one."""
    stretch: str | None
    """How numbers become brightness: 'full', 'minmax', 'asinh', or percentiles such as 'percentile:1,99'.
    None: integers of 8 and 16 bits as they are, FITS by 'asinh'; other numbers are refused."""
    profile: bool
    """Apply the picture's colour profile. True by default."""
    network: str
    """Network: one of torchvision's classifiers by its name, or code of one's own that returns a
    `torch.nn.Module`, which is run: 'package.module:function' or 'file.py:function'. 'squeezenet1_0' by
    default."""
    layers: str | Iterable[str] | None
    """Layers that become banks, by their names, in this order; `layers(network)` lists them. None: the last
    layer before each loss of resolution, four at most."""
    weights: str | Path
    """'pretrained' (the default), 'untrained', or the path of a state_dict of the network."""
    normalize: bool
    """Subtract ImageNet's mean and divide by its standard deviation. False: input values are 0 to 1."""
    time_axis: TimeAxis
    """The picture's axis that becomes time: 'x', 'y', or 'auto' (the default), its long edge."""
    precision: Precision
    """Number format of the computation: 'fp32', 'bf16' or 'fp16'. 'auto' (the default): fp32 on a CPU, else
    fp16."""
    device: Device
    """Where the network runs: 'cpu', 'cuda' or 'mps'. 'auto' (the default) is the CPU."""
    memory: int | str | None
    """Budget for the whole process's resident memory, in bytes or as '800MiB'. None: 1 GiB, with
    device 'cuda' 2 GiB; less if less is free."""
    gpu_memory: int | str | None
    """Budget for torch's memory on a GPU, in bytes or as '2GiB'. None: 2 GiB, or half of what is free."""
    max_pixels: int | str | None
    """Refuse a picture that has more pixels than this, in its file or after `size`; a number or as '100M'."""


class RenderKeywords(TypedDict, total=False):
    """Options of turning activations into sound, which `render` takes.

    Example:
        >>> from netsounds_stream import RenderKeywords, open_run, render
        >>> array = next(path for path in open_run("landscape-netsounds").files if path.suffix == ".zarr")
        >>> words: RenderKeywords = {"method": "istft", "duration": 0.5, "sample_rate": 16000}
        >>> render(array, "istft.flac", **words).samples
        8000
    """

    balance: Balance
    """'bank' (the default): one scale for the whole bank. 'filter': scale each filter to full range first."""
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
    """Initial phases of windowed frames: 'zero', 'random' or 'pghi' (from the magnitudes' gradient).
    None: 'pghi' for method 'istft', else 'random'."""
    iterations: int
    """Iterations of Griffin-Lim in the mix and in method 'griffin-lim', 8 by default."""
    seed: int
    """Seed of all random numbers: phases and dither."""
    duration: float | None
    """Length of a windowed signal in seconds. None: by the picture's length, 10 to 120 s."""
    fft_size: int
    """Length of a windowed frame in samples, 2048 by default, or 8192 with `scale_notes`."""
    hop: int | None
    """Distance between windowed frames in samples. None: a quarter of `fft_size`."""
    contrast: float
    """Power to which activations are raised to become the magnitudes of windowed frames, 3 by default."""
    frequency: Frequency
    """Frequency scale of the picture's rows in windowed sound: 'log' (the default), 'mel' or 'linear'."""
    fmin: float | None
    """Frequency of the lowest row in Hz. None: 40, or 0 on the linear scale, or 110 with `scale_notes`."""
    fmax: float | None
    """Frequency of the highest row in Hz. None: 12000, or half the sample rate on the linear scale, or 4200
    with `scale_notes`."""
    flip_frequency: bool
    """Swap high and low frequencies."""
    scale_notes: str | Path | None
    """Notes that the picture's rows fall on in windowed sound: a scale by its name ('chromatic', 'major',
    'pentatonic' and others), a Scala file (NAME.scl), or degrees as 'cents:386.31,701.96,1200'. None: rows
    are spread over all frequencies."""
    root: str | float | None
    """Root of `scale_notes`: a note such as 'A2', 'F#3' or 'Bb1', or a frequency in Hz. None: A2, 110 Hz."""
    equal_loudness: bool
    """Weigh low and high frequencies of windowed sound so that equal activations are equally loud to the ear
    (ISO 226:2023, 60 phon). False by default."""
    bank_fall: float
    """How much quieter a bank is in the mix for each halving of its resolution, in dB: 4 by default."""
    stereo: bool
    """Pan the filters of a sum between left and right."""
    pan: Pan
    """A filter's position in stereo: by its number ('index', the default), or by the place of its energy on
    the picture's short edge ('centroid')."""
    top: int | None
    """Sound only this many filters of each bank: those with the most energy."""
    filters: Iterable[int] | None
    """Sound only these filters, counted from 0."""
    loudness: float | None
    """Bring every file to this integrated loudness in LUFS. None: the mix to -16, other files by `scale`."""
    preview: float | None
    """Write only the first seconds of each file, and read only the part of the picture that they need."""


class SonifyKeywords(NetworkKeywords, RenderKeywords, total=False):
    """All options of a run, which `sonify`, `plan`, `batch`, `plan_batch` and `bench` take.

    Example:
        >>> from netsounds_stream import SonifyKeywords, plan
        >>> words: SonifyKeywords = {"weights": "untrained", "banks": (4,), "report": False}
        >>> plan("landscape.png", **words).banks[0].shape
        (512, 9, 14)
    """

    preset: PresetName | None
    """Several options under one name; single options override it. 'netsounds': the sounds of netsounds,
    computed as it did. 'features': the activations alone. 'listen': the page and the sounds, no
    activations."""
    banks: int | Iterable[int]
    """Filter banks to store and turn into sound: one or several of 1, 2, 3 and 4. All by default."""
    scheme: Scheme | Iterable[Scheme] | Literal["none"] | None
    """Sound files of each bank: 'sum' (all filters added), 'concat' (one after another), 'filters' (a file
    each), or several of these. 'none' or () for no file; None for the default, 'sum'."""
    mix: bool
    """Mix all banks into one stereo file. True by default."""
    stems: bool
    """Also write each bank's part of the mix, as a file of the same length. False by default."""
    codec: Codec
    """Compression of stored activations: 'lz4' (the default), 'zstd' (smaller, slower), 'pcodec' (smallest,
    slowest) or 'none'."""
    activations: bool
    """Keep the activations as arrays. True by default."""
    sum_maps: bool
    """Keep the sums that the mix is made of: small arrays from which `render` makes sound again without the
    network. True by default."""
    report: bool
    """Write a page, `index.html`, with pictures. True by default."""
    single_file: bool
    """Also write the page as one file that needs no other, `share.html`. False by default."""
    label: str | None
    """Label used in file names. None: the network's prediction for the picture."""
