"""The commands' options as click knows them, in the groups that commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from . import options, sound_options
from .locations import local_only, place_of
from .options import SonifyOptions, options_from_words

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def stacked(*decorators: Decorator) -> Decorator:
    """Several decorators as one."""

    def apply(command: Callable[..., None]) -> Callable[..., None]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


class Place(click.Path):
    """A path, or a URL, which stays text."""

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        if isinstance(value, str) and isinstance(place := place_of(value), str):
            return place
        return super().convert(place_of(value) if isinstance(value, str) else value, param, context)


class Local(click.Path):
    """A path; no URL."""

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        command = "this" if context is None else str(context.info_name)
        place = local_only(command, place_of(value)) if isinstance(value, str) else value
        return super().convert(place, param, context)


PLACE, LOCAL = Place(path_type=Path), Local(path_type=Path)
PICTURE = stacked(
    click.argument("image", required=False, type=PLACE),
    click.option("--dpath", type=click.Path(path_type=Path), help="Folder to look for the picture in."),
    click.option("--image-name", metavar="FRAGMENT", help="Part of the picture's name in --dpath."),
)
COMPUTE = stacked(
    click.option("--precision", default="auto", show_default=True, help=", ".join(options.PRECISIONS)),
    click.option("--device", default="auto", show_default=True, help=", ".join(options.DEVICES)),
    click.option("--memory", metavar="SIZE", help="Peak memory of the whole process. [default: 1GiB]"),
    click.option("--gpu-memory", metavar="SIZE", help="With --device cuda. [default: 2GiB or half the free]"),
)
NETWORK = stacked(
    click.option("--size", default="native", show_default=True, help="Short edge in pixels, or 'native'."),
    click.option(
        "--weights",
        default="pretrained",
        show_default=True,
        help="'pretrained', 'untrained', or a squeezenet1_0 state_dict (.pth, .safetensors).",
    ),
    click.option(
        "--normalize/--no-normalize",
        default=True,
        show_default=True,
        help="Input normalised as the weights were trained, or plain [0, 1].",
    ),
    click.option("--time-axis", default="auto", show_default=True, help="'x', 'y', or the long edge."),
    click.option("--max-pixels", metavar="N", help="Refuse larger pictures, as 100M or 1G. [default: none]"),
    COMPUTE,
)
SOUND = stacked(
    click.option("--method", default="ifft", show_default=True, help=", ".join(sound_options.METHODS)),
    click.option(
        "--phase",
        default="pghi",
        show_default=True,
        help="Of windowed frames: " + ", ".join(sound_options.PHASES) + "; griffin-lim begins with it.",
    ),
    click.option("--iterations", default=32, show_default=True, help="Of griffin-lim."),
    click.option("--duration", type=float, metavar="SECONDS", help="Of windowed sound. [default: 10 to 120]"),
    click.option("--fft-size", default=2048, show_default=True, help="Samples in a windowed frame."),
    click.option("--hop", type=int, help="Samples between windowed frames. [default: a quarter of a frame]"),
    click.option(
        "--contrast",
        default=3.0,
        show_default=True,
        help="The power to which windowed activations are raised.",
    ),
    click.option(
        "--frequency",
        default="log",
        show_default=True,
        help="How rows are spread when windowed: " + ", ".join(sound_options.FREQUENCIES) + ".",
    ),
    click.option(
        "--fmin", type=float, metavar="HZ", help="The lowest row's frequency. [default: 40, linear 0]"
    ),
    click.option(
        "--fmax", type=float, metavar="HZ", help="The highest's. [default: 12000, linear half the rate]"
    ),
    click.option("--flip-frequency", is_flag=True, help="The picture's bottom sounds high, its top low."),
    click.option("--seed", default=0, show_default=True, help="Of drawn phases and dither."),
    click.option(
        "--balance",
        default="bank",
        show_default=True,
        help="'bank': one scale for the bank; 'filter': each filter brought to full range first.",
    ),
    click.option(
        "--scale",
        default="peak",
        show_default=True,
        help="'peak': divide by the largest magnitude; 'minmax': stretch to [-1, 1]; 'none' (FLOAT only).",
    ),
    click.option(
        "--stereo/--no-stereo", default=False, help="Pan each filter in a sum. [default: no-stereo]"
    ),
    click.option(
        "--pan", default="index", show_default=True, help="By a filter's index, or its energy's centroid."
    ),
    click.option(
        "--top", type=int, metavar="K", help="Sound only the K filters of each bank with most energy."
    ),
    click.option("--filters", metavar="N,N", help="Sound only these filters, counted from 0."),
    click.option(
        "--loudness", type=float, metavar="LUFS", help="Integrated, of every file. [default: the mix -16]"
    ),
    click.option("--sample-rate", default=44100, show_default=True, help="In hertz."),
    click.option(
        "--resample", type=int, metavar="HZ", help="Convert the sound to this rate, its pitch kept."
    ),
    click.option("--subtype", default="PCM_16", show_default=True, help=", ".join(sound_options.SUBTYPES)),
)
RUN = stacked(
    click.option("--banks", default="1,2,3,4", show_default=True, help="Filter banks to keep and sound."),
    click.option("--codec", default="lz4", show_default=True, help=", ".join(options.CODECS)),
    click.option(
        "--scheme",
        "schemes",
        multiple=True,
        help="'sum', 'concat' or 'filters'; repeat it for several. [default: sum concat, windowed sum]",
    ),
    click.option(
        "--mix/--no-mix",
        default=True,
        show_default=True,
        help="All banks over one another, in stereo, at -16 LUFS.",
    ),
    SOUND,
    click.option(
        "--preview",
        type=float,
        metavar="SECONDS",
        help="Only the first seconds of each file, from what of the picture they need; keeps no arrays.",
    ),
    click.option("--format", default="wav", show_default=True, help=", ".join(sound_options.FORMATS)),
    click.option(
        "--activations/--no-activations",
        default=True,
        show_default=True,
        help="Keep the arrays, or only the sound.",
    ),
    click.option(
        "--report/--no-report",
        default=True,
        show_default=True,
        help="index.html, to see and hear the run, with pictures of the banks.",
    ),
)
LABEL = click.option("--label", help="Names the files. [default: what the network sees]")
OUT = click.option("--out", type=PLACE, help="Folder, or s3://BUCKET/NAME. [default: IMAGE-netsounds]")
BATCH = stacked(
    click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of all runs."),
    click.option(
        "--jobs", type=int, metavar="N", help="Pictures at a time. [default: cores, as memory allows]"
    ),
    click.option(
        "--cluster", metavar="ADDRESS", help="A Dask cluster: tcp://HOST:PORT, or local, local:N made here."
    ),
    click.option("--plan", "only_plan", is_flag=True, help="Say what would be done, and do nothing."),
)
WORK = click.option(
    "--work",
    type=click.Path(path_type=Path),
    help="With a URL for a run: where it is worked in. [default: a folder for temporary files]",
)
CHECKPOINT = click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How often what is finished is made durable. [default: 8, less often in long runs]",
)
CLUSTER = stacked(
    click.option(
        "--cluster",
        metavar="ADDRESS",
        help="Dask: tcp://HOST:PORT, tls://HOST:PORT, local (a process a core) or local:N.",
    ),
    click.option(
        "--segment-rows",
        type=int,
        metavar="N",
        help="Of the picture, that a worker gets at a time. [default: 2048, in whole shards]",
    ),
)
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace what is there.")
QUIET = click.option("--quiet", is_flag=True, help="Errors only on stderr.")
JSON = click.option("--json", "as_json", is_flag=True, help="JSON on stdout, and nothing else there.")


def chosen(words: dict[str, Any]) -> SonifyOptions:
    """The options that a command was called with."""
    if "schemes" in words:
        words["scheme"] = words.pop("schemes")
    if "banks" in words:
        words["banks"] = options.parse_banks(words["banks"])
    for budget in ("memory", "gpu_memory"):
        if words.get(budget) is None:
            words.pop(budget, None)
    return options_from_words(**words)
