"""The benchmarks work: every question in its smoke form, the page out of that, and the harness itself.

No time is asserted here; `make bench` measures.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from harness import OUT, Case, measure, read_report, run_once
from question import commit, versions_of
from results import HEADLINE_FROM, HEADLINE_TO, read_results
from results import main as write_page
from sections import SECTIONS
from stages import OPTIONS
from targets import TARGETS
from workload import operations

pytestmark = pytest.mark.bench

Ask = Callable[[str], dict[str, Any]]
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def python(code: str, *words: object) -> tuple[str, ...]:
    return (sys.executable, "-c", code, *map(str, words))


def reporting(name: str, **report: object) -> Case:
    return Case(name, python(f"print({json.dumps(report)!r})"))


# --- the harness


def test_cases_take_turns_and_none_always_follows_the_same(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import sys; open(sys.argv[1], 'a').write(sys.argv[2]); print('{}')"
    cases = [Case(name, python(code, log, name)) for name in "abc"]
    found = measure(cases, rounds=4)
    assert log.read_text() == "abc" + "bca" + "cab" + "abc"
    assert [each.case.name for each in found] == ["a", "b", "c"]
    assert all(len(each.rounds) == 4 for each in found)


def test_a_failure_is_a_result_and_is_not_run_again() -> None:
    code = "import sys; print('{}'); print('first', file=sys.stderr); sys.exit('/a/folder/x.py gave up')"
    failed, good = measure([Case("failing", python(code)), reporting("good", seconds=1)], rounds=3)
    assert len(failed.rounds) == 1
    assert failed.failure == "exit status 1: x.py gave up"
    assert failed.as_json()["wall_seconds"] is None
    assert good.failure is None
    assert good.as_json()["work_seconds"]["rounds"] == [1, 1, 1]


def test_a_killed_worker_is_told_apart() -> None:
    once = run_once(Case("killed", python("import os; os.kill(os.getpid(), 9)")))
    assert once.failure == "killed by signal 9: nothing on stderr"


def test_garbage_is_no_report() -> None:
    assert run_once(Case("garbage", python("print('no JSON {')"))).failure == "printed no report"
    assert run_once(Case("number", python("print(3)"))).failure == "printed no report"
    assert run_once(Case("silent", python("pass"))).failure == "printed no report"
    assert run_once(Case("silent", python("pass"), reports=False)).failure is None


def test_a_report_is_the_last_line_or_the_whole() -> None:
    assert read_report('words\n{"seconds": 1}\n') == {"seconds": 1}
    assert read_report('{\n "seconds": {"a": 1}\n}\n') == {"seconds": {"a": 1}}
    assert read_report("") is None


def test_what_is_seen_from_outside() -> None:
    code = (
        "import pathlib, sys, time\n"
        "out = pathlib.Path(sys.argv[1]); out.mkdir(); (out / 'file').write_bytes(bytes(12345))\n"
        "while time.process_time() < 0.3: pass\n"
        'print(\'{"seconds": {"a": 1.5, "b": 2}, "error": 0.25}\')'
    )
    check = python(
        "import json, os, sys; print(json.dumps({'error': os.path.getsize(sys.argv[1] + '/file')}))", OUT
    )
    idle, busy = measure(
        [Case("idle", python("print('{}')")), Case("busy", python(code, OUT), check=check)], 1
    )
    shown = busy.as_json("error")
    assert shown["bytes_written"] == 12345
    assert shown["checked"] == {"error": 12345}
    assert shown["work_seconds"]["median"] == 3.5
    assert shown["error"] == 0.25
    assert (
        0.3 <= shown["cpu_seconds"]["median"] <= shown["wall_seconds"]["median"] * (os.cpu_count() or 1) + 0.1
    )
    # usage is each child's own, not a sum over all that ran before it
    assert idle.rounds[0].user_seconds < busy.rounds[0].user_seconds


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS holds on Linux")
def test_a_memory_limit_ends_the_peer_alone() -> None:
    once = run_once(Case("hungry", python("bytearray(1 << 30)"), memory_limit_bytes=256 << 20))
    assert once.failure == "exit status 1: MemoryError"


def test_results_name_no_folders(tmp_path: Path) -> None:
    shown = measure([Case("a", python("print('{}')", tmp_path / "file", OUT))], 1)[0].as_json()
    assert shown["words"][0] == "python"
    assert shown["words"][-2:] == ["file", OUT]
    assert str(tmp_path) not in json.dumps(shown)


def test_operations_are_the_layers() -> None:
    # a window of one position of the first layer sees 7 x 7; far from edges each pixel costs the same
    large = operations(4096, 4096) / 4096**2
    assert large == pytest.approx(operations(2048, 2048) / 2048**2, rel=0.01)
    assert 35_000 < large < 36_000


# --- the questions


def answer_to(name: str, results: Path, *words: object) -> dict[str, Any]:
    """The smoke form of a question, as a user would run it."""
    command = [sys.executable, BENCHMARKS / f"{name}.py", "--smoke", "--results", results, *words]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = (results / f"{name}.json").read_text()
    assert str(Path.home()) not in text
    assert str(BENCHMARKS.parent) not in text
    return dict(json.loads(text))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this module's smoke runs leave their results; the page is made of them all."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def ask(folder: Path, weights_file: Path, picture_file: Path) -> Iterator[Ask]:
    """The questions' answers. Two are asked at a time: most of each is processes that begin, on one core."""
    weights, picture = ("--weights", weights_file), ("--picture", picture_file)
    questions = {
        "forward": weights,
        "end_to_end": weights,
        "memory": (*weights, "--check"),
        "widths": weights,
        "codecs": (*weights, *picture),
        "networks": (),
        "by_hand": (*weights, "--before", BENCHMARKS.parent),
        "fft": (),
        "phases": (),
        "stages": (*weights, "--before", BENCHMARKS.parent),
        "together": weights,
        "busy": (*weights, "--before", BENCHMARKS.parent),
        "listening": ("--weights", "untrained"),
        "videos": weights,
        "stores": (),
        "scaling": weights,
    }
    with ThreadPoolExecutor(2) as pool:
        answers = {name: pool.submit(answer_to, name, folder, *words) for name, words in questions.items()}
        yield lambda name: answers[name].result()
        pool.shutdown(cancel_futures=True)


