"""The plan: its arithmetic, and what it refuses. (That real runs stay under it is `test_memory`'s.)"""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsounds_stream.base.units import format_bytes, parse_bytes
from netsounds_stream.errors import BudgetError, PictureError
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.planning.options import SonifyOptions
from netsounds_stream.planning.plan import STORED_SPOOL, STORED_STREAM, AudioPlan, Limits, Source
from netsounds_stream.planning.planner import make_plan, split_threads
from netsounds_stream.planning.sound_options import SoundOptions
from netsounds_stream.planning.sound_plan import audio_plan, mixable

GIB = 1 << 30
SOME = Limits(baseline_bytes=300 << 20, budget_bytes=GIB)


def test_a_12_megapixel_photograph() -> None:
    plan = make_plan(Source(height=3024, width=4032), SonifyOptions(), SOME)
    assert plan.time_axis == "x"
    assert [bank.shape for bank in plan.banks] == [
        (96, 1509, 2013),
        (256, 754, 1006),
        (512, 377, 503),
        (512, 188, 251),
    ]
    assert (plan.banks[0].frames, plan.banks[0].frequencies) == (2013, 1509)
    assert [(audio.scheme, audio.samples) for audio in plan.banks[0].audio] == [("sum", 2013 * 1509)]
    assert plan.mix is not None and plan.stems is None and plan.parts is not None
    assert (plan.parts.files, plan.parts.samples, plan.parts.container) == (4, plan.mix.samples, "FLAC")
    shards = sum(-(-bank.frames // bank.frames_per_shard) for bank in plan.banks)
    assert shards < 500
    plan.check()


def test_rows_in_order_need_no_spool() -> None:
    huge = Source(height=40000, width=30000)
    assert make_plan(huge, SonifyOptions(), SOME).picture_stored == STORED_STREAM
    turned = make_plan(Source(height=40000, width=30000, rows_in_order=False), SonifyOptions(), SOME)
    assert turned.picture_stored == STORED_SPOOL
    assert turned.spool_bytes == 3 * (313 * 128) * (235 * 128)  # in whole tiles


@settings(deadline=None)
@given(
    st.integers(usual_banks().smallest_side, 40000),
    st.integers(usual_banks().smallest_side, 40000),
    st.sampled_from(["auto", "x", "y"]),
    st.booleans(),
)
def test_any_picture(height: int, width: int, time_axis: str, activations: bool) -> None:
    options = SonifyOptions(time_axis=time_axis, activations=activations)
    plan = make_plan(Source(height=height, width=width), options, SOME)
    for bank in plan.banks:
        assert bank.shape[1:] == (
            usual_banks().length(bank.number, "y", height),
            usual_banks().length(bank.number, "y", width),
        )
        assert bank.frames * bank.frequencies == bank.shape[1] * bank.shape[2]
        assert 1 <= bank.frames_per_shard <= bank.frames
    assert plan.slab_rows % plan.band_rows == 0
    assert plan.disk_bytes >= plan.final_disk_bytes > 0
    larger = make_plan(
        Source(height=height, width=width), options, Limits(baseline_bytes=300 << 20, budget_bytes=4 * GIB)
    )
    assert larger.band_rows >= plan.band_rows or larger.peak_memory_bytes >= plan.peak_memory_bytes


def test_a_small_budget_shrinks_the_buffers_then_refuses() -> None:
    source = Source(height=3024, width=4032)
    usual = make_plan(source, SonifyOptions(), SOME)
    tight = make_plan(source, SonifyOptions(), Limits(baseline_bytes=300 << 20, budget_bytes=500 << 20))
    tight.check()
    assert tight.peak_memory_bytes <= 500 << 20 < usual.peak_memory_bytes
    with pytest.raises(BudgetError, match=r"310 MiB.*--memory"):
        make_plan(source, SonifyOptions(), Limits(baseline_bytes=300 << 20, budget_bytes=310 << 20)).check()


def test_a_full_disk_is_refused() -> None:
    plan = make_plan(
        Source(height=3024, width=4032),
        SonifyOptions(),
        Limits(baseline_bytes=300 << 20, budget_bytes=GIB, free_disk_bytes=10**9),
    )
    with pytest.raises(BudgetError, match="954 MiB"):
        plan.check()


def test_the_sum_alone_needs_almost_no_disk() -> None:
    options = SonifyOptions(
        activations=False, sum_maps=False, report=False, sound=SoundOptions(schemes=("sum",))
    )
    plan = make_plan(Source(height=32768, width=32768), options, SOME)
    assert not plan.stored
    assert plan.disk_bytes - plan.spool_bytes < 2 * GIB
    concat = SonifyOptions(activations=False, sound=SoundOptions(schemes=("concat",)))
    assert make_plan(Source(height=32768, width=32768), concat, SOME).stored


def test_a_gpu_takes_larger_bands_within_both_budgets() -> None:
    source, roomy = (
        Source(height=3024, width=4032),
        Limits(baseline_bytes=300 << 20, budget_bytes=2 * GIB, compute_bytes_per_value=2),
    )
    rows = []
    for gpu in (2 * GIB, GIB, 300 << 20):
        plan = make_plan(source, SonifyOptions(), replace(roomy, gpu_budget_bytes=gpu))
        plan.check()
        assert plan.gpu_memory_bytes <= gpu
        assert plan.slab_rows % plan.band_rows == 0
        rows.append(plan.band_rows)
    assert rows[0] > rows[2] and rows == sorted(rows, reverse=True)
    wide = make_plan(Source(height=32768, width=32768), SonifyOptions(), replace(roomy, gpu_budget_bytes=GIB))
    assert wide.gpu_memory_bytes <= GIB  # whatever the picture's size
    with pytest.raises(BudgetError, match="--gpu-memory"):
        make_plan(source, SonifyOptions(), replace(roomy, gpu_budget_bytes=100 << 20)).check()
    assert make_plan(source, SonifyOptions(), SOME).gpu_memory_bytes == 0


@pytest.mark.parametrize(
    ("width", "height", "threads", "frames"),
    [(4032, 3024, 2, 48), (4032, 3024, 4, 32), (6000, 4000, 1, 48), (11648, 8736, 4, 8), (8192, 8192, 2, 16)],
)
def test_shards_keep_their_lengths(width: int, height: int, threads: int, frames: int) -> None:
    """As in 0.1: the length decides the files, so what else takes memory must not change it."""
    plan = make_plan(Source(height=height, width=width), SonifyOptions(), replace(SOME, threads=threads))
    assert plan.banks[0].frames_per_shard == frames


@pytest.mark.parametrize(
    ("across", "along", "rows", "frames"),
    [
        (4096, 200_000, 32, 32),
        (1024, 200_000, 64, 64),
        (513, 200_000, 64, 64),
        (512, 200_000, 128, 128),
        (64, 200_000, 1024, 1024),
        (21, 200_000, 2048, 2048),
        (64, 24_576, 1024, 1024),
        (64, 24_575, 512, 512),
        (64, 3071, 64, 64),
        (21, 21, 64, 8),
    ],
)
@pytest.mark.parametrize("axis", ["x", "y"])
def test_narrow_pictures_have_longer_bands(
    axis: str, across: int, along: int, rows: int, frames: int
) -> None:
    """As many pixels in each as usual, and 24 at least; shards follow. Wide ones stay as they are."""
    height, width = (across, along) if axis == "x" else (along, across)
    plan = make_plan(Source(height=height, width=width), SonifyOptions(time_axis=axis), SOME)
    assert plan.band_rows == rows
    assert plan.banks[0].frames_per_shard == frames
    plan.check()


def test_threads_are_divided_among_workers() -> None:
    found = {threads: split_threads(threads) for threads in (1, 2, 4, 7, 8, 16)}
    assert found == {1: (1, 1), 2: (2, 1), 4: (4, 1), 7: (4, 1), 8: (4, 2), 16: (4, 4)}


def test_every_worker_is_counted() -> None:
    """More workers need more memory, and a small budget is kept with them too."""
    source = Source(height=3024, width=4032)
    needs = []
    for threads in (1, 2, 4):
        plan = make_plan(source, SonifyOptions(), replace(SOME, threads=threads))
        assert plan.workers == threads
        needs.append(plan.forward_memory_bytes)
        tight = make_plan(source, SonifyOptions(), replace(SOME, threads=threads, budget_bytes=640 << 20))
        tight.check()
    assert needs[0] < needs[1]


def test_too_small_a_picture() -> None:
    with pytest.raises(PictureError, match="21 x 21"):
        make_plan(Source(height=20, width=500), SonifyOptions(), SOME)
    make_plan(Source(height=21, width=21), SonifyOptions(), SOME)


def test_long_files_are_rf64() -> None:
    assert audio_plan("concat", 96, 8189, 8189, SoundOptions()).container == "RF64"
    assert audio_plan("sum", 96, 8189, 8189, SoundOptions(subtype="PCM_24")).container == "WAV"
    assert audio_plan("filters", 96, 10, 7, SoundOptions(subtype="FLOAT")).files == 96


@pytest.mark.parametrize(
    ("text", "count"), [("1GiB", GIB), ("800 MB", 800 * 10**6), ("1.5g", 15 * 10**8), ("4096", 4096)]
)
def test_sizes_in_words(text: str, count: int) -> None:
    assert parse_bytes(text) == count


def test_sizes_for_people() -> None:
    assert [format_bytes(n) for n in (5, 2048, 3 << 20, 1 << 30)] == ["5 B", "2 KiB", "3 MiB", "1 GiB"]
    for text in ("800 MB", "1.50 GB", "1 GiB", "100 KiB", "2000 kB"):
        size = parse_bytes(text)
        for same in (size, copy.deepcopy(size), pickle.loads(pickle.dumps(size))):
            assert format_bytes(size, same) == text
    assert json.dumps(parse_bytes("1kB")) == "1000"


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 8, 16])
def test_a_gigapixel_fits_a_gibibyte_on_any_number_of_cores(threads: int) -> None:
    """With fewer workers than cores where all of them would be too many."""
    plan = make_plan(Source(height=32768, width=32768), SonifyOptions(), replace(SOME, threads=threads))
    plan.check()
    assert plan.workers * plan.threads_each <= threads


@pytest.mark.parametrize(
    ("banks", "seconds", "fits"), [(4, 190, True), (4, 191, False), (2, 380, True), (1, 762, False)]
)
def test_a_page_mixes_what_a_browser_can_hold(banks: int, seconds: int, fits: bool) -> None:
    """256 MiB of float32 in stereo, at 44,100 samples a second."""
    parts = AudioPlan(
        scheme="part", files=banks, samples=44_100 * seconds, bytes_per_file=0, container="FLAC", channels=2
    )
    assert mixable(parts) == fits
