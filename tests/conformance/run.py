#!/usr/bin/env python3
"""The one command of the conformance suite: makes an environment, builds the executable, runs every check.

    python3 tests/conformance/run.py [--binary PATH] [--plugins PATH] [--agent PATH] [--venv DIR]

Needs Python 3.12 or newer (the reference SDK does) and a package index for the first run.
"""

import argparse
import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OLDEST = (3, 12)


def interpreter():
    """A Python that the reference SDK runs on."""
    if sys.version_info >= OLDEST:
        return sys.executable
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    candidates = [shutil.which(f"python3.{minor}") for minor in range(12, 16)]
    candidates += sorted(glob.glob(f"{pyenv}/versions/3.1[2-9]*/bin/python3"))
    for candidate in filter(None, candidates):
        code = f"import sys; sys.exit(sys.version_info < {OLDEST})"
        if subprocess.run([candidate, "-c", code], check=False, capture_output=True).returncode == 0:
            return candidate
    sys.exit("the reference SDK needs Python 3.12 or newer and none was found: install one, or put it on PATH as python3.12")


def environment(directory):
    """Returns the Python of an environment with the packages of `requirements.txt`; created once."""
    python = directory / "bin" / "python"
    wanted = (HERE / "requirements.txt").read_text()
    done = directory / "requirements.done"
    if not (done.exists() and done.read_text() == wanted):
        subprocess.run([interpreter(), "-m", "venv", "--clear", directory], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True)
        done.write_text(wanted)
    return python


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, help="an executable that is built already")
    parser.add_argument("--plugins", type=Path, help="the example `conformance`, if it is built already")
    parser.add_argument("--agent", type=Path, help="the plugin `agent`, if it is built already")
    parser.add_argument("--venv", type=Path, default=ROOT / "target" / "conformance-venv")
    options = parser.parse_args()
    built = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
    binary, plugins, agent = options.binary, options.plugins, options.agent
    if binary is None:
        subprocess.run(["cargo", "build", "--locked", "--quiet"], cwd=ROOT, check=True)
        binary = built / "dify-plugin-runtime"
    if plugins is None:
        subprocess.run(["cargo", "build", "--locked", "--quiet", "--example", "conformance"], cwd=ROOT, check=True)
        plugins = built / "examples" / "conformance"
    if agent is None:
        subprocess.run(["cargo", "build", "--locked", "--quiet", "--package", "agent"], cwd=ROOT, check=True)
        agent = built / "agent"
    python = environment(options.venv)
    suites = [("suite.py", binary), ("kinds.py", plugins), ("agent.py", agent)]
    codes = [subprocess.run([python, HERE / suite, str(path.resolve())], check=False).returncode for suite, path in suites]
    sys.exit(max(map(bool, codes)))


if __name__ == "__main__":
    main()
