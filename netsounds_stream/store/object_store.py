"""A folder of objects under a URL: put, read by ranges, list, delete. Nothing here knows what they hold.

Requests, retries with back-off, multipart uploads and time limits are obstore's. Its errors quote the
server's answer, which may hold keys and tokens; here they are reduced to a status and an error code.
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

#: A large file is uploaded in parts of this size, or larger ones if there would be too many.
PART_BYTES = 8 << 20
PARTS_AT_ONCE = 2
_MOST_PARTS = 10_000  # S3's limit for an object
#: Bytes that a seekable reader fetches at a time.
READER_BYTES = 4 << 20
# How often a failed request is repeated, and for how long; how long a connection may be silent.
_RETRIES = 10
_RETRY_SECONDS = 180
_TIMEOUT = "60s"
_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 15
_RETRIES_VARIABLE = "NETSOUNDS_STORE_RETRIES"

# Keys of an AWS profile, and those that need AWS' own library.
_KEYS = ("access_key_id", "secret_access_key", "session_token")
_BEYOND_KEYS = ("sso_session", "sso_start_url", "role_arn", "credential_process", "login_session")


class _BrokenOffError(RemoteError):
    """An answer that broke off after a good beginning."""


class ObjectFolder:
    """The objects under a URL, by names with '/' between their parts.

    Args:
        url: the URL. No request is made before an object is asked for.

    Attributes:
        url: the URL without secrets and without a slash at its end.

    Raises:
        OptionError: obstore is not installed, or the URL or the environment's settings cannot be used.
    """

    def __init__(self, url: str) -> None:
        self.url = redacted(url).rstrip("/")
        self._obstore = _library(self.url)
        self._store = _opened(url, self.url)

    def for_zarr(self, name: str) -> Any:
        """Return a zarr store for reading the array at `name`."""
        from zarr.storage import ObjectStore

        scheme, _, rest = self.url.partition("://")
        return ObjectStore(_opened(f"{scheme}://{rest}/{name}", self.url), read_only=True)

    def put(self, name: str, content: bytes) -> None:
        """Put an object in one request; it is acknowledged when this returns."""
        self._request("put", name, lambda: self._obstore.put(self._store, name, content, use_multipart=False))

    def put_file(self, name: str, path: Path, cancelled: Callable[[], bool]) -> None:
        """Upload a file as one object, in parts if it is large.

        Args:
            name: the object's name.
            path: the file.
            cancelled: called before each part; returns True to give up.

        Raises:
            Stopped: the upload was cancelled.
        """
        size = path.stat().st_size
        part_bytes = max(PART_BYTES, -(-size // _MOST_PARTS))
        if size <= part_bytes:
            self.put(name, path.read_bytes())
            return
        stopped = False

        def parts(file: IO[bytes]) -> Iterator[bytes]:
            nonlocal stopped
            while piece := file.read(part_bytes):
                if stopped := cancelled():
                    raise Stopped
                yield piece

        sizes = {"chunk_size": part_bytes, "max_concurrency": PARTS_AT_ONCE}
        with path.open("rb") as file:

            def send() -> Any:
                file.seek(0)
                return self._obstore.put(self._store, name, parts(file), **sizes)

            try:
                self._request("put", name, send)
            except RemoteError:
                if stopped:
                    raise Stopped from None
                raise

    def get(self, name: str) -> bytes | None:
        """Return the whole content of an object; None if there is none."""
        try:
            return bytes(self._request("read", name, lambda: self._obstore.get(self._store, name).bytes()))
        except FileNotFoundError:
            return None

    def get_range(self, name: str, start: int, stop: int) -> bytes:
        """Return the bytes of an object from `start` to `stop`.

        Raises:
            FileNotFoundError: there is no such object.
        """
        if stop <= start:
            return b""
        return bytes(
            self._request(
                "read", name, lambda: self._obstore.get_range(self._store, name, start=start, end=stop)
            )
        )

    def tail(self, name: str, count: int) -> tuple[bytes, int]:
        """Read the end of an object.

        Returns:
            The last `count` bytes, or all of a shorter object, and the object's length.

        Raises:
            FileNotFoundError: there is no such object.
        """

        def read() -> tuple[bytes, int]:
            answer = self._obstore.get(self._store, name, options={"range": {"suffix": count}})
            return bytes(answer.bytes()), int(answer.meta["size"])

        return self._request("read", name, read)

    def stream(
        self, name: str, start: int = 0, etag: str | None = None
    ) -> tuple[Mapping[str, Any], Iterator[bytes]]:
        """Read an object piece by piece.

        Args:
            name: the object's name.
            start: first byte to read.
            etag: entity tag of the object whose first bytes were read earlier.

        Returns:
            The object's metadata (`size`, `e_tag`), and an iterator over its bytes from `start` on.

        Raises:
            FileNotFoundError: there is no such object.
            ValueError: its entity tag is another one: the object has changed.
        """
        options: dict[str, Any] = {}
        if start:
            options = {"range": {"offset": start}, "if_match": etag}
        answer = self._request("read", name, lambda: self._obstore.get(self._store, name, options=options))

        def pieces() -> Iterator[bytes]:
            content = iter(answer.stream(min_chunk_size=1 << 20))
            shown = f"{self.url}/{name}"
            while (piece := _translating("read", shown, lambda: next(content, None))) is not None:
                yield bytes(piece)

        return answer.meta, pieces()

    def reader(self, name: str) -> Any:
        """Open an object as a seekable file for reading."""
        return self._request(
            "read", name, lambda: self._obstore.open_reader(self._store, name, buffer_size=READER_BYTES)
        )

    def listed(self, prefix: str = "", most: int | None = None) -> dict[str, int]:
        """List the objects under `prefix`.

        Args:
            prefix: the first parts of their names; '' lists all.
            most: about how many to list at most.

        Returns:
            Their lengths in bytes, by name.
        """

        def read() -> dict[str, int]:
            lengths: dict[str, int] = {}
            for batch in self._obstore.list(self._store, prefix or None):
                lengths |= {str(entry["path"]): int(entry["size"]) for entry in batch}
                if most is not None and len(lengths) >= most:
                    break
            return lengths

        return self._request("list", prefix, read)

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; missing ones are ignored."""
        if listed := list(names):
            with contextlib.suppress(FileNotFoundError):
                self._request("delete", "", lambda: self._obstore.delete(self._store, listed))

    def _request(self, verb: str, name: str, send: Callable[[], T]) -> T:
        """Send a request, repeat it where its answer breaks off, and translate obstore's errors.

        obstore itself repeats failed requests, but not those whose answer, such as a listing, breaks off.

        Args:
            verb: 'put', 'read', 'list' or 'delete', for errors.
            name: the object's name.
            send: sends the request.

        Returns:
            What `send` returns.
        """
        shown = f"{self.url}/{name}".rstrip("/")
        for tried in range(_retries()):
            try:
                return _translating(verb, shown, send)
            except _BrokenOffError:
                time.sleep(min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2**tried))
        return _translating(verb, shown, send)


