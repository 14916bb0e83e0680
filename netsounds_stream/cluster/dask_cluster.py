"""A connection to a Dask cluster: one that runs elsewhere, or one of this machine's own processes.

Dask decides where work is done, shares it out, and replaces workers that die. This module parses a cluster's
address, submits work, and turns Dask's errors into this package's.
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

from ..base.machine import safe_imports
from ..base.progress import Stop
from ..errors import ClusterError, NetsoundsError, OptionError, Stopped, first_line
from .compatibility import own_processor, own_versions, require_own_versions, require_versions

if TYPE_CHECKING:
    from distributed import Client, Future

T = TypeVar("T")
R = TypeVar("R")
Gathered = concurrent.futures.Future[Any]

_LOCAL = re.compile(r"local(?::([1-9]\d{0,3}))?")
_REMOTE = re.compile(r"(tcp|tls)://[^\s/]+:\d+/?")
# How long a scheduler may take to answer.
_PATIENCE = "10s"
# How often a wait checks for cancellation.
_POLL_SECONDS = 0.5
# Workers that are started here get one heap for all threads: `machine.tune_heap` runs too late for threads
# that exist already.
_HEAPS_SETTING = "distributed.nanny.pre-spawn-environ.MALLOC_ARENA_MAX"
_HEAPS = "1"
_GONE = "the cluster cancelled the work or cannot be reached; continue with --resume when it is back"
# How often an item whose worker dies is submitted; Dask's own limit counts within each.
_ATTEMPTS = 8


def check_address(address: str) -> str:
    """Check a cluster's address.

    Args:
        address: 'local', 'local:N', 'tcp://HOST:PORT' or 'tls://HOST:PORT'.

    Returns:
        The address as it is.

    Raises:
        OptionError: it is none of these.
    """
    if _LOCAL.fullmatch(address) or _REMOTE.fullmatch(address):
        return address
    raise OptionError(
        f"--cluster {address} is no address of a cluster; give local, local:4, tcp://HOST:PORT or "
        "tls://HOST:PORT"
    )


def is_local(address: str) -> bool:
    """Return whether an address names a cluster that is started on this machine for the run."""
    return _LOCAL.fullmatch(address) is not None


class Cluster:
    """A cluster that this process is connected to.

    Args:
        client: Dask's client of it, which the caller closes.

    Attributes:
        processors: names of the processors of the workers that have finished items.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._versions: Mapping[str, str] = {}
        self.processors = set[str]()

    @property
    def workers(self) -> int:
        """Number of workers at present."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    @property
    def threads(self) -> int:
        """Number of items that all workers can work on at a time at present; at least 1."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return max(1, sum(int(worker["nthreads"]) for worker in workers))

    def require_same_versions(self) -> None:
        """Accept only workers with this process's versions: see `compatibility`.

        Workers that are connected are asked now. Those that connect later check when they get an item.

        Raises:
            ClusterError: a worker has another version.
        """
        self._versions = own_versions()
        found: dict[str, dict[str, str | None]] = {}
        # by the standard library alone, in one call: a worker may have any version of this package, or none
        asked = map(version, self._versions)
        for address, answer in self._client.run(list, asked, on_error="return").items():
            if isinstance(answer, PackageNotFoundError):
                found[address] = {answer.name: None}
            elif isinstance(answer, list):  # else the worker could not be reached
                found[address] = dict(zip(self._versions, answer, strict=True))
        require_versions(self._versions, found)

    def as_completed(
        self, work: Callable[[T], R], items: Iterable[T], *, name: str, stop: Stop
    ) -> Generator[tuple[T, R | NetsoundsError]]:
        """Run `work` for every item on the workers, and yield results as they finish.

        An item whose worker dies is submitted again; so are all that were in flight, when the scheduler was
        out of reach and comes back. Items are taken from `items` as workers become free.

        Args:
            work: called with an item, on a worker. It and the items are pickled.
            items: the items; an iterator may be endless.
            name: begins the tasks' names on Dask's pages.
            stop: cancels the wait.

        Yields:
            An item with its result, or with an error that a user can fix.

        Raises:
            Stopped: the run was asked to stop; items that wait are not started.
            ClusterError: the cluster is gone.
        """
        pending: dict[Gathered, tuple[T, int, Future]] = {}
        finished: SimpleQueue[Gathered] = SimpleQueue()

        def submit(item: T, attempts: int) -> None:
            if self._client.status == "closed":
                raise ClusterError(_GONE)
            key = f"{name}-{os.urandom(8).hex()}"
            future = self._client.submit(_guarded, work, item, self._versions, pure=False, key=key)
            # Each result is gathered by itself: one on a host that has just been cut off arrives only when
            # Dask gives that host up, and would hold back the others.
            loop = self._client.loop.asyncio_loop
            gathered: Gathered = asyncio.run_coroutine_threadsafe(_gathered(future), loop)
            pending[gathered] = item, attempts, future
            gathered.add_done_callback(finished.put)

        waiting = iter(items)
        try:
            while True:
                # twice as many as can be worked on at once, so that a free worker has its next item already
                for item in islice(waiting, max(0, 2 * self.threads - len(pending))):
                    submit(item, _ATTEMPTS)
                if not pending:
                    return
                gathered = _next(finished, stop)
                item, attempts, _ = pending.pop(gathered)
                outcome = self._outcome(gathered, stop)
                if isinstance(outcome, _Lost) and attempts > 1:
                    submit(item, attempts - 1)
                elif isinstance(outcome, _Lost):
                    yield item, outcome
                else:
                    processor, result = outcome
                    self.processors.add(processor)
                    yield item, result
        finally:
            if self._client.status == "running":  # a closed client has cancelled them itself
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
        """Run `work` for every item on the workers, and yield results in the items' order.

        Args:
            work: see `as_completed`.
            items: the items.
            name: see `as_completed`.
            stop: see `as_completed`.
            on_end: called with an item and its result as soon as it finishes, in any order.

        Yields:
            Each item's result.

        Raises:
            NetsoundsError: the first error of an item.
        """
        results: dict[int, R] = {}  # finished before their turn, by the item's number
        turn = 0
        numbered = self.as_completed(partial(_numbered, work), list(enumerate(items)), name=name, stop=stop)
        with closing(numbered) as finished:
            for (number, item), result in finished:
                if isinstance(result, NetsoundsError):
                    raise result
                on_end(item, result)
                results[number] = result
                while turn in results:
                    yield results.pop(turn)
                    turn += 1

    def _outcome(self, gathered: Gathered, stop: Stop) -> Any:
        """Return what `_guarded` returned, or `_Lost` where the item may be submitted again."""
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
        """Wait while Dask tries to reconnect; return whether the scheduler is reached."""
        while self._client.status == "connecting":
            if stop.asked:
                raise Stopped
            time.sleep(_POLL_SECONDS)
        return bool(self._client.status == "running")


