"""The figures of sound.md: `python docs/figures.py [--out DIR] [--width 1536] [--height 1024]`.

For each way to sound: the demonstration picture, the magnitudes that one bank's sum over its filters asks
for (untrained weights), and the spectrogram of the sound that came out. For notes: sounds on two scales.
For the mix: three pictures, and the same at half their size. Needs matplotlib.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pyvips
import soundfile
import torch
from numpy.typing import NDArray
from PIL import Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from netsounds_stream import open_activations, sonify
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.planning.plan import Stft
from netsounds_stream.planning.sound_options import SoundOptions
from netsounds_stream.planning.sound_plan import stft_plan
from netsounds_stream.sound.dsp.half_ifft import half_length
from netsounds_stream.sound.spectra import SpectraMap

Array = NDArray[np.float64]

BANK = 1
#: Name of the figure, its title, the options.
WAYS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("ifft", "--method ifft", {"method": "ifft"}),
    ("zero", "--method istft --phase zero", {"method": "istft", "phase": "zero"}),
    ("random", "--method istft --phase random", {"method": "istft", "phase": "random"}),
    ("pghi", "--method istft --phase pghi", {"method": "istft", "phase": "pghi"}),
    ("griffin-lim", "--method griffin-lim", {"method": "griffin-lim"}),
)
#: The figure of notes: its panels.
SCALES = ("chromatic", "minor-pentatonic")
_LOWEST_HZ, _HIGHEST_HZ, _ROWS, _COLUMNS = 30.0, 20000.0, 150, 300
# Of the figure of notes, whose lines are narrow.
_NOTES_HZ, _NOTES_ROWS, _NOTES_FFT = (100.0, 4500.0), 220, (16384, 2048)
_TICKS = {50: "50", 100: "100", 200: "200", 500: "500", 1000: "1k", 2000: "2k", 5000: "5k", 10000: "10k"}
_RANGE_DB, _COLOURS = 60, 96
_MIX_SECONDS, _MIX_RANGE_DB = 6.0, 45


@dataclass(frozen=True)
class Spectrogram:
    """Magnitudes `[frame, bin]`, `rate` frames a second, bins `step` hertz apart."""

    magnitudes: Array
    rate: float
    step: float


def spectrogram(samples: Array, rate_hz: int, fft_size: int, hop: int) -> Spectrogram:
    """Of a signal, frame n centred on sample n * hop, Hann-windowed."""
    window = torch.hann_window(fft_size, dtype=torch.float64)
    spectra = torch.stft(
        torch.from_numpy(samples), fft_size, hop, window=window, pad_mode="constant", return_complex=True
    )
    return Spectrogram(spectra.T.abs().numpy(), rate_hz / hop, rate_hz / fft_size)


def asked(array: Path, sound: SoundOptions) -> tuple[Spectrogram, Stft | None]:
    """What the sum over the bank's filters asks for, and the frames where they are windowed."""
    source = open_activations(array)
    rows = source.read(slice(None), slice(0, source.frames)).float().sum(0)
    stft = stft_plan(source.frames, sound)
    if stft is None:  # a frame's values are all of its spectrum: those above the middle mirror those below
        length, half = source.frequencies, half_length(source.frequencies)
        even = (rows + rows.roll(-1, 1).flip(1)) / 2
        rate = sound.sample_rate_hz
        return Spectrogram(even[:, :half].double().numpy(), rate / length, rate / length), None
    made_by = SpectraMap(source.frames, source.frames, source.frequencies, stft, sound, flipped=True)
    magnitudes = torch.cat(list(made_by(rows[:, None])))[:, 0].double().numpy()
    return Spectrogram(
        magnitudes, sound.sample_rate_hz / stft.hop, sound.sample_rate_hz / stft.fft_size
    ), stft


