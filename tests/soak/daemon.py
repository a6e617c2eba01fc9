"""The daemon's side: the executable over pipes and over HTTP, every session's messages counted, memory and descriptors read."""

import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from load import CANARY

ROOT = Path(__file__).resolve().parent.parent.parent


class Sessions:
    """What every session sent. Anything but items, at most one error, and one end is a failure."""

    def __init__(self):
        self.open = {}
        self.failures = []
        self.by_fault = defaultdict(Counter)
        self.slowest = defaultdict(float)
        self.healthy = {}
        self.begun = self.ended = self.items = 0

    def begin(self, fault, asked):
        self.begun += 1
        session = f"soak-{self.begun}"
        self.open[session] = {"fault": fault, "asked": asked, "error": None, "start": time.monotonic()}
        return session

    def heard(self, text):
        """A line that the plugin wrote."""
        if CANARY.encode() in text:
            self.failures.append(f"a key in the output: {text[:300]}")
        self.message(json.loads(text))

    def message(self, frame):
        if frame.get("event") != "session":
            return
        session, message = frame["session_id"], frame["data"]
        state = self.open.get(session)
        if state is None:
            self.failures.append(f"{session}: a message after its end: {message['type']}")
        elif message["type"] == "end":
            self.end(session, state)
        elif state["error"] is not None:
            self.failures.append(f"{session}: a message after its error")
        elif message["type"] == "error":
            state["error"] = message["data"]["error_type"]
        else:
            self.items += 1

    def end(self, session, state):
        del self.open[session]
        self.ended += 1
        fault, asked, error = state["fault"], state["asked"], state["error"]
        self.by_fault[fault]["completed" if error is None else "failed"] += 1
        self.slowest[fault] = max(self.slowest[fault], time.monotonic() - state["start"])
        if fault in ("healthy", "slow", "long") and self.healthy.setdefault(asked, error) != error:
            self.failures.append(f"{asked} ({fault}): {error}, before {self.healthy[asked]}")
        if error == "PluginInternalError":
            self.failures.append(f"{asked} ({fault}): an internal error")

    def cancelled(self, session):
        """The caller disconnected; no more output is expected."""
        state = self.open.pop(session)
        self.ended += 1
        self.by_fault[state["fault"]]["cancelled by the caller"] += 1

    def overdue(self, seconds):
        limit = time.monotonic() - seconds
        return [f"{session}: {state['asked']} ({state['fault']})" for session, state in self.open.items() if state["start"] < limit]


class Process:
    """The executable, started through the launcher that a package brings."""

    def __init__(self, name):
        self.name = name
        self.samples = []
        self.log = tempfile.TemporaryFile()

    async def start(self, binary, settings):
        directory = tempfile.mkdtemp()
        os.symlink(binary, f"{directory}/native-model-runtime")
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        environment |= {"PATH": f"{directory}:{os.environ['PATH']}", "DIFY_PLUGIN_LOG_LEVEL": "info", **settings}
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "crates/dify-plugin/src/package/launcher.py"), cwd=ROOT, env=environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=self.log, limit=1 << 26)

    def sample(self, at):
        """Seconds, resident MB, descriptors, threads, CPU seconds."""
        here = f"/proc/{self.process.pid}"
        status = Path(f"{here}/status").read_text()
        number = lambda name: int(re.search(rf"^{name}:\s+(\d+)", status, re.M).group(1))
        ticks = Path(f"{here}/stat").read_text().rpartition(")")[2].split()
        cpu = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
        self.samples.append((at, number("VmRSS") / 1024, len(os.listdir(f"{here}/fd")), number("Threads"), cpu))

    def log(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")


class Piped(Process):
    """Over standard input and output; `hold` stops reading for a while."""

    def __init__(self, sessions):
        super().__init__("pipes")
        self.sessions = sessions
        self.reads = asyncio.Event()
        self.reads.set()

    async def start(self, binary):
        await super().start(binary, {"INSTALL_METHOD": "local"})
        self.reading = asyncio.create_task(self.read())

    async def read(self):
        while line := await self.process.stdout.readline():
            self.sessions.heard(line)
            await self.reads.wait()

    async def write(self, pieces):
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(0.01)
            self.process.stdin.write(piece)
            await self.process.stdin.drain()

    async def hold(self, seconds):
        self.reads.clear()
        await asyncio.sleep(seconds)
        self.reads.set()

    async def finish(self):
        """Closes the input; the exit code."""
        self.process.stdin.close()
        await asyncio.wait_for(self.reading, 60)
        return await asyncio.wait_for(self.process.wait(), 60)


class Served(Process):
    """Over HTTP; a caller may hang up."""

    def __init__(self, sessions):
        super().__init__("HTTP")
        self.sessions = sessions

    async def start(self, binary):
        await super().start(binary, {"INSTALL_METHOD": "serverless", "SERVERLESS_HOST": "127.0.0.1", "SERVERLESS_PORT": "0"})
        announced = (await self.process.stdout.readline()).decode()
        self.port = int(announced.rstrip().rpartition(":")[2])

    async def call(self, session, body, timeout):
        """One request; after `timeout` seconds the caller disconnects."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 26)
        try:
            writer.write(f"POST /invoke HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            async with asyncio.timeout(timeout):
                async for line in reader:
                    if line.startswith(b"{"):
                        self.sessions.heard(line)
        except TimeoutError:
            pass
        finally:
            writer.transport.abort()
        if session in self.sessions.open:
            if timeout is None:
                self.sessions.failures.append(f"{session}: the answer ended before the session")
            self.sessions.cancelled(session)

    async def finish(self):
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 60)
