"""Checks that a log is still the one that something was derived from.

The digest of a batch covers everything before it. A derived store keeps the seq and the digest that it has come to. If
the log has another digest there, because a backup was restored or the log was replaced, the store is built again.
"""

from carryfold.eventlog import Head, LogReader

__all__ = ["digest_at", "has_head"]


def digest_at(reader: LogReader, seq: int) -> bytes | None:
    """The digest of the log from its start to `seq`, or None when no batch ends there."""
    if seq == 0:
        return Head().digest
    for batch in reader.read(seq - 1, limit_batches=1):
        if batch.last_seq == seq:
            return batch.digest
    return None


def has_head(reader: LogReader, head: Head) -> bool:
    """True if the log begins with exactly the log that ended at `head`."""
    return digest_at(reader, head.seq) == head.digest