def _translating(verb: str, shown: str, send: Callable[[], T]) -> T:
    """Call `send`, and raise its errors without the server's text."""
    failure: Exception | None = None
    try:
        return send()
    except NetsoundsError:
        raise
    except Exception as error:  # noqa: BLE001  (translated below, outside, so that its text goes no further)
        failure = error
    raise _translated(failure, verb, shown)


def _translated(error: Exception, verb: str, shown: str) -> Exception:
    """Translate an error of obstore into one without the server's text.

    Args:
        error: the error.
        verb: 'put', 'read', 'list' or 'delete'.
        shown: the object's URL without secrets.

    Returns:
        FileNotFoundError for a missing object, ValueError for a changed one, else RemoteError.
    """
    text = str(error)
    code = match[1] if (match := re.search(r"<Code>(\w{1,40})</Code>", text)) else ""
    status = match[1] if (match := re.search(r"status code: (\d{3})", text)) else ""
    kind = type(error).__name__
    if code == "NoSuchBucket":
        return RemoteError(
            f"{shown} cannot be {_participle(verb)}: there is no such bucket; make it, or check its name"
        )
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(f"there is no {shown}")
    if kind == "PreconditionError":
        return ValueError(f"{shown} has changed")
    if kind in ("PermissionDeniedError", "UnauthenticatedError") or code == "ExpiredToken":
        if url_scheme(shown) in WEB:
            return RemoteError(
                f"{shown} is refused ({status or 'no permission'}); if its URL has a signature or a "
                "password, give the whole URL again, with --resume if the run was started"
            )
        return RemoteError(
            f"{shown} cannot be {_participle(verb)}: it is refused ({code or status or 'no permission'}); "
            f"check the credentials in the environment, and what they allow"
        )
    if "169.254.169.254" in text or ("metadata" in text.lower() and "token" in text.lower()):
        return RemoteError(
            f"{shown} cannot be {_participle(verb)}: there are no credentials; set AWS_ACCESS_KEY_ID and "
            f"AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public bucket"
        )
    if "response body" in text.partition("\n")[0]:
        return _BrokenOffError(
            f"{shown} cannot be {_participle(verb)}: its answers break off; try again later"
        )
    tries = 1 + int(match[1]) if (match := re.search(r"after (\d+) retries", text)) else 1
    cause = " ".join(filter(None, (status, code))) or _connection_failure(text)
    return RemoteError(
        f"{shown} cannot be {_participle(verb)}: {cause}, after {tries} {'tries' if tries > 1 else 'try'}; "
        f"try again when it answers"
    )


