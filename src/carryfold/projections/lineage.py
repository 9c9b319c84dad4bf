"""Is this still the log that something was derived from?

The digest of a batch covers everything before it. Whatever is derived from a log keeps the seq and the digest it has
come to; when the log has another digest there (a backup was restored, another log was put in its place), it starts
anew.
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
    """Does the log begin with exactly what ended at `head`?"""
    return digest_at(reader, head.seq) == head.digest
