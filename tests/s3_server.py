"""A server that speaks S3 on loopback, behind a proxy that fails as told. As a script it prints its port.

What the proxy is to do is put to `/__faults` as JSON: `rate` of requests that go wrong, by `seed`; `hold`:
the PUT of that number waits for ever, which `/__held` tells; `dead_after`: so many PUTs, 503 to all;
`refuse`: 403, with a text that repeats the secrets of the request, as S3 does.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import random
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY, SECRET, TOKEN = "AKIAQQSECRETQQKEYID", "qqsecretqqaccesskey", "qqsecretqqsessiontoken"
_SLOW_SECONDS = 0.1
_ANY_SIGNATURE = (
    "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)


class _Faults:
    def __init__(self) -> None:
        self.lock, self.held = threading.Lock(), threading.Event()
        self.told: dict[str, Any] = {}
        self.puts, self.log, self.random = 0, list[str](), random.Random(0)

    def tell(self, told: dict[str, Any]) -> None:
        with self.lock:
            self.told, self.puts, self.log = told, 0, []
            self.random = random.Random(told.get("seed", 0))
            self.held.clear()

    def next(self, method: str, where: str) -> str:
        with self.lock:
            self.puts += method == "PUT"
            fault = ""
            if self.told.get("refuse"):
                fault = "refuse"
            elif self.puts > self.told.get("dead_after", self.puts):
                fault = "slow down"
            elif method == "PUT" and self.puts == self.told.get("hold"):
                fault = "hold"
            elif self.random.random() < self.told.get("rate", 0):
                fault = self.random.choice(["error", "slow down", "slow", "drop", "cut"])
            self.log.append(f"{fault or 'ok'} {method} {where}")
            return fault


FAULTS = _Faults()


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behind = 0

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _any(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/__faults":
            FAULTS.tell(json.loads(content))
            return self._answer(200, b"")
        if self.path == "/__log":
            return self._answer(200, json.dumps(FAULTS.log).encode())
        if self.path == "/__held":
            FAULTS.held.wait()
            return self._answer(200, b"")
        where = [self.path.split("?")[0], self.headers.get("Range", "")]
        where += [each.decode() for each in re.findall(rb"<Key>([^<]+)", content)]  # deleted at once
        fault = FAULTS.next(self.command, " ".join(where))
        if fault == "hold":
            FAULTS.held.set()
            threading.Event().wait()
        if fault == "refuse":
            said = (
                f"{self.headers.get('Authorization')} {self.headers.get('X-Amz-Security-Token')} {self.path}"
            )
            body = (
                f"<Error><Code>ExpiredToken</Code><Message>{said}</Message><Token-0>{TOKEN}</Token-0></Error>"
            )
            return self._answer(403, body.encode())
        if fault in ("error", "slow down"):
            code = "InternalError" if fault == "error" else "SlowDown"
            return self._answer(
                500 if fault == "error" else 503, f"<Error><Code>{code}</Code></Error>".encode()
            )
        if fault == "drop":
            self.close_connection = True
            return None
        if fault == "slow":
            time.sleep(_SLOW_SECONDS)  # a slow answer, not a wait for something
        behind = http.client.HTTPConnection("127.0.0.1", self.behind)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        path = self.path
        if not self.headers.get("Authorization", "").startswith(
            "AWS4"
        ):  # by a signature that is not looked at
            path, headers["Authorization"] = path.split("?")[0], _ANY_SIGNATURE
        behind.request(self.command, path, content, headers)
        answer = behind.getresponse()
        body = answer.read()
        given = {
            n: v
            for n, v in answer.getheaders()
            if n.lower() not in ("connection", "transfer-encoding", "date", "server")
        }
        given.pop("content-length", None)
        given["Content-Length"] = answer.getheader("Content-Length") or str(len(body))
        if fault == "cut" and self.command == "GET" and len(body) > 1:
            self.close_connection = True
            body = body[: len(body) // 2]
        return self._answer(answer.status, body, given)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any


class Server:
    """A running one. `environment` is what a process needs to use it."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": TOKEN,
            "AWS_REGION": "us-east-1",
        }

    def faults(self, **told: Any) -> None:
        self._ask("PUT", "/__faults", json.dumps(told).encode())

    def log(self) -> list[str]:
        found: list[str] = json.loads(self._ask("GET", "/__log"))
        return found

    def held(self) -> None:
        """Wait until a PUT is held."""
        self._ask("GET", "/__held")

    def _ask(self, method: str, path: str, content: bytes | None = None) -> bytes:
        asked = urllib.request.Request(self.endpoint + path, data=content, method=method)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return bytes(answer.read())


@contextmanager
def serving() -> Iterator[Server]:
    """A server in a process of its own, with the bucket `bucket`."""
    words = [sys.executable, __file__]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            server = Server(int(process.stdout.readline()))
            server._ask("PUT", "/bucket", b"")
            yield server
        finally:
            process.kill()


def main() -> None:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    behind = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    behind.start()
    _Proxy.behind = behind.get_host_and_port()[1]
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    print(proxy.server_port, flush=True)
    proxy.serve_forever()


if __name__ == "__main__":
    main()