def _participle(verb: str) -> str:
    return {"put": "written", "list": "listed", "delete": "deleted"}.get(verb, verb)


def _connection_failure(text: str) -> str:
    """Name the cause of a failed connection from an error's text."""
    lowered = text.lower()
    if "timed out" in lowered or ("timeout" in lowered and "kind: timeout" in lowered):
        return "no answer in time"
    if "dns error" in lowered or "failed to lookup" in lowered:
        return "its server's name is not known"
    return "no connection" if "http error" in lowered else "its answer is not understood"


def _library(url: str) -> Any:
    """Import obstore, which only URLs need."""
    try:
        import obstore
    except ImportError as error:
        raise OptionError(
            f"{url} needs {error.name}, which is not installed; install it with: "
            f"pip install 'netsounds-stream[remote]'"
        ) from error
    return obstore


def _opened(url: str, shown: str) -> Any:
    """Open obstore's store for a URL; `shown` is the URL without secrets."""
    scheme = url_scheme(url)
    parts = urlsplit(url)
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
    except Exception as error:  # noqa: BLE001  (its text may quote a setting)
        failure = type(error).__name__
    raise OptionError(f"{shown} cannot be opened ({failure}); check it, and the environment's settings")


def _store_of(scheme: str, url: str, bucket: str, prefix: str) -> Any:
    """Construct the store of a scheme; credentials and endpoints come from the environment."""
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
        return S3Store(
            bucket, prefix=prefix or None, client_options=client, retry_config=retry, **_aws_credentials()
        )
    kind = GCSStore if scheme == "gs" else AzureStore
    return kind(bucket, prefix=prefix or None, client_options=client, retry_config=retry)


def _retries() -> int:
    """Return how often a failed request is repeated, by default or by the environment."""
    word = os.environ.get(_RETRIES_VARIABLE, str(_RETRIES))
    if not re.fullmatch(r"[0-9]{1,3}", word):
        raise OptionError(
            f"{_RETRIES_VARIABLE} is not a number; set how often a request is tried again, such as 10"
        )
    return int(word)


def _aws_credentials() -> dict[str, Any]:
    """Read AWS' configuration files (`~/.aws`) if the environment holds no credentials.

    Returns:
        Keyword arguments for `S3Store`: keys and region as `config`, or a `credential_provider`.

    Raises:
        OptionError: a file cannot be read, or the profile needs boto3, which is not installed.
    """
    environment = os.environ
    sources = (
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_SKIP_SIGNATURE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    )
    if any(environment.get(name) for name in sources):
        return {}
    profile = environment.get("AWS_PROFILE") or "default"
    settings = _aws_profile(profile)
    config = {name: settings[f"aws_{name}"] for name in _KEYS if f"aws_{name}" in settings}
    if "access_key_id" not in config and any(name in settings for name in _BEYOND_KEYS):
        try:
            import boto3
            from obstore.auth.boto3 import Boto3CredentialProvider
        except ImportError as error:
            raise OptionError(
                f"the AWS profile {profile} does not hold plain keys, which needs boto3; install it with: "
                f"pip install boto3"
            ) from error
        return {"credential_provider": Boto3CredentialProvider(boto3.Session(profile_name=profile))}
    if "region" in settings and not (environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")):
        config["region"] = settings["region"]
    return {"config": config} if config else {}


def _aws_profile(profile: str) -> dict[str, str]:
    """Read the settings of an AWS profile from both of AWS' files; the credentials file has precedence."""
    settings: dict[str, str] = {}
    for variable, name, section in (
        ("AWS_CONFIG_FILE", "config", profile if profile == "default" else f"profile {profile}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile),
    ):
        file = configparser.RawConfigParser()
        try:
            file.read(os.environ.get(variable) or Path.home() / ".aws" / name)
        except (configparser.Error, OSError, ValueError) as error:  # its text would quote the keys
            raise OptionError(f"the file of AWS {name} cannot be read ({type(error).__name__})") from None
        if file.has_section(section):
            settings |= dict(file[section])
    return settings
