"""Test sound, its tags, and both through the encoders into a file."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from netsounds_stream.sound.encoding import SoundWriter
from netsounds_stream.sound.tags import Tags

TAGS = Tags(
    title="Bank 1",
    picture="a picture.jpg",
    label="honeycomb",
    scheme="sum",
    method="ifft",
    software="netsounds-stream 0.1",
    bank="1",
)
#: As long as tags can become.
LONGEST = Tags(**{field.name: "é" * 1000 for field in fields(Tags)})


def noise(frames: int, channels: int, subtype: str, seed: int = 7) -> np.ndarray:
    """Full-scale noise in the dtype of the subtype; in anything else float32 for Vorbis."""
    values = np.random.default_rng(seed).uniform(-1, 1, (frames, channels))
    if subtype == "PCM_16":
        return np.round(values * 32767).astype(np.int16)
    if subtype == "PCM_24":
        return np.round(values * (2**23 - 1)).astype(np.int32) << 8
    return values.astype(np.float32)


def written(
    path: Path,
    samples: np.ndarray,
    format: str,
    subtype: str = "PCM_16",
    rate: int = 44100,
    tags: Tags = TAGS,
    pieces: tuple[int, ...] = (),
) -> Path:
    """`samples` written in pieces that end at `pieces`."""
    with SoundWriter(path, format, subtype, rate, samples.shape[1], tags) as writer:
        for piece in np.split(samples, pieces):
            writer.write(piece)
    assert writer.frames == len(samples)
    return path
