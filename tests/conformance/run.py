#!/usr/bin/env python3
"""The one command of the conformance suite: makes an environment, builds the executable, runs every check.

    python3 tests/conformance/run.py [--binary PATH] [--plugins PATH] [--agent PATH] [--gemini-tools PATH] [--venv DIR]

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


# Option, script and executable in Cargo's directory, and what the executable is.
SUITES = [
    ("binary", ("suite.py", "dify-plugin-runtime"), "the executable of the repository"),
    ("plugins", ("kinds.py", "examples/conformance"), "the example `conformance`"),
    ("agent", ("agent.py", "agent"), "the executable of plugins/agent"),
    ("gemini-tools", ("gemini_tools.py", "gemini-tools"), "the executable of plugins/gemini-tools"),
]


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
    for name, _, title in SUITES:
        parser.add_argument(f"--{name}", type=Path, help=f"{title}, if it is built already")
    parser.add_argument("--venv", type=Path, default=ROOT / "target" / "conformance-venv")
    options = parser.parse_args()
    paths = {name: getattr(options, name.replace("-", "_")) for name, _, _ in SUITES}
    if None in paths.values():
        # One build for all, so that they share what they depend on.
        subprocess.run(["cargo", "build", "--locked", "--quiet", "--bins", "--example", "conformance"], cwd=ROOT, check=True)
    built = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
    python = environment(options.venv)
    codes = [
        subprocess.run([python, HERE / script, str((paths[name] or built / path).resolve())], check=False).returncode
        for name, (script, path), _ in SUITES
    ]
    sys.exit(max(map(bool, codes)))


if __name__ == "__main__":
    main()