def levels_db(shown: Spectrogram, seconds: float, edges_hz: Array) -> Array:
    """Mean energies of cells `[row, column]`, in decibels."""

    def means(values: Array, edges: Array) -> Array:
        total = np.concatenate((np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)))
        whole = np.clip(edges, 0, len(values))
        low = np.minimum(whole.astype(int), len(values) - 1)
        upto = total[low] + (whole - low)[:, None] * values[low]
        return np.diff(upto, axis=0) / np.maximum(np.diff(edges), 1e-12)[:, None]

    energy = means(shown.magnitudes**2, np.linspace(0, seconds, _COLUMNS + 1) * shown.rate + 0.5)
    energy = means(energy.T, edges_hz / shown.step + 0.5)
    return np.asarray(10 * np.log10(energy + 1e-30))


def figure(
    picture: NDArray[np.uint8],
    title: str,
    panels: Sequence[tuple[str, Array]],
    seconds: float,
    ends_hz: tuple[float, float] = (_LOWEST_HZ, _HIGHEST_HZ),
) -> Any:
    """The picture and two spectrograms with one scale of colours."""
    made, axes = plt.subplots(
        1, 3, figsize=(9.6, 2.9), layout="constrained", gridspec_kw={"width_ratios": [1, 1.25, 1.25]}
    )
    axes[0].imshow(picture, aspect="auto")
    axes[0].set(title="the picture", xlabel="time", ylabel="frequency", xticks=[], yticks=[])
    low, high = np.log10(ends_hz)
    for at, (name, levels) in zip(axes[1:], panels, strict=True):
        drawn = at.imshow(
            levels - levels.max(),
            origin="lower",
            aspect="auto",
            extent=(0, seconds, low, high),
            vmin=-_RANGE_DB,
            vmax=0,
            cmap="magma",
            interpolation="nearest",
        )
        at.set(title=name, xlabel="seconds", ylabel="hertz")
        ticks = {hz: name for hz, name in _TICKS.items() if ends_hz[0] <= hz <= ends_hz[1]}
        at.set_yticks(np.log10(list(ticks)), list(ticks.values()))
    bar = made.colorbar(drawn, ax=axes[1:], pad=0.01)
    bar.set_label("dB below the loudest")
    made.suptitle(title, family="monospace", fontsize=10)
    for at in axes:
        at.title.set_fontsize(9)
    return made


def save(made: Any, path: Path) -> None:
    """As a PNG of few colours."""
    drawn = io.BytesIO()
    made.savefig(drawn, dpi=100, format="png")
    plt.close(made)
    Image.open(drawn).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "figures")
    parser.add_argument("--width", type=int, default=1536)
    parser.add_argument("--height", type=int, default=1024)
    given = parser.parse_args(words)
    given.out.mkdir(parents=True, exist_ok=True)
    pixels = draw(given.width, given.height)
    edges = np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, _ROWS + 1)
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "picture.png"
        pyvips.Image.new_from_array(pixels).pngsave(str(image))
        for name, title, options in WAYS:
            kept: dict[str, Any] = {"weights": "untrained", "banks": (BANK,), "scheme": "sum", "mix": False}
            run = sonify(image, Path(folder) / name, **kept, **options)
            (array,) = (path for path in run.files if path.suffix == ".zarr")
            (wav,) = (path for path in run.files if path.suffix == ".wav")
            samples, rate = soundfile.read(wav)
            sound = SoundOptions(schemes=("sum",), mix=False, **options)
            wanted, stft = asked(array, sound)
            came = spectrogram(samples, rate, sound.fft_size, sound.hop_samples)
            seconds = len(samples) / rate
            said = "what came out"
            if stft is not None:
                found = came.magnitudes[: len(wanted.magnitudes)]
                there = wanted.magnitudes[: len(found)]
                scaled = found * (found * there).sum() / (found**2).sum()
                error = np.linalg.norm(scaled - there) / np.linalg.norm(there)
                said = f"what came out: off by {20 * np.log10(error):.1f} dB"
            panels = [
                ("what was asked for", levels_db(wanted, seconds, edges)),
                (said, levels_db(came, seconds, edges)),
            ]
            save(figure(pixels, title, panels, seconds), given.out / f"{name}.png")
        save(figure_of_notes(pixels, image), given.out / "notes.png")
        save(figure_of_mixes(pixels, Path(folder)), given.out / "mixes.png")


