"""Installs the package as Dify's daemon does, with the network cut, and runs it.

    python3 tests/install/run.py            builds both static executables first (development profile)
    python3 tests/install/run.py --release  the same with the release profile

Needs cargo with rustup, Python 3.8 or newer with pip and venv, and qemu-aarch64 for the ARM executable.
As root the steps run in a network namespace without a network; otherwise only the installer runs in offline mode.
"""
import http.server
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / "target" / "install-test" / "tools"
PROFILE = "release" if "--release" in sys.argv else "debug"
TRIPLES = {"linux-amd64": "x86_64-unknown-linux-musl", "linux-arm64": "aarch64-unknown-linux-musl"}
NAME = "native-runtime-gemini-native"
PASSED = []


def passed(name, detail=""):
    PASSED.append(name)
    print("ok   %s%s" % (name, " (%s)" % detail if detail else ""), flush=True)


def call(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, **options)


def tools():
    """A virtual environment with the installer and the cross linker."""
    python = TOOLS / "bin" / "python"
    if not (TOOLS / "bin" / "cargo-zigbuild").exists():
        call(sys.executable, "-m", "venv", TOOLS)
        call(python, "-m", "pip", "install", "-q", "uv", "ziglang", "cargo-zigbuild")
    os.environ["PATH"] = "%s%s%s" % (TOOLS / "bin", os.pathsep, os.environ["PATH"])


def executables():
    found = {}
    for target, triple in TRIPLES.items():
        call("rustup", "target", "add", triple, cwd=ROOT)
        profile = ["--release"] if PROFILE == "release" else []
        call("cargo", "zigbuild", "--locked", "--bin", "dify-plugin-runtime", "--no-default-features", "--target", triple, *profile, cwd=ROOT)
        found[target] = ROOT / "target" / triple / PROFILE / "dify-plugin-runtime"
    return found


def package(found, out):
    binaries = [part for target, path in found.items() for part in ("--binary", "%s=%s" % (target, path))]
    call(found["linux-amd64"], "package", "--provider", "google", "--out", out, *binaries, cwd=ROOT)
    return next(pathlib.Path(out).glob("*.difypkg"))


def extract(file, directory):
    """As the daemon does: every file with mode 0644."""
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            path = directory / entry.filename
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(entry))
            path.chmod(0o644)


def install(directory):
    started = time.monotonic()
    call("uv", "venv", "-q", ".venv", "--python", sys.executable, cwd=directory)
    env = {"VIRTUAL_ENV": str(directory / ".venv"), "PATH": os.environ["PATH"], "UV_CACHE_DIR": str(directory / ".uv-cache")}
    call("uv", "pip", "install", "-q", "-r", "requirements.txt", cwd=directory, env=env)
    mode = (directory / ".venv" / "bin" / NAME).stat().st_mode
    assert mode & stat.S_IXUSR, "the installer did not make the executable executable"
    passed("install without a network", "%d ms" % ((time.monotonic() - started) * 1000))


