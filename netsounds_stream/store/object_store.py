"""A folder of objects under a URL: put, got by ranges, listed, deleted. Nothing here knows what they hold.

Requests, retries with back-off, parts and time limits are obstore's. Its errors repeat what a server
answered, which may hold keys and tokens; here they become a status and an error code.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import unquote, urlsplit

from ..base.locations import STORES, WEB, has_secrets, redacted, url_scheme
from ..errors import NetsoundsError, OptionError, OutputError, RemoteError, Stopped

T = TypeVar("T")

#: Of a file that is put in parts: so many at a time, of so many bytes. S3 takes 10,000 parts of a file.
PART_BYTES, PARTS_AT_ONCE, _MOST_PARTS = 8 << 20, 2, 10_000
#: What a seekable reader fetches at a time.
READER_BYTES = 4 << 20
# How often a request is tried again, and for how long; the time a connection may say nothing.
_RETRIES, _RETRY_SECONDS, _TIMEOUT = 10, 180, "60s"
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 15
_TRIES_VARIABLE = "NETSOUNDS_STORE_RETRIES"

# What an AWS profile may hold that takes AWS' own library to be used.
_BEYOND_KEYS = ("sso_session", "sso_start_url", "role_arn", "credential_process", "login_session")


class _BrokenOffError(RemoteError):
    """An answer that began well."""


class ObjectFolder:
    """What lies under a URL, by names with '/' between their parts.

    Attributes:
        url: without what must stay secret, and without a slash at its end.
    """

    def __init__(self, url: str) -> None:
        """Open it; no request is made.

        Raises:
            OptionError: obstore is not installed, the URL cannot be used, or the environment's settings.
        """
        self.url = redacted(url).rstrip("/")
        self._obstore = _library(self.url)
        self._store = _opened(url, self.url)

    def for_zarr(self, name: str) -> Any:
        """What zarr reads the array at `name` through."""
        from zarr.storage import ObjectStore

        scheme, _, rest = self.url.partition("://")
        return ObjectStore(_opened(f"{scheme}://{rest}/{name}", self.url), read_only=True)

    def put(self, name: str, content: bytes) -> None:
        """As one object, in one request; acknowledged when this returns."""
        self._asked("put", name, lambda: self._obstore.put(self._store, name, content, use_multipart=False))

    def put_file(self, name: str, path: Path, cancelled: Callable[[], bool]) -> None:
        """A file's content as one object, in parts where it is long.

        Raises:
            Stopped: `cancelled` said, between two parts, that it has lost its sense.
        """
        size = path.stat().st_size
        part, stopped = max(PART_BYTES, -(-size // _MOST_PARTS)), False

        def parts(file: IO[bytes]) -> Iterator[bytes]:
            nonlocal stopped
            while piece := file.read(part):
                if stopped := cancelled():
                    raise Stopped
                yield piece

        if size <= part:
            self.put(name, path.read_bytes())
            return
        keys = {"chunk_size": part, "max_concurrency": PARTS_AT_ONCE}
        with path.open("rb") as file:

            def ask() -> Any:
                file.seek(0)
                return self._obstore.put(self._store, name, parts(file), **keys)

            try:
                self._asked("put", name, ask)
            except RemoteError:
                if stopped:
                    raise Stopped from None
                raise

    def get(self, name: str) -> bytes | None:
        """All of an object; None if there is none."""
        try:
            return bytes(self._asked("read", name, lambda: self._obstore.get(self._store, name).bytes()))
        except FileNotFoundError:
            return None

    def get_range(self, name: str, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop`.

        Raises:
            FileNotFoundError: there is no such object.
        """
        if stop <= start:
            return b""
        return bytes(
            self._asked(
                "read", name, lambda: self._obstore.get_range(self._store, name, start=start, end=stop)
            )
        )

    def tail(self, name: str, count: int) -> tuple[bytes, int]:
        """The last `count` bytes, fewer of a shorter object, and its length.

        Raises:
            FileNotFoundError: there is no such object.
        """

        def ask() -> tuple[bytes, int]:
            found = self._obstore.get(self._store, name, options={"range": {"suffix": count}})
            return bytes(found.bytes()), int(found.meta["size"])

        return self._asked("read", name, ask)

    def stream(
        self, name: str, start: int = 0, etag: str | None = None
    ) -> tuple[Mapping[str, Any], Iterator[bytes]]:
        """An object's metadata (`size`, `e_tag`) and its bytes from `start` on, a piece at a time.

        Args:
            etag: of the object whose first bytes are there already.

        Raises:
            FileNotFoundError: there is no such object.
            ValueError: it is another than the one of that `etag`.
        """
        options: dict[str, Any] = {}
        if start:
            options = {"range": {"offset": start}, "if_match": etag}
        found = self._asked("read", name, lambda: self._obstore.get(self._store, name, options=options))

        def pieces() -> Iterator[bytes]:
            left = iter(found.stream(min_chunk_size=1 << 20))
            while (piece := _told_of("read", f"{self.url}/{name}", lambda: next(left, None))) is not None:
                yield bytes(piece)

        return found.meta, pieces()

    def reader(self, name: str) -> Any:
        """An object as a file to read and seek in."""
        return self._asked(
            "read", name, lambda: self._obstore.open_reader(self._store, name, buffer_size=READER_BYTES)
        )

    def listed(self, prefix: str = "", most: int | None = None) -> dict[str, int]:
        """Names, with lengths in bytes, of what lies under `prefix`; only the first `most` of them."""

        def ask() -> dict[str, int]:
            found: dict[str, int] = {}
            for batch in self._obstore.list(self._store, prefix or None):
                found |= {str(each["path"]): int(each["size"]) for each in batch}
                if most is not None and len(found) >= most:
                    break
            return found

        return self._asked("list", prefix, ask)

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects; those that are not there do not matter."""
        if them := list(names):
            with contextlib.suppress(FileNotFoundError):
                self._asked("delete", "", lambda: self._obstore.delete(self._store, them))

    def _asked(self, verb: str, name: str, ask: Callable[[], T]) -> T:
        """What `ask` gives. Requests are tried again by obstore, but not where an answer breaks off that is
        no object's content (a listing, say): there it is asked anew here."""
        what = f"{self.url}/{name}".rstrip("/")
        for tried in range(_retries()):
            try:
                return _told_of(verb, what, ask)
            except _BrokenOffError:
                time.sleep(min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2**tried))
        return _told_of(verb, what, ask)


