"""Dify's side of calls back: responses of `tests/data/backwards/sdk_calls.json`, and a server that takes uploads."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

VECTORS = json.loads((Path(__file__).resolve().parent.parent / "data" / "backwards" / "sdk_calls.json").read_text())
BY_NAME = {vector["name"]: vector for vector in VECTORS}


def plain(value):
    """A value without what is the same to the daemon as an absent member: null, and the empty values of Go."""
    if isinstance(value, dict):
        members = ((name, plain(member)) for name, member in value.items())
        return {name: member for name, member in members if member not in (None, "", {}, [])}
    return [plain(item) for item in value] if isinstance(value, list) else value


class Dify:
    """Answers the calls of all plugins. `expected` is the name of the vector that the next call has to match."""

    def __init__(self):
        uploads = self.uploads = []

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                return

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                boundary = self.headers["content-type"].partition("boundary=")[2].encode()
                uploads.append(body.replace(boundary, b"BOUNDARY"))
                file = {"id": "file-1", "name": "a.pdf", "size": 4, "extension": ".pdf", "mime_type": "application/pdf"}
                payload = json.dumps(file).encode()
                self.send_response(201)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.expected = None

    def answer(self, invoke):
        """The events that answer a call, as the daemon writes them."""
        identifier = invoke["backwards_request_id"]

        def event(kind, message="", data=None):
            return {"backwards_request_id": identifier, "event": kind, "message": message, "data": data}

        if invoke["type"] == "upload_file":
            port = self.server.server_port
            return [event("response", "struct", {"url": f"http://127.0.0.1:{port}/files/upload/for-plugin?sign=x"}), event("end")]
        vector = BY_NAME.get(self.expected)
        if vector is None or vector["type"] != invoke["type"]:
            return [event("error", "app not found"), event("end")]
        return [event("response", "stream", response) for response in vector["responses"]] + [event("end")]