def figure_of_notes(pixels: NDArray[np.uint8], image: Path) -> Any:
    """The picture, and spectrograms of its sound on two scales."""
    edges, panels, seconds = np.geomspace(*_NOTES_HZ, _NOTES_ROWS + 1), [], 0.0
    for scale in SCALES:
        words: dict[str, Any] = {"scheme": "sum", "mix": False, "method": "istft", "scale_notes": scale}
        run = sonify(image, image.parent / scale, weights="untrained", banks=(BANK,), report=False, **words)
        samples, rate = soundfile.read(next(path for path in run.files if path.suffix == ".wav"))
        seconds = len(samples) / rate
        panels.append((scale, levels_db(spectrogram(samples, rate, *_NOTES_FFT), seconds, edges)))
    return figure(pixels, "--method istft --scale-notes", panels, seconds, _NOTES_HZ)


def figure_of_mixes(pixels: NDArray[np.uint8], folder: Path) -> Any:
    """Three pictures, the spectrograms of their mixes, and those of their mixes at half the size."""
    pictures = {"landscape": pixels, "rings": rings(*pixels.shape[1::-1]), "bars": bars(*pixels.shape[1::-1])}
    made, axes = plt.subplots(
        len(pictures),
        3,
        figsize=(9.6, 4.8),
        layout="constrained",
        gridspec_kw={"width_ratios": [1, 1.25, 1.25]},
    )
    edges = np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, _ROWS // 2 + 1)
    words: dict[str, Any] = {"weights": "untrained", "scheme": "none", "activations": False, "report": False}
    for row, (name, picture) in zip(axes, pictures.items(), strict=True):
        row[0].imshow(picture, aspect="auto")
        row[0].set(xticks=[], yticks=[])
        whole = pyvips.Image.new_from_array(picture)
        for at, (said, image) in zip(
            row[1:], (("mix", whole), ("at half size", whole.shrink(2, 2))), strict=True
        ):
            path = folder / f"{name} {said}.png"
            image.pngsave(str(path))
            run = sonify(path, path.with_suffix(""), duration=_MIX_SECONDS, **words)
            samples, rate = soundfile.read(run.folder / "mix.wav")
            levels = levels_db(spectrogram(samples.mean(1), rate, 2048, 512), _MIX_SECONDS, edges)
            drawn = at.imshow(
                levels - levels.max(),
                origin="lower",
                aspect="auto",
                vmin=-_MIX_RANGE_DB,
                vmax=0,
                cmap="magma",
                interpolation="nearest",
            )
            at.set(xticks=[], yticks=[])
            if name == "landscape":
                at.set_title(said, fontsize=9)
    bar = made.colorbar(drawn, ax=axes[:, 1:], pad=0.01)
    bar.set_label("dB below the loudest")
    return made


def rings(width: int, height: int) -> NDArray[np.uint8]:
    """Yellow rings on dark blue."""
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - height / 2, x - width / 2)
    on = (radius % (height / 13) < height / 120) & (radius < height / 2)
    return np.where(on[..., None], np.uint8([255, 220, 0]), np.uint8([30, 40, 60])).astype(np.uint8)


def bars(width: int, height: int) -> NDArray[np.uint8]:
    """Eight upright white bars on black."""
    on = (np.arange(width) + width / 16) % (width / 8) < width / 40
    return np.broadcast_to(np.where(on, 255, 0).astype(np.uint8)[None, :, None], (height, width, 3)).copy()


if __name__ == "__main__":
    main()
