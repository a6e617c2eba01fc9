"""What a plugin sends when it registers with a daemon over TCP, up to the end of its registration."""

import json
import socket
import subprocess

from dify import plain
from plugin import environment

# Members of the SDK's registration that ours lacks, and why.
DIFFERENCES = [
    ("extra", "names Python files, which the daemon does not read"),
    ("multiple", "the SDK writes the default, false"),
    ("has_runtime_parameters", "the SDK writes the default, false"),
]
# A debugged plugin has a name of its own, so that it does not replace the installed one.
DEBUG_NAME, DEBUG_LABEL = "-debug", " (debug)"


def register(command, directory):
    """Returns the data of each event, and the bytes of each asset."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        port = server.getsockname()[1]
        more = environment(INSTALL_METHOD="remote", REMOTE_INSTALL_URL=f"127.0.0.1:{port}", REMOTE_INSTALL_KEY="key")
        process = subprocess.Popen(command, cwd=directory, env=more, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as lines:
                connection.settimeout(60)
                return read(lines)
        except TimeoutError:
            process.kill()
            raise RuntimeError(f"no registration from {command}: {process.stderr.read().decode()}") from None
        finally:
            process.kill()
            process.wait()


def read(lines):
    events, assets = {}, {}
    for line in lines:
        if not line.strip():
            continue
        message = json.loads(line)
        if message["type"] == "end":
            break
        if message["type"] == "asset_chunk":
            chunk = message["data"]
            assets[chunk["filename"]] = assets.get(chunk["filename"], "") + chunk["data"]
        else:
            events[message["type"]] = message["data"]
    return events, assets


def differences(ours, theirs, used):
    """How our events and assets differ from the SDK's; `used` gets the rows that were needed."""
    found = [] if list(ours[0]) == list(theirs[0]) else [f"events {list(ours[0])} instead of {list(theirs[0])}"]
    if ours[1] != theirs[1]:
        found.append("the assets differ")
    for event in ours[0].keys() & theirs[0].keys():
        found += compare(plain(ours[0][event]), plain(theirs[0][event]), event, used)
    return found


def compare(ours, theirs, path, used):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = []
        for name in ours.keys() | theirs.keys():
            if name in ours and name in theirs:
                found += compare(ours[name], theirs[name], f"{path}.{name}", used)
            elif name in theirs and (name == "extra" or (name in ROWS and theirs[name] is False)):
                used.add(name)
            else:
                found.append(f"`{path}.{name}`: {ours.get(name)!r} instead of {theirs.get(name)!r}")
        return found
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [problem for one, other in zip(ours, theirs, strict=True) for problem in compare(one, other, f"{path}[]", used)]
    if isinstance(ours, str) and ours.removesuffix(DEBUG_NAME).removesuffix(DEBUG_LABEL) == theirs:
        return []
    return [] if ours == theirs else [f"`{path}`: {ours!r} instead of {theirs!r}"]


ROWS = {name for name, _ in DIFFERENCES}
