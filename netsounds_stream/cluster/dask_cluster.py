"""A Dask cluster for a while: one that runs somewhere, or one of this machine's own processes.

Where work is done, how it is shared out and what happens when a worker dies is Dask's affair. Here is how a
cluster is named, what is asked of it, and how its errors are told.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from ..base.progress import Stop
from ..errors import ClusterError, NetsoundsError, OptionError, Stopped
from .compatibility import own_processor, own_versions, require_own_versions, require_versions

if TYPE_CHECKING:
    from distributed import Client, Future

T = TypeVar("T")
R = TypeVar("R")
Gathered = concurrent.futures.Future[Any]

_LOCAL = re.compile(r"local(?::([1-9]\d{0,3}))?")
_REMOTE = re.compile(r"(tcp|tls)://[^\s/]+:\d+/?")
# How long a scheduler may take to answer, and how often a wait looks whether it was asked to stop.
_PATIENCE, _LOOK_UP_SECONDS = "10s", 0.5
# Of workers begun here: one heap for all threads, see `machine.tune_heap`, which comes too late for threads
# that are there already.
_ENVIRONMENT, _HEAP = "distributed.nanny.pre-spawn-environ.MALLOC_ARENA_MAX", "1"
_GONE = "the cluster cancelled the work or cannot be reached; continue with --resume when it is back"
# Tasks whose workers die are given out again so often; Dask's own limit is for each time.
_LIVES = 8


def check_address(address: str) -> str:
    """The address, if it is one.

    Raises:
        OptionError: it is not.
    """
    if _LOCAL.fullmatch(address) or _REMOTE.fullmatch(address):
        return address
    raise OptionError(
        f"--cluster {address} is no address of a cluster; give local, local:4, tcp://HOST:PORT or "
        "tls://HOST:PORT"
    )


def is_local(address: str) -> bool:
    """Whether the cluster is one that is made here, for a while."""
    return _LOCAL.fullmatch(address) is not None


class Cluster:
    """A connected cluster, until it is closed.

    Attributes:
        processors: of the workers that have ended items.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._versions: Mapping[str, str] = {}
        self.processors = set[str]()

    @property
    def workers(self) -> int:
        """How many there are now."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    @property
    def threads(self) -> int:
        """How many items they can work on at a time now; workers come and go."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return max(1, sum(int(each["nthreads"]) for each in workers))

    def require_same_versions(self) -> None:
        """Have work done by workers of this process's versions only: see `agreement`.

        Those that are there are asked now; those that come later look when they are given an item.

        Raises:
            ClusterError: a worker has others.
        """
        self._versions, found = own_versions(), dict[str, dict[str, str | None]]()
        # by the standard library alone, in one call: what a worker has of this package may be of any age
        asked = map(version, self._versions)
        for place, there in self._client.run(list, asked, on_error="return").items():
            if isinstance(there, PackageNotFoundError):
                found[place] = {there.name: None}
            elif isinstance(there, list):  # else it could not be reached
                found[place] = dict(zip(self._versions, there, strict=True))
        require_versions(self._versions, found)

    def each(
        self, work: Callable[[T], R], items: Iterable[T], *, name: str, stop: Stop
    ) -> Generator[tuple[T, R | NetsoundsError]]:
        """Every item with what `work` gave for it, or with the error that a user can mend, as they end.

        An item whose worker died is worked on again by another; all are, where the scheduler could not be
        reached and is back soon. Items are taken as workers come free.

        Args:
            name: what a task is called on Dask's pages.

        Raises:
            Stopped: it was asked; what had not begun is not begun any more.
            ClusterError: the cluster is gone.
        """
        pending: dict[Gathered, tuple[T, int, Future]] = {}
        ended: SimpleQueue[Gathered] = SimpleQueue()

        def give(item: T, lives: int) -> None:
            if self._client.status == "closed":
                raise ClusterError(_GONE)
            key = f"{name}-{os.urandom(8).hex()}"
            future = self._client.submit(_guarded, work, item, self._versions, pure=False, key=key)
            # each by itself: one that lies on a host that was cut off just now comes when Dask gives that up
            loop = self._client.loop.asyncio_loop
            gathered: Gathered = asyncio.run_coroutine_threadsafe(_gathered(future), loop)
            pending[gathered] = item, lives, future
            gathered.add_done_callback(ended.put)

        waiting = iter(items)
        try:
            while True:
                # some more than can be worked on at once: a worker that is free finds the next one there
                for item in islice(waiting, max(0, 2 * self.threads - len(pending))):
                    give(item, _LIVES)
                if not pending:
                    return
                gathered = _next(ended, stop)
                item, lives, _ = pending.pop(gathered)
                found = self._outcome(gathered, stop)
                if isinstance(found, _Lost) and lives > 1:
                    give(item, lives - 1)
                elif isinstance(found, _Lost):
                    yield item, found
                else:
                    processor, result = found
                    self.processors.add(processor)
                    yield item, result
        finally:
            if self._client.status == "running":  # else Dask has done that
                self._client.cancel([future for _, _, future in pending.values()])

    def in_order(
        self,
        work: Callable[[T], R],
        items: Sequence[T],
        *,
        name: str,
        stop: Stop,
        on_end: Callable[[T, R], None],
    ) -> Generator[R]:
        """What `work` gave for each item, in their order, though they end in any.

        Args:
            on_end: told of each when it ends.

        Raises:
            NetsoundsError: the first that an item ended with.
        """
        arrived, following = dict[int, R](), 0
        numbered = self.each(partial(_numbered, work), list(enumerate(items)), name=name, stop=stop)
        with closing(numbered) as ended:
            for (number, item), found in ended:
                if isinstance(found, NetsoundsError):
                    raise found
                on_end(item, found)
                arrived[number] = found
                while following in arrived:
                    yield arrived.pop(following)
                    following += 1

    def _outcome(self, gathered: Gathered, stop: Stop) -> Any:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError
        from distributed.comm import CommClosedError

        try:
            return gathered.result()
        except KilledWorker as error:
            return _Lost(
                f"workers died several times at this task, last the one at {error.last_worker.address}; "
                "see its log, or give it more memory"
            )
        except (FutureCancelledError, CommClosedError) as error:
            if self._is_back(stop):
                return _Lost(_GONE)
            raise ClusterError(_GONE) from error

    def _is_back(self, stop: Stop) -> bool:
        """Whether the scheduler is to be reached: where it was not, Dask tries again for a while."""
        while self._client.status == "connecting":
            if stop.asked:
                raise Stopped
            time.sleep(_LOOK_UP_SECONDS)
        return bool(self._client.status == "running")


