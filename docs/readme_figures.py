"""The README's figures and sound: `python docs/readme_figures.py [--weights FILE] [--out DIR]`.

All are of the demonstration picture, of `--width` by `--height` pixels. `mix.ogg` is its mix.
`picture-and-sound.png` shows the picture above the spectrogram of that mix, on one time axis, with the same
places marked in both. `video.png` is a frame of its video, `report.png` the page of its run in a browser:
Chromium, through playwright. Needs matplotlib, playwright and PyAV; the browser is NETSOUNDS_BROWSER, or what
the PATH has.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import av
import matplotlib
import numpy as np
import pyvips
import torch
from numpy.typing import NDArray
from PIL import Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import ListedColormap
from matplotlib.patches import ConnectionPatch
from playwright.sync_api import sync_playwright

from netsounds_stream import Run, sonify, video
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.planning.sound_options import SoundOptions
from netsounds_stream.report.charts import frequency_ticks
from netsounds_stream.report.images import colour_map, decibels
from netsounds_stream.sound.dsp.spectrum import FrequencyScale, interval_weights
from netsounds_stream.sound.encoding import SoundWriter
from netsounds_stream.sound.tags import Tags

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: What is marked: its name, and where it is in the picture, as shares from the left and from the bottom.
PLACES = (
    ("A", "a striped disc: a patch of neighbouring tones", 0.105, 0.432),
    ("B", "the hills' outline: one tone that glides as it does", 0.41, 0.35),
    ("C", "the sun's rings: arcs of tones", 0.68, 0.70),
    ("D", "fence posts: a low beat, faster to the right", 0.83, 0.10),
)
_FFT, _COLUMNS, _ROWS = 4096, 900, 300
_WIDTH = 1200
#: Where the report stands when its picture is taken, as a share of the mix: in the sun.
_PLAYED = 0.68


def spectrogram(run: Run, scale: FrequencyScale) -> NDArray[np.float32]:
    """Of the mix, both channels together: brightness `[row, column]`, the lowest frequency first."""
    samples, rate = torch.from_numpy(run.mix.samples), run.mix.rate_hz
    window, hop = torch.hann_window(_FFT), max(1, len(samples) // _COLUMNS)
    spectra = torch.stft(
        samples.T.contiguous(), _FFT, hop, window=window, pad_mode="constant", return_complex=True
    )
    power = spectra.abs().square().sum(0).numpy()  # [bin, column]
    edges = scale.at(np.linspace(0, 1, _ROWS + 1)) * _FFT / rate + 0.5
    first, weights = interval_weights(edges[:-1], edges[1:], len(power))
    return decibels(weights @ power[first : first + weights.shape[1]])


def picture_and_sound(picture: NDArray[np.uint8], run: Run, weights: str) -> Image.Image:
    """The picture above its mix's spectrogram, with the places marked in both."""
    seconds = run.mix.seconds
    scale = FrequencyScale("log", *SoundOptions().frequencies_hz)
    made, (above, below) = plt.subplots(
        2, 1, figsize=(10, 10.9), sharex=True, layout="constrained", gridspec_kw={"height_ratios": [19, 10]}
    )
    extent = (0, seconds, 0, 1)
    above.imshow(picture, aspect="auto", extent=extent)
    above.set(yticks=[], ylabel="the picture: top is high", title="Time runs from left to right")
    below.imshow(
        spectrogram(run, scale),
        origin="lower",
        aspect="auto",
        extent=extent,
        cmap=ListedColormap(colour_map() / 255),
    )
    ticks = frequency_ticks(scale)
    below.set_yticks([tick.place for tick in ticks], [tick.text for tick in ticks])
    below.set(xlabel="seconds", ylabel="the mix's spectrogram, hertz")
    for name, _, x, y in PLACES:
        at = (x * seconds, y)
        line = ConnectionPatch(
            at, at, "data", "data", axesA=above, axesB=below, color="white", ls=":", lw=1.2
        )
        made.add_artist(line)
        for axes in (above, below):
            axes.text(
                *at, name, ha="center", va="center", weight="bold", color="black", zorder=5,
                bbox={"boxstyle": "circle", "facecolor": "white", "edgecolor": "black"},
            )  # fmt: skip
    said = [f"{name}  {what}" for name, what, _, _ in PLACES]
    made.supxlabel(f"{said[0]}        {said[1]}\n{said[2]}        {said[3]}\n{weights} weights", fontsize=10)
    drawn = io.BytesIO()
    made.savefig(drawn, dpi=100, format="png")
    plt.close(made)
    return Image.open(drawn).convert("RGB")


