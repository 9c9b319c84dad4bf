"""Verification of a log: every stored byte is compared with its digest, because LMDB keeps no checksums.

`verify` reads the log in a spawned process, because a damaged page can kill the process that reads it (SIGABRT,
SIGBUS). Such a death becomes one line with the batch that was being read. Checked, in this order: the size of the data
file; the format; of each batch its seq, digest, link to the previous batch, times, and number of events; of each key
its checksum and the content of its event; the head file. Not found: a change by someone who also recomputed the
digests, and a missing entry of the key table.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from carryfold.eventlog import tables
from carryfold.eventlog.errors import LogCorrupt, LogError
from carryfold.eventlog.headfile import read_head
from carryfold.eventlog.keytable import decode_key_value
from carryfold.eventlog.reader import LogReader
from carryfold.eventlog.record import SEQ, Batch, Head, content_digest, decode_pairs, is_intact

WINDOW_EVENTS: Final = 4_000_000  # content digests held in memory at once: 64 MB
_DIGEST_BYTES: Final = 16
_NO_EVENT: Final = 0


class VerifyReport(msgspec.Struct, frozen=True):
    """The result of `verify`. `error` is one line, None when `ok`; `bad_seq` is the first event that cannot be trusted.
    Without a head file (`has_outside_head`) a lost tail cannot be noticed."""

    ok: bool
    events: int
    batches: int
    head_seq: int
    head_digest: bytes
    error: str | None = None
    bad_seq: int | None = None
    has_outside_head: bool = False


def verify(home: Path, *, after: Head | None = None, in_child: bool = True) -> VerifyReport:
    """Check the whole log, also beside a live owner. A damaged log is reported, not raised.

    With the head `after` of an earlier report, only the events since are checked, and that they follow from it; keys
    are not. With `in_child` False the check runs in this process, which a damaged page can then kill.
    """
    if not in_child:
        return walk(home, after=after)
    with tempfile.TemporaryFile() as progress:
        command = [sys.executable, "-m", "carryfold.eventlog.verify", "--walk", str(progress.fileno()), str(home)]
        if after is not None:
            command += [str(after.seq), after.digest.hex()]
        child = subprocess.run(command, pass_fds=(progress.fileno(),), capture_output=True, check=False)  # noqa: S603
        reached = os.pread(progress.fileno(), SEQ.size, 0)
    if child.returncode in (0, 1):
        try:
            return msgspec.json.decode(child.stdout, type=VerifyReport)
        except msgspec.MsgspecError:
            return _died(home, f"printed no report ({_last_line(child.stderr)})", reached)
    if child.returncode < 0:
        return _died(home, f"was killed by {signal.Signals(-child.returncode).name}", reached)
    return _died(home, f"exited with {child.returncode} ({_last_line(child.stderr)})", reached)


def walk(home: Path, progress_fd: int | None = None, *, after: Head | None = None) -> VerifyReport:
    """The check itself, in this process. It writes the seq being read to `progress_fd`, for the parent process."""
    walker = _Walker(home, progress_fd, after or Head())
    try:
        walker.run()
    except LogError as error:
        return walker.report(str(error), error.seq if isinstance(error, LogCorrupt) else None)
    return walker.report(None, None)


class _Walker:
    def __init__(self, home: Path, progress_fd: int | None, after: Head) -> None:
        self.head = after
        self._checks_keys = after.seq == 0
        self._batches = 0
        self._home = home
        self._progress_fd = progress_fd
        self._window_start = 1
        self._window = bytearray()
        self._has_outside_head = False

    def report(self, error: str | None, bad_seq: int | None) -> VerifyReport:
        return VerifyReport(
            error is None, self.head.seq, self._batches, self.head.seq, self.head.digest, error, bad_seq,
            self._has_outside_head,
        )  # fmt: skip

    def run(self) -> None:
        # Read before the log: a live owner can only have made the log longer since.
        outside = read_head(self._home)
        self._has_outside_head = outside is not None
        with LogReader.open(self._home) as reader:
            upto = reader.last.seq
            if self.head.seq:
                self._check_start(reader)
            self._note(self.head.seq + 1)
            for batch in reader.read(self.head.seq):
                self._check_batch(batch)
                self._note(self.head.seq + 1)
                if len(self._window) >= WINDOW_EVENTS * _DIGEST_BYTES or self.head.seq >= upto:
                    self._check_keys(reader, is_last=self.head.seq >= upto)
                if self.head.seq >= upto:
                    break
            if upto == 0:
                self._check_keys(reader, is_last=True)
            if outside is not None:
                reader.check_outside_head(outside)

    def _check_start(self, reader: LogReader) -> None:
        """Check that the log still has the head that was verified before."""
        batch = next(iter(reader.read(self.head.seq - 1, limit_batches=1)), None)
        if batch is None or (batch.last_seq, batch.digest) != (self.head.seq, self.head.digest):
            raise LogCorrupt("the log is not the one that was verified before", self.head.seq)
        self.head = batch.head

    def _check_batch(self, batch: Batch) -> None:
        seq = self.head.seq + 1
        if batch.first_seq != seq:
            raise LogCorrupt(f"the next batch starts at seq {batch.first_seq}: events are missing", seq)
        if batch.previous != self.head.digest:
            raise LogCorrupt("the batch does not follow the one before it", seq)
        if not is_intact(batch):
            raise LogCorrupt("the digest of the batch does not match its bytes", seq)
        try:
            pairs = decode_pairs(batch.payload)
        except msgspec.DecodeError as error:
            raise LogCorrupt(f"the batch cannot be decoded ({error})", seq) from error
        if not pairs or len(pairs) != batch.count:
            raise LogCorrupt(f"the batch has {len(pairs)} events, its header says {batch.count}", seq)
        known = [at for at, _ in pairs]
        if (min(known), max(known)) != (batch.known_min, batch.known_max):
            raise LogCorrupt("the known_at bounds in the header differ from the events", seq)
        if batch.known_max > batch.recorded_at or batch.recorded_at < self.head.recorded_at:
            raise LogCorrupt("the times of the batch are out of order", seq)
        if self._checks_keys:
            for _, event in pairs:
                self._window += content_digest(event)
        self.head = batch.head
        self._batches += 1

    def _check_keys(self, reader: LogReader, *, is_last: bool) -> None:
        """Compare every key of an event in the window, then begin the next window."""
        if not self._checks_keys:
            return
        self._note(_NO_EVENT)
        end = self._window_start + len(self._window) // _DIGEST_BYTES
        for key, value in reader.iter_key_values():
            found = decode_key_value(key, value)
            if found is None:
                raise LogCorrupt(f"the entry of key {key!r} does not match its checksum")
            seq, digest = found
            if seq < 1 or (is_last and seq >= end and seq > reader.last.seq):
                raise LogCorrupt(f"key {key!r} names seq {seq}, which is not in the log")
            if self._window_start <= seq < end:
                at = (seq - self._window_start) * _DIGEST_BYTES
                if self._window[at : at + _DIGEST_BYTES] != digest:
                    raise LogCorrupt(f"key {key!r} names an event with other content", seq)
        self._window_start = end
        self._window.clear()

    def _note(self, seq: int) -> None:
        if self._progress_fd is not None:
            os.pwrite(self._progress_fd, SEQ.pack(seq), 0)


def _died(home: Path, how: str, reached: bytes) -> VerifyReport:
    """The child reads whole chunks, so the seq is the start of the last chunk. 0: it was reading the keys."""
    seq = int.from_bytes(reached, "big") or None
    where = f"in a page from seq {seq} on" if seq is not None else "outside the events"
    error = LogCorrupt(f"the process that checked {tables.data_file(home)} {how}, {where}", seq)
    whole = 0 if seq is None else seq - 1
    return VerifyReport(False, whole, 0, whole, b"", str(error), seq)


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no message"
