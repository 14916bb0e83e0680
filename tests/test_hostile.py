"""Hostile and odd input through the real command: the right result, or one line that names file and mend.

Every case also may leave nothing behind, write nothing outside its output folder, and end within its limits.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import torch
from PIL import Image

from netsounds_stream.drawing import draw
from netsounds_stream.weights import Weights

from . import hostile_files as made

ROOT = Path(__file__).parent.parent
SMALL = ("--weights", "good.pth", "--banks", "4", "--scheme", "sum", "--no-activations")
SOUND = "activations-4_x_sum.wav"

# name: (exit status, what the one line of error must say, words of the command)
Case = tuple[int, tuple[str, ...], tuple[str, ...]]


def _refused(picture: str, *says: str, more: tuple[str, ...] = ()) -> Case:
    return 1, (picture, *says), ("sonify", f"./{picture}", *SMALL, *more)


def _weights(name: str, *says: str) -> Case:
    return 1, (name, *says), ("sonify", "good.png", *SMALL, "--weights", name)


REFUSED: dict[str, Case] = {
    "text named jpg": _refused("text.jpg", "not a picture", "give a JPEG"),
    "empty": _refused("empty.png", "0 bytes"),
    "fifo": _refused("fifo.png", "not an ordinary file"),
    "device": (1, ("/dev/zero", "not an ordinary file"), ("sonify", "/dev/zero", *SMALL)),
    "terminal": (1, ("/dev/stdin",), ("sonify", "/dev/stdin", *SMALL)),
    "link loop": _refused("loop.png", "check the name"),
    "link to nothing": _refused("dangling.png", "check the name"),
    "folder": _refused("folder.png", "is a folder"),
    "name too long for a file": (1, ("too long", "check its name"), ("sonify", "x" * 300 + ".png", *SMALL)),
    "name with brackets, absent": _refused("good.png[page=1]", "check the name"),
    "name that is not UTF-8": (1, ("rename it",), ("sonify", os.fsdecode(b"\xff.png"), *SMALL)),
    "svg that names a file": _refused("svg.png", "not a picture", "Svg"),
    "csv": _refused("csv.csv", "not a picture", "Csv"),
    "libvips' own format": _refused("vips.v", "not a picture", "Vips"),
    "pdf": _refused("pdf.png", "not a picture"),
    "one pixel": _refused("one pixel.png", "21 x 21", "--size"),
    "strip of one pixel": _refused("strip.png", "21 x 21", "--size"),
    "column of one pixel": _refused("column.png", "21 x 21", "--size"),
    "cut png": _refused("cut.png", "cannot be decoded", "whole copy"),
    "cut jpeg": _refused("cut.jpg", "cannot be decoded", "whole copy"),
    "complex values": _refused("complex.tif", "whole copy"),
    "png bomb": (1, ("raise --memory",), ("sonify", "bomb.png", "--weights", "good.pth")),
    "png bomb for a sum": (1, ("raise --memory",), ("sonify", "bomb.png", *SMALL, "--memory", "700MiB")),
    "png bomb planned": (1, ("raise --memory",), ("plan", "bomb.png")),
    "png bomb, much memory": (
        1,
        ("make room",),
        ("sonify", "bomb.png", "--weights", "good.pth", "--memory", "4000GiB"),
    ),
    "png bomb counted": _refused(
        "bomb.png", "3600000000 pixels", "--max-pixels", more=("--max-pixels", "1G")
    ),
    "few rows bomb": _refused("few rows bomb.png", "cannot be decoded", "whole copy"),
    "few rows bomb made small": _refused("few rows bomb.png", "cannot be decoded", more=("--size", "100")),
    "interlaced bomb": (1, ("raise --memory",), ("sonify", "interlaced bomb.png", *SMALL)),
    "interlaced bomb made small": (
        1,
        ("raise --memory",),
        ("sonify", "interlaced bomb.png", *SMALL, "--size", "100"),
    ),
    "interlaced bomb verified": (
        1,
        ("raise --memory",),
        ("verify", "interlaced bomb.png", "--weights", "good.pth", "--size", "100"),
    ),
    "gif bomb": (1, ("raise --memory",), ("sonify", "bomb.gif", *SMALL, "--size", "100")),
    "webp bomb": (1, ("raise --memory",), ("sonify", "bomb.webp", *SMALL, "--size", "100")),
    "tiff bomb": (1, ("raise --memory",), ("sonify", "bomb.tif", *SMALL, "--memory", "700MiB")),
    "tiff bomb counted": _refused("bomb.tif", "--max-pixels", more=("--max-pixels", "500M", "--size", "100")),
    "small, enlarged past the count": _refused(
        "good.png", "--max-pixels", more=("--size", "1000", "--max-pixels", "1000000")
    ),
    "max pixels 0": (2, ("max pixels",), ("sonify", "good.png", *SMALL, "--max-pixels", "0")),
    "max pixels words": (2, ("100M",), ("sonify", "good.png", *SMALL, "--max-pixels", "many")),
    "max pixels -1": (2, ("100M",), ("sonify", "good.png", *SMALL, "--max-pixels", "-1")),
    "memory of 400 digits": (2, ("1GiB",), ("sonify", "good.png", *SMALL, "--memory", "9" * 400)),
    "size of 5000 digits": (2, ("size",), ("sonify", "good.png", *SMALL, "--size", "9" * 5000)),
    "label that is not UTF-8": (
        2,
        ("label",),
        ("sonify", "good.png", *SMALL, "--label", os.fsdecode(b"\xff")),
    ),
    "label of spaces": (2, ("label",), ("sonify", "good.png", *SMALL, "--label", " \n")),
    "weights with code": _weights("code.pth", "not run", "state_dict"),
    "weights that are a bare pickle": _weights("plain code.pth", "not run", "state_dict"),
    "safetensors that are a pickle": _weights("code.safetensors", "give a whole one"),
    "weights of NaN": _weights("nan.pth", "NaN"),
    "weights without values": _weights("meta.pth", "plain tensor"),
    "sparse weights": _weights("sparse.pth", "plain tensor"),
    "weights with a long name": _weights("long name.pth", "has not"),
    "cut weights": _weights("cut.pth", "give a torchvision"),
    "weights that ask for memory": _weights("bytearray.pth", "give a torchvision"),
    "weights that are a bomb": _weights("bomb.pth", "5 million"),
    "weights in a fifo": _weights("fifo.pth", "not a file"),
    "weights in a folder": _weights("folder.pth", "not a file"),
    "weights on a device": _weights("/dev/zero", "not a file"),
    "weights of a name that is not UTF-8": (
        1,
        ("rename it",),
        ("sonify", "good.png", *SMALL, "--weights", os.fsdecode(b"\xff.pth")),
    ),
    "shard missing, info": (1, ("c/0/0/1", "make it again"), ("info", "missing.zarr")),
    "shard missing, render": (1, ("c/0/0/1", "make it again"), ("render", "missing.zarr", "new.wav")),
    "shard cut, info": (1, ("c/0/0/1", "make it again"), ("info", "cut.zarr")),
    "shard cut, render": (1, ("c/0/0/1", "make it again"), ("render", "cut.zarr", "new.wav")),
    "shard grown, info": (1, ("c/0/0/1", "make it again"), ("info", "grown.zarr")),
    "shard with a chunk too short, render": (1, ("c/0/0/1", "filter"), ("render", "short.zarr", "new.wav")),
    "shard that is a folder, info": (1, ("c/0/0/1", "make it again"), ("info", "folders.zarr")),
    "zarr.json cut": (1, ("half.zarr", "give an activations"), ("info", "half.zarr")),
    "zarr.json lost": (1, ("bare.zarr", "give an activations"), ("render", "bare.zarr", "new.wav")),
    "zarr that is a file": (1, ("file.zarr", "give an activations"), ("info", "file.zarr")),
    "zarr that is a fifo": (1, ("fifo.zarr", "give an activations"), ("render", "fifo.zarr", "new.wav")),
    "zarr with a pickle": (1, ("pickle.zarr",), ("render", "pickle.zarr", "new.wav")),
    "npy cut": (1, ("cut.npy", "give an activations"), ("render", "cut.npy", "new.wav")),
    "npy of objects": (1, ("objects.npy", "give an activations"), ("render", "objects.npy", "new.wav")),
    "npy nested deeply": (1, ("deep.npy", "give an activations"), ("info", "deep.npy")),
    "npy that is an archive": (1, ("archive.npy", "give an activations"), ("info", "archive.npy")),
    "npy that is a fifo": (1, ("fifo.npy", "give an activations"), ("info", "fifo.npy")),
    "wav cut": (1, ("cut.wav", "1000 bytes", "make it again"), ("info", "cut.wav")),
    "wav cut in its header": (1, ("header.wav", "give a run"), ("info", "header.wav")),
    "rf64 cut": (1, ("rf64.wav", "9999999900 bytes", "make it again"), ("info", "rf64.wav")),
    "wav in a fifo": (1, ("fifo.png", "give a run"), ("info", "fifo.png")),
    "sound without a header": (1, ("sound.raw", "give a run"), ("info", "sound.raw")),
    "record of another shape": (1, ("run.json", "make the run again"), ("info", "odd run")),
    "record nested deeply": (1, ("run.json", "make the run again"), ("info", "deep run")),
    "record in a fifo": (1, ("fifo run", "give a run"), ("info", "fifo run")),
    "render into a folder": (1, ("folder.png", "exists"), ("render", "good.npy", "folder.png")),
    "render from below a file": (1, ("nothing at",), ("render", "text.jpg/x.zarr", "new.wav")),
    "out is a link loop": (1, ("loop.png", "--out"), ("sonify", "good.png", *SMALL, "--out", "loop.png")),
    "out is a name too long": (1, ("too long",), ("sonify", "good.png", *SMALL, "--out", "x" * 300)),
    "dpath is a fifo": (1, ("fifo.png", "--dpath"), ("plan", "--dpath", "fifo.png", "--image-name", "x")),
}

# name: (the picture and options, the folder that appears, the picture whose sound it must have or None)
MADE: dict[str, tuple[tuple[str, ...], str, str | None]] = {
    **{
        f"orientation {n}": ((f"exif {n}.png",), f"exif {n}-netsounds", "good.png")
        for n in (*range(10), 65535)
    },
    **{
        f"exif {n}": ((f"exif {n}.jpg",), f"exif {n}-netsounds", "plain exif.jpg")
        for n in ("noise", "cut", "loop")
    },
    "16 bit": (("deep.png",), "deep-netsounds", "good.png"),
    "one bit": (("one bit.png",), "one bit-netsounds", "black and white.png"),
    "cmyk": (("cmyk.jpg",), "cmyk-netsounds", None),
    "NaN pixels": (("nan.tif",), "nan-netsounds", None),
    "strip enlarged": (("strip.png", "--size", "21"), "strip-netsounds", None),
    "named like an option": (("-x.png",), "x-netsounds", "good.png"),
    "hidden": ((".hidden.png",), "hidden-netsounds", "good.png"),
    "nothing but a suffix": ((".png",), "png-netsounds", "good.png"),
    "line end in its name": (("line\nend\x1b[31m.png",), "line_end_[31m-netsounds", "good.png"),
    "brackets in its name": (("brackets.png[page=1]",), "brackets-netsounds", "good.png"),
    "brackets alone": (("[n=-1]",), "[n=-1]-netsounds", "good.png"),
    "a long name": (("y" * 250 + ".png",), "y" * 180 + "-netsounds", "good.png"),
    "bomb of few pixels allowed": (("good.png", "--max-pixels", "10k"), "good-netsounds", "good.png"),
}
LABELS = (
    "..",
    "../../out",
    "/etc/passwd",
    "a/b\\c",
    "line\nend",
    "-x",
    ".hidden",
    "z" * 300,
    "\x1b[31m",
    "ü\u202e",
)


def serve(cases: list[tuple[tuple[str, ...], Path]]) -> list[dict[str, Any]]:
    """Have the real command answer many cases; see `command_server`."""
    asked = json.dumps([(words, str(folder)) for words, folder in cases])
    done = subprocess.run(
        [sys.executable, "-m", "tests.command_server"],
        input=asked,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        timeout=300,
    )
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, weights: Weights) -> Path:
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
    words = ("sonify", "larger.png", "--out", "run", "--weights", "good.pth", "--banks", "1", "--label", "x")
    (answer,) = serve([(words, folder)])
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
            case "short":  # the first chunk says that it holds half the bytes it should
                size = int.from_bytes(content[4:8], "little")
                shard.write_bytes(content[:4] + (size // 2).to_bytes(4, "little") + content[8:])
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
    answers = serve([(words, folder) for _, _, words in REFUSED.values()])
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
    answers = serve(
        [(("sonify", each, *SMALL, "--label", "x", "--out", f"as {each}"), folder) for each in plain]
    )
    assert {answer["status"] for answer in answers} == {0}
    sounds = {each: (folder / f"as {each}" / SOUND).read_bytes() for each in plain}
    answers = serve([(words, folder) for words in cases])
    for (name, (_, out, other)), answer in zip(MADE.items(), answers, strict=True):
        assert (answer["status"], answer["stderr"]) == (0, ""), (name, answer)
        assert {path.split("/")[0] for path in answer["changed"]} == {out}, (name, answer)
        sound = (folder / out / SOUND).read_bytes()
        if other:
            mine, usual = (np.frombuffer(each[44:], "<i2").astype(int) for each in (sound, sounds[other]))
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
            "--out",
            f"label {number}",
            "--label",
            each,
        )
        for number, each in enumerate(LABELS)
    ]
    for number, answer in enumerate(serve([(words, folder) for words in cases])):
        assert answer["status"] == 0, (LABELS[number], answer)
        parts = [path.split("/") for path in answer["changed"]]
        assert {each[0] for each in parts} == {f"label {number}"}, answer
        inside = {each[1] for each in parts if len(each) > 1}
        assert all(name.isprintable() and name.startswith(("activations-4_", "run.json")) for name in inside)
        assert len(inside) == 4
        record = json.loads((folder / f"label {number}" / "run.json").read_text())
        assert record["label"] == LABELS[number]
    assert [path.name for path in folder.parent.iterdir()] == ["inside"]


def test_a_bomb_that_is_allowed_keeps_to_its_plan(folder: Path) -> None:
    """900 megapixels out of 110 kB, made small: the label's picture and the network's, in planned memory."""
    (folder / "allowed.png").write_bytes(made.png_bomb(30_000, 30_000))
    words = ("sonify", "allowed.png", *SMALL, "--size", "64", "--time-axis", "y", "--out", "black", "--json")
    (answer,) = serve([(words, folder)])
    assert answer["status"] == 0, answer
    record = json.loads(answer["stdout"])
    assert record["peak_memory_bytes"] <= record["plan"]["peak_memory_bytes"]


def test_max_pixels_is_recorded(folder: Path) -> None:
    record = json.loads((folder / "good-netsounds" / "run.json").read_text())
    assert "--max-pixels 10000" in record["command"]
    assert record["options"]["max_pixels"] == 10000
    assert torch.load(folder / "good.pth", weights_only=True)  # the weights used were good ones