class Upstream(http.server.BaseHTTPRequestHandler):
    """Answers every question with one event."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        event = {
            "candidates": [{"content": {"parts": [{"text": "Hello"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1},
        }
        body = ("data: %s\r\n\r\n" % json.dumps(event)).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def request(url):
    return {
        "session_id": "s1",
        "event": "request",
        "data": {
            "user_id": "u", "type": "model", "action": "invoke_llm", "provider": "google", "model": "gemini-3.5-flash",
            "model_type": "llm", "stream": True, "model_parameters": {}, "tools": None, "stop": None,
            "credentials": {"google_api_key": "k", "google_base_url": url},
            "prompt_messages": [{"role": "user", "content": "hi"}],
        },
    }


def start(command, directory, **more):
    env = dict(os.environ, INSTALL_METHOD="local", **more)
    return subprocess.Popen(
        [str(part) for part in command], cwd=str(directory), env=env,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )


def serve_and_answer(command, directory, url, name):
    started = time.monotonic()
    plugin = start(command, directory)
    first = json.loads(plugin.stdout.readline())
    took = (time.monotonic() - started) * 1000
    assert first["event"] == "heartbeat", first
    out, err = plugin.communicate(json.dumps(request(url)) + "\n", timeout=60)
    messages = [json.loads(line)["data"] for line in out.splitlines() if '"session"' in line]
    text = "".join(m["data"]["delta"]["message"]["content"] for m in messages if m["type"] == "stream")
    assert text == "Hello" and messages[-1]["type"] == "end", (out, err)
    assert plugin.returncode == 0, (plugin.returncode, err)
    passed(name, "first line after %d ms" % took)


def launcher_failures(directory):
    """What a user sees when the executable cannot be run."""
    python = directory / ".venv" / "bin" / "python"
    script = directory / ".venv" / "bin" / NAME
    kept = script.read_bytes()
    cases = [("missing", None, "no executable for"), ("for another CPU", b"\x7fELF" + b"\0" * 60, "a CPU other than")]
    for name, content, expected in cases:
        script.unlink()
        if content is not None:
            script.write_bytes(content)
            script.chmod(0o755)
        plugin = start([python, "-m", "main"], directory)
        out, err = plugin.communicate(timeout=30)
        assert plugin.returncode in (126, 127) and expected in err, (name, plugin.returncode, err)
        assert err.count("\n") == 1 and len(err) < 1024, err
        passed("an executable that is %s is explained" % name)
        if content is not None:
            script.unlink()
        # Put back what was there.
        script.write_bytes(kept)
        script.chmod(0o755)


def refused_execution(directory, url):
    """A directory that is mounted noexec: the launcher runs the executable from memory."""
    if os.geteuid() != 0:
        print("skip noexec: needs root to mount", flush=True)
        return
    mount = directory.parent / "noexec"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "tmpfs", str(mount)]).returncode != 0:
        print("skip noexec: this machine does not mount", flush=True)
        return
    try:
        shutil.copytree(directory, mount / "plugin", symlinks=True)
        python = mount / "plugin" / ".venv" / "bin" / "python"
        serve_and_answer([python, "-m", "main"], mount / "plugin", url, "runs from a noexec directory")
    finally:
        subprocess.run(["umount", str(mount)], check=False)


def marketplace(directory):
    """The marketplace's install test, in both spellings of the mode."""
    for method, host, port in [("serverless", "SERVERLESS_HOST", "SERVERLESS_PORT"), ("aws_lambda", "AWS_LAMBDA_HOST", "AWS_LAMBDA_PORT")]:
        env = dict(os.environ, INSTALL_METHOD=method, **{host: "127.0.0.1", port: "8091"})
        plugin = subprocess.Popen(
            [str(directory / ".venv" / "bin" / "python"), "-m", "main"], cwd=str(directory), env=env, stdout=subprocess.PIPE, text=True,
        )
        try:
            line = plugin.stdout.readline()
            assert "Serving Flask app" in line, line
            import urllib.request

            with urllib.request.urlopen("http://127.0.0.1:8091/", timeout=10) as answer:
                assert answer.status == 200
            passed("serves over HTTP as %s" % method)
        finally:
            plugin.terminate()
            plugin.wait(timeout=20)


def offline(file, arm):
    """Everything from here on runs without a network."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d" % server.server_port
    with tempfile.TemporaryDirectory() as scratch:
        directory = pathlib.Path(scratch) / "plugin"
        extract(file, directory)
        install(directory)
        serve_and_answer([directory / ".venv" / "bin" / "python", "-m", "main"], directory, url, "python -m main answers")
        launcher_failures(directory)
        refused_execution(directory, url)
        marketplace(directory)
        qemu = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
        assert qemu, "qemu-aarch64 is missing: install qemu-user"
        serve_and_answer([qemu, arm], directory, url, "the ARM executable answers under emulation")


def main():
    if sys.argv[1:2] == ["--offline"]:
        offline(pathlib.Path(sys.argv[2]), sys.argv[3])
        print("%d passed, 0 failed" % len(PASSED), flush=True)
        return
    tools()
    found = executables()
    with tempfile.TemporaryDirectory() as out:
        file = package(found, out)
        steps = [sys.executable, __file__, "--offline", file, found["linux-arm64"]]
        namespace = ["unshare", "--net", "sh", "-c", 'ip link set lo up 2>/dev/null || ifconfig lo up; exec "$@"', "sh"]
        probe = ["unshare", "--net", "true"]
        if os.geteuid() == 0 and shutil.which("ip") and subprocess.run(probe).returncode == 0:
            call(*namespace, *steps)
        else:
            print("no network namespace here: only the installer runs offline", flush=True)
            call(*steps, env=dict(os.environ, UV_OFFLINE="1"))


main()
