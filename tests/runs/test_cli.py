"""The real command: what it prints and where, its exit statuses, and that errors are one line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import pyvips
import soundfile
import torch

from netsounds_stream.network.networks import Network
from netsounds_stream.picture.demo_picture import draw
from tests.helpers.forks import forked, many_commands
from tests.helpers.reference import TIMED, command

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, picture_file: Path, weights_file: Path) -> Path:
    out = tmp_path_factory.mktemp("cli") / "run"
    done = command("sonify", picture_file, "--out", out, "--weights", weights_file, "--label", "my picture")
    assert done.returncode == 0, done.stderr
    assert f"my picture: 13 files in {out}" in done.stderr.splitlines()
    paths = list(map(Path, done.stdout.splitlines()))
    assert paths[-1] == out / "index.html"  # the page to open, alone
    assert len(paths) == len(set(paths)) == 14 and all(path.exists() for path in paths)
    assert "plan: 331 x 230 px, time along x" in done.stderr
    return out


def test_json_is_all_of_stdout(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    out = tmp_path / "run"
    options = ("--weights", weights_file, "--banks", "2,1", "--scheme", "sum", "--json", "--quiet")
    done = forked("sonify", picture_file, "--out", out, *options)
    assert done.returncode == 0
    assert done.stderr == ""
    record = json.loads(done.stdout)
    assert record == json.loads((out / "run.json").read_text())
    assert record["options"]["banks"] == [1, 2]
    assert [len(guesses) for guesses in record["prediction"].values()] == [5, 5]
    assert record["peak_memory_bytes"] > 100e6
    assert set(record["seconds"]) == {
        "weights",
        "label",
        "network",
        "sums 1",
        "sums 2",
        "sound 1",
        "sound 2",
        "mix",
        "report",
        "sync",
    }


def test_the_recorded_command_repeats_the_run(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    words = "--size 200 --no-normalize --time-axis y --banks 1,4 --codec lz4 --scheme concat --balance filter"
    words += " --scale minmax --sample-rate 8000 --subtype PCM_24 --duration 1.5 --label x --memory 900MiB"
    done = forked("sonify", picture_file, "--out", tmp_path / "a", "--weights", weights_file, *words.split())
    assert done.returncode == 0, done.stderr
    again = json.loads((tmp_path / "a" / "run.json").read_text())["command"]
    import shlex

    program, *rest = shlex.split(again)
    assert program == "netsounds-stream"
    assert forked(*rest, "--out", tmp_path / "b").returncode == 0
    for path in (tmp_path / "a").rglob("*"):
        if path.is_file() and path.name not in TIMED:
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_plan_says_what_a_run_takes(picture_file: Path, tmp_path: Path) -> None:
    done = forked("plan", picture_file, cwd=tmp_path)
    assert done.returncode == 0
    assert "bank 4    512 x 14 x 20 values" in done.stdout
    assert not list(tmp_path.iterdir())
    assert re.search(r"^mix +10\.0 s in stereo", done.stdout, re.MULTILINE)
    assert re.search(r"^run time +about \d+ s", done.stdout, re.MULTILINE)
    numbers = json.loads(forked("plan", picture_file, "--json").stdout)
    assert numbers["banks"][3]["shape"] == [512, 14, 20]
    assert numbers["mix"]["seconds"] == 10 < numbers["sound_seconds"] < 20
    assert numbers["estimated_run_seconds"] > 1
    assert 100e6 < numbers["baseline_bytes"] < numbers["peak_memory_bytes"]
    assert re.search(r"^ +Python and its libraries take \d+ MiB of it", done.stdout, re.MULTILINE)
    in_mb = forked("plan", picture_file, "--memory", "800MB").stdout
    assert re.search(r"^memory +needs \d+ MB, budget 800 MB", in_mb, re.MULTILINE)
    refused = forked("plan", picture_file, "--memory", "100MiB")
    assert refused.returncode == 1
    assert "raise --memory" in refused.stderr


def test_info_on_everything_a_run_holds(run: Path) -> None:
    whole = forked("info", run)
    assert "my picture" in whole.stdout
    assert "MISSING" not in whole.stdout
    array = json.loads(forked("info", run / "activations-2_my-picture.zarr", "--json").stdout)
    assert array["shape"] == {"channel": 256, "y": 56, "x": 81}
    assert array["attributes"]["layer"] == "features.5"
    wav = json.loads(forked("info", run / "activations-2_my-picture_sum.wav", "--json").stdout)
    assert (wav["samples"], wav["sample_rate_hz"], wav["subtype"]) == (56 * 81, 44100, "PCM_16")


def test_render_from_the_command_line(run: Path, tmp_path: Path) -> None:
    wav = tmp_path / "a.wav"
    done = forked("render", run / "activations-4_my-picture.zarr", wav, "--scheme", "concat")
    assert done.returncode == 0, done.stderr
    assert soundfile.info(wav).frames == 512 * 14 * 20
    assert forked("render", run / "activations-4_my-picture.zarr", wav).returncode == 1
    done = forked("render", run / "activations-4_my-picture.zarr", wav, "--overwrite", "--sample-rate", 8000)
    assert soundfile.info(wav).samplerate == 8000


def test_verify_from_the_command_line(picture_file: Path, weights_file: Path) -> None:
    done = forked("verify", picture_file, "--weights", weights_file)
    assert done.returncode == 0
    assert "agrees" in done.stdout


def test_a_picture_by_folder_and_fragment(tmp_path: Path, weights_file: Path) -> None:
    for name in ("cat 2.png", "cat 1.png", "dog.png"):
        pyvips.Image.new_from_array(draw(64, 48)).pngsave(str(tmp_path / name))
    words = (
        "--dpath",
        tmp_path,
        "--image-name",
        "cat",
        "--weights",
        weights_file,
        "--banks",
        "4",
        "--no-report",
    )
    done = forked("sonify", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "-> cat 1.png\n   cat 2.png" in done.stderr
    assert (tmp_path / "cat 1-netsounds" / "run.json").exists()


def test_demo_without_internet_goes_on_untrained(tmp_path: Path, weights_file: Path) -> None:
    nowhere = {"TORCH_HOME": str(tmp_path / "torch"), "https_proxy": "http://127.0.0.1:9"}
    small = tmp_path / "small.png"
    pyvips.Image.new_from_array(draw(96, 64)).pngsave(str(small))
    done = forked("demo", "--image", small, cwd=tmp_path, environment=nowhere)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "demo/small-netsounds/index.html"
    assert done.stderr.count("untrained weights are used") == 1
    assert "netsounds-stream demo --weights FILE (make demo WEIGHTS=FILE)" in done.stderr
    record = json.loads((tmp_path / "demo" / "small-netsounds" / "run.json").read_text())
    assert record["label"] == "untrained"
    assert "untrained weights are used" in record["notes"][0]
    refused = forked("sonify", small, cwd=tmp_path, environment=nowhere)
    assert refused.returncode == 1
    assert "--weights untrained" in refused.stderr
    done = forked("demo", "--image", small, "--out", tmp_path, "--weights", weights_file)
    assert done.returncode == 0, done.stderr
    assert "untrained" not in done.stderr
    record = json.loads((tmp_path / "small-netsounds" / "run.json").read_text())
    assert record["weights"]["source"] == weights_file.name


def test_help_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'torchvision', 'zarr', 'pyvips', 'rich', 'soundfile', 'numpy'}"
    code = f"import sys, netsounds_stream.cli.commands; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    for name in ("sonify", "plan", "render", "info", "verify", "demo"):
        assert forked(name, "--help").returncode == 0


def test_the_process_of_a_batch_loads_no_torch() -> None:
    """Its workers do; it would take a second and 250 MiB, before they start and as long as they work."""
    rooms = "netsounds_stream.cli.commands, netsounds_stream.batches.batch, netsounds_stream.report.gallery"
    code = f"import sys, {rooms}; sys.exit('torch' in sys.modules or 'zarr' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_words_show_the_help() -> None:
    done = command()
    assert done.returncode == 0
    assert "Commands:\n" in done.stdout


def test_the_package_runs_as_a_module() -> None:
    words = [sys.executable, "-m", "netsounds_stream", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("python -m netsounds_stream, version ")


def test_a_picture_in_the_place_of_a_command(tmp_path: Path) -> None:
    (tmp_path / "my scan").touch()
    for word, quoted in (("photo.JPG", "photo.JPG"), ("my scan", "'my scan'")):
        done = forked(word, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert re.search(rf"to make sound from it: \S.* sonify {re.escape(quoted)} \(see", done.stderr)
    assert "to make sound" not in forked("info.txt", cwd=tmp_path).stderr


@pytest.mark.skipif(sys.platform != "linux", reason="commands in forks")
def test_errors_are_one_line(
    tmp_path: Path, picture_file: Path, weights: Network, weights_file: Path
) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter").write_text("dear")
    whole = picture_file.read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    pyvips.Image.new_from_array(draw(20, 300)).pngsave(str(tmp_path / "tiny.png"))
    short = {name: value for name, value in weights.state.items() if name != "features.3.squeeze.bias"}
    torch.save(short, tmp_path / "short.pth")
    wrong = {**weights.state, "features.0.weight": torch.zeros(96, 3, 3, 3)}
    torch.save(wrong, tmp_path / "wrong.pth")
    torch.save({**weights.state, "features.0.bias": torch.full((96,), torch.nan)}, tmp_path / "nan.pth")
    torch.save({**weights.state, "more": torch.zeros(1)}, tmp_path / "more.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "junk.pth").write_bytes(b"junk")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    good, ours = str(picture_file), ("--weights", weights_file)
    cases: list[tuple[int, str, tuple[object, ...]]] = [
        (2, "IMAGE", ("sonify",)),
        (2, "--dpath", ("sonify", good, "--dpath", ".")),
        (2, "frob", ("frob",)),
        (2, "--frob", ("sonify", good, "--frob")),
        (2, "bank 7", ("sonify", good, *ours, "--banks", "7")),
        (2, "banks", ("sonify", good, *ours, "--banks", "one")),
        (2, "twice", ("sonify", good, *ours, "--banks", "1,1")),
        (2, "size cannot be -5", ("sonify", good, *ours, "--size", "-5")),
        (2, "size", ("sonify", good, *ours, "--size", "big")),
        (2, "'lz4', 'zstd'", ("sonify", good, *ours, "--codec", "rar")),
        (2, "'concat'", ("sonify", good, *ours, "--scheme", "loud")),
        (2, "--balance", ("sonify", good, *ours, "--balance", "x")),
        (2, "--scale", ("sonify", good, *ours, "--scale", "x")),
        (2, "sample rate", ("sonify", good, *ours, "--sample-rate", "0")),
        (2, "--sample-rate", ("sonify", good, *ours, "--sample-rate", "x")),
        (2, "PCM_16", ("sonify", good, *ours, "--subtype", "MP3")),
        (2, "1GiB", ("sonify", good, *ours, "--memory", "lots")),
        (2, "--time-axis", ("sonify", good, *ours, "--time-axis", "z")),
        (2, "--device", ("sonify", good, *ours, "--device", "abacus")),
        (2, "label", ("sonify", good, *ours, "--label", " ")),
        (1, "raise --memory", ("sonify", good, *ours, "--memory", "64MiB")),
        (1, "no picture", ("sonify", "absent.png", *ours)),
        (1, "folder", ("sonify", ".", *ours)),
        (1, "0 bytes", ("sonify", "empty.png", *ours)),
        (1, "not a picture", ("sonify", "text.jpg", *ours)),
        (1, "cut.png cannot be decoded", ("sonify", "cut.png", *ours)),
        (1, "21 x 21", ("sonify", "tiny.png", *ours)),
        (1, "no weights", ("sonify", good, "--weights", "absent.pth")),
        (1, "lacks features.3.squeeze.bias", ("sonify", good, "--weights", "short.pth")),
        (1, "(96, 3, 3, 3)", ("sonify", good, "--weights", "wrong.pth")),
        (1, "NaN", ("sonify", good, "--weights", "nan.pth")),
        (1, "more", ("sonify", good, "--weights", "more.pth")),
        (1, "list", ("sonify", good, "--weights", "list.pth")),
        (1, "junk.pth", ("sonify", good, "--weights", "junk.pth")),
        (1, "junk.safetensors", ("sonify", good, "--weights", "junk.safetensors")),
        (1, "is a file", ("sonify", good, *ours, "--out", "file")),
        (1, "no run", ("sonify", good, *ours, "--out", "other", "--overwrite")),
        (1, "file", ("sonify", good, *ours, "--out", "file/below")),
        (1, "nothing at", ("info", "absent")),
        (1, "holds no run", ("info", "other")),
        (1, "sound file", ("info", "text.jpg")),
        (1, "nothing at", ("render", "absent.zarr", "a.wav")),
        (1, "not a zarr array", ("render", "other", "a.wav")),
    ]
    before = sorted(path.name for path in tmp_path.iterdir())
    answers = many_commands([(tuple(map(str, words)), tmp_path) for _, _, words in cases])
    for (status, says, words), done in zip(cases, answers, strict=True):
        # beside the plan, and a stage's line where the machine was slow
        said = ("plan: ", "weights: ", "label: ")
        lines = [line for line in done["stderr"].splitlines() if not line.startswith(said)]
        assert (done["status"], len(lines)) == (status, 1), (words, done["stderr"])
        assert lines[0].startswith("netsounds-stream: "), lines
        assert says in lines[0], lines
        assert (done["stdout"], done["changed"]) == ("", []), words
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_no_permission(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture_file.read_bytes())
    secret.chmod(0)
    done = forked("sonify", secret, "--weights", weights_file)
    assert (done.returncode, "no permission to read" in done.stderr) == (1, True)
    done = forked("sonify", picture_file, "--weights", weights_file, "--out", tmp_path / "closed" / "run")
    assert (done.returncode, "choose another --out" in done.stderr) == (1, True)


def test_a_pickle_with_code_in_it_does_not_run(tmp_path: Path, picture_file: Path) -> None:
    class Dangerous:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"features.0.weight": Dangerous()}, tmp_path / "bad.pth")
    done = forked("sonify", picture_file, "--weights", tmp_path / "bad.pth", "--out", tmp_path / "run")
    assert done.returncode == 1
    assert re.search("cannot be loaded|loaded safely", done.stderr)
    assert not (tmp_path / "ran").exists()


def test_bench_answers_how_fast_and_how_large(tmp_path: Path, picture_file: Path) -> None:
    run = forked("bench", picture_file, "--quick", "--device", "cpu", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "measuring cpu" in run.stderr
    for words in (
        "cpu, fp32",
        "network and store",
        "a landscape.png",
        "12 megapixels",
        "sum only, no arrays",
    ):
        assert words in run.stdout
    as_json = forked("bench", "--quick", "--device", "cpu", "--memory", "700MiB", "--json", cwd=tmp_path)
    report = json.loads(as_json.stdout)
    (speed,) = report["speeds"]
    assert speed["pixels"] == 1024 * 768 and speed["network_seconds"] > 0 and speed["sound_seconds"] > 0
    assert report["budget_bytes"] == 700 << 20
    stored, only_sum = (room["side"] for room in report["rooms"])
    assert 21 <= stored <= only_sum
    assert not list(tmp_path.iterdir())  # nothing is left behind


def test_options_without_effect_are_said_and_recorded(
    tmp_path: Path, picture_file: Path, weights_file: Path
) -> None:
    words = ("--weights", weights_file, "--banks", "4", "--no-report", "--no-mix", "--scheme", "sum")
    idle = ("--gpu-memory", "1GiB", "--device", "cpu", "--iterations", "3", "--segment-rows", "9")
    run = forked("sonify", picture_file, "--out", tmp_path / "run", *words, *idle)
    assert run.returncode == 0, run.stderr
    notes = [line.removeprefix("note: ") for line in run.stderr.splitlines() if line.startswith("note: ")]
    assert [note.split()[0] for note in notes] == ["--iterations", "--gpu-memory", "--segment-rows"]
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["notes"] == notes
    assert record["options"]["gpu_memory_bytes"] is None
