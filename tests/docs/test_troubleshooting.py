"""docs/troubleshooting.md: every message in it is one of the code's, and many are met as the page says."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pyvips

from netsounds_stream.picture.demo_picture import draw
from tests.helpers.forks import Command, forked, many_commands
from tests.helpers.reference import ROOT, command

pytestmark = pytest.mark.docs

PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"\*\*`(.+?)`\*\*", PAGE)
UNTRAINED = ("--weights", "untrained")
SONIFY = ("sonify", "picture.png", *UNTRAINED)

#: A message, and a command that meets it, in a folder of pictures and one small run.
MET: dict[str, tuple[str, ...]] = {
    "this run needs ... of memory": (*SONIFY, "--memory", "100MiB"),
    "the whole-image network needs": ("verify", "picture.png", *UNTRAINED, "--size", "4000"),
    "no picture at": ("plan", "absent.png"),
    "... is a folder; name a picture": ("plan", "folder"),
    "no file in": ("plan", "--dpath", ".", "--image-name", "PICTURE"),
    "... is empty (0 bytes)": ("plan", "empty.png"),
    "... is not a picture (": ("plan", "text.jpg"),
    "... cannot be decoded": ("sonify", "cut.png", *UNTRAINED),
    "... pixels and the network needs": ("plan", "dot.png"),
    "... pixels and --max-pixels allows": ("plan", "picture.png", "--max-pixels", "1000"),
    "the pretrained weights cannot be downloaded": ("sonify", "picture.png"),
    "no weights at": ("sonify", "picture.png", "--weights", "absent.pth"),
    "... holds no weights that can be loaded safely": ("sonify", "picture.png", "--weights", "text.jpg"),
    "... holds a run already": (*SONIFY, "--out", "run"),
    "... holds files but no run": (*SONIFY, "--out", "folder"),
    "..., which is not part of its run; move it away": (*SONIFY, "--out", "run and more", "--overwrite"),
    "... is a file; choose another --out": (*SONIFY, "--out", "text.jpg"),
    "cannot make a folder in": (*SONIFY, "--out", "text.jpg/run"),
    "... exists already": ("render", "run/activations-4_untrained.zarr", "text.jpg"),
    "there is no stopped run at": ("resume", "folder"),
    "... matches no picture": ("batch", "nothing/*.jpg", "--out", "many"),
    "jobs cannot be": ("batch", "picture.png", "--out", "many", "--jobs", "0"),
    "--jobs counts": ("batch", "picture.png", "--out", "many", "--jobs", "2", "--cluster", "local"),
    "... is no address of a cluster": ("batch", "picture.png", "--out", "many", "--cluster", "here"),
    "no cluster answers at": (*SONIFY, "--cluster", "tcp://127.0.0.1:9", "--out", "waiting"),
    "... needs --work": (*SONIFY, "--cluster", "tcp://127.0.0.1:9", "--out", "s3://bucket/run"),
    "... reads local files and folders only": ("plot", "s3://bucket/run"),
    "... holds a run; choose": ("batch", "picture.png", "--out", "run"),
    "... pictures failed": ("batch", "empty.png", "--out", "many", *UNTRAINED, "--quiet"),
    "this machine, or this build of torch": (*SONIFY, "--device", "mps"),
    "there is no bank": (*SONIFY, "--banks", "5"),
    "... is not a size": (*SONIFY, "--memory", "much"),
    "... is not a number of pixels": (*SONIFY, "--max-pixels", "many"),
    "size cannot be ...; use 'native'": (*SONIFY, "--size", "big"),
    "there is no network": ("layers", "resnet19"),
    "... has no layer": (*SONIFY, "--layers", "features.99"),
    "... has no filter": (*SONIFY, "--banks", "1", "--filters", "96"),
    "give --top or --filters": (*SONIFY, "--top", "3", "--filters", "3"),
    "scale 'none' may exceed": (*SONIFY, "--scale", "none"),
    "FLAC cannot hold FLOAT samples": (*SONIFY, "--format", "flac", "--subtype", "FLOAT"),
    "fmax cannot be": (*SONIFY, "--fmax", "30000"),
    "there is no scale": (*SONIFY, "--scale-notes", "bagpipe"),
    "cannot read the scale": (*SONIFY, "--scale-notes", "absent.scl"),
    "is no Scala file": (*SONIFY, "--scale-notes", "text.scl"),
    "root cannot be ...; write": (*SONIFY, "--scale-notes", "major", "--root", "A"),
    "root cannot be ... Hz": (*SONIFY, "--scale-notes", "major", "--root", "30000"),
    "no note of": (*SONIFY, "--scale-notes", "major", "--fmin", "231", "--fmax", "240"),
    "hop cannot be": (*SONIFY, "--hop", "2000"),
    "name the picture either": ("plan", "picture.png", "--dpath", "."),
    "... is damaged (": ("check", "run and more"),
    "... is incomplete": ("info", "run and more/activations-4_untrained.zarr"),
    "... is cut short: ... bytes": ("info", "cut.wav"),
    "nothing at": ("info", "absent"),
    "a video cannot be": ("video", "run", "a.avi"),
    "... cannot hold codec": ("video", "run", "a.webm", "--codec", "h264"),
    "use WIDTHxHEIGHT": ("video", "run", "a.mp4", "--size", "1080"),
    "frames a second, such as": ("video", "run", "a.mp4", "--fps", "1000"),
    "sound cannot be": ("video", "run", "a.mp4", "--sound", "all"),
    "... cannot be read as a font": ("video", "run", "a.mp4", "--font", "text.jpg"),
    "there is no folder": ("video", "run", "none/a.mp4", "--sound", "bank-4"),
    "its sounds are": ("video", "run", "a.mp4"),
    "a MIDI file cannot be": ("midi", "run", "a.wav"),
    "notes cannot be ...; use 1 to": ("midi", "run", "a.mid", "--notes", "0"),
    "min note cannot be": ("midi", "run", "a.mid", "--min-note", "0"),
    "bpm cannot be": ("midi", "run", "a.mid", "--bpm", "1"),
    "... holds no finished run": ("video", "folder", "a.mp4"),
    "... is not a zarr array (": ("render", "folder", "new.wav"),
    "... is not a zarr array, which": ("render", "text.jpg", "new.wav"),
}


def templates() -> Iterator[str]:
    """Every text in the code, with `...` for what is put into it."""
    for path in (ROOT / "netsounds_stream").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def told(message: str) -> re.Pattern[str]:
    """What a message of the page stands for."""
    return re.compile(".+".join(re.escape(part) for part in message.split("...")), re.DOTALL)


def test_every_message_is_one_of_the_code() -> None:
    assert len(MESSAGES) > 60
    assert len(set(MESSAGES)) == len(MESSAGES)
    texts = list(templates())
    for message in MESSAGES:
        assert any(told(message).fullmatch(text) for text in texts), message


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a picture, what is none, a finished run, and a damaged copy of it."""
    folder = tmp_path_factory.mktemp("troubles")
    for name, width, height in (("picture.png", 60, 40), ("dot.png", 8, 8), ("cut.png", 400, 300)):
        pyvips.Image.new_from_array(draw(width, height)).pngsave(str(folder / name))
    whole = (folder / "cut.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("no picture")
    (folder / "text.scl").write_text("no scale")
    (folder / "folder").mkdir()
    (folder / "folder/other").touch()
    done = forked(*SONIFY, "--banks", "4", "--scheme", "sum", "--no-mix", "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    shutil.copytree(folder / "run", folder / "run and more")
    (folder / "run and more/other").touch()
    for shard in (folder / "run and more/activations-4_untrained.zarr/c").rglob("*"):
        if shard.is_file():
            shard.write_bytes(shard.read_bytes()[:-1])
    wav = (folder / "run/activations-4_untrained_sum.wav").read_bytes()
    (folder / "cut.wav").write_bytes(wav[:-2])
    return folder


@pytest.fixture(scope="module")
def answers(folder: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """What the commands of `MET` say, without a network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("https_proxy", "http://127.0.0.1:9")
        patch.setenv("TORCH_HOME", str(folder))
        waiting = {  # ten seconds for nobody to answer: meanwhile the others are asked
            beginning: Command(*words, cwd=folder) for beginning, words in MET.items() if "waiting" in words
        }
        others = [beginning for beginning in MET if beginning not in waiting]
        found = dict(zip(others, many_commands([(MET[each], folder) for each in others]), strict=True))
        for beginning, command in waiting.items():
            status = command.wait()
            found[beginning] = {"status": status, "stdout": command.stdout, "stderr": command.stderr}
        yield found


@pytest.mark.parametrize("beginning", MET)
def test_a_message_is_met(beginning: str, answers: dict[str, dict[str, Any]]) -> None:
    (message,) = (each for each in MESSAGES if beginning in each)
    answer = answers[beginning]
    assert answer["status"] in (1, 2, 3)
    last = answer["stderr"].splitlines()[-1]
    assert re.fullmatch(f"netsounds-stream: {told(message).pattern}", last), (last, answer["stdout"])


def test_words_between_asterisks_are_messages() -> None:
    """Nothing is quoted in any other form than that which is looked up."""
    quoted = re.findall(r"^\*\*.*", PAGE.partition("## No message")[0], re.MULTILINE)
    for line in quoted:
        assert re.fullmatch(r"\*\*`.+?`\*\*(, \*\*`.+?`\*\*)*", line), line


def test_the_reader_is_sent_to_commands_that_there_are() -> None:
    for name in set(re.findall(r"`netsounds-stream (\w+)", PAGE)):
        assert command(name, "--help").returncode == 0, name
