"""What does an object store's library take of the machine: obstore, or s3fs, at shards put and ranges got?

    python benchmarks/stores.py [--rounds 3]

Against a server on loopback in a process of its own; four requests at a time, as a run makes them. The server
is a Python one, and bounds what both can reach: the CPU time of the client is what tells them apart.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from question import parse, parser, write_result

SIZES, SMOKE_SIZES = (1 << 20, 4 << 20, 16 << 20), (1 << 16,)
OBJECTS, RANGES, RANGE_BYTES, AT_ONCE = 24, 200, 1 << 20, 4
LIBRARIES = ("obstore", "s3fs")
_SERVER = """
from moto.server import ThreadedMotoServer
import logging, sys
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


def client(library: str, endpoint: str) -> tuple[Callable[[str, bytes], Any], Callable[[str, int, int], Any]]:
    """How to put an object, and to get a range of one."""
    if library == "obstore":
        import obstore
        from obstore.store import S3Store

        store = S3Store("bucket", endpoint=endpoint, client_options={"allow_http": True})
        return (
            lambda name, content: obstore.put(store, name, content, use_multipart=False),
            lambda name, start, stop: bytes(obstore.get_range(store, name, start=start, end=stop)),
        )
    import s3fs

    system = s3fs.S3FileSystem(endpoint_url=endpoint)
    return (
        lambda name, content: system.pipe_file(f"bucket/{name}", content),
        lambda name, start, stop: system.cat_file(f"bucket/{name}", start=start, end=stop),
    )


def measured(library: str, endpoint: str, size: int, count: int, ranges: int) -> dict[str, Any]:
    """Seconds, and seconds of this process' CPU, for puts of `size` bytes and for ranges."""
    put, get = client(library, endpoint)
    content, length = os.urandom(size), min(size, RANGE_BYTES)
    put("warm", content)
    found: dict[str, Any] = {"library": library, "bytes": size}
    places = [(f"{at % count}", at * 4096 % (size - length + 1)) for at in range(ranges)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs: dict[str, tuple[Callable[[int], Any], int, int]] = {
            "put": (lambda at: put(str(at), content), count, size),
            "get": (lambda at: get(places[at][0], places[at][1], places[at][1] + length), ranges, length),
        }
        for name, (job, many, each) in jobs.items():
            began, cpu = time.perf_counter(), time.process_time()
            list(pool.map(job, range(many)))
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            found[f"{name}_bytes_per_second"] = many * each / seconds
            found[f"{name}_cpu_seconds_per_gigabyte"] = cpu / (many * each) * 1e9
    return found


def main() -> None:
    given = parse(parser(__doc__, rounds=3, weights=False))
    sizes = SMOKE_SIZES if given.smoke else SIZES
    count, ranges = (2, 4) if given.smoke else (OBJECTS, RANGES)
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}
    os.environ.update(keys)
    words = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        endpoint = f"http://127.0.0.1:{int(server.stdout.readline())}"
        import s3fs

        s3fs.S3FileSystem(endpoint_url=endpoint).mkdir("bucket")
        rows = []
        for size in sizes:
            for library in LIBRARIES:
                asked = [sys.executable, __file__, "--case", library, endpoint, size, count, ranges]
                said = [str(word) for word in asked]
                rounds = [json.loads(subprocess.check_output(said, text=True)) for _ in range(given.rounds)]
                best = {
                    name: (max if name.endswith("per_second") else min)(each[name] for each in rounds)
                    for name in rounds[0]
                    if name not in ("library", "bytes")
                }
                rows.append({"library": library, "bytes": size, **best})
        server.kill()
    write_result(given, "stores", {"at_once": AT_ONCE, "cases": rows})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        library, endpoint = sys.argv[2:4]
        print(json.dumps(measured(library, endpoint, *map(int, sys.argv[4:]))))
    else:
        main()
