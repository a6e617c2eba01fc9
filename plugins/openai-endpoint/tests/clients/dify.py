"""Dify for the clients' tests: an HTTP server on loopback that serves the plugin's endpoint as the plugin daemon does, and answers
calls back into Dify from a script.

As the daemon: a request goes to the plugin as hexadecimal HTTP/1.1 with the path behind the hook's ID, its body is cut at 10 MiB,
status and headers count until the first part of the body, every part is flushed, and what comes after the first part is lost if the
session has ended by then. A client that disconnects ends its session and the calls of it; the plugin is not notified.
"""

import http.server
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time

MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_LINE_BYTES = 5 * 1024 * 1024
HOOK = "/e/abcdefghijklmnop"


class Plugin:
    """The plugin process, its sessions, and what answers its calls: `answer(kind, request)` yields data, or raises."""

    def __init__(self, executable, directory, settings, answer):
        self.settings, self.answer = settings, answer
        self.sessions, self.calls, self.left = {}, [], []
        self.lock = threading.Lock()
        self.process = subprocess.Popen(
            [str(executable)], cwd=str(directory), env=dict(os.environ, INSTALL_METHOD="local", MAX_WORKER="1000"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        self.next = 0
        threading.Thread(target=self.read, daemon=True).start()

    def write(self, value):
        line = json.dumps(value).encode() + b"\n"
        with self.lock:
            self.process.stdin.write(line)
            self.process.stdin.flush()

    def read(self):
        for line in self.process.stdout:
            assert len(line) <= MAX_LINE_BYTES, "the daemon would end the plugin: a line of %d bytes" % len(line)
            if not line.strip():
                continue
            message = json.loads(line)
            if message["event"] != "session":
                continue
            session = self.sessions.get(message["session_id"])
            data = message["data"]
            if session is None:
                continue
            if data["type"] == "invoke":
                threading.Thread(target=self.call, args=(message["session_id"], session, data["data"]), daemon=True).start()
            elif data["type"] == "end":
                session.ended = True
                session.items.put(None)
            elif data["type"] == "error":
                session.ended = True
                session.items.put(RuntimeError(data["data"]))
            else:
                session.items.put(data["data"])

    def call(self, session_id, session, invoke):
        """Answers one call back."""
        kind, request = invoke["type"], invoke["request"]
        self.calls.append((kind, request))

        def event(name, message, data):
            self.write({"session_id": session_id, "event": "backwards_response", "data": {
                "backwards_request_id": invoke["backwards_request_id"], "event": name, "message": message, "data": data}})

        try:
            for data in self.answer(kind, request):
                if session.client_left:
                    self.left.append(kind)
                    return
                event("response", "stream", data)
        except Failed as failure:
            event("error", str(failure), None)
        event("end", "", None)

    def open(self, raw):
        session = Session()
        with self.lock:
            self.next += 1
            session_id = "session-%d" % self.next
        self.sessions[session_id] = session
        self.write({"session_id": session_id, "conversation_id": None, "message_id": None, "app_id": None,
                    "endpoint_id": "endpoint-1", "context": None, "event": "request",
                    "data": {"user_id": "", "type": "endpoint", "action": "invoke_endpoint", "settings": self.settings,
                             "raw_http_request": raw.hex()}})
        return session_id, session

    def close(self, session_id, session, client_left):
        session.client_left = client_left
        self.sessions.pop(session_id, None)

    def stop(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()


class Session:
    def __init__(self):
        self.items = queue.Queue()
        self.ended = self.client_left = False


class Failed(Exception):
    """What Dify reports as the error of a call."""


def serve(plugin):
    """Starts the server, and returns its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))[:MAX_BODY_BYTES]
            if not self.path.startswith(HOOK):
                return self.send_error(404)
            head = ["%s %s HTTP/1.1" % (self.command, self.path[len(HOOK):] or "/")]
            head += ["%s: %s" % pair for pair in self.headers.items() if pair[0].lower() not in ("content-length", "x-forwarded-for")]
            head += ["Content-Length: %d" % len(body), "Dify-Hook-Id: abcdefghijklmnop"]
            raw = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body
            session_id, session = plugin.open(raw)
            client_left = False
            try:
                self.respond(session)
            except (BrokenPipeError, ConnectionResetError):
                client_left = True
            finally:
                self.close_connection = self.close_connection or client_left
                plugin.close(session_id, session, client_left)

        def respond(self, session):
            status, headers, first = 100, {}, None
            while first is None:
                item = self.item(session)
                if item is None:
                    break
                if isinstance(item, Exception):
                    status, headers, first = 500, {"content-type": "application/json"}, json.dumps({"error": str(item)}).encode()
                    break
                status = item.get("status", status)
                headers = {**item.get("headers", {}), **headers}
                first = bytes.fromhex(item["result"]) if item.get("result") is not None else None
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            has_length = any(name.lower() == "content-length" for name in headers)
            if first is None:
                self.send_header("Content-Length", "0")
                return self.end_headers()
            if not has_length:
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.part(first, has_length)
            time.sleep(0.001)
            cut = session.ended
            while not cut:
                item = self.item(session)
                if item is None or isinstance(item, Exception):
                    break
                self.part(bytes.fromhex(item["result"]), has_length)
            if not has_length:
                self.wfile.write(b"0\r\n\r\n")

        def item(self, session):
            """The next item; notices a client that disconnects meanwhile."""
            while True:
                try:
                    return session.items.get(timeout=0.05)
                except queue.Empty:
                    self.connection.setblocking(False)
                    try:
                        if self.connection.recv(1, socket.MSG_PEEK) == b"":
                            raise BrokenPipeError
                    except BlockingIOError:
                        pass
                    finally:
                        self.connection.setblocking(True)

        def part(self, body, has_length):
            self.wfile.write(body if has_length else b"%x\r\n%s\r\n" % (len(body), body))
            self.wfile.flush()

        do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = handle_any

        def log_message(self, *arguments):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads, request_queue_size = True, 128

        def handle_error(self, request, client_address):
            """Clients may disconnect at any time; anything else is a fault of this file."""
            if not isinstance(sys.exception(), ConnectionError):
                super().handle_error(request, client_address)

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "http://127.0.0.1:%d%s/v1" % (server.server_port, HOOK)