def sound(case: Mapping[str, Any], *, error: float | None = None) -> None:
    """A case that ran: its times and memory are there, and its error is at most this."""
    assert case["failure"] is None, case["failure"]
    assert case["wall_seconds"]["median"] > 0
    assert case["cpu_seconds"]["median"] > 0
    assert case["peak_memory_bytes"] > 100 << 20
    if error is not None:
        assert case["error"] <= error


def test_forward(ask: Ask) -> None:
    result = ask("forward")
    found = {case["facts"]["way"]: case for case in result["cases"]}
    for name, case in found.items():
        # bf16 keeps 8 bits of each value
        sound(case, error=5e-2 if "bf16" in name else 1e-5)
        assert case["megapixels_per_second"] > 0
    assert {"stream, fp32", "stream, bf16", "whole image, channels_last, fp32"} <= set(found)
    assert result["ceilings"]["fp32_flop_per_second"] > 0
    assert result["ceilings"]["copy_bytes_per_second"] > 0
    if find_spec("onnxruntime") is None or find_spec("onnx") is None:
        assert result["left_out"] == {"ONNX Runtime": "not installed"}
        pytest.skip("the ONNX Runtime peer was not run: onnx and onnxruntime are not installed")
    assert "ONNX Runtime, fp32" in found


def test_end_to_end(ask: Ask) -> None:
    result = ask("end_to_end")
    for case in result["cases"]:
        if case["facts"]["group"] == "start-up":
            assert case["wall_seconds"]["median"] > 0
            continue
        sound(case)
        assert case["bytes_written"] > 1e5
        assert sum(case["stages"].values()) < case["wall_seconds"]["median"] * 2
    assert {case["facts"].get("way") for case in result["cases"]} >= {"ours", "alike", "whole", "flow"}


