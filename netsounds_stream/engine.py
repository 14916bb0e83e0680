"""The main job, from a picture to a run's folder: `plan`, `sonify` and `render` as users call them.

This is where the parts meet and in what order; each part's own decisions are made in the plan.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import machine
from .device import out_of_memory, own_stream, peak_bytes, reserve
from .errors import OptionError, OutputError
from .folder import RECORD_NAME, RunFolder, check_out, file_label
from .forward import Compute, Sinks, choose_compute, pixel_network, run_forward
from .levels import LevelMeter
from .options import SonifyOptions, SoundOptions, options_from_words
from .overlap import Line
from .picture import Picture, open_picture, slabs, write_spool
from .planning import STORED_SPOOL, AudioPlan, Limits, Plan, audio_plan, divided, make_plan
from .predict import Guess, predict_label, top5
from .progress import Listener, Stages
from .record import array_attributes, begin_record
from .sound import SumSpool, render_bank
from .store import ShardWriter, create_array, open_activations
from .weights import UNTRAINED, Weights, load_weights

_RENDER_BLOCK_VALUES = 1 << 20


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, the label in its file names, its files, and its record (`run.json`)."""

    folder: Path
    label: str
    files: tuple[Path, ...]
    record: dict[str, Any]


def plan(
    image: str | Path, out: str | Path = ".", options: SonifyOptions | None = None, **words: Any
) -> Plan:
    """What `sonify` would do with this picture here, without decoding a pixel; options as there.

    Raises:
        PictureError: it cannot be read, or is too small.
    """
    options = resolve_options(options, words)
    picture = open_picture(Path(image), options.size)
    compute = choose_compute(options.device, options.precision)
    gpu_budget = reserve(compute.device, options.gpu_memory_bytes)
    if options.weights == UNTRAINED:  # load what a run loads, so that the baseline is a run's
        load_weights(UNTRAINED)
    return make_plan(picture.source, options, _limits(options, compute, Path(out), gpu_budget))


def sonify(
    image: str | Path,
    out: str | Path,
    options: SonifyOptions | None = None,
    *,
    overwrite: bool = False,
    on_plan: Callable[[Plan], None] = lambda plan: None,
    on_progress: Listener | None = None,
    notes: tuple[str, ...] = (),
    **words: Any,
) -> Run:
    """Turn a picture into stored activations and sound, in the folder `out`.

    Args:
        options: what is asked for; or give it by the command line's words, as in
            `sonify("a.jpg", "out", size=512, banks=(1, 2), scheme="sum", memory="800MiB")`.
        on_plan: called with the plan before the work starts.
        on_progress: called as the work goes on, from any thread.
        notes: said to the user before, to be kept in the record (a fallback, say).

    For the whole process, to hold the memory that was planned: sets how glibc's allocator keeps freed memory,
    and on CUDA how much torch may hold there.

    Raises:
        NetsoundsError: one of its kinds; nothing at `out` has changed then.
    """
    options = resolve_options(options, words)
    machine.tune_heap()
    stages = Stages(on_progress)
    picture = open_picture(Path(image), options.size)
    check_out(Path(out).absolute(), overwrite=overwrite)
    compute = choose_compute(options.device, options.precision)
    gpu_budget = reserve(compute.device, options.gpu_memory_bytes)
    with stages.stage("weights", 1, "share") as advance:
        weights = load_weights(options.weights)
        advance(1)
    planned = make_plan(picture.source, options, _limits(options, compute, Path(out), gpu_budget))
    planned.check()
    on_plan(planned)
    with stages.stage("label", 1, "share") as advance:
        guesses = predict_label(picture, weights, normalize=options.normalize)
        digest = picture.sha256()
        machine.trim_heap()
        advance(1)
    seen = "untrained" if options.weights == UNTRAINED else guesses[0].category
    label = options.label or seen
    record = begin_record(picture, digest, weights, options, planned, compute, label, guesses, notes)
    with RunFolder(Path(out), overwrite=overwrite) as folder:
        try:
            full = _write_run(picture, weights, options, planned, folder.path, record, compute, stages)
        except torch.OutOfMemoryError as error:
            raise out_of_memory(gpu_budget) from error
        record["prediction"]["full_picture"] = [asdict(guess) for guess in full]
        record["seconds"] = {name: round(seconds, 3) for name, seconds in stages.seconds.items()}
        record["peak_memory_bytes"] = machine.peak_resident_bytes()
        record["cuda_peak_bytes"] = peak_bytes(compute.device)
        record["files"] = outputs(folder.path)
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        (folder.path / RECORD_NAME).write_text(text, encoding="utf-8")
        folder.finish()
    return Run(Path(out), label, tuple(Path(out) / name for name in record["files"]), json.loads(text))


def resolve_options(options: SonifyOptions | None, words: dict[str, Any]) -> SonifyOptions:
    """The options given as such, or by words; not both."""
    if options is not None and words:
        raise OptionError(f"give options, or words such as {next(iter(words))}=, not both")
    return options or options_from_words(**words)


def outputs(folder: Path) -> list[str]:
    """What a run's folder holds besides its record: arrays, and WAV files at any depth."""
    found = [path for path in folder.rglob("*") if path.suffix in (".zarr", ".wav")]
    return sorted(path.relative_to(folder).as_posix() for path in found)


