"""docs/deploy.md and the Dockerfile: what they name is there, and every command in them is one.

Neither needs a container engine, SSH, Kubernetes or Slurm: how far those were tried, the page says.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from distributed.cli import dask_scheduler, dask_ssh, dask_worker

from netsounds_stream.cli.commands import cli
from netsounds_stream.cluster.dask_cluster import check_address
from tests.helpers.reference import ROOT

pytestmark = pytest.mark.docs

PAGE = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DASK = {"scheduler": dask_scheduler.main, "ssh": dask_ssh.main, "worker": dask_worker.main}
#: The end of what belongs to a command.
ENDS = {"&", "&&", "|", ";"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


OBJECTS: list[dict[str, Any]] = [each for block in blocks("yaml") for each in yaml.safe_load_all(block)]


def containers() -> Iterator[dict[str, Any]]:
    """Of all objects' pods."""
    for each in OBJECTS:
        spec = each["spec"]
        for holder in (spec.get("scheduler"), spec.get("worker"), spec.get("template")):
            if holder is not None:
                yield from holder["spec"]["containers"]


def commands() -> Iterator[list[str]]:
    """Program, subcommand and what follows, of each command of ours or Dask's on the page."""
    for container in containers():
        yield container.get("command") or ["netsounds-stream", *container["args"]]
    for line in PAGE.replace("\\\n", " ").splitlines():
        if "netsounds-stream" not in line and "dask " not in line:
            continue
        if not re.match(r" {4}\S|ExecStart=|\S.*\bdask \w+ --|\S+=\S+ netsounds-stream |dask ", line):
            continue  # prose
        words = shlex.split(line.removeprefix("ExecStart="), comments=True)
        if words[:2] == ["docker", "run"]:
            program = "dask" if "--entrypoint" in words else "netsounds-stream"
            yield [program, *words[words.index("netsounds-stream") + 1 :]]
            continue
        for number, word in enumerate(words[:-1]):
            program, subcommand = Path(word).name, words[number + 1]
            if program in ("dask", "netsounds-stream") and subcommand in {**DASK, **cli.commands}:
                rest = words[number:]
                ends = [at for at, each in enumerate(rest) if each in ENDS]
                yield [program, *rest[1 : min(ends, default=None)]]


COMMANDS = [each for each in commands() if each[1] != "..."]


def test_the_page_has_commands() -> None:
    assert {program for program, *_ in COMMANDS} == {"dask", "netsounds-stream"}
    assert {words[0] for program, *words in COMMANDS if program == "dask"} == set(DASK)
    assert len(COMMANDS) >= 15


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_is_taken(command: list[str]) -> None:
    program, name, *words = command
    if program == "dask":
        # Dask hands unknown options on, to preloaded modules: so their names are looked up.
        parameters = DASK[name].params
        known = {option for each in parameters for option in (*each.opts, *each.secondary_opts)}
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        assert given <= known
        assert name == "scheduler" or ("--nthreads" in given and "--memory-limit" in given)
        return
    with cli.commands[name].make_context(name, words) as context:
        if (address := context.params["cluster"]) and not address.startswith("$"):
            check_address(address)


def test_the_cluster_on_kubernetes_hangs_together() -> None:
    kinds = {each["kind"]: each for each in OBJECTS}
    cluster, job = kinds["DaskCluster"], kinds["Job"]
    name = cluster["metadata"]["name"]
    images = {each["image"] for each in containers()}
    assert images == {f"registry.example/netsounds-stream:{PROJECT['version']}"}
    scheduler = cluster["spec"]["scheduler"]
    assert scheduler["service"]["selector"]["dask.org/cluster-name"] == name
    [container] = scheduler["spec"]["containers"]
    ports = {each["name"] for each in container["ports"]}
    assert {each["targetPort"] for each in scheduler["service"]["ports"]} == ports
    claim = kinds["PersistentVolumeClaim"]["metadata"]["name"]
    for spec in (cluster["spec"]["worker"]["spec"], job["spec"]["template"]["spec"]):
        volumes = {each["name"]: each for each in spec["volumes"]}
        assert volumes["shared"]["persistentVolumeClaim"]["claimName"] == claim
        assert {each["name"] for each in spec["containers"][0]["volumeMounts"]} == set(volumes)
    [command] = job["spec"]["template"]["spec"]["containers"]
    assert f"--cluster=tcp://{name}-scheduler:8786" in command["args"]
    rule = kinds["NetworkPolicy"]["spec"]
    assert rule["podSelector"]["matchLabels"]["dask.org/cluster-name"] == name
    allowed = [each.get("podSelector", {}).get("matchLabels") for each in rule["ingress"][0]["from"]]
    assert job["spec"]["template"]["metadata"]["labels"] in allowed


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_the_batch_script_is_one(tmp_path: Path) -> None:
    [script] = blocks("bash")
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    [waits] = re.findall(r"python -c '(.*?)'", script, re.DOTALL)
    compile(waits, "waits", "exec")


def context_has(path: str) -> bool:
    """Whether the file goes into the build's context: the last line of .dockerignore that fits it says so."""
    parts = Path(path).parts
    above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    has = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        everywhere = pattern.removeprefix("**/")
        named = [Path(each).name if everywhere != pattern else each for each in above]
        if any("/" not in each and fnmatch.fnmatch(each, everywhere) for each in named):
            has = line.startswith("!")
    return has


def test_the_build_gets_what_it_copies_and_no_more() -> None:
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    sources = {source for line in lines for source in line.split()[:-1]}
    assert sources == {"README.md", "LICENSE", "constraints.txt", "pyproject.toml", "netsounds_stream"}
    for source in sources:
        assert (ROOT / source).exists()
        assert context_has(source)
    for path in (ROOT / "netsounds_stream").rglob("*"):
        inside = str(path.relative_to(ROOT))
        assert context_has(inside) == ("__pycache__" not in inside), inside
    for left_out in (
        ".git/config",
        "tests/conftest.py",
        "docs/deploy.md",
        "photo.jpg",
        "pip.conf",
        ".env",
    ):
        assert not context_has(left_out)


def test_the_image_is_as_the_project_says(tmp_path: Path) -> None:
    assert f'image.version="{PROJECT["version"]}"' in DOCKERFILE
    assert f'image.licenses="{PROJECT["license"]}"' in DOCKERFILE
    [entry] = re.findall(r'^ENTRYPOINT \["(.+)"\]$', DOCKERFILE, re.MULTILINE)
    assert entry in PROJECT["scripts"]
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["netsounds"]
    [extras] = re.findall(r"^ARG EXTRAS=(.*)$", DOCKERFILE, re.MULTILINE)
    # the build's own reading of pyproject.toml
    [code] = re.findall(r'python3 -c "(.+)"\s+"\$\{EXTRAS\}"', DOCKERFILE)
    done = subprocess.run(
        [sys.executable, "-c", code, extras], capture_output=True, text=True, check=True, cwd=ROOT
    )
    wanted = [*PROJECT["dependencies"]]
    for extra in extras.split(","):
        wanted += PROJECT["optional-dependencies"][extra]
    assert done.stdout.splitlines() == wanted


def test_the_sizes_are_those_of_the_image() -> None:
    """The page's and the Dockerfile's, which both are of one `make image`."""
    sizes = re.findall(r"\d+ MB|[\d.]+ GB", DOCKERFILE.split("ARG", 1)[0])
    assert len(sizes) >= 4
    for size in sizes:
        assert size in PAGE, size