def _told_of(verb: str, what: str, ask: Callable[[], T]) -> T:
    failure: Exception | None = None
    try:
        return ask()
    except NetsoundsError:
        raise
    except Exception as error:  # noqa: BLE001  (told below, outside, so that its text goes no further)
        failure = error
    raise _told(failure, verb, what)


def _told(error: Exception, verb: str, what: str) -> Exception:
    """What obstore raised, without what the server said."""
    text = str(error)
    code = found[1] if (found := re.search(r"<Code>(\w{1,40})</Code>", text)) else ""
    status = found[1] if (found := re.search(r"status code: (\d{3})", text)) else ""
    kind = type(error).__name__
    if code == "NoSuchBucket":
        return RemoteError(
            f"{what} cannot be {_done(verb)}: there is no such bucket; make it, or check its name"
        )
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(f"there is no {what}")
    if kind == "PreconditionError":
        return ValueError(f"{what} has changed")
    if kind in ("PermissionDeniedError", "UnauthenticatedError") or code == "ExpiredToken":
        if url_scheme(what) in WEB:
            return RemoteError(
                f"{what} is refused ({status or 'no permission'}); if its URL has a signature or a "
                "password, give the whole URL again, with --resume if the run was started"
            )
        return RemoteError(
            f"{what} cannot be {_done(verb)}: it is refused ({code or status or 'no permission'}); check the "
            f"credentials in the environment, and what they allow"
        )
    if "169.254.169.254" in text or ("metadata" in text.lower() and "token" in text.lower()):
        return RemoteError(
            f"{what} cannot be {_done(verb)}: there are no credentials; set AWS_ACCESS_KEY_ID and "
            f"AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public bucket"
        )
    if "response body" in text.partition("\n")[0]:
        return _BrokenOffError(f"{what} cannot be {_done(verb)}: its answers break off; try again later")
    tries = 1 + int(found[1]) if (found := re.search(r"after (\d+) retries", text)) else 1
    why = " ".join(each for each in (status, code) if each) or _connection(text)
    return RemoteError(
        f"{what} cannot be {_done(verb)}: {why}, after {tries} {'tries' if tries > 1 else 'try'}; "
        f"try again when it answers"
    )


