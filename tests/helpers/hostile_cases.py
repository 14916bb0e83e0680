"""The tables of hostile and odd input: what is asked of the command, and what must come of it."""

from __future__ import annotations

import os

SMALL = (
    "--weights",
    "good.pth",
    "--banks",
    "4",
    "--scheme",
    "sum",
    "--no-mix",
    "--no-activations",
    "--no-report",
)
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
    "cut png": _refused("cut.png", "cannot be decoded", "complete copy"),
    "cut jpeg": _refused("cut.jpg", "cannot be decoded", "complete copy"),
    "complex values": _refused("complex.tif", "complex numbers"),
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
    "few rows bomb": _refused("few rows bomb.png", "cannot be decoded", "complete copy"),
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
    "safetensors that are a pickle": _weights("code.safetensors", "complete copy"),
    "weights of NaN": _weights("nan.pth", "NaN"),
    "weights without values": _weights("meta.pth", "not a tensor"),
    "sparse weights": _weights("sparse.pth", "not a tensor"),
    "weights with a long name": _weights("long name.pth", "no parameter"),
    "cut weights": _weights("cut.pth", "give a state_dict"),
    "weights that ask for memory": _weights("bytearray.pth", "give a state_dict"),
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
    "shard with a chunk too short, render": (
        1,
        ("c/0/0/1", "filter 0 is too short"),
        ("render", "short.zarr", "new.wav"),
    ),
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
    "wav cut in its header": (1, ("header.wav", "cut short"), ("info", "header.wav")),
    "rf64 cut": (1, ("rf64.wav", "9999999900 bytes", "make it again"), ("info", "rf64.wav")),
    "wav in a fifo": (1, ("fifo.png", "give a run"), ("info", "fifo.png")),
    "sound without a header": (1, ("sound.raw", "give a run"), ("info", "sound.raw")),
    "record of another shape": (1, ("run.json", "run"), ("info", "odd run")),
    "record nested deeply": (1, ("run.json", "run"), ("info", "deep run")),
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
    "NaN pixels": (("nan.tif", "--stretch", "percentile:5,95"), "nan-netsounds", None),
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
