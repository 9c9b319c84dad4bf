"""Does the daemon keep up with 500 pairs, at constant memory?

    python benchmarks/daemon_scale.py [--minutes 10] [--pairs 500] [--push-ms 150] [--runs 2] [--dir FOLDER] [--json]

A simulated exchange in a process of its own streams tickers and first levels of the books over real websockets; the
daemon, in this process, follows all pairs through ccxt in paper mode with several parameter sets, under the default
recording policy. Venue time starts a few minutes before a settlement of all pairs, so that the run includes a
settlement, its fetching and an hour's candles. Every few seconds an operator flattens and resumes, so that every run
sells and buys again: otherwise there are too few decisions to measure.

A third process writes and flushes 4 KiB ten times a second and reports the times. No commit can be faster, and on a
shared machine they vary.

The measurement starts once the daemon is armed and uses the daemon's own metrics. Commit to fold: from the submission
of events to the log's writer until they are on the disk and every run has folded them. Commit to decision: the same for
commits with decisions, which are then on the disk too and may be carried out. Queue lengths are sampled four times a
second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from carryfold.adapters.bybit.endpoint import parse_endpoint
from carryfold.adapters.bybit.market import BybitMarket
from carryfold.adapters.bybit.streams import PublicStreams
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.service import Daemon, run_daemon
from carryfold.adapters.daemon.settings import DaemonSettings, ParameterSet
from carryfold.domain.events import FlattenRequested, Resumed
from carryfold.domain.params import Parameters
from carryfold.eventlog import LogReader
from carryfold.simexchange import SimConfig, SimExchange

HISTORY_DAYS = 40
SETTLEMENT_MS = 8 * 3_600_000
BEFORE_SETTLEMENT_MS = 120_000
SAMPLE_S = 0.25
CONTROL_EVERY_S = 0.1
OPERATE_EVERY_S = 10.0
WARM_UP_S = 10.0
MIB = 1 << 20
QUEUES = ("streams' queue", "conflator, passing", "conflator, latest", "log writer", "event loop late")


class CountingStreams(PublicStreams):
    """The daemon's streams, with a count of messages."""

    messages = 0

    def _take_ticker(self, message: Any) -> None:
        self.messages += 1
        super()._take_ticker(message)

    def _take_book(self, message: Any) -> None:
        self.messages += 1
        super()._take_book(message)


class CountingMarket(BybitMarket):
    """A market that keeps its streams for inspection."""

    streams: CountingStreams | None = None

    def stream(self, pairs: Any) -> AsyncIterator[Any]:
        self.streams = CountingStreams(self.endpoint, pairs, history=self.history)
        return self.streams.events()