def render(
    array: str | Path,
    wav: str | Path,
    *,
    scheme: str = "sum",
    balance: str = "bank",
    scale: str = "peak",
    time_axis: str | None = None,
    sample_rate: int = 44100,
    subtype: str = "PCM_16",
    overwrite: bool = False,
    on_progress: Listener | None = None,
) -> AudioPlan:
    """Sound again from stored activations (`.zarr` or `.npy`), without the network.

    Raises:
        NetsoundsError: one of its kinds; an existing `wav` is kept then.
    """
    if scheme not in ("sum", "concat"):
        raise OptionError(f"render writes one file: scheme cannot be {scheme!r}; use sum or concat")
    sound = SoundOptions((scheme,), balance, scale, sample_rate, subtype)
    target = Path(wav)
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists already; use --overwrite to replace it, or another name")
    machine.tune_heap()
    source = open_activations(Path(array), time_axis)
    audio = audio_plan(scheme, source.channels, source.frames, source.frequencies, sound.subtype)
    stages = Stages(on_progress)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.partial-", dir=target.parent) as folder:
        made = Path(folder) / target.name
        files = [(audio, [made])]
        with _workers(*divided(torch.get_num_threads())) as line:
            render_bank(source, None, None, files, sound, _RENDER_BLOCK_VALUES, line, stages, "sound")
        made.replace(target)
    return audio


def _limits(options: SonifyOptions, compute: Compute, out: Path, gpu_budget: int | None) -> Limits:
    return Limits(
        baseline_bytes=machine.resident_bytes(),
        budget_bytes=options.memory_bytes or machine.default_budget_bytes(),
        free_disk_bytes=machine.free_disk_bytes(out),
        compute_bytes_per_value=compute.dtype.itemsize,
        # torch's MPS backend is not known to stand several threads
        threads=1 if compute.device == "mps" else torch.get_num_threads(),
        gpu_budget_bytes=gpu_budget,
    )


@contextmanager
def _workers(workers: int, threads_each: int, device: str = "cpu") -> Iterator[Line]:
    """Workers whose torch uses so many threads each; the caller's own number of threads is kept.

    On a GPU named `device` each has a stream of its own, for work that needs no order.
    """
    before = torch.get_num_threads()

    def begin() -> None:
        torch.set_num_threads(threads_each)
        own_stream(device)

    try:
        yield Line(workers, begin)
    finally:
        torch.set_num_threads(before)  # what a worker sets, threads made later would take over


def _write_run(
    picture: Picture,
    weights: Weights,
    options: SonifyOptions,
    planned: Plan,
    folder: Path,
    record: dict[str, Any],
    compute: Compute,
    stages: Stages,
) -> tuple[Guess, ...]:
    sound, name = options.sound, file_label(record["label"])
    meters: dict[int, LevelMeter] = {}
    with ExitStack() as stack:
        totals: dict[int, SumSpool] = {}
        if "sum" in sound.schemes and sound.balance == "bank":
            for each in planned.banks:
                total = SumSpool(folder / f"sum-{each.number}.spool", each.frames, each.frequencies)
                totals[each.number] = stack.enter_context(total)
        line = stack.enter_context(_workers(planned.workers, planned.threads_each))
        sinks = {}
        for each in planned.banks:
            store = None
            meter = meters[each.number] = LevelMeter(each.channels)
            if planned.stored:
                path = folder / f"activations-{each.number}_{name}.zarr"
                facts = array_attributes(each, record)
                create = partial(create_array, path, time_axis=planned.time_axis, codec=options.codec)
                # by a worker, for Ctrl-C must not leave zarr writing behind
                line.run([each], partial(create, attributes=facts), [])
                store = ShardWriter(path, each, planned.time_axis, options.codec, line.errand)
            sinks[each.number] = Sinks(store, totals.get(each.number), meter)
        spool = folder / "picture.spool.tif"
        logits = _forward(picture, weights, options, planned, spool, sinks, compute, line, stages)
        machine.trim_heap()
        sounding = stack.enter_context(_workers(planned.workers, planned.threads_each, compute.device))
        for each in planned.banks:
            stem = f"activations-{each.number}_{name}"
            source = open_activations(folder / f"{stem}.zarr", planned.time_axis) if planned.stored else None
            render_bank(
                source,
                meters[each.number].levels() if planned.stored else None,
                totals.get(each.number),
                [(audio, _wav_paths(folder, stem, audio)) for audio in each.audio],
                sound,
                planned.block_values,
                sounding,
                stages,
                f"sound {each.number}",
                device=compute.device,
            )
            if not options.activations and source is not None:
                shutil.rmtree(folder / f"{stem}.zarr")
    return top5(logits)


def _forward(
    picture: Picture,
    weights: Weights,
    options: SonifyOptions,
    planned: Plan,
    spool: Path,
    sinks: dict[int, Sinks],
    compute: Compute,
    line: Line,
    stages: Stages,
) -> Tensor:
    pixels = planned.height * planned.width
    if planned.picture_stored == STORED_SPOOL:
        with stages.stage("decode", pixels, "px") as advance:
            shares = [0.0]

            def on_spooled(share: float) -> None:
                advance((share - shares[-1]) * pixels)
                shares.append(share)

            write_spool(picture, spool, on_spooled)
    with stages.stage("network", pixels, "px") as advance:
        logits = run_forward(
            slabs(
                picture,
                time_axis=planned.time_axis,
                rows=planned.slab_rows,
                stored=planned.picture_stored,
                spool=spool,
            ),
            planned,
            pixel_network(weights, picture.full_scale, options.normalize, compute.dtype),
            sinks,
            compute=compute,
            line=line,
            advance=advance,
        )
    spool.unlink(missing_ok=True)
    return logits


def _wav_paths(folder: Path, stem: str, audio: AudioPlan) -> list[Path]:
    if audio.scheme != "filters":
        return [folder / f"{stem}_{audio.scheme}.wav"]
    (folder / f"{stem}_filters").mkdir()
    return [folder / f"{stem}_filters" / f"{number:03d}.wav" for number in range(audio.files)]