def _done(verb: str) -> str:
    return {"put": "written", "list": "listed", "delete": "deleted"}.get(verb, verb)


def _connection(text: str) -> str:
    lowered = text.lower()
    if "timed out" in lowered or ("timeout" in lowered and "kind: timeout" in lowered):
        return "no answer in time"
    if "dns error" in lowered or "failed to lookup" in lowered:
        return "its server's name is not known"
    return "no connection" if "http error" in lowered else "its answer is not understood"


def _library(url: str) -> Any:
    try:
        import obstore
    except ImportError as error:
        raise OptionError(
            f"{url} needs {error.name}, which is not installed; install it with: "
            f"pip install 'netsounds-stream[remote]'"
        ) from error
    return obstore


def _opened(url: str, shown: str) -> Any:
    scheme, parts = url_scheme(url), urlsplit(url)
    failure = ""
    if scheme in STORES and has_secrets(url):
        raise OptionError(
            f"{shown} has a password or a query; credentials are taken from the environment only"
        )
    if scheme not in (*STORES, *WEB):
        raise OptionError(f"{scheme}:// is not supported; give s3://, gs:// or az://")
    try:
        return _store_of(scheme, url, parts.netloc, unquote(parts.path).strip("/"))
    except (OptionError, OutputError):
        raise
    except Exception as error:  # noqa: BLE001  (its text may repeat a setting)
        failure = type(error).__name__
    raise OptionError(f"{shown} cannot be opened ({failure}); check it, and the environment's settings")


def _store_of(scheme: str, url: str, bucket: str, prefix: str) -> Any:
    from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

    retry: Any = {"max_retries": _retries(), "retry_timeout": timedelta(seconds=_RETRY_SECONDS)}
    client: Any = {"timeout": _TIMEOUT, "connect_timeout": "10s"}
    if scheme in WEB:
        client["allow_http"] = scheme == "http"
        return HTTPStore.from_url(url, client_options=client, retry_config=retry)
    if not bucket:
        raise OptionError(f"{scheme}:// names no bucket; give {scheme}://BUCKET/NAME")
    if scheme == "s3":
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
        if endpoint.startswith("http://"):
            client["allow_http"] = True
        return S3Store(bucket, prefix=prefix or None, client_options=client, retry_config=retry, **_aws())
    kind = GCSStore if scheme == "gs" else AzureStore
    return kind(bucket, prefix=prefix or None, client_options=client, retry_config=retry)


def _retries() -> int:
    word = os.environ.get(_TRIES_VARIABLE, str(_RETRIES))
    if not re.fullmatch(r"[0-9]{1,3}", word):
        raise OptionError(
            f"{_TRIES_VARIABLE} is not a number; set how often a request is tried again, such as 10"
        )
    return int(word)


def _aws() -> dict[str, Any]:
    """What the usual files say (`~/.aws`), where the environment gives no keys."""
    given = os.environ
    ways = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SKIP_SIGNATURE")
    if any(given.get(name) for name in (*ways, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")):
        return {}
    profile = given.get("AWS_PROFILE") or "default"
    said: dict[str, str] = {}
    for variable, name, section in (
        ("AWS_CONFIG_FILE", "config", profile if profile == "default" else f"profile {profile}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile),
    ):
        file = configparser.RawConfigParser()
        try:
            file.read(given.get(variable) or Path.home() / ".aws" / name)
        except (configparser.Error, OSError, ValueError) as error:  # it would be repeated with its keys
            raise OptionError(f"the file of AWS {name} cannot be read ({type(error).__name__})") from None
        said |= dict(file[section]) if file.has_section(section) else {}
    found = {name: said[f"aws_{name}"] for name in _KEYS if f"aws_{name}" in said}
    region = {} if given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION") else said
    config = {**found, **({"region": region["region"]} if "region" in region else {})}
    if "access_key_id" not in found and any(name in said for name in _BEYOND_KEYS):
        try:
            import boto3
            from obstore.auth.boto3 import Boto3CredentialProvider
        except ImportError as error:
            raise OptionError(
                f"the AWS profile {profile} does not hold plain keys, which needs boto3; install it with: "
                f"pip install boto3"
            ) from error
        return {"credential_provider": Boto3CredentialProvider(boto3.Session(profile_name=profile))}
    return {"config": config} if config else {}


_KEYS = ("access_key_id", "secret_access_key", "session_token")
