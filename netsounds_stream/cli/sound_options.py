"""Options of the commands that concern sound."""

from __future__ import annotations

import click

from ..planning import scales, sound_options
from . import sections
from .sections import option, stacked

SOUND = stacked(
    option(
        sections.MAIN,
        "--duration",
        type=float,
        metavar="SECONDS",
        help="Length of windowed sound, such as the mix. [default: 10 to 120 s, by the picture's length]",
    ),
    option(
        sections.SOUND,
        "--method",
        type=click.Choice(sound_options.METHODS),
        default="ifft",
        help="How the schemes become sound: ifft as netsounds made it, istft in windowed frames, "
        "griffin-lim in windowed frames with improved phases.",
    ),
    option(
        sections.SOUND,
        "--balance",
        type=click.Choice(sound_options.BALANCES),
        default="bank",
        help="Scale a bank as one (bank), or bring each filter to full range first (filter).",
    ),
    option(
        sections.SOUND,
        "--scale",
        type=click.Choice(sound_options.SCALES),
        default="peak",
        help="Divide samples by the largest magnitude (peak), stretch them to [-1, 1] (minmax), or leave "
        "them as they are (none, with --subtype FLOAT).",
    ),
    option(
        sections.SOUND,
        "--stereo/--no-stereo",
        default=False,
        help="Pan the filters of a sum from left to right; the mix always is.",
    ),
    option(
        sections.SOUND,
        "--pan",
        type=click.Choice(sound_options.PANS),
        default="index",
        help="Pan a filter by its number (index), or by where its energy lies in the picture (centroid).",
    ),
    option(
        sections.SOUND,
        "--top",
        type=int,
        metavar="K",
        help="Use only the K filters of each bank that have the most energy.",
    ),
    option(sections.SOUND, "--filters", metavar="N,N", help="Use only these filters, counted from 0."),
    option(
        sections.SOUND,
        "--loudness",
        type=float,
        metavar="LUFS",
        help="Bring every file to this integrated loudness. [default: -16 for the mix alone]",
    ),
    option(
        sections.SOUND,
        "--sample-rate",
        default=44100,
        metavar="HZ",
        help="Make the sound at this sample rate; --method ifft keeps its samples and changes their pitch.",
    ),
    option(
        sections.SOUND,
        "--resample",
        type=int,
        metavar="HZ",
        help="Convert the finished sound to this sample rate, at the same pitch.",
    ),
    option(
        sections.SOUND,
        "--subtype",
        type=click.Choice(sound_options.SUBTYPES),
        default="PCM_16",
        help="Sample format of WAV and FLAC files.",
    ),
    option(sections.SOUND, "--seed", default=0, help="Seed of random phases and of dither."),
    option(
        sections.WINDOWED,
        "--frequency",
        type=click.Choice(sound_options.FREQUENCIES),
        default="log",
        help="Scale on which the picture's rows are spread over frequencies.",
    ),
    option(
        sections.WINDOWED,
        "--fmin",
        type=float,
        metavar="HZ",
        help="Frequency of the lowest row. [default: 40, or 0 with --frequency linear, or 110 with "
        "--scale-notes]",
    ),
    option(
        sections.WINDOWED,
        "--fmax",
        type=float,
        metavar="HZ",
        help="Frequency of the highest row. [default: 12000, or half the sample rate with --frequency "
        "linear, or 4200 with --scale-notes]",
    ),
    option(
        sections.WINDOWED,
        "--flip-frequency",
        is_flag=True,
        help="Make the picture's bottom high and its top low.",
    ),
    option(
        sections.WINDOWED,
        "--scale-notes",
        metavar="SCALE",
        help="Let the picture's rows fall on the notes of a scale: "
        f"{', '.join(scales.SCALES)}, or a Scala file, NAME.scl.",
    ),
    option(
        sections.WINDOWED,
        "--root",
        metavar="NOTE",
        help="Root of --scale-notes: a note such as A2, F#3 or Bb1, or hertz. [default: A2, 110 Hz]",
    ),
    option(
        sections.WINDOWED,
        "--equal-loudness/--no-equal-loudness",
        default=False,
        help="Make low and high equally loud to the ear, by ISO 226:2023 at 60 phon.",
    ),
    option(
        sections.WINDOWED,
        "--bank-fall",
        default=sound_options.BANK_FALL_DB,
        metavar="DB",
        help="Make a bank of the mix this much quieter for each halving of its resolution.",
    ),
    option(
        sections.WINDOWED,
        "--contrast",
        default=3.0,
        help="Raise activations to this power first; 1 keeps them as they are, 3 brings out lines.",
    ),
    option(
        sections.WINDOWED,
        "--phase",
        type=click.Choice(sound_options.PHASES),
        help="Phases of frames, or what Griffin-Lim starts from. [default: random; pghi with --method istft]",
    ),
    option(
        sections.WINDOWED,
        "--iterations",
        default=8,
        help="Number of iterations of Griffin-Lim, in the mix and by --method griffin-lim.",
    ),
    option(
        sections.WINDOWED,
        "--fft-size",
        type=int,
        help="Length of a frame in samples. [default: 2048, or 8192 with --scale-notes]",
    ),
    option(
        sections.WINDOWED,
        "--hop",
        type=int,
        help="Distance between two frames in samples. [default: a quarter of --fft-size]",
    ),
)
