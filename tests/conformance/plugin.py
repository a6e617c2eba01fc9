"""An executable over its pipes, as the plugin daemon runs it."""

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
    invokes: list = field(default_factory=list)


def environment(**more):
    """The environment of a plugin: no proxy between it and the servers of this process."""
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    return kept | {"INSTALL_METHOD": "local", "NO_PROXY": "127.0.0.1"} | more


class Plugin:
    """A running plugin; every line that it writes is kept. `dify` answers what it requests of Dify."""

    def __init__(self, command, directory=ROOT, dify=None, **more):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, cwd=directory, env=environment(**more), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log
        )
        self.dify = dify
        self.lines = []
        self.arrived = queue.Queue()
        self.count = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            if not line.strip():
                continue
            frame = json.loads(line)
            # The Python SDK writes its manifest first, which is no event.
            if "event" in frame:
                self.lines.append(frame)
                self.arrived.put(frame)
        self.arrived.put(None)

    def _write(self, line):
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()

    def call(self, data, **origin):
        """One request and all frames of its session."""
        self.count += 1
        session = f"session-{self.count}"
        self._write({"session_id": session, "event": "request", **origin, "data": data})
        outcome = Outcome()
        while True:
            frame = self.arrived.get(timeout=60)
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
            elif message["type"] == "invoke":
                outcome.invokes.append(message["data"])
                for event in self.dify.answer(message["data"]):
                    self._write({"session_id": session, "event": "backwards_response", **origin, "data": event})
            else:
                outcome.error = message["data"]

    def stderr(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-2000:]

    def close(self):
        self.process.stdin.close()
        return self.process.wait(timeout=20)

    def kill(self):
        """For the Python SDK, which does not end with its input."""
        self.process.kill()
        self.process.wait()