class RecordingMetrics(Metrics):
    """Metrics that record every latency as (end, duration) in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.fold_s: list[tuple[float, float]] = []
        self.decision_s: list[tuple[float, float]] = []
        self.decisions = 0

    def folded(self, seconds: float) -> None:
        super().folded(seconds)
        self.fold_s.append((time.perf_counter(), seconds))

    def decided(self, decisions: int, seconds: float) -> None:
        super().decided(decisions, seconds)
        if decisions:
            self.decision_s.append((time.perf_counter(), seconds))
        self.decisions += decisions


class Sample(NamedTuple):
    """One sample of the running daemon. `late_ms`: the delay of the sample in the event loop."""

    at_s: float
    streams_queue: int
    passing: int
    latest: int
    writer: int
    late_ms: float
    rss: int
    own: int
    waited_s: float


class Measurement:
    """The measurement of a daemon."""

    def __init__(self, market: CountingMarket, minutes: float) -> None:
        self.market = market
        self.metrics = RecordingMetrics()
        self.seconds = 60 * minutes
        self.samples: list[Sample] = []
        self.found: dict[str, Any] = {}
        self.began = 0.0
        self._daemon: Daemon | None = None

    @property
    def daemon(self) -> Daemon:
        assert self._daemon is not None, "not started"
        return self._daemon

    def attach(self, daemon: Daemon) -> None:
        """Give the daemon, before it serves, the market and the metrics of this measurement."""
        daemon.market, daemon.metrics = self.market, self.metrics
        self._daemon = daemon

    async def watch(self, home: Path, exchange_pid: int) -> None:
        """Measure for the given time, then stop the daemon."""
        while self.market.streams is None or self.market.streams.messages == 0:
            await asyncio.sleep(SAMPLE_S)
        await asyncio.sleep(min(WARM_UP_S, self.seconds / 4))
        daemon, streams, metrics = self.daemon, self.market.streams, self.metrics
        metrics.fold_s.clear(), metrics.decision_s.clear()
        metrics.decisions = 0
        before = self._counters(home, exchange_pid)
        operator = asyncio.ensure_future(self._operate())
        began = due = self.began = time.perf_counter()
        while (now := time.perf_counter()) - began < self.seconds:
            sizes = len(streams.queue), *conflated(daemon), daemon.engine._committer._waiting.qsize()
            self.samples.append(Sample(now - began, *sizes, (now - due) * 1e3, *resident(), waited_s()))
            due = max(due + SAMPLE_S, now)
            await asyncio.sleep(due - now)
        elapsed = time.perf_counter() - began
        operator.cancel()
        after = self._counters(home, exchange_pid)
        gained = {name: after[name] - before[name] for name in after}
        self.found = {"seconds": elapsed, "unreadable": streams.unreadable, **gained}
        daemon.stopping.set()

    async def _operate(self) -> None:
        while True:
            await asyncio.sleep(OPERATE_EVERY_S)
            now = self.daemon.clock.now
            await self.daemon.engine.record([FlattenRequested(0, now(), "benchmark")])
            await asyncio.sleep(3.0)
            await self.daemon.engine.record([Resumed(0, now(), "benchmark")])

    def _counters(self, home: Path, exchange_pid: int) -> dict[str, Any]:
        assert self.market.streams is not None
        with LogReader.open(home) as reader:
            stat = reader.stat()
        return {
            "messages": self.market.streams.messages,
            "left_out": self.daemon.recorder.conflator.replaced,
            "cpu_s": sum(os.times()[:2]),
            "waited_s": waited_s(),
            "exchange_cpu_s": cpu_of(exchange_pid),
            "log_events": stat["events"],
            "log_commits": stat["batches"],
            "log_bytes": stat["map_used"],
            "disk_bytes": sum(file.stat().st_blocks * 512 for file in (home / "log").iterdir()),
        }


def conflated(daemon: Daemon) -> tuple[int, int]:
    """(events waiting to pass, latest observations kept)."""
    kept = daemon.recorder.conflator
    waiting = sum(one.event is not None for one in (*kept._quotes.values(), *kept._estimates.values()))
    return len(kept._passing), waiting


def resident() -> tuple[int, int]:
    """Resident memory of this process in bytes, and the part of it that is not pages of files (the log's, mostly)."""
    found = dict(re.findall(r"(VmRSS|RssAnon):\s+(\d+)", Path("/proc/self/status").read_text()))
    return int(found["VmRSS"]) * 1024, int(found["RssAnon"]) * 1024


def cpu_of(pid: int) -> float:
    """CPU seconds of another process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waited_s() -> float:
    """Seconds for which this process's threads were ready without a core, so far; 0 where the system has no figure."""
    try:
        tasks = [file.read_text() for file in Path("/proc/self/task").glob("*/schedstat")]
    except OSError:
        return 0.0
    return sum(int(text.split()[1]) for text in tasks) / 1e9


def parameter_sets(number: int) -> tuple[ParameterSet, ...]:
    """`number` sets that buy as much as they may."""
    common = {"cadence_s": 1, "stale_s": 120, "capital": 1e6, "max_positions": 20, "min_interval_h": 0.0}
    return tuple(
        ParameterSet(f"set {n}", Parameters(**common, enter=1e-5 * (n + 1), exit=-1e-3, rate_source="predicted"))
        for n in range(number)
    )


def flush_alone(file: Path) -> None:
    """The control process: flushes until its input ends, then prints the seconds of each flush as JSON."""
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    took: list[float] = []
    with file.open("wb", buffering=0) as out:
        while not ended.wait(CONTROL_EVERY_S):
            began = time.perf_counter()
            out.seek(0)
            out.write(os.urandom(4096))
            os.fdatasync(out.fileno())
            took.append(time.perf_counter() - began)
    print(json.dumps(took))


async def serve_exchange(pairs: int, push_ms: int, minutes: float) -> None:
    """The exchange process: computes every price before it serves, so that it does not stall later."""
    now_ms = time.time_ns() // 1_000_000 - round(60_000 * (minutes + 10))
    start_ms = now_ms // SETTLEMENT_MS * SETTLEMENT_MS - BEFORE_SETTLEMENT_MS
    # One pair in eight is closed, and only trading ones count.
    config = SimConfig(
        pairs=-(-pairs * 8 // 7) + 8, history_days=HISTORY_DAYS, start_ms=start_ms, push_ms=push_ms, ip_limit=0
    )
    async with await SimExchange.start(config) as venue:
        market = venue.exchange.market
        for one in market.pairs:
            for spot in (False, True):
                market.day(one, start_ms, spot=spot)
        sys.stdout.write(venue.endpoints.rest + "\n")
        sys.stdout.flush()
        await venue.wait()


async def run(home: Path, rest: str, exchange_pid: int, options: argparse.Namespace) -> Measurement:
    """Run the daemon and measure it."""
    settings = DaemonSettings(
        mode="paper", pairs=f"top:{options.pairs}", endpoint=rest, sets=parameter_sets(options.runs), speed=1.0
    )
    measurement = Measurement(CountingMarket(parse_endpoint(rest)), options.minutes)
    watching = asyncio.ensure_future(measurement.watch(home, exchange_pid))
    serving = asyncio.ensure_future(run_daemon(home, settings, started=measurement.attach))
    try:
        await asyncio.wait([watching, serving], return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
        await serving
        assert measurement.found, "the daemon stopped before the measurement did"
        return measurement
    finally:
        watching.cancel()
        serving.cancel()
        await asyncio.gather(watching, serving, return_exceptions=True)
        await measurement.market.close()


def figures(measurement: Measurement, home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    found, samples = measurement.found, measurement.samples
    seconds = found["seconds"]
    with LogReader.open(home) as reader:
        stated = reader.stat()
    day = 86_400 / seconds
    return {
        "pairs": len(measurement.daemon.pairs),
        "runs": options.runs,
        "minutes": seconds / 60,
        "messages_a_second": found["messages"] / seconds,
        "unreadable": found["unreadable"],
        "commits": len(measurement.metrics.fold_s),
        "decisions": measurement.metrics.decisions,
        "commit_to_fold_ms": spread([took for _, took in measurement.metrics.fold_s]),
        "commit_to_decision_ms": spread([took for _, took in measurement.metrics.decision_s]),
        "by_minute": by_minute(measurement),
        "queues": {name: queue([sample[1 + at] for sample in samples]) for at, name in enumerate(QUEUES)},
        "rss_mib": memory(samples),
        "cpu_share": found["cpu_s"] / seconds,
        "waited_for_core_share": found["waited_s"] / seconds,
        "exchange_cpu_share": found["exchange_cpu_s"] / seconds,
        "machine_load": os.getloadavg()[1],
        "events_a_day": found["log_events"] * day,
        "stat_minutes": stated["growth_span"] / 60e9,
        "stat_events_a_day": stated["events_per_day"],
        "log_bytes_a_day": found["log_bytes"] * day,
        "disk_bytes_a_day": found["disk_bytes"] * day,
        "stat_bytes_a_day": stated["bytes_per_day"],
        "bytes_an_event": found["log_bytes"] / max(found["log_events"], 1),
        "stat_bytes_an_event": stated["map_used"] / stated["events"],  # by which it converts events to bytes
    }


def spread(seconds: list[float]) -> dict[str, float]:
    """Milliseconds: median, 99th percentile, largest."""
    if not seconds:
        return {}
    p50, p99, largest = np.quantile(np.array(seconds) * 1e3, [0.5, 0.99, 1.0]).tolist()
    return {"p50": p50, "p99": p99, "max": largest}


def queue(lengths: list[float]) -> dict[str, float]:
    """Median length in the first and last quarter of the run, and the longest."""
    quarter = max(len(lengths) // 4, 1)
    first, last = np.median(lengths[:quarter]), np.median(lengths[-quarter:])
    return {"first": float(first), "last": float(last), "p99": float(np.quantile(lengths, 0.99)), "max": max(lengths)}


def memory(samples: list[Sample]) -> dict[str, list[float]]:
    """Resident memory, and the part without file pages, at a tenth, half and the end of the run."""
    return {
        f"minute {samples[at].at_s / 60:.1f}": [samples[at].rss / MIB, samples[at].own / MIB]
        for at in (len(samples) // 10, len(samples) // 2, -1)
    }


def by_minute(measurement: Measurement) -> list[dict[str, Any]]:
    """Latencies of each minute, and the share of it for which the daemon's threads waited for a core."""
    found = []
    for start in range(0, int(measurement.found["seconds"]), 60):
        inside = [sample for sample in measurement.samples if start <= sample.at_s < start + 60]
        begin = measurement.began + start
        found.append(
            {
                "waited": (inside[-1].waited_s - inside[0].waited_s) / max(inside[-1].at_s - inside[0].at_s, SAMPLE_S),
                "fold_ms": spread([took for at, took in measurement.metrics.fold_s if begin <= at < begin + 60]),
                "decision_ms": spread(
                    [took for at, took in measurement.metrics.decision_s if begin <= at < begin + 60]
                ),
            }
        )
    return found


def show(found: dict[str, Any]) -> None:
    """Print the table."""

    def ms(name: str) -> str:
        return ", ".join(f"{key} {value:.1f} ms" for key, value in found[name].items()) or "nothing to measure"

    rows = [
        ("pairs, parameter sets, minutes", f"{found['pairs']}, {found['runs']}, {found['minutes']:.1f}"),
        ("messages in", f"{found['messages_a_second']:,.0f}/s, {found['unreadable']} unreadable"),
        ("commits, decisions", f"{found['commits']:,}, {found['decisions']:,}"),
        ("commit to fold", ms("commit_to_fold_ms")),
        ("commit to decision", ms("commit_to_decision_ms")),
        ("a flush of 4 KiB alone", ms("flush_alone_ms")),
        (
            "resident memory",
            "; ".join(f"{at}: {rss:.0f}, own {own:.0f} MiB" for at, (rss, own) in found["rss_mib"].items()),
        ),
        ("CPU", f"{found['cpu_share']:.2f} cores the daemon, {found['exchange_cpu_share']:.2f} the exchange"),
        (
            "other work on the machine",
            f"load {found['machine_load']:.1f}; the daemon waited for a core {found['waited_for_core_share']:.0%}",
        ),
        ("log growth a day", growth(found, "events_a_day", "log_bytes_a_day")),
        (
            f"log stat, by the last {found['stat_minutes']:.0f} minutes of the log",
            growth(found, "stat_events_a_day", "stat_bytes_a_day"),
        ),
        ("bytes an event", f"{found['bytes_an_event']:.0f}; log stat uses {found['stat_bytes_an_event']:.0f}"),
        *(
            (name, ", ".join(f"{key} {value:,.0f}" for key, value in lengths.items()) + (" ms" * (name == QUEUES[-1])))
            for name, lengths in found["queues"].items()
        ),
    ]
    for number, minute in enumerate(found["by_minute"], 1):
        ends = [f"{minute[name].get('p99', 0.0):.1f}" for name in ("fold_ms", "decision_ms")]
        rows.append((f"minute {number}", f"p99 {' and '.join(ends)} ms; waited for a core {minute['waited']:.0%}"))
    print("| what | measured |\n|---|---|")
    for name, text in rows:
        print(f"| {name} | {text} |")


def growth(found: dict[str, Any], events: str, size: str) -> str:
    """One cell of the table."""
    return f"{found[events] / 1e6:.2f} M events, {found[size] / 1e6:,.0f} MB"


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Start the other two processes, then run the daemon in this one."""
    itself = [sys.executable, str(Path(__file__).resolve())]
    command = [*itself, "--exchange", "--pairs", str(options.pairs)]
    command += ["--push-ms", str(options.push_ms), "--minutes", str(options.minutes)]
    folder = Path(tempfile.mkdtemp(prefix="daemon-bench-", dir=options.dir))
    home = folder / "home"
    exchange = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    control = subprocess.Popen(
        [*itself, "--control", str(folder / "control")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert exchange.stdout is not None
        rest = exchange.stdout.readline().strip()
        measurement = asyncio.run(run(home, rest, exchange.pid, options))
        flushes = json.loads(control.communicate()[0])
        return figures(measurement, home, options) | {"flush_alone_ms": spread(flushes)}
    finally:
        for process in (exchange, control):
            process.terminate()
            process.wait()
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--push-ms", type=int, default=150, help="interval at which the exchange sends")
    parser.add_argument("--runs", type=int, default=2, help="parameter sets side by side")
    parser.add_argument("--dir", help="folder of the temporary log")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--exchange", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--control", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.exchange:
        asyncio.run(serve_exchange(options.pairs, options.push_ms, options.minutes))
        return
    if options.control:
        flush_alone(Path(options.control))
        return
    found = measure(options)
    if options.json:
        print(json.dumps(found))
    else:
        show(found)


if __name__ == "__main__":
    main()
