#!/usr/bin/env python3
"""Soak: mixed load with faults for a long time; memory and descriptors must stay flat and every session must end once.

    python3 tests/soak/run.py [--minutes 60] [--rate 100] [--binary PATH] [--seed 1]

Needs Python 3.11 or newer and nothing else. Not part of CI. Writes the samples to `target/soak.csv`.
"""

import argparse
import asyncio
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))

from faulty import Faulty  # noqa: E402
from daemon import ROOT, Piped, Served, Sessions  # noqa: E402
from load import CANARY, Load, line  # noqa: E402

# Seconds after which a session counts as never ended: two attempts of a stalled call, twice over, and the waits between.
TIMEOUT = 45
# Share of sessions that go over HTTP, and of those that hang up early.
HTTP, HANGS_UP = 0.1, 0.4
SAMPLE = 5


def flat(before, after, factor, room):
    return after <= before * factor + room


class Soak:
    def __init__(self, options):
        self.options = options
        self.sessions = Sessions()
        self.upstream = Faulty()
        self.piped = Piped(self.sessions)
        self.served = Served(self.sessions)
        self.tasks = set()

    def spawn(self, work):
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.done)

    def done(self, task):
        self.tasks.discard(task)
        if not task.cancelled() and task.exception():
            self.sessions.failures.append(f"the driver: {task.exception()!r}")

    async def run(self):
        await self.upstream.start()
        self.load = Load(self.upstream.url, self.options.seed)
        await self.piped.start(self.options.binary)
        await self.served.start(self.options.binary)
        self.start = time.monotonic()
        end = self.start + self.options.minutes * 60
        sampling = asyncio.create_task(self.sample())
        await self.drive(end)
        deadline = time.monotonic() + TIMEOUT
        while self.sessions.open and time.monotonic() < deadline:
            await asyncio.sleep(0.5)
        sampling.cancel()
        left = self.sessions.overdue(0)
        self.sessions.failures += [f"never ended: {what}" for what in left]
        for process in (self.piped, self.served):
            if code := await process.finish():
                self.sessions.failures.append(f"{process.name}: exit code {code}: {process.log()[-500:]}")
            if CANARY in process.log():
                self.sessions.failures.append(f"{process.name}: a key in the log")

    async def drive(self, end):
        """Starts sessions at random; every minute the daemon stops reading for three seconds; every five a burst of 200 sessions."""
        draw = random.Random(self.options.seed)
        next_hold, next_burst = self.start + 60, self.start + 150
        while (now := time.monotonic()) < end:
            await self.session(draw)
            if draw.random() < 0.02:
                await self.piped.write(self.load.pieces(self.load.noise()))
            if now > next_hold:
                next_hold += 60
                self.spawn(self.piped.hold(3))
            if now > next_burst:
                next_burst += 300
                for _ in range(200):
                    await self.session(draw)
            await asyncio.sleep(draw.expovariate(self.options.rate))

    async def session(self, draw):
        fault, asked, data = self.load.next()
        session = self.sessions.begin(fault, asked)
        if draw.random() < HTTP:
            timeout = draw.uniform(0, 0.5) if draw.random() < HANGS_UP else None
            self.spawn(self.served.call(session, line(session, data), timeout))
        else:
            await self.piped.write(self.load.pieces(line(session, data)))

    async def sample(self):
        while True:
            at = time.monotonic() - self.start
            for process in (self.piped, self.served):
                process.sample(at)
            if len(self.piped.samples) % 60 == 0:
                seen = self.piped.samples[-1]
                print(f"{at / 60:5.1f} min: {self.sessions.ended} sessions, {seen[1]:.1f} MB, {seen[2]} descriptors, "
                      f"{len(self.sessions.failures)} failures", flush=True)
            self.sessions.failures += [f"not ended after {TIMEOUT} s: {what}" for what in self.sessions.overdue(TIMEOUT)][:3]
            await asyncio.sleep(SAMPLE)

    def report(self):
        sessions = self.sessions
        print(f"\n{sessions.begun} sessions in {self.options.minutes:g} minutes, {sessions.ended} ended once, {sessions.items} items.\n")
        print("| fault | completed | failed | cancelled by the caller | slowest |\n|---|---|---|---|---|")
        for fault, counts in sorted(sessions.by_fault.items()):
            row = [str(counts[what]) for what in ("completed", "failed", "cancelled by the caller")]
            print(f"| {fault} | {' | '.join(row)} | {sessions.slowest[fault]:.1f} s |")
        print("\n| process | what | first third | second third | last third | flat |\n|---|---|---|---|---|---|")
        for process in (self.piped, self.served):
            self.resources(process)
            used = process.samples[-1][4]
            print(f"| {process.name} | CPU | | | {used:.0f} s, {100 * used / process.samples[-1][0]:.1f} % of a core | |")

    def resources(self, process):
        """Medians and the 95th percentile by thirds; the last must not exceed the second by more than the tolerance."""
        # The start is no part of it: pools and caches fill.
        samples = process.samples[len(process.samples) // 20 :]
        third = len(samples) // 3
        thirds = [samples[:third], samples[third : 2 * third], samples[2 * third :]]
        for what, place, unit, factor, room in (("memory", 1, " MB", 1.05, 1), ("descriptors", 2, "", 1.10, 5), ("threads", 3, "", 1, 2)):
            for measure, of in (("median", statistics.median), ("95 %", lambda values: sorted(values)[len(values) * 95 // 100])):
                values = [of([sample[place] for sample in part]) for part in thirds]
                good = flat(values[1], values[2], factor, room)
                if not good:
                    self.sessions.failures.append(f"{process.name}: {what} ({measure}) is not flat: {values}")
                cells = " | ".join(f"{value:.1f}{unit}" for value in values)
                print(f"| {process.name} | {what}, {measure} | {cells} | {'yes' if good else 'NO'} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=100, help="sessions a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--binary", type=Path, help="an executable that is built already")
    options = parser.parse_args()
    if options.binary is None:
        subprocess.run(["cargo", "build", "--locked", "--profile", "dist", "--quiet"], cwd=ROOT, check=True)
        options.binary = ROOT / "target/dist/dify-plugin-runtime"
    options.binary = options.binary.resolve()
    soak = Soak(options)
    asyncio.run(soak.run())
    with open(ROOT / "target/soak.csv", "w") as file:
        file.write("process,seconds,resident_mb,descriptors,threads,cpu_seconds\n")
        for process in (soak.piped, soak.served):
            file.writelines(f"{process.name},{','.join(f'{value:.2f}' for value in sample)}\n" for sample in process.samples)
    soak.report()
    for failure in soak.sessions.failures[:50]:
        print(f"FAILED: {failure}")
    print(f"\n{len(soak.sessions.failures)} failures")
    sys.exit(bool(soak.sessions.failures))


if __name__ == "__main__":
    main()
