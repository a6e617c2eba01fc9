"""Writes a plugin of every kind with `new`, and does with it what its author does.

    python3 tests/templates/run.py                 every template
    python3 tests/templates/run.py tool trigger    only those whose directory begins so

Each crate depends on the library of this checkout. It must be formatted, build without warnings and lints, pass its own
tests, `check` and `declare --check` without a finding, answer at the terminal by the command that `new` prints, register over
the debugging port, and be packaged for both CPUs. Nothing is downloaded: crates need nothing that this repository's Cargo.lock
does not contain.
"""
import json
import os
import pathlib
import re
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = ROOT / "target" / "templates-test"
PROGRAM = ROOT / "target" / "debug" / "dify-plugin-runtime"
TRIPLES = {"x86_64-unknown-linux-musl": 62, "aarch64-unknown-linux-musl": 183}
PASSED = []

# Directory of the template, arguments of `new`, what the first command prints, and the event of its registration.
TEMPLATES = [
    ("tool", ["--kind", "tool"], "Day 1 in Riga: sunny", "tool_declaration"),
    ("endpoint", ["--kind", "endpoint"], "Hello, Riga!", "endpoint_declaration"),
    ("agent-strategy", ["--kind", "agent-strategy"], "42", "agent_strategy_declaration"),
    ("datasource-website-crawl", ["--kind", "datasource", "--type", "website-crawl"], "https://example.com/2", "datasource_declaration"),
    ("datasource-online-document", ["--kind", "datasource"], "Roadmap", "datasource_declaration"),
    ("datasource-online-drive", ["--kind", "datasource", "--type", "online-drive"], "readme.txt", "datasource_declaration"),
    ("trigger", ["--kind", "trigger"], '"commits":3', "trigger_declaration"),
    ("model", ["--kind", "model"], "This is the mock server.", "model_declaration"),
]

# Warnings and lints are errors in the crates themselves, while they are built.
LINTED = {"RUSTC_WORKSPACE_WRAPPER": "clippy-driver", "CLIPPY_ARGS": "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__"}


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DIFY_", "REMOTE_INSTALL", "INSTALL_METHOD"))}
    return dict(kept, CARGO_TARGET_DIR=str(TARGET), CARGO_NET_OFFLINE="true", **more)


