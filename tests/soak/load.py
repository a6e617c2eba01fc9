"""The load: the requests of the conformance suite, each with a fault of the upstream, and lines of a broken daemon."""

import json
import random

import cases
from faulty import FAULTS

UNREACHABLE = "http://127.0.0.1:9"
# In every key; no output of the plugin may contain it.
CANARY = "canary-71c5"
# Keys, and timeouts short enough that a stalled call ends within the soak's timeout.
CREDENTIALS = {
    "google": {"google_api_key": f"AIza-{CANARY}", "request_timeout": "2", "max_retries": "1"},
    "ai-gateway": {"api_key": f"sk-{CANARY}", "connect_timeout": "2", "first_byte_timeout": "2", "idle_timeout": "2",
                   "max_retries": "1"},
    "xinference": {"api_key": f"sk-{CANARY}", "invoke_timeout": "2", "max_retries": "1"},
}
# Lines that begin no session; the plugin may complain about them and must go on.
NOISE = [
    b"{oops\n", b"\n", b"\xff\xfe\n", b"null\n", b"[" * 2000 + b"\n", b"x" * 1_000_000 + b"\n",
    b'{"session_id": "none", "event": "backwards_response", "data": {}}\n', b'{"event": "unheard-of"}\n',
]
# Invalid requests: the values in place of the data.
BROKEN = [
    None, 5, [], {}, {"type": "model"}, {"type": "tool", "action": "invoke_tool"},
    {"type": "model", "action": "invoke_llm", "provider": "unknown", "model": "m", "model_type": "llm", "credentials": {}},
    {"type": "model", "action": "dance", "provider": "google", "model": "m", "model_type": "llm", "credentials": {}},
    {"type": "model", "action": "invoke_llm", "provider": "xinference", "model": "m", "model_type": "llm", "credentials": {}},
]


class Load:
    """Draws requests. The same seed draws the same requests."""

    def __init__(self, url, seed):
        self.draw = random.Random(seed)
        self.requests = {fault: self.against(f"{url}/{fault.replace(' ', '-')}") for fault in FAULTS}
        self.requests["connection refused"] = self.against(UNREACHABLE)
        self.requests["proxy down"] = self.against(f"{url}/healthy")
        for _, _, request in self.requests["proxy down"]:
            request["credentials"]["proxy_url"] = UNREACHABLE

    @staticmethod
    def against(url):
        """All requests of all providers for one upstream URL: provider, title, data."""
        found = []
        for name, provider in cases.providers(url).items():
            provider["credentials"] |= CREDENTIALS[name]
            for title, request in cases.actions(name, provider):
                found.append((name, title, request))
                found += [(name, f"{title}, {how}", other) for how, other, _ in cases.variations(request)]
        return found

    def next(self):
        """Fault, title of the request, data."""
        if self.draw.random() < 0.04:
            return "broken request", "broken request", self.draw.choice(BROKEN)
        faults = {**FAULTS, "connection refused": 2, "proxy down": 1}
        fault = self.draw.choices(list(faults), faults.values())[0]
        name, title, request = self.draw.choice(self.requests[fault])
        # Chats are what a plugin does most of the time.
        while "chat" not in title and self.draw.random() < 0.5:
            name, title, request = self.draw.choice(self.requests[fault])
        return fault, f"{name}, {title}", request

    def pieces(self, line):
        """A line as a daemon may write it: whole, or in two parts."""
        if self.draw.random() < 0.9:
            return [line]
        cut = self.draw.randrange(len(line))
        return [line[:cut], line[cut:]]

    def noise(self):
        return self.draw.choice(NOISE)


def line(session, data):
    return json.dumps({"session_id": session, "event": "request", "data": data}).encode() + b"\n"
