"""The executable over its pipes, as the plugin daemon runs it."""

import json
import os
import queue
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Outcome:
    """What one session sent before its end."""

    items: list = field(default_factory=list)
    error: dict | None = None


class Plugin:
    """A running plugin; every line that it writes is kept."""

    def __init__(self, binary):
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        environment |= {"INSTALL_METHOD": "local", "NO_PROXY": "127.0.0.1"}
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [binary], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log
        )
        self.lines = []
        self.arrived = queue.Queue()
        self.count = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            frame = json.loads(line)
            self.lines.append(frame)
            self.arrived.put(frame)
        self.arrived.put(None)

    def call(self, data):
        """One request and all frames of its session."""
        self.count += 1
        session = f"session-{self.count}"
        line = {"session_id": session, "event": "request", "data": data}
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()
        outcome = Outcome()
        while True:
            frame = self.arrived.get(timeout=30)
            if frame is None:
                raise RuntimeError(f"the plugin ended: {self.stderr()}")
            if frame.get("session_id") != session or frame["event"] != "session":
                continue
            message = frame["data"]
            if message["type"] == "end":
                return outcome
            if outcome.error is not None:
                raise RuntimeError(f"a message after the error: {frame}")
            if message["type"] == "stream":
                outcome.items.append(message["data"])
            else:
                outcome.error = message["data"]

    def stderr(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-2000:]

    def close(self):
        self.process.stdin.close()
        return self.process.wait(timeout=20)
