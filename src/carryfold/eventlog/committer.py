"""Group commit: many threads submit, one thread writes, and submissions that wait together share one flush.

The flush is the cost of an append, so sharing it multiplies the durable rate. Guarantees: a submission is appended
whole or not at all, as an instant of its own, together with its follow-up entries; submissions are committed in the
order in which `submit` accepted them; every accepted future is resolved, also at `close`. When a commit fails, every
future of the group gets the error and nothing of the group is written, although follow-ups may have been computed.
Later groups are still tried: a caller that depends on an earlier one must wait for it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Final, NamedTuple

from carryfold.eventlog.entries import AnyEntry, AppendResult, Columns, Follow, columns
from carryfold.eventlog.errors import LogClosed
from carryfold.eventlog.log import EventLog

MAX_WAITING: Final = 1_024  # submissions; `submit` blocks while this many wait
MAX_GROUP: Final = 256  # submissions in one transaction
MAX_GROUP_EVENTS: Final = 65_536


class _Submission(NamedTuple):
    columns: Columns
    future: Future[AppendResult]


class GroupCommitter:
    """The writer thread of an open log. The caller closes the log, after this."""

    def __init__(self, log: EventLog, *, max_waiting: int = MAX_WAITING) -> None:
        self._log = log
        self._waiting: queue.Queue[_Submission | None] = queue.Queue(max_waiting)
        self._accepting = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def submit(self, entries: Sequence[AnyEntry], follow: Follow | None = None) -> Future[AppendResult]:
        """Queue entries; once they are on the disk, the future has the result or error of `EventLog.append`.

        `follow` computes follow-up entries from that result. They are the next instant of the log, in the same
        transaction, so decisions on an observation cost no flush of their own. If the future has an error, no
        follow-up is stored either, and `follow` may not have been called. Blocks while the queue is full. Raises
        AppendRefused at once for entries that can never be stored, and LogClosed.
        """
        checked = columns(entries)._replace(follow=follow)
        future: Future[AppendResult] = Future()
        with self._accepting:
            if self._closed:
                raise LogClosed("the log's writer is closed")
            self._waiting.put(_Submission(checked, future))
        return future

    def close(self) -> None:
        """Commit everything accepted so far, then stop."""
        with self._accepting:
            if not self._closed:
                self._closed = True
                self._waiting.put(None)
        self._thread.join()

    def __enter__(self) -> GroupCommitter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        is_open = True
        while is_open:
            first = self._waiting.get()
            if first is None:
                return
            group = [first]
            events = len(first.columns.payloads)
            while len(group) < MAX_GROUP and events < MAX_GROUP_EVENTS:
                try:
                    following = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    is_open = False
                    break
                group.append(following)
                events += len(following.columns.payloads)
            self._commit([one for one in group if one.future.set_running_or_notify_cancel()])

    def _commit(self, group: list[_Submission]) -> None:
        if not group:
            return
        try:
            results = self._log.append_columns([one.columns for one in group])
        except Exception as error:  # noqa: BLE001 - every waiting caller must get the error, whatever it is
            for one in group:
                one.future.set_exception(error)
            return
        for one, result in zip(group, results, strict=True):
            one.future.set_result(result)
