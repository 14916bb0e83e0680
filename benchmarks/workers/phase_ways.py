"""One case of the phases question: each way to phases, on the magnitudes of one bank.

The filters of a stored array are added, and become magnitudes by the package's own maps at its defaults:
what `render --method griffin-lim` sounds. The ways go in turn, each begun once on a few frames before. How
well a way fits is the spectral convergence over all frames, 20 log10(||STFT| - M| / |M|), in decibels, by
torch's STFT in float64.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from report import report
from torch import Tensor

from netsounds_stream.planning.plan import Stft
from netsounds_stream.planning.sound_options import SoundOptions
from netsounds_stream.planning.sound_plan import stft_plan
from netsounds_stream.rendering.arrays import known_of
from netsounds_stream.sound.dsp.synthesis import synthesised
from netsounds_stream.sound.spectra import SpectraMap, in_blocks
from netsounds_stream.store.arrays import open_activations

Way = Callable[[Tensor, Stft], Tensor]
SOUND = SoundOptions(schemes=("sum",), mix=False, method="griffin-lim")
# Name, first phases, iterations of Griffin-Lim.
OURS = (
    ("zero", "zero", 0),
    ("random", "random", 0),
    ("pghi", "pghi", 0),
    ("griffin-lim from random", "random", SOUND.iterations),
    ("griffin-lim", "pghi", SOUND.iterations),
)
LIBROSA = "librosa"
_FRAMES_READ = 64


def by_package(phase: str, iterations: int) -> Way:
    """The stream, on its blocks of frames."""

    def samples(magnitudes: Tensor, stft: Stft) -> Tensor:
        blocks = in_blocks(iter([magnitudes[:, None]]), stft)
        made = synthesised(blocks, stft, phase, iterations, (0,), SOUND.audible_bins)
        return torch.cat(list(made), dim=1)[0]

    return samples


def by_librosa() -> Way:
    """All frames at once."""
    import librosa

    def samples(magnitudes: Tensor, stft: Stft) -> Tensor:
        made = librosa.griffinlim(
            magnitudes.T.contiguous().numpy(),
            n_iter=SOUND.iterations,
            hop_length=stft.hop,
            n_fft=stft.fft_size,
            momentum=0.99,
            init="random",
            center=True,
            pad_mode="constant",
            length=stft.samples,
            random_state=0,
        )
        return torch.from_numpy(made)

    return samples


def magnitudes_of(path: Path) -> tuple[Tensor, Stft]:
    """Float32 `[frame, bin]` of the sum of a stored bank's filters.

    The signal ends at the last frame's centre, as librosa's does.
    """
    source = open_activations(path)
    planned = stft_plan(known_of(source)[1], SOUND)
    assert planned is not None
    stft = Stft(planned.fft_size, planned.hop, (planned.frames - 1) * planned.hop)
    flipped = source.time_axis == "x"
    made_by = SpectraMap(source.frames, source.frames, source.frequencies, stft, SOUND, flipped=flipped)
    made = []
    for start in range(0, source.frames, _FRAMES_READ):
        values = source.read(slice(None), slice(start, min(start + _FRAMES_READ, source.frames)))
        made += list(made_by(values.float().sum(0)[:, None]))
    return torch.cat(made)[:, 0], stft


def convergence_db(samples: Tensor, magnitudes: Tensor, stft: Stft) -> float:
    """How far the signal's magnitudes are from those that were asked for, over all frames."""
    window = torch.hann_window(stft.fft_size, dtype=torch.float64)
    spectra = torch.stft(
        samples.double(), stft.fft_size, stft.hop, window=window, pad_mode="constant", return_complex=True
    )
    wanted = magnitudes.double()
    error = torch.linalg.norm(spectra.T.abs() - wanted) / torch.linalg.norm(wanted)
    return 20 * math.log10(float(error))


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("array", type=Path, help="stored activations, .zarr or .npy")
    parser.add_argument("--librosa", action="store_true", help="beside librosa's")
    parser.add_argument("--seconds", type=float, help="only so much of it")
    given = parser.parse_args()
    torch.set_num_threads(1)
    magnitudes, stft = magnitudes_of(given.array)
    if given.seconds is not None:
        frames = min(stft.frames, 1 + math.ceil(given.seconds * SOUND.sample_rate_hz / stft.hop))
        stft = Stft(stft.fft_size, stft.hop, (frames - 1) * stft.hop)
        magnitudes = magnitudes[:frames].clone()
    ways: dict[str, Way] = {name: by_package(phase, iterations) for name, phase, iterations in OURS}
    if given.librosa:
        ways[LIBROSA] = by_librosa()
    few = Stft(stft.fft_size, stft.hop, 8 * stft.hop)
    for way in ways.values():
        way(torch.rand(few.frames, few.bins), few)
    rows: dict[str, dict[str, float]] = {}
    for name, way in ways.items():
        started = time.perf_counter()
        samples = way(magnitudes, stft)
        seconds = time.perf_counter() - started
        rows[name] = {"seconds": seconds, "convergence_db": convergence_db(samples, magnitudes, stft)}
    report(
        {name: row["seconds"] for name, row in rows.items()},
        ways=rows,
        frames=stft.frames,
        sound_seconds=stft.samples / SOUND.sample_rate_hz,
        iterations=SOUND.iterations,
    )


if __name__ == "__main__":
    main()