def report(run: Run) -> Image.Image:
    """The run's page at a desk's width, the mix stopped in the sun."""
    assert run.page is not None
    named = os.environ.get("NETSOUNDS_BROWSER")
    path = named or next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        raise SystemExit(f"no browser here: none of {', '.join(BROWSERS)} is on the PATH")
    # Chromium's sandbox refuses to run as root, as in a container.
    flags = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--mute-audio", *flags])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
        page.goto(run.page.resolve().as_uri())
        _set_up(page)
        taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        browser.close()
    return taken


def _set_up(page: Any) -> None:
    page.wait_for_function("document.getElementById('audio').readyState >= 2")
    page.wait_for_function("document.body.classList.contains('has-firing')")
    page.evaluate(
        """async share => {
          const audio = document.getElementById("audio");
          const there = new Promise(done => audio.addEventListener("seeked", done, {once: true}));
          audio.currentTime = share * audio.duration;
          await there;
          await Promise.all(Array.from(document.images, image => image.decode().catch(() => null)));
          await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
        }""",
        _PLAYED,
    )


def video_frame(run: Run, folder: Path) -> Image.Image:
    """A frame of the run's video, while the sun sounds."""
    made = video(run.folder, folder / "landscape.mp4", fps=5)
    with av.open(str(made.path)) as container:
        frames = container.decode(video=0)
        for _ in range(round(_PLAYED * made.frames)):
            next(frames)
        return next(frames).to_image()


def save_sound(run: Run, weights: str, path: Path) -> None:
    """Write the run's mix as Ogg Vorbis; equal samples give equal bytes."""
    samples, rate = run.mix.samples, run.mix.rate_hz
    tags = Tags(
        title="The demonstration picture of netsounds-stream",
        picture="netsounds-demo-landscape.png",
        label=f"{weights} weights",
        scheme="mix",
        method="griffin-lim",
        software="netsounds-stream",
    )
    with SoundWriter(path, "ogg", "", rate, samples.shape[1], tags) as ogg:
        ogg.write(samples.astype(np.float32))


def save(image: Image.Image, path: Path) -> None:
    """As a PNG of 256 colours, at the width that the README shows."""
    height = round(image.height * _WIDTH / image.width)
    small = image if image.width <= _WIDTH else image.resize((_WIDTH, height), Image.Resampling.LANCZOS)
    pyvips.Image.new_from_array(np.asarray(small)).pngsave(
        str(path), palette=True, dither=0, effort=10, keep="none"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--weights", default="untrained")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "figures")
    parser.add_argument("--width", type=int, default=1536)
    parser.add_argument("--height", type=int, default=1024)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    picture = draw(given.width, given.height)
    with tempfile.TemporaryDirectory() as temporary:
        image = Path(temporary) / "landscape.png"
        pyvips.Image.new_from_array(picture).pngsave(str(image))
        run = sonify(image, Path(temporary) / "landscape-netsounds", weights=given.weights)
        which = "untrained" if given.weights == "untrained" else "trained"
        save_sound(run, which, given.out / "mix.ogg")
        save(picture_and_sound(picture, run, which), given.out / "picture-and-sound.png")
        save(video_frame(run, Path(temporary)), given.out / "video.png")
        save(report(run), given.out / "report.png")


if __name__ == "__main__":
    main()