class _Lost(ClusterError):
    """An item whose worker died, or that the scheduler does not know of any more: it may be given again."""


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """The cluster at `address` ('tcp://HOST:PORT', 'tls://HOST:PORT'), or one of this machine's processes
    ('local', a process a core; 'local:N').

    TLS takes its certificates from Dask's own settings (`distributed.comm.tls`).

    Raises:
        OptionError: it is no address, or Dask is not installed.
        ClusterError: nothing answers there, or it has no workers.
    """
    check_address(address)
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise OptionError(
            f"--cluster needs Dask ({error.name} is not installed); install it with: "
            f"pip install 'netsounds-stream[cluster]'"
        ) from error
    with ExitStack() as stack:
        # the plan bounds memory; Dask's own bounds would kill what keeps to it
        settings = {"distributed.comm.timeouts.connect": _PATIENCE, _ENVIRONMENT: _HEAP}
        stack.enter_context(dask.config.set(settings))
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        if (local := _LOCAL.fullmatch(address)) is not None:
            count = int(local[1] or _cores())
            stack.callback(_restore, dict(os.environ))  # Dask sets its workers' here, too
            made = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address=":0",  # wherever there is room
                silence_logs=logging.CRITICAL,
            )
            client = stack.enter_context(Client(stack.enter_context(made)))
        else:
            try:
                client = stack.enter_context(Client(address, timeout=_PATIENCE))
            # RuntimeError: Dask's settings want encryption, and the address has none
            except (OSError, ValueError, TypeError, RuntimeError) as error:
                raise ClusterError(
                    f"no cluster answers at {address} ({error}); start its scheduler, or give another address"
                ) from error
        cluster = Cluster(client)
        if not cluster.workers:
            raise ClusterError(f"the cluster at {address} has no workers; start some")
        yield cluster


def _restore(environment: dict[str, str]) -> None:
    """Put this process's variables back."""
    for name in os.environ.keys() - environment:
        del os.environ[name]
    os.environ.update(environment)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _numbered(work: Callable[[T], R], item: tuple[int, T]) -> R:
    return work(item[1])


def _guarded(work: Callable[[T], R], item: T, versions: Mapping[str, str]) -> tuple[str, R | NetsoundsError]:
    """On a worker: its processor, and what `work` gave.

    What users can mend comes back as a value: Dask would take the rest of the batch down with it.
    """
    try:
        require_own_versions(versions)
        return own_processor(), work(item)
    except NetsoundsError as error:
        return own_processor(), error


async def _gathered(future: Future) -> Any:
    """On the client's own loop: the result, once it is here."""
    return await future


def _next(ended: SimpleQueue[Gathered], stop: Stop) -> Gathered:
    """The next to end."""
    while True:
        if stop.asked:
            raise Stopped
        with contextlib.suppress(Empty):
            return ended.get(timeout=_LOOK_UP_SECONDS)