class _Lost(ClusterError):
    """An item was lost with its worker, or the scheduler has forgotten it; it may be submitted again."""


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """Connect to a cluster, or start one on this machine, for as long as the context lasts.

    TLS takes its certificates from Dask's own settings (`distributed.comm.tls`).

    Args:
        address: 'tcp://HOST:PORT' or 'tls://HOST:PORT' of a scheduler; or 'local' for processes of this
            machine, one for each core, 'local:N' for N of them.

    Yields:
        The cluster.

    Raises:
        OptionError: the address is invalid, or Dask is not installed.
        ClusterError: nothing answers there, or the cluster has no workers.
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
        # The plan bounds memory. Dask's own limits would kill workers that keep to the plan.
        settings = {"distributed.comm.timeouts.connect": _PATIENCE, _HEAPS_SETTING: _HEAPS}
        stack.enter_context(dask.config.set(settings))
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        if (local := _LOCAL.fullmatch(address)) is not None:
            count = int(local[1] or _cores())
            stack.callback(_restore, dict(os.environ))  # Dask sets its workers' variables here, too
            stack.enter_context(safe_imports())
            try:
                processes = LocalCluster(
                    n_workers=count,
                    threads_per_worker=1,
                    memory_limit=0,
                    dashboard_address=":0",  # any free port
                    silence_logs=logging.CRITICAL,
                )
                client = stack.enter_context(Client(stack.enter_context(processes)))
            # RuntimeError: Dask's word for workers that do not begin
            except (OSError, ValueError, RuntimeError) as error:
                raise ClusterError(
                    f"Dask cannot begin its workers on this machine ({_first_cause(error)}); leave --cluster "
                    f"out, or give the address of a cluster"
                ) from error
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


def _first_cause(error: BaseException) -> str:
    """Return the text of the error that began it, in one line."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return first_line(error) or type(error).__name__


def _restore(environment: dict[str, str]) -> None:
    """Restore this process's environment variables."""
    for name in os.environ.keys() - environment:
        del os.environ[name]
    os.environ.update(environment)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _numbered(work: Callable[[T], R], item: tuple[int, T]) -> R:
    return work(item[1])


def _guarded(work: Callable[[T], R], item: T, versions: Mapping[str, str]) -> tuple[str, R | NetsoundsError]:
    """Run `work` on a worker.

    Returns:
        The name of the worker's processor, and the result. An error that a user can fix is returned rather
        than raised: raised, Dask would fail the items that wait with it.
    """
    try:
        require_own_versions(versions)
        return own_processor(), work(item)
    except NetsoundsError as error:
        return own_processor(), error


async def _gathered(future: Future) -> Any:
    """Wait for a result on the client's event loop, and return it."""
    return await future


def _next(finished: SimpleQueue[Gathered], stop: Stop) -> Gathered:
    """Return the next result to arrive; raise Stopped when the run is asked to stop."""
    while True:
        if stop.asked:
            raise Stopped
        with contextlib.suppress(Empty):
            return finished.get(timeout=_POLL_SECONDS)
