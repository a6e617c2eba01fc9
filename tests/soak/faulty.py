"""An upstream that responds like that of the conformance suite, with the fault that the first part of the path names."""

import asyncio
import json
import socket
import struct
from collections import Counter

from upstream import answer

PAGE = b"<html><body>Bad gateway</body></html>"
REFUSALS = {"401": "Unauthorized", "404": "Not Found", "429": "Too Many Requests", "500": "Internal Server Error", "503": "Service Unavailable"}
# Fault: how many of a hundred calls.
FAULTS = {
    "healthy": 45, "slow": 8, "long": 8, "reset before the head": 3, "reset after the head": 3, "reset midway": 4,
    "stall before the head": 2, "stall midway": 3, "keep-alive comments": 2, "malformed": 3, "page": 2, "half an event": 3,
    "invalid UTF-8": 2, "401": 2, "404": 2, "429": 3, "500": 3, "503": 2,
}


class Faulty:
    """Serves on loopback. `open` counts the connections that are open now, `served` the calls by fault."""

    def __init__(self):
        self.open = 0
        self.served = Counter()
        self.url = None

    async def start(self):
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0, backlog=4096)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def connection(self, reader, writer):
        self.open += 1
        try:
            while await self.call(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def call(self, reader, writer):
        """One request and its answer; whether the connection may be used again."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _ = head.split(" ", 2)
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        if "json" in fields.get("content-type", ""):
            body = json.loads(body)
        _, fault, path = target.partition("?")[0].split("/", 2)
        fault = fault.replace("-", " ").replace("keep alive", "keep-alive").replace("UTF 8", "UTF-8")
        self.served[fault] += 1
        kind, payload = answer("/" + path, body if method == "POST" else None)
        status = f"{kind} Not Found" if isinstance(kind, int) else "200 OK"
        kind = "application/json" if isinstance(kind, int) else kind
        if fault in REFUSALS:
            status, kind, payload = f"{fault} {REFUSALS[fault]}", "application/json", b'{"error": {"message": "no", "code": "refused"}}'
        return await self.play(fault, reader, writer, status, kind, payload)

    async def play(self, fault, reader, writer, status, kind, payload):
        if fault == "reset before the head":
            return reset(writer)
        if fault == "stall before the head":
            return await until_gone(reader)
        if fault == "malformed":
            writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            return False
        if fault == "page":
            kind, payload = "text/html", PAGE
        if fault == "invalid UTF-8":
            payload = payload.replace(b"answer", b"\xff\xfe\xc3(").replace(b"spoken", b"\xff")
        if fault == "long" and payload.count(b"\n\n") > 1:
            first, second, *rest = payload.split(b"\n\n")
            payload = b"\n\n".join([first, *[second] * 300, *rest])
        head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(payload)}\r\n"
        stream = kind == "text/event-stream"
        if stream and fault in ("half an event", "keep-alive comments"):
            head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n"
        writer.write(head.encode() + (b"retry-after: 1\r\n" if fault == "429" else b"") + b"\r\n")
        half = len(payload) // 2
        if fault == "reset after the head":
            await writer.drain()
            await asyncio.sleep(0.02)
            return reset(writer)
        if fault in ("reset midway", "stall midway", "half an event"):
            writer.write(payload[:half])
            await writer.drain()
            await asyncio.sleep(0.02)
            if fault == "stall midway":
                return await until_gone(reader)
            return reset(writer) if fault == "reset midway" else False
        if fault == "keep-alive comments" and stream:
            # Without end they would keep a call alive until its session's deadline: they are life before the first event.
            for _ in range(20):
                if reader.at_eof():
                    return False
                writer.write(b": ping\n\n")
                await writer.drain()
                await asyncio.sleep(0.5)
            return reset(writer)
        if fault == "slow":
            piece = max(1, len(payload) // 40)
            for start in range(0, len(payload), piece):
                writer.write(payload[start : start + piece])
                await writer.drain()
                await asyncio.sleep(0.03)
            return True
        writer.write(payload)
        await writer.drain()
        return True


def reset(writer):
    """Closes so that the peer sees a reset, not an end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


async def until_gone(reader):
    while await reader.read(4096):
        pass
    return False
