#!/usr/bin/env python3
"""Judges the endpoint with the clients that are used for OpenAI's API: the official ones for Python and Node, LangChain's, LiteLLM's.

    python3 plugins/openai-endpoint/tests/clients/run.py [--binary PATH] [--work DIR]

Builds the plugin, starts it behind an HTTP server that plays Dify's daemon (`dify.py`), and lets each client call every route that it
has. Needs Python 3.12 or newer, Node and npm, and package indexes for the first run; the requests go to loopback only.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import dify
import script

HERE = Path(__file__).resolve().parent
PLUGIN = HERE.parent.parent
ROOT = PLUGIN.parent.parent
KEY = "sk-0123456789abcdef"
CLIENTS = ["client_openai.py", "client_langchain.py", "client_litellm.py", "client_node.mjs"]


def environment(work):
    """A Python environment and a Node project with the pinned clients, made once."""
    python = work / "venv" / "bin" / "python"
    wanted = (HERE / "requirements.txt").read_text() + (HERE / "package.json").read_text()
    done = work / "clients.done"
    if not (done.exists() and done.read_text() == wanted):
        work.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", work / "venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True)
        shutil.copy(HERE / "package.json", work)
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=work, check=True)
        done.write_text(wanted)
    # Modules of Node are found beside the file that imports them.
    shutil.copy(HERE / "client_node.mjs", work)
    return python


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, help="an executable that is built already")
    parser.add_argument("--work", type=Path, default=ROOT / "target" / "endpoint-clients")
    options = parser.parse_args()
    binary = options.binary
    if binary is None:
        subprocess.run(["cargo", "build", "--locked", "--quiet", "--package", "openai-endpoint"], cwd=ROOT, check=True)
        binary = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "openai-endpoint"
    python = environment(options.work)
    plugin = dify.Plugin(binary.resolve(), PLUGIN, script.settings(KEY), script.answer)
    url = dify.serve(plugin)
    failed = []
    for client in CLIENTS:
        print("== %s" % client, flush=True)
        command = [python, HERE / client] if client.endswith(".py") else ["node", options.work / client]
        env = dict(os.environ, ENDPOINT_URL=url, ENDPOINT_KEY=KEY, PYTHONPATH=str(HERE), NO_PROXY="*")
        if subprocess.run([str(part) for part in command], env=env).returncode != 0:
            failed.append(client)
    # Both official clients have left a stream: the model's call was ended for each.
    deadline = time.monotonic() + 10
    while len(plugin.left) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    left = len(plugin.left)
    is_alive = plugin.process.poll() is None
    plugin.stop()
    # Where the conformance suite has installed Dify's own types.
    judge = ROOT / "target" / "conformance-venv" / "bin" / "python"
    if judge.exists():
        calls = json.dumps(plugin.calls).encode()
        if subprocess.run([judge, HERE / "judge_calls.py"], input=calls).returncode != 0:
            failed.append("judge_calls.py")
    else:
        print("skipped: judge_calls.py needs the environment of tests/conformance/run.py")
    if failed or left < 2 or not is_alive:
        sys.exit("failed: %s; %d of 2 calls were ended; the plugin %s" % (failed, left, "runs" if is_alive else "has ended"))
    print("all clients passed")


if __name__ == "__main__":
    main()
