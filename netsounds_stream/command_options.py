"""The commands' options as click knows them, in the groups that commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from . import options as known
from .options import SonifyOptions, options_from_words

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def stacked(*decorators: Decorator) -> Decorator:
    """Several decorators as one."""

    def apply(command: Callable[..., None]) -> Callable[..., None]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


PICTURE = stacked(
    click.argument("image", required=False, type=click.Path(path_type=Path)),
    click.option("--dpath", type=click.Path(path_type=Path), help="Folder to look for the picture in."),
    click.option("--image-name", metavar="FRAGMENT", help="Part of the picture's name in --dpath."),
)
COMPUTE = stacked(
    click.option("--precision", default="auto", show_default=True, help=", ".join(known.PRECISIONS)),
    click.option("--device", default="auto", show_default=True, help=", ".join(known.DEVICES)),
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
LEVELS = stacked(
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
        help="'peak': divide by the largest magnitude; 'minmax': stretch to [-1, 1].",
    ),
    click.option("--sample-rate", default=44100, show_default=True, help="Of the WAV files, in hertz."),
    click.option("--subtype", default="PCM_16", show_default=True, help=", ".join(known.SUBTYPES)),
)
RUN = stacked(
    click.option("--banks", default="1,2,3,4", show_default=True, help="Filter banks to keep and sound."),
    click.option("--codec", default="lz4", show_default=True, help=", ".join(known.CODECS)),
    click.option(
        "--scheme",
        "schemes",
        multiple=True,
        default=("sum", "concat"),
        show_default=True,
        help="'sum', 'concat' or 'filters'; repeat it for several.",
    ),
    LEVELS,
    click.option(
        "--activations/--no-activations",
        default=True,
        show_default=True,
        help="Keep the arrays, or only the sound.",
    ),
    click.option("--label", help="Names the files. [default: what the network sees]"),
)
OUT = click.option("--out", type=click.Path(path_type=Path), help="Folder. [default: IMAGE-netsounds]")
CHECKPOINT = click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How often what is finished is made durable. [default: 8, less often in long runs]",
)
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace what is there.")
QUIET = click.option("--quiet", is_flag=True, help="Errors only on stderr.")
JSON = click.option("--json", "as_json", is_flag=True, help="JSON on stdout, and nothing else there.")


def chosen(words: dict[str, Any]) -> SonifyOptions:
    """The options that a command was called with."""
    if "schemes" in words:
        words["scheme"] = words.pop("schemes")
    if "banks" in words:
        words["banks"] = known.parse_banks(words["banks"])
    for budget in ("memory", "gpu_memory"):
        if words.get(budget) is None:
            words.pop(budget, None)
    return options_from_words(**words)
