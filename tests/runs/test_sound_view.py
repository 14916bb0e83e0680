"""What is seen of sound files: against the plain way, in any pieces, and of the files of real runs."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from netsounds_stream import sonify
from netsounds_stream.base.progress import Progress, Stop
from netsounds_stream.errors import OutputError, Stopped, StoreError
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.planning.memory import overview_disk_bytes
from netsounds_stream.planning.plan import AudioPlan, Plan
from netsounds_stream.planning.sound_options import SoundOptions
from netsounds_stream.sound.dsp.spectrum import FrequencyScale
from netsounds_stream.sound.view import (
    FilterExtremes,
    SoundMeter,
    View,
    ViewPlan,
    parts_begun,
    read_filter_extremes,
    view_plan,
)

Floats = NDArray[np.float32]


def plan_of(samples: int, **words: Any) -> ViewPlan:
    whole = ViewPlan(
        samples=samples,
        channels=1,
        rate_hz=8000,
        parts=1,
        part_samples=float(samples),
        scale="linear",
        low_hz=0.0,
        high_hz=4000.0,
        columns=1024,
        spectrum_columns=1024,
        rows=256,
    )
    return replace(whole, **words)


def noise(samples: int, channels: int = 1) -> Floats:
    values = np.random.default_rng(0).uniform(-1, 1, (samples, channels))
    return np.asarray(values, np.float32)


def seen(plan: ViewPlan, samples: Floats, cuts: list[int] | None = None) -> View:
    meter = SoundMeter(plan)
    for start, stop in pairwise([0, *(cuts or []), len(samples)]):
        meter.add(samples[start:stop])
    return meter.finish()


def plain_extremes(plan: ViewPlan, samples: Floats) -> Floats:
    """Sample by sample: into the last column that begins at it or before."""
    found = np.full((plan.parts * plan.columns, 2), np.nan, np.float32)
    begins = np.ceil(np.arange(len(found)) * (plan.part_samples / plan.columns))
    for at, values in enumerate(samples):
        column = np.searchsorted(begins, at, side="right") - 1
        found[column, 0] = np.fmin(found[column, 0], values.min())
        found[column, 1] = np.fmax(found[column, 1], values.max())
    return found.reshape(plan.parts, plan.columns, 2)


PLANS = {
    "whole": plan_of(30_000, columns=128, spectrum_columns=64, rows=32),
    "stereo": plan_of(9_001, channels=2),
    "parts": plan_of(12_000, parts=5, part_samples=2400.0, columns=128, spectrum_columns=64, rows=32),
    "the last part cut": plan_of(
        10_007, parts=5, part_samples=2400.0, columns=128, spectrum_columns=64, rows=32
    ),
    "parts of a broken length": plan_of(
        1219, parts=4, part_samples=280 * 48000 / 44100, columns=128, spectrum_columns=64, rows=32
    ),
    # where 55 / (part_samples / 128) is 294, and 294 times that is a little more than 55
    "a rounded column": plan_of(
        95, parts=4, part_samples=22 * 48000 / 44100, columns=128, spectrum_columns=64, rows=32
    ),
    "fewer samples than columns": plan_of(300),
    "fewer than a window": plan_of(17, columns=8, spectrum_columns=4, rows=3),
    "one sample": plan_of(1),
    "parts shorter than any window": plan_of(
        35, parts=5, part_samples=7.0, columns=4, spectrum_columns=2, rows=2
    ),
    "log, long": plan_of(200_000, scale="log", low_hz=40.0),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANS)
def test_extremes_are_the_plain_way_and_any_split_is_the_whole(name: str) -> None:
    plan = PLANS[name]
    samples = noise(plan.samples, plan.channels)
    whole = seen(plan, samples)
    np.testing.assert_array_equal(whole.extremes, plain_extremes(plan, samples))
    assert whole.power.shape == (plan.parts, plan.spectrum_columns, plan.rows)
    rng = np.random.default_rng(1)
    ones = list(range(1, min(plan.samples, 3000)))
    for cuts in (ones, sorted(rng.integers(0, plan.samples + 1, 20).tolist()), [plan.samples // 2] * 3):
        split = seen(plan, samples, cuts)
        assert split.extremes.tobytes() == whole.extremes.tobytes()
        assert split.power.tobytes() == whole.power.tobytes()


@settings(deadline=None, max_examples=80)
@given(
    st.integers(1, 400),
    st.integers(1, 7),
    st.integers(1, 3000),
    st.sampled_from([None, 48000, 11025, 8000]),
    st.integers(1, 500),
)
def test_parts_of_concat(each: int, count: int, wanted: int, resample: int | None, cut: int) -> None:
    """As many parts as filters are heard, at any rate and in any preview; every sample in some column."""
    sound = SoundOptions(resample_hz=resample)
    source = min(each * count, wanted)
    samples = -(-source * (resample or 44100) // 44100)
    plan = view_plan(
        AudioPlan(scheme="concat", files=1, samples=samples, bytes_per_file=0, container="WAV"),
        sound,
        windowed=False,
        filter_samples=each,
    )
    assert plan.parts == parts_begun(samples, each, sound)
    heard = int((samples - 1) * 44100 // (resample or 44100)) // each + 1
    assert plan.parts == heard <= -(-source // each)
    if resample is None:
        assert plan.parts == -(-source // each)
    values = noise(samples)
    found = seen(plan, values, [min(cut, samples)])
    assert np.nanmin(found.extremes) == values.min() and np.nanmax(found.extremes) == values.max()
    assert not np.isinf(found.extremes).any()


@pytest.mark.parametrize("scale", ["linear", "mel", "log"])
@pytest.mark.parametrize("hertz", [440.0, 1000.0, 3000.0])
def test_a_sine_is_seen_where_it_sounds(scale: str, hertz: float) -> None:
    plan = plan_of(80_000, channels=2, scale=scale, low_hz=40.0)
    wave = np.sin(2 * np.pi * hertz * np.arange(plan.samples) / plan.rate_hz).astype(np.float32)
    power = seen(plan, np.stack((wave, 0 * wave), 1)).power[0]
    edges = FrequencyScale(scale, plan.low_hz, plan.high_hz).at(np.linspace(0, 1, plan.rows + 1))
    loudest = power.argmax(axis=1)
    resolved = 2 * plan.rate_hz / plan.window  # of a Hann window
    assert (edges[loudest] - resolved <= hertz).all() and (hertz <= edges[loudest + 1] + resolved).all()
    # the rest lies 40 dB below, past the window's side lobes
    apart = np.abs((edges[:-1] + edges[1:]) / 2 - hertz) > 8 * resolved + np.diff(edges)
    assert power[:, apart].max() < 1e-4 * power.max(axis=1).min()


def test_channels_count_alike() -> None:
    plan, values = plan_of(20_000, channels=2, rows=16), noise(20_000, 2)
    left, right = (seen(replace(plan, channels=1), values[:, each : each + 1]) for each in (0, 1))
    both = seen(plan, values)
    np.testing.assert_allclose(both.power, (left.power + right.power) / 2, rtol=1e-5)
    np.testing.assert_array_equal(both.extremes[..., 0], np.minimum(left.extremes, right.extremes)[..., 0])
    np.testing.assert_array_equal(both.extremes[..., 1], np.maximum(left.extremes, right.extremes)[..., 1])


def test_a_sine_that_begins_is_seen_when_it_sounds() -> None:
    plan = plan_of(80_000)
    wave = np.sin(2 * np.pi * 1000 * np.arange(plan.samples) / plan.rate_hz).astype(np.float32)
    wave[: plan.samples // 2] = 0
    power = seen(plan, wave[:, None]).power[0].sum(axis=1)
    half, reach = plan.spectrum_columns // 2, plan.spectrum_columns * plan.window // (2 * plan.samples) + 1
    assert (power[: half - reach] == 0).all() and (power[half + reach :] > 0).all()


def test_each_part_has_its_own_spectrum() -> None:
    """Parts of one sine each, of rising pitch; the last is cut short and has nothing behind its end."""
    plan = plan_of(36_000, parts=4, part_samples=10_000.0, columns=128, spectrum_columns=64, rows=32)
    pitches = [560, 1310, 2060, 2810]  # in the middle of rows of 125 Hz, nearly
    time = np.arange(plan.samples)
    wave = np.sin(2 * np.pi * np.array(pitches)[time // 10_000] * time / plan.rate_hz).astype(np.float32)
    view = seen(plan, wave[:, None])
    for part, hertz in enumerate(pitches[:3]):
        assert (view.power[part].argmax(axis=1) == int(hertz / 4000 * plan.rows)).all()
    begun = int(np.ceil(6_000 / 10_000 * 64))
    assert (view.power[3, : begun - 1].argmax(axis=1) == int(2810 / 4000 * plan.rows)).all()
    assert np.isnan(view.power[3, begun:]).all() and np.isnan(view.extremes[3, 77:]).all()
    assert np.isfinite(view.extremes[3, :76]).all()


def test_white_noise_is_even_over_a_linear_scale() -> None:
    plan = plan_of(400_000, rows=16)
    power = seen(plan, noise(plan.samples)).power[0].mean(axis=0)
    assert power[1:-1].std() < 0.05 * power[1:-1].mean()


def test_a_rate_that_leaves_nothing_of_the_frequencies_is_shown_whole() -> None:
    """--fmin 5000 with --resample 8000: what is above half the rate is gone."""
    sound = SoundOptions(method="istft", fmin_hz=5000.0, resample_hz=8000)
    plan = view_plan(
        AudioPlan(scheme="sum", files=1, samples=20_000, bytes_per_file=0, container="WAV"),
        sound,
        windowed=True,
        filter_samples=0,
    )
    assert (plan.scale, plan.low_hz, plan.high_hz) == ("linear", 0.0, 4000.0)
    assert np.isfinite(seen(plan, noise(plan.samples)).power).all()
    kept = view_plan(
        AudioPlan(scheme="sum", files=1, samples=20_000, bytes_per_file=0, container="WAV"),
        replace(sound, fmin_hz=3000.0),
        windowed=True,
        filter_samples=0,
    )
    assert (kept.scale, kept.low_hz, kept.high_hz) == ("log", 3000.0, 4000.0)


def test_a_view_is_kept(tmp_path: Path) -> None:
    plan = PLANS["the last part cut"]
    view = seen(plan, noise(plan.samples))
    view.save(tmp_path / "view.npz")
    again = View.load(tmp_path / "view.npz")
    assert again.plan == plan
    np.testing.assert_array_equal(again.extremes, view.extremes)
    np.testing.assert_array_equal(again.power, view.power)
    whole = (tmp_path / "view.npz").read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"no zip at all"):
        (tmp_path / "view.npz").write_bytes(content)
        with pytest.raises(StoreError, match="--overwrite"):
            View.load(tmp_path / "view.npz")
    with pytest.raises(StoreError, match="start again"):
        View.load(tmp_path / "absent.npz")
    with pytest.raises(OutputError, match="cannot write"):
        view.save(tmp_path / "absent" / "view.npz")


@pytest.mark.parametrize("frames", [1, 100, 128, 129, 500])
def test_filters_in_any_order_from_several_threads_and_reopened(tmp_path: Path, frames: int) -> None:
    filters, path = 13, tmp_path / "extremes"
    values = np.random.default_rng(frames).normal(size=(2, filters, frames)).astype(np.float32)
    low, high = values.min(0), values.max(0)
    cuts = sorted({0, filters} | {3, 8}), sorted({0, frames} | {frames // 3, frames // 2})
    blocks = [(f, t) for f in pairwise(cuts[0]) for t in pairwise(cuts[1])]
    np.random.default_rng(1).shuffle(blocks)

    def add(extremes: FilterExtremes, mine: list[Any]) -> None:
        for (first, last), (start, stop) in mine:
            extremes.add(first, start, low[first:last, start:stop], high[first:last, start:stop])

    with FilterExtremes(path, filters, frames) as extremes:
        threads = [threading.Thread(target=add, args=(extremes, blocks[n:-2:3])) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    missing = np.isnan(read_filter_extremes(path, filters, frames))
    assert missing.any()  # two blocks have not come
    with FilterExtremes(path, filters, frames) as extremes:  # gone on with; some of it comes again
        add(extremes, blocks[-4:])
    columns = min(128, frames)
    expected = np.full((filters, columns, 2), np.nan, np.float32)
    for frame in range(frames):
        column = frame * columns // frames
        expected[:, column, 0] = np.fmin(expected[:, column, 0], low[:, frame])
        expected[:, column, 1] = np.fmax(expected[:, column, 1], high[:, frame])
    np.testing.assert_array_equal(read_filter_extremes(path, filters, frames), expected)


RUNS: dict[str, dict[str, Any]] = {
    "raw": {"scheme": ("sum", "concat", "filters"), "banks": (1, 4), "filters": "3,4,90", "mix": True},
    "raw, 24 bits, time along y": {"scheme": ("sum", "concat"), "time_axis": "y", "subtype": "PCM_24"},
    "raw, resampled": {
        "scheme": ("sum", "concat", "filters"), "top": 3, "resample": 48000, "format": "flac",
    },
    "raw, a preview": {"scheme": ("concat",), "preview": 0.4},
    "windowed": {
        "scheme": ("sum", "concat", "filters"), "method": "istft", "top": 3, "stereo": True, "mix": True,
    },
    "windowed, resampled": {
        "scheme": ("sum", "concat", "filters"), "method": "istft", "filters": "0,9", "format": "flac",
        "resample": 11025, "frequency": "mel", "loudness": -20.0, "mix": True,
    },
    "windowed, a preview": {"scheme": ("concat",), "method": "istft", "filters": "0,9", "preview": 1.2},
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_a_files_view_is_that_of_the_file_read_back(tmp_path: Path, weights_file: Path, name: str) -> None:
    """The run is put down in its report, when all files are there and what was seen of them still is."""
    picture = tmp_path / "a.png"
    pyvips.Image.new_from_array(draw(161, 107)).pngsave(str(picture))
    words: dict[str, Any] = {
        "banks": (3,),
        "mix": False,
        "duration": 1.0,
        "fft_size": 512,
        "sample_rate": 8000,
        **RUNS[name],
    }
    stop, plans = Stop(), list[Plan]()

    def listen(progress: Progress) -> None:
        if progress.stage == "report":
            stop.ask()

    with pytest.raises(Stopped):
        sonify(
            picture,
            tmp_path / "run",
            weights=str(weights_file),
            label="a",
            stop=stop,
            on_progress=listen,
            on_plan=plans.append,
            **words,
        )
    work = tmp_path / ".run.partial"
    compared = 0
    for path in sorted((work / "temporary").glob("view-*.npz")):
        view = View.load(path)
        _, bank, scheme, *number = path.stem.split("-")
        stem = "mix" if bank == "0" else f"activations-{bank}_a_{scheme}"
        if scheme == "part":
            stem = f"report/part-{bank}"
        if number:
            stem = f"activations-{bank}_a_filters/{int(number[0]):03d}"
        (file,) = work.glob(f"{stem}.*")
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        assert (view.plan.samples, view.plan.channels, view.plan.rate_hz) == (*samples.shape, rate)
        read = seen(view.plan, samples)
        # seen before the file's rounding: of 16 bits, with two steps of dither where windowed
        fine = words.get("subtype") == "PCM_24" and scheme != "part"
        step = 2.0**-23 if fine else 2.5 / 32767
        np.testing.assert_allclose(read.extremes, view.extremes, atol=step * 1.01, rtol=1e-4)
        loud = np.nanmax(view.power, axis=(1, 2), keepdims=True) * 1e-3
        np.testing.assert_allclose(np.sqrt(read.power + loud), np.sqrt(view.power + loud), rtol=0.02)
        compared += 1
    for path in sorted((work / "temporary").glob("view-*.extremes")):
        number = path.stem.removeprefix("view-")
        plane = usual_banks().length(int(number), "y", 107), usual_banks().length(int(number), "y", 161)
        files = sorted(work.glob(f"activations-{number}_a_filters/*")) or [
            work / f"activations-{number}_a_concat.wav"
        ]
        samples = np.concatenate([soundfile.read(each, dtype="float32")[0] for each in files])
        frames, frequencies = plane[::-1] if words.get("time_axis", "x") == "x" else plane
        whole = len(samples) // (frames * frequencies)
        sounds = samples[: whole * frames * frequencies].reshape(whole, frames, frequencies)
        filters = path.stat().st_size // (8 * min(128, frames))
        found = read_filter_extremes(path, filters, frames)[:whole]
        at = np.arange(frames) * min(128, frames) // frames
        low = np.stack([sounds[:, at == column].min((1, 2)) for column in range(at[-1] + 1)], 1)
        high = np.stack([sounds[:, at == column].max((1, 2)) for column in range(at[-1] + 1)], 1)
        np.testing.assert_allclose(found, np.stack((low, high), 2), atol=1e-4)
        compared += 1
    schemes = words["scheme"]
    raw = words.get("method") is None and words.get("resample") is None
    of_filters = 3 if words.get("top") or "90" in str(words.get("filters")) else 2
    expected = sum(scheme != "filters" for scheme in schemes) + ("filters" in schemes) * of_filters
    if raw:
        expected = ("sum" in schemes) + bool({"concat", "filters"} & {*schemes})
    waiting = [*(work / "temporary").glob("view-*"), *(work / "temporary").glob("*.overview")]
    across = plans[0].pixels // plans[0].rows_along
    planned = overview_disk_bytes(plans[0].banks, plans[0].rows_along, across)
    assert sum(path.stat().st_size for path in waiting) <= planned
    assert compared == len(words["banks"]) * (expected + words["mix"]) + words["mix"]