def run(command, directory, **more):
    command = shlex.split(command) if isinstance(command, str) else [str(part) for part in command]
    done = subprocess.run(command, cwd=directory, env=environment(**more), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit("%s in %s: exit code %d\n%s%s" % (" ".join(command), directory, done.returncode, done.stdout, done.stderr))
    return done


def passed(template, name):
    PASSED.append(name)
    print("ok   %s: %s" % (template, name), flush=True)


def new(arguments, name, directory):
    """Writes a crate; returns the command that `new` proposes first."""
    out = run([PROGRAM, "new", name, *arguments, "--dir", directory, "--library", ROOT, "--author", "acme"], directory.parent).stdout
    commands = [line.strip() for line in out.splitlines() if line.startswith("  cargo run -- try")]
    assert len(commands) == 1, out
    return commands[0]


def packages(lock):
    return set(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"\nsource = ', lock.read_text()))


class DebuggingPort:
    """The daemon's side of a registration, as far as it is seen by the plugin."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.events = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        stream, _ = self.listener.accept()
        for line in stream.makefile("rb"):
            event = json.loads(line).get("type")
            self.events.append(event)
            if event == "end":
                break
        stream.close()


def debug(executable, directory, event):
    port = DebuggingPort()
    plugin = subprocess.Popen(
        [executable, "debug", "--url", "127.0.0.1:%d" % port.port, "--key", "key"], cwd=directory, env=environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )
    port.thread.join(60)
    plugin.kill()
    _, errors = plugin.communicate()
    assert event in port.events and port.events[-1] == "end", (port.events, errors.decode())


def executable_header(machine):
    """A file with the header of a static executable, which nothing can run."""
    file = bytearray(4096)
    file[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<H", file, 18, machine)
    struct.pack_into("<Q", file, 32, 64)
    struct.pack_into("<HH", file, 54, 56, 1)
    struct.pack_into("<I", file, 64, 1)
    return bytes(file)


def package(executable, directory, name):
    for triple, machine in TRIPLES.items():
        release = TARGET / triple / "release"
        release.mkdir(parents=True, exist_ok=True)
        (release / name).write_bytes(executable_header(machine))
    out = run([executable, "package", "--json"], directory).stdout
    packed = json.loads(out)[0]
    assert packed["file"].endswith("%s-0.1.0.difypkg" % name) and (directory / packed["file"]).is_file(), packed
    assert packed["identifier"].startswith("acme/%s:0.1.0@" % name), packed
    wheels = [line for line in run([executable, "inspect", packed["file"]], directory).stdout.splitlines() if line.startswith("wheel")]
    # What one backend signs, the other verifies, too.
    run([executable, "keygen", "--out", "company"], directory)
    signed = str(pathlib.Path(packed["file"]).with_suffix(".signed.difypkg"))
    run([executable, "sign", packed["file"], "--key", "company.private.pem", "--out", signed], directory)
    for verifier in (executable, PROGRAM):
        run([verifier, "verify", signed, "--key", "company.public.pem"], directory)
    assert len(wheels) == 2 and all("acme_%s_native-0.1.0-py3-none-" % name.replace("-", "_") in line for line in wheels), wheels


def check(template, arguments, expected, event, scratch):
    # The longest name that is accepted: lines of code must not depend on it.
    long = scratch / "long"
    new(arguments, "n" * 64, long)
    run("cargo fmt --check", long)
    name, directory = "my-" + template, scratch / template
    first_command = new(arguments, name, directory)
    shutil.copy(ROOT / "Cargo.lock", directory / "Cargo.lock")
    run("cargo fmt --check", directory)
    passed(template, "is formatted, whatever its name")
    answer = run(first_command, directory, **LINTED)
    assert expected in answer.stdout + answer.stderr, (first_command, answer)
    passed(template, "answers: %s" % first_command)
    added = packages(directory / "Cargo.lock") - packages(ROOT / "Cargo.lock")
    assert not added, "Cargo.lock of this repository does not contain %s" % sorted(added)
    executable = TARGET / "debug" / name
    found = run([executable, "check"], directory).stdout
    assert found.count("\n") == 1 and found.endswith(": no problems found\n"), found
    # `declare` writes nothing for models.
    if template != "model":
        run([executable, "declare", "--check"], directory)
    passed(template, "declarations agree with the code")
    debug(executable, directory, event)
    passed(template, "registers over the debugging port")
    package(executable, directory, name)
    passed(template, "is packaged for both CPUs")
    out = run("cargo test", directory, **LINTED).stdout
    assert re.search(r"test result: ok\. [1-9]\d* passed; 0 failed", out), out
    passed(template, "passes its own tests")
    # As the executable of a package is built. Serving it is the benchmark's and the conformance tests' part.
    run("cargo build --no-default-features", directory, **LINTED)
    served = subprocess.run([executable, "check"], cwd=directory, env=environment(), text=True, capture_output=True)
    assert served.returncode == 2 and "only serves" in served.stderr, served
    passed(template, "builds without its command line")


def main():
    wanted = sys.argv[1:]
    subprocess.run(["cargo", "build", "--locked", "--bin", "dify-plugin-runtime"], cwd=ROOT, check=True)
    templates = [row for row in TEMPLATES if not wanted or any(row[0].startswith(name) for name in wanted)]
    assert templates, "no template begins with %s" % wanted
    for row in templates:
        with tempfile.TemporaryDirectory() as scratch:
            check(*row, pathlib.Path(scratch).resolve())
    print("%d passed, 0 failed" % len(PASSED), flush=True)


main()