def test_widths(ask: Ask) -> None:
    for case in ask("widths")["cases"]:
        sound(case)
        assert case["stages"]["network"] > 0
        assert case["peak_memory_bytes"] <= case["planned_memory_bytes"]


def test_memory(ask: Ask) -> None:
    result = ask("memory")
    for case in result["cases"]:
        sound(case)
        assert case["checked"]["exact"], case["checked"]
        assert case["peak_memory_bytes"] <= case["planned_memory_bytes"]


def test_stores(ask: Ask) -> None:
    cases = ask("stores")["cases"]
    assert [case["library"] for case in cases] == ["obstore", "s3fs"]
    for case in cases:
        assert case["put_bytes_per_second"] > 0 and case["get_cpu_seconds_per_gigabyte"] > 0


def test_scaling(ask: Ask) -> None:
    result = ask("scaling")
    (case,) = result["cases"]
    sound(case)
    assert case["rounds"][0]["cluster"]["workers"] == 2
    assert case["rounds"][0]["command_seconds"] > case["stages"]["network"] > 0
    assert result["written_per_second"] > 0


def test_networks(ask: Ask) -> None:
    result = ask("networks")
    for case in result["cases"]:
        sound(case, error=1e-5)
        assert case["computed_per_pixel"] >= 1
    assert {case["facts"]["network"] for case in result["cases"]} == {"resnet18", "squeezenet1_0"}
    large = result["large"]
    assert large["failure"] is None and large["peak_memory_bytes"] <= large["planned_memory_bytes"]
    assert result["left_out"] == ({} if find_spec("lightstream") else {"lightstream": "not installed"})


def test_by_hand(ask: Ask) -> None:
    cases = ask("by_hand")["cases"]
    assert [case["facts"]["version"] for case in cases] == ["now", "before"]
    for case in cases:
        sound(case)
        assert case["work_seconds"]["median"] > 0


def test_videos(ask: Ask) -> None:
    pytest.importorskip("av", reason="videos were not made: PyAV is not installed")
    cases = ask("videos")["cases"]
    assert [case["name"] for case in cases] == ["h264", "vp9", "av1", "h264 radar"]
    for case in cases:
        sound(case)
        assert case["plays_seconds"] > 0 and case["video_bytes"] > 0


def test_codecs(ask: Ask) -> None:
    (case,) = ask("codecs")["cases"]
    sound(case, error=0.0)
    assert 0 < case["stored_share"] < 1.5
    assert case["encode_bytes_per_second"] > 0
    assert case["decode_bytes_per_second"] > 0


def test_fft(ask: Ask) -> None:
    result = ask("fft")
    for case in result["cases"]:
        sound(case, error=2e-6)
        assert all(each["samples_per_second"] > 0 for each in case["lengths"])
    assert {case["facts"]["way"] for case in result["cases"]} >= {"package", "torch", "scipy"}


def test_phases(ask: Ask) -> None:
    result = ask("phases")
    (case,) = result["cases"]
    sound(case)
    ours = {"zero", "random", "pghi", "griffin-lim from random", "griffin-lim"}
    assert ours <= set(case["ways"])
    for way in case["ways"].values():
        assert way["seconds"] > 0
        assert way["convergence_db"] < 0
    if find_spec("librosa") is None:
        assert result["left_out"] == {"librosa": "not installed"}
        pytest.skip("the librosa peer was not run: librosa is not installed")
    assert case["ways"]["librosa"]["cost"] == 1


def test_busy(ask: Ask) -> None:
    cases = ask("busy")["cases"]
    assert [(case["facts"]["version"], case["facts"]["busy"]) for case in cases] == [
        ("now", 0),
        ("now", 2),
        ("before", 0),
        ("before", 2),
    ]
    for case in cases:
        sound(case)
        assert case["stages"]["network"] > 0


