"""Options of the commands, in the groups that several share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from ..base.locations import local_only, parse_location
from ..graph.usual import USUAL_NETWORK
from ..planning import options, sound_options
from ..planning.options import SonifyOptions, options_from_words
from ..planning.presets import PRESET_NAMES, preset_words, presets_help
from . import sections
from .sections import Decorator, given_options, option, stacked
from .sound_options import SOUND


class Place(click.Path):
    """The type of a word that is a path, or a URL, which stays text."""

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        """Return a path, or the text of a URL.

        Raises:
            OptionError: the URL is of an unknown kind.
        """
        if isinstance(value, str) and isinstance(place := parse_location(value), str):
            return place
        return super().convert(parse_location(value) if isinstance(value, str) else value, param, context)


class Local(click.Path):
    """The type of a word that is a path, and no URL."""

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        """Return a path.

        Raises:
            OutputError: the word is a URL.
        """
        command = "this" if context is None else str(context.info_name)
        place = local_only(command, parse_location(value)) if isinstance(value, str) else value
        return super().convert(place, param, context)


class NameOrFile(click.types.StringParamType):
    """The type of a word that shells complete to one of some names, or to a file."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete a word.

        Args:
            ctx: click's context.
            param: the option.
            incomplete: beginning of the word.

        Returns:
            The names that begin so, or else an order to the shell to complete files.
        """
        names = [CompletionItem(name) for name in self._names if name.startswith(incomplete)]
        return names or [CompletionItem(incomplete, type="file")]


PLACE = Place(path_type=Path)
LOCAL = Local(path_type=Path)
FOLDER = click.Path(path_type=Path)
PICTURE = stacked(
    click.argument("image", required=False, type=PLACE),
    option(sections.PICTURE, "--dpath", type=FOLDER, help="Folder to search for --image-name."),
    option(
        sections.PICTURE,
        "--image-name",
        metavar="FRAGMENT",
        help="Use the first picture in --dpath whose name contains FRAGMENT.",
    ),
)


def _memory(text: str) -> Decorator:
    return option(sections.MAIN, "--memory", metavar="SIZE", help=text)


_DEVICE = stacked(
    option(
        sections.MACHINE,
        "--device",
        type=click.Choice(options.DEVICES),
        default="auto",
        help="Device that runs the network; auto is the CPU.",
    ),
    option(
        sections.MACHINE,
        "--precision",
        type=click.Choice(options.PRECISIONS),
        default="auto",
        help="Number format that the network computes in; auto is fp32 on a CPU and fp16 on a GPU.",
    ),
    option(
        sections.MACHINE,
        "--gpu-memory",
        metavar="SIZE",
        help="GPU memory that the run may use, with --device cuda. [default: 2GiB, or half of what is free]",
    ),
)
COMPUTE = stacked(
    _memory(
        "Memory that the whole process may use, such as 800MiB. "
        "[default: 1GiB, 2GiB with --device cuda; less if less is free]"
    ),
    _DEVICE,
)
_BATCH_COMPUTE = stacked(
    _memory(
        "Memory that all jobs together may use, such as 4GiB; with --cluster tcp://..., each worker. "
        "[default: 1GiB for each job, 2GiB with --device cuda; less if less is free]"
    ),
    _DEVICE,
)
#: Which network, and which of its layers.
WHICH_NETWORK = stacked(
    option(
        sections.PICTURE,
        "--network",
        metavar="NAME|CODE",
        default=USUAL_NETWORK,
        help="Network: one of torchvision's classifiers, such as resnet18, or code of your own that returns "
        "a torch.nn.Module, as package.module:function or file.py:function; this runs it.",
    ),
    option(
        sections.PICTURE,
        "--layers",
        metavar="A,B,...",
        help="Layers of the network that become banks, in this order; `netsounds-stream layers` lists them. "
        "[default: the last before each loss of resolution, at most four]",
    ),
)
_INPUT = stacked(
    option(
        sections.MAIN,
        "--size",
        metavar="PIXELS",
        default="native",
        help="Resize the picture to this short edge, in pixels; native keeps its size.",
    ),
    option(
        sections.MAIN,
        "--weights",
        metavar="NAME|FILE",
        type=NameOrFile(options.PRETRAINED, options.UNTRAINED),
        default="pretrained",
        help="Weights of the network: pretrained (downloaded once), untrained, or the file of the "
        "network's state_dict (.pth, .safetensors).",
    ),
    WHICH_NETWORK,
    option(
        sections.PICTURE,
        "--channels",
        metavar="N,N,N",
        help="Read these channels of the file as red, green and blue, or one as grey, counted from 1. "
        "[default: the first three, or the first]",
    ),
    option(
        sections.PICTURE,
        "--page",
        type=int,
        metavar="N",
        help="Read this picture of a file that holds several, counted from 1. [default: the main one]",
    ),
    option(
        sections.PICTURE,
        "--stretch",
        metavar="HOW",
        help="What is black and white in floating-point, signed and 32-bit numbers: full, minmax, "
        "percentile:LOW,HIGH or asinh. [default: asinh for FITS]",
    ),
    option(
        sections.PICTURE,
        "--profile/--no-profile",
        default=True,
        help="Convert the picture from its colour profile to sRGB, or leave its numbers as they are.",
    ),
    option(
        sections.PICTURE,
        "--normalize/--no-normalize",
        default=True,
        help="Normalize the input as the weights were trained, or feed it as [0, 1].",
    ),
    option(
        sections.PICTURE,
        "--time-axis",
        type=click.Choice(options.TIME_AXES),
        default="auto",
        help="Axis of the picture that becomes time; auto is the long edge.",
    ),
    option(
        sections.PICTURE,
        "--max-pixels",
        metavar="N",
        help="Refuse a picture with more pixels, such as 100M. [default: no limit]",
    ),
)
NETWORK = stacked(_INPUT, COMPUTE)
BATCH_NETWORK = stacked(_INPUT, _BATCH_COMPUTE)
RUN = stacked(
    option(
        sections.MAIN,
        "--preset",
        type=click.Choice(PRESET_NAMES),
        help=f"Set several options at once; those given beside it win. {presets_help()}.",
    ),
    option(sections.MAIN, "--banks", metavar="N,N", help="Filter banks to use, such as 1,2. [default: all]"),
    option(
        sections.MAIN,
        "--scheme",
        "schemes",
        multiple=True,
        type=click.Choice((*sound_options.SCHEMES, sound_options.NO_SCHEME)),
        help="How a bank's filters become files: added up (sum), one after another (concat), a file each "
        "(filters), or not at all (none). Repeat it for several. [default: sum]",
    ),
    option(
        sections.MAIN,
        "--format",
        type=click.Choice(sound_options.FORMATS),
        default="wav",
        help="File format of the sound.",
    ),
    SOUND,
    option(
        sections.FILES,
        "--mix/--no-mix",
        default=True,
        help="Write the mix: all banks as one stereo file at -16 LUFS.",
    ),
    option(
        sections.FILES,
        "--stems",
        is_flag=True,
        help="Write each bank's part of the mix as a file of the mix's length; they add up to the mix.",
    ),
    option(
        sections.FILES,
        "--report/--no-report",
        default=True,
        help="Write index.html, a page to see and hear the run, and its pictures.",
    ),
    option(
        sections.FILES,
        "--single-file",
        is_flag=True,
        help="Write the page also as share.html, one file of a few MB that needs no other and can be sent.",
    ),
    option(
        sections.FILES,
        "--activations/--no-activations",
        default=True,
        help="Keep the activations as zarr arrays.",
    ),
    option(
        sections.FILES,
        "--sum-maps/--no-sum-maps",
        default=True,
        help="Keep the sums that the mix is made of, from which render makes sound again.",
    ),
    option(
        sections.FILES,
        "--codec",
        type=click.Choice(options.CODECS),
        default="lz4",
        help="Compression of the activations.",
    ),
    option(
        sections.FILES,
        "--preview",
        type=float,
        metavar="SECONDS",
        help="Make only the first seconds of each file, from the part of the picture that they need; "
        "activations are not kept.",
    ),
)
LABEL = option(
    sections.FILES, "--label", help="Text in file names. [default: what the network sees in the picture]"
)
OUT = option(
    sections.MAIN,
    "--out",
    type=PLACE,
    help="Folder of the run, or s3://BUCKET/NAME. [default: IMAGE-netsounds]",
)
BATCH = stacked(
    option(sections.MAIN, "--out", required=True, type=FOLDER, help="Folder for all runs."),
    option(
        sections.MAIN,
        "--jobs",
        type=int,
        metavar="N",
        help="Number of pictures at a time. [default: the number of cores, fewer if memory is short]",
    ),
    option(
        sections.MAIN,
        "--plan",
        "only_plan",
        is_flag=True,
        help="Print the plan of all pictures, and make nothing.",
    ),
    option(
        sections.LONG,
        "--cluster",
        metavar="ADDRESS",
        help="Work on a Dask cluster: tcp://HOST:PORT, tls://HOST:PORT, or local, local:N for one on this "
        "machine.",
    ),
)
WORK = option(
    sections.LONG,
    "--work",
    type=FOLDER,
    help="Folder to work in when --out is a URL. [default: one in the folder for temporary files]",
)
CHECKPOINT = option(
    sections.LONG,
    "--checkpoint-seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Time between checkpoints, from which a stopped run resumes. [default: 8, longer in long runs]",
)
CLUSTER = stacked(
    option(
        sections.LONG,
        "--cluster",
        metavar="ADDRESS",
        help="Share the picture out to a Dask cluster: tcp://HOST:PORT, tls://HOST:PORT, or local, local:N "
        "for one on this machine.",
    ),
    option(
        sections.LONG,
        "--segment-rows",
        type=int,
        metavar="N",
        help="Picture rows that a worker gets at a time, with --cluster. [default: 2048, in whole shards]",
    ),
)
OVERWRITE = option(sections.MAIN, "--overwrite", is_flag=True, help="Replace what is there.")
QUIET = option(sections.MESSAGES, "--quiet", is_flag=True, help="Print nothing on stderr but errors.")
JSON = option(
    sections.MESSAGES, "--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else."
)


def chosen_options(words: dict[str, Any]) -> SonifyOptions:
    """Return the options of the command that runs now, with those of a preset where none beside it is given.

    Args:
        words: the command's options by name; changed.

    Returns:
        The options as a value, checked.

    Raises:
        OptionError: an option or its value is unknown.
    """
    if "schemes" in words:
        words["scheme"] = words.pop("schemes") or None
    given = given_options() | ({"scheme"} if words.get("scheme") else set())
    for name in preset_words(words.get("preset")):
        if name not in given:
            del words[name]
    for name in ("banks", "layers", "memory", "gpu_memory"):
        if words.get(name) is None:
            words.pop(name, None)
    return options_from_words(**words)
