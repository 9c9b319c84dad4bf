"""Metrics of the daemon for Prometheus, served on loopback if a port is configured."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["Metrics"]


class Metrics:
    """Counters, gauges and histograms; every method is cheap."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        import prometheus_client as prometheus

        self.registry = registry or prometheus.CollectorRegistry()
        into = self.registry
        seconds = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)

        def counter(name: str, text: str, *labels: str) -> prometheus.Counter:
            return prometheus.Counter(f"carryfold_{name}", text, labels, registry=into)

        def gauge(name: str, text: str, *labels: str) -> prometheus.Gauge:
            return prometheus.Gauge(f"carryfold_{name}", text, labels, registry=into)

        def histogram(name: str, text: str) -> prometheus.Histogram:
            return prometheus.Histogram(f"carryfold_{name}", text, buckets=seconds, registry=into)

        self._events = counter("events_total", "Events committed.")
        self._commits = counter("commits_total", "Commits.")
        self._observed = counter("observed_total", "Events that the streams delivered.")
        self._decisions = counter("decisions_total", "Entries and exits decided.")
        self._orders = counter("orders_total", "Orders, by the venue's answer.", "what")
        self._alerts = counter("alerts_total", "Alerts, by kind.", "code")
        self._fold = histogram("commit_to_fold_seconds", "From submitting a commit until it is durable and folded.")
        self._decision = histogram("commit_to_decision_seconds", "The same, for commits with a decision.")
        self._feed = gauge("feed_up", "1: the stream is connected.", "feed")
        self._halted = gauge("halted", "1: no entries because of a halt, a flatten or a wrong clock, by run.", "run")
        self._equity = gauge("equity", "Equity in quote, by run.", "run")
        self._held = gauge("pairs_held", "Pairs held, by run.", "run")

    @contextmanager
    def serving(self, port: int) -> Iterator[None]:
        """Serve scrapes on 127.0.0.1. Raises OSError with one line if the port is taken."""
        from prometheus_client import start_http_server

        try:
            server, thread = start_http_server(port, "127.0.0.1", self.registry)
        except OSError as error:
            raise OSError(f"metrics cannot be served on port {port}: {os.strerror(error.errno or 0).lower()}") from None
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def committed(self, events: int) -> None:
        """A commit is durable."""
        self._commits.inc()
        self._events.inc(events)

    def observed(self) -> None:
        """A stream delivered an event."""
        self._observed.inc()

    def folded(self, seconds: float) -> None:
        """A commit is durable and folded by every run."""
        self._fold.observe(seconds)

    def decided(self, decisions: int, seconds: float) -> None:
        """Decisions of a run are in the log."""
        self._decisions.inc(decisions)
        self._decision.observe(seconds)

    def ordered(self, what: str) -> None:
        """The venue answered a request to place an order."""
        self._orders.labels(what).inc()

    def alerted(self, code: str) -> None:
        """An alert was raised."""
        self._alerts.labels(code).inc()

    def feed(self, name: str, *, up: bool) -> None:
        """A stream connected or broke."""
        self._feed.labels(name).set(up)

    def book(self, run: str, equity: float, held: int, *, halted: bool) -> None:
        """The current figures of a run."""
        self._equity.labels(run).set(equity)
        self._held.labels(run).set(held)
        self._halted.labels(run).set(halted)