def test_listening(ask: Ask) -> None:
    if find_spec("librosa") is None:
        pytest.skip("mixes were not compared: librosa is not installed")
    row = ask("listening")["compared"]["now"]
    assert row["failure"] is None
    assert row["even_peak"] == 0
    assert row["within"] > row["between"]
    assert max(row["most_buzz_db"]) < 6


def test_stages(ask: Ask) -> None:
    result = ask("stages")
    told = [(case["facts"]["made"], case["facts"]["version"]) for case in result["cases"]]
    assert told == [(made, version) for version in ("now", "before") for made in OPTIONS]
    for case in result["cases"]:
        sound(case)
        assert case["stages"]["network"] > 0
    if not result["budgets"]:
        pytest.skip("CPU seconds by kind: there is no perf here, or it may not watch")
    for budget in result["budgets"]:
        assert 0 < budget["work_share"] < 1
        assert budget["cpu_seconds"]["convolution"] > 0


def test_together(ask: Ask) -> None:
    cases = ask("together")["cases"]
    assert len(cases) == 4
    assert not any(case["failure"] for case in cases)


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_another_version_is_a_folder_or_a_commit(tmp_path: Path) -> None:
    with versions_of(str(tmp_path)) as checkouts:
        assert checkouts == {"now": BENCHMARKS.parent, "before": tmp_path}
    with pytest.raises(SystemExit, match="neither a folder nor a commit"), versions_of("no-such-commit"):
        pass
    if not commit():
        pytest.skip("not a repository: there is no commit to take")
    with versions_of("HEAD") as checkouts:
        assert (checkouts["before"] / "netsounds_stream/__init__.py").is_file()


def test_gpu(folder: Path, weights_file: Path) -> None:
    command = [
        sys.executable,
        BENCHMARKS / "gpu.py",
        "--smoke",
        "--results",
        folder,
        "--weights",
        weights_file,
    ]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if "not measured" in done.stdout:
        assert not (folder / "gpu.json").exists()
        pytest.skip(done.stdout.strip())
    for case in json.loads((folder / "gpu.json").read_text())["passes"]:
        assert case["failure"] is None
        assert case["error"] < 5e-2


def test_a_smoke_run_cannot_replace_results() -> None:
    command = [sys.executable, BENCHMARKS / "fft.py", "--smoke"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--results" in done.stderr


# --- the page, out of what the questions above left


def test_the_page(folder: Path, tmp_path: Path) -> None:
    results = read_results(folder)
    if set(SECTIONS) - set(results) - {"gpu"}:
        pytest.skip("the questions' tests were not run before this one")
    write_page(["--results", str(folder), "--page", str(tmp_path / "RESULTS.md")])
    page = (tmp_path / "RESULTS.md").read_text()
    for title, _ in SECTIONS.values():
        assert f"\n## {title}\n" in page
    for name in ("memory", "time", "stages"):
        assert f"(plots/{name}.png)" in page
        assert (tmp_path / "plots" / f"{name}.png").stat().st_size > 10_000
    assert "None" not in page
    values = {target.key: target.value(results) for target in TARGETS}
    for key in ("forward", "photograph", "photograph, memory", "flow", "start-up"):
        value = values[key]
        assert value is not None and value > 0, key
    assert values["gigapixel"] is None, "a smoke run measures no gigapixel"


def test_an_empty_page_says_so(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    write_page(["--results", str(tmp_path / "none"), "--page", str(tmp_path / "RESULTS.md")])
    page = (tmp_path / "RESULTS.md").read_text()
    assert page.count("Not measured.") == len(SECTIONS) + 1
    assert page.count("not measured") == len(TARGETS)


def test_the_readmes_headline_is_the_pages() -> None:
    readme = (BENCHMARKS.parent / "README.md").read_text(encoding="utf-8")
    line = readme.split(HEADLINE_FROM)[1].split(HEADLINE_TO)[0].strip()
    assert line and line in (BENCHMARKS / "RESULTS.md").read_text(encoding="utf-8")
