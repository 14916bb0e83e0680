"""Hostile and odd input through the real command: the right result, or one line that names file and mend.

Every case also may leave nothing behind, write nothing outside its output folder, and end within its limits.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import pyvips
import soundfile
import torch
from PIL import Image

from netsounds_stream.network.networks import Network
from netsounds_stream.picture.demo_picture import draw
from tests.helpers import hostile_files as made
from tests.helpers.forks import many_commands
from tests.helpers.hostile_cases import LABELS, MADE, REFUSED, SMALL, SOUND

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="forks, FIFOs and /dev as Linux has them"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, weights: Network) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "inside"
    folder.mkdir()
    _write_pictures(folder)
    made.write_bombs(folder)
    made.write_weights(folder, dict(weights.state))
    made.write_arrays(folder)
    _write_runs(folder)
    return folder


def _write_pictures(folder: Path) -> None:
    pixels = draw(made.WIDTH, made.HEIGHT)
    good = folder / "good.png"
    Image.fromarray(pixels).save(good)
    made.write_exif(folder, pixels)
    (folder / "text.jpg").write_text("a letter, not a picture\n" * 100)
    (folder / "empty.png").touch()
    os.mkfifo(folder / "fifo.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "dangling.png").symlink_to("nothing")
    (folder / "folder.png").mkdir()
    link = '<image xlink:href="good.png" width="90" height="60"/>'
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    (folder / "svg.png").write_text(f'<svg {names} width="100" height="80">{link}</svg>')
    plain = pyvips.Image.new_from_array(pixels)
    plain[0].csvsave(str(folder / "csv.csv"))
    plain.vipssave(str(folder / "vips.v"))
    (folder / "pdf.png").write_bytes(b"%PDF-1.4\n" + bytes(2000))
    for name, width, height in (("one pixel", 1, 1), ("strip", 2000, 1), ("column", 1, 2000)):
        Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(folder / f"{name}.png")
    (folder / "cut.png").write_bytes(good.read_bytes()[:-2000])
    Image.fromarray(pixels).save(folder / "cut.jpg", quality=95)
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:-2000])
    plain.cast("complex").copy(interpretation="multiband").tiffsave(str(folder / "complex.tif"))
    deep = pyvips.Image.new_from_array(pixels.astype(np.uint16) * 257).copy(interpretation="rgb16")
    deep.pngsave(str(folder / "deep.png"), bitdepth=16)
    black_and_white = Image.fromarray(pixels).convert("1")
    black_and_white.save(folder / "one bit.png")
    black_and_white.convert("RGB").save(folder / "black and white.png")
    Image.fromarray(pixels).convert("CMYK").save(folder / "cmyk.jpg")
    holes = pixels.astype(np.float32) / 255
    holes[10:20], holes[30:40], holes[50:] = np.nan, np.inf, -1e30
    pyvips.Image.new_from_array(holes).copy(interpretation="scrgb").tiffsave(str(folder / "nan.tif"))
    for (picture, *_), _, _ in MADE.values():
        if not (folder / picture).exists():
            shutil.copy(good, folder / picture)
    (folder / os.fsdecode(b"\xff.png")).write_bytes(good.read_bytes())


def _write_runs(folder: Path) -> None:
    """A run, and its array and sound spoilt in every way."""
    Image.fromarray(draw(331, 230)).save(folder / "larger.png")
    words = (
        "sonify",
        "larger.png",
        "--out",
        "run",
        "--weights",
        "good.pth",
        "--banks",
        "1",
        "--label",
        "x",
        "--no-report",
    )
    (answer,) = many_commands([(words, folder)])
    assert answer["status"] == 0, answer
    run = folder / "run"
    for name in ("missing", "cut", "grown", "short", "folders", "half", "bare"):
        array = folder / f"{name}.zarr"
        shutil.copytree(run / "activations-1_x.zarr", array)
        shard, about = array / "c" / "0" / "0" / "1", array / "zarr.json"
        content = shard.read_bytes()
        match name:
            case "missing":
                shard.unlink()
            case "cut":
                shard.write_bytes(content[: len(content) // 2])
            case "grown":
                shard.write_bytes(b"\0" + content)
            case "short":
                shard.write_bytes(made.shard_of_a_short_chunk(content))
            case "folders":
                shard.unlink()
                shard.mkdir()
            case "half":
                about.write_bytes(about.read_bytes()[:-100])
            case "bare":
                about.unlink()
    (folder / "file.zarr").write_text("dear")
    sound = (run / "activations-1_x_sum.wav").read_bytes()
    (folder / "cut.wav").write_bytes(sound[:-1000])
    (folder / "header.wav").write_bytes(sound[:20])
    (folder / "rf64.wav").write_bytes(made.rf64(5_000_000_000, 50))
    (folder / "sound.raw").write_bytes(sound)
    record = json.loads((run / "run.json").read_text())
    for name, text in (
        ("odd run", json.dumps(record | {"prediction": [3], "files": 7, "picture": None})),
        ("deep run", "[" * 100_000),
    ):
        (folder / name).mkdir()
        (folder / name / "run.json").write_text(text)
    (folder / "fifo run").mkdir()
    os.mkfifo(folder / "fifo run" / "run.json")


def test_what_is_refused_is_refused_in_one_line(folder: Path) -> None:
    assert len(REFUSED) >= 60
    answers = many_commands([(words, folder) for _, _, words in REFUSED.values()])
    wrong = []
    for (name, (status, says, _)), answer in zip(REFUSED.items(), answers, strict=True):
        told = ("plan: ", "weights: ", "label: ", "picture ", "decode: ", "network: ", "whole image: ")
        lines = [line for line in answer["stderr"].splitlines() if not line.startswith(told)]
        if not (
            answer["status"] == status
            and len(lines) == 1
            and lines[0].startswith("netsounds-stream: ")
            and all(each in lines[0] for each in says)
            and len(lines[0]) < 800
            and lines[0].isprintable()
            and answer["changed"] == []
            and answer["seconds"] < 20
            and answer["peak_bytes"] < 1 << 30
        ):
            wrong.append(f"{name}: {answer}")
    assert not wrong, "\n".join(wrong)
    assert not (folder / "ran").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["inside"]


def test_what_is_odd_sounds_as_what_is_plain(folder: Path) -> None:
    plain = {other for _, _, other in MADE.values() if other}
    cases = [
        ("sonify", *SMALL, "--label", "x", "--quiet", *options, "--", picture)
        for (picture, *options), _, _ in MADE.values()
    ]
    answers = many_commands(
        [(("sonify", each, *SMALL, "--label", "x", "--out", f"as {each}"), folder) for each in plain]
    )
    assert {answer["status"] for answer in answers} == {0}
    sounds = {each: (folder / f"as {each}" / SOUND).read_bytes() for each in plain}
    answers = many_commands([(words, folder) for words in cases])
    for (name, (_, out, other)), answer in zip(MADE.items(), answers, strict=True):
        assert (answer["status"], answer["stderr"]) == (0, ""), (name, answer)
        assert {path.split("/")[0] for path in answer["changed"]} == {out}, (name, answer)
        sound = (folder / out / SOUND).read_bytes()
        if other:
            mine, usual = (
                soundfile.read(io.BytesIO(each), dtype="int16")[0].astype(int)
                for each in (sound, sounds[other])
            )
            assert np.abs(mine - usual).max() <= 2, name
    assert [path.name for path in folder.parent.iterdir()] == ["inside"]


def test_labels_stay_in_the_folder(folder: Path) -> None:
    cases = [
        (
            "sonify",
            "good.png",
            "--weights",
            "good.pth",
            "--banks",
            "4",
            "--no-mix",
            "--out",
            f"label {number}",
            "--label",
            each,
        )
        for number, each in enumerate(LABELS)
    ]
    for number, answer in enumerate(many_commands([(words, folder) for words in cases])):
        assert answer["status"] == 0, (LABELS[number], answer)
        parts = [path.split("/") for path in answer["changed"]]
        assert {each[0] for each in parts} == {f"label {number}"}, answer
        inside = {each[1] for each in parts if len(each) > 1}
        report = {"index.html", "pictures", "report"}
        assert report < inside
        group = {"zarr.json", "x_4", "y_4", "seconds_4"}
        assert group < inside
        ours = ("activations-4_", "run.json")
        assert all(name.isprintable() and name.startswith(ours) for name in inside - report - group)
        assert len(inside - report - group) == 3
        record = json.loads((folder / f"label {number}" / "run.json").read_text())
        assert record["label"] == LABELS[number]
    assert [path.name for path in folder.parent.iterdir()] == ["inside"]


def test_a_bomb_that_is_allowed_keeps_to_its_plan(folder: Path) -> None:
    """400 megapixels out of 50 kB, made small: the label's picture and the network's, in planned memory."""
    (folder / "allowed.png").write_bytes(made.png_bomb(20_000, 20_000))
    words = ("sonify", "allowed.png", *SMALL, "--size", "64", "--time-axis", "y", "--out", "black", "--json")
    (answer,) = many_commands([(words, folder)])
    assert answer["status"] == 0, answer
    record = json.loads(answer["stdout"])
    assert record["peak_memory_bytes"] <= record["plan"]["peak_memory_bytes"]


def test_max_pixels_is_recorded(folder: Path) -> None:
    record = json.loads((folder / "good-netsounds" / "run.json").read_text())
    assert "--max-pixels 10000" in record["command"]
    assert record["options"]["max_pixels"] == 10000
    assert torch.load(folder / "good.pth", weights_only=True)  # the weights used were good ones
