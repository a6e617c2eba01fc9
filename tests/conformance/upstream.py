"""One fake upstream that speaks OpenAI's words, Xinference's and Gemini's, and keeps what it was sent."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath

DESCRIPTIONS = {
    "chat": {"model_type": "LLM", "model_name": "chat", "model_ability": ["chat", "tools", "vision"],
             "context_length": 4096, "model_format": "pytorch", "model_family": "qwen3"},
    "embed": {"model_type": "embedding", "model_name": "embed", "model_ability": ["embed"], "max_tokens": 256, "dimensions": 2},
    "rerank": {"model_type": "rerank", "model_name": "rerank", "model_ability": ["rerank"], "type": "normal"},
    "asr": {"model_type": "audio", "model_name": "asr", "model_ability": ["audio2text"], "model_family": "whisper"},
    "tts": {"model_type": "audio", "model_name": "tts", "model_ability": ["text2audio"], "model_family": "Kokoro"},
}
# Files of Dify: media type and bytes.
FILES = {"cat.png": ("image/png", b"\x89PNG\r\n\x1a\ncat"), "talk.mp3": ("audio/mpeg", b"ID3\x04talk")}
WAVE = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x08\0\0\0" + b"\0\1" * 4
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
GEMINI_USAGE = {"promptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": 12}


class Upstream:
    """Serves on loopback until the process ends. `seen` contains method, path and body of every call."""

    def __init__(self):
        upstream = self
        self.seen = []
        self.refusal = None

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                return

            def do_GET(self):
                self.answer("GET", None)

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                is_json = "json" in self.headers.get("content-type", "")
                self.answer("POST", json.loads(body) if is_json else body)

            def answer(self, method, body):
                path = self.path.partition("?")[0]
                upstream.seen.append((method, path, body))
                kind, payload = upstream.refusal or answer(path, body)
                status = 200
                if isinstance(kind, int):
                    status, kind = kind, "application/json"
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self):
        """What was sent since the last time."""
        seen, self.seen = self.seen, []
        return seen


def document(value):
    return "application/json", json.dumps(value).encode()


def events(values, last=None):
    lines = [f"data: {json.dumps(value)}\n\n" for value in values]
    return "text/event-stream", "".join(lines + ([f"data: {last}\n\n"] if last else [])).encode()


def answer(path, body):
    name = PurePosixPath(path).name
    if path.startswith("/dify-files/"):
        return FILES[name]
    if path.endswith(f"/v1/models/{name}"):
        return document(DESCRIPTIONS[name]) if name in DESCRIPTIONS else (404, b'{"detail": "Not Found"}')
    if ":" in name:
        return gemini(name.partition(":")[2], body)
    if "interactions" in path:
        return interaction(name)
    if name == "completions":
        return chat(body)
    if name == "embeddings":
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        rows = [{"object": "embedding", "index": index, "embedding": [0.5, -0.25]} for index in range(len(texts))]
        return document({"object": "list", "model": body["model"], "data": rows, "usage": USAGE})
    if name in ("rerank", "reranks"):
        rows = [{"index": index, "relevance_score": 0.75} for index in range(len(body["documents"]))]
        return document({"id": "r", "results": rows, "usage": USAGE})
    if name in ("transcriptions", "translations"):
        return document({"text": "spoken"})
    if name == "speech":
        return "audio/wav", WAVE
    if "/v1beta/models" in path:
        return document({"models": [], "name": path, "inputTokenLimit": 5000, "outputTokenLimit": 700})
    if name == "models":
        return document({"object": "list", "data": [{"id": key, **value} for key, value in DESCRIPTIONS.items()]})
    return 404, b'{"detail": "Not Found"}'


def chat(body):
    def chunk(delta, **rest):
        choice = {"index": 0, "delta": delta, "finish_reason": rest.pop("finish", None)}
        return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": body["model"],
                "system_fingerprint": "fp", "choices": [choice], **rest}

    call = {"index": 0, "id": "call-1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Rome\"}"}}
    tools = bool(body.get("tools"))
    message = {"tool_calls": [call]} if tools else {"content": "answer"}
    end = "tool_calls" if tools else "stop"
    if not body.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": "answer"}, "finish_reason": "stop"}
        return document({"id": "c", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice], "usage": USAGE})
    tail = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": body["model"], "choices": [], "usage": USAGE}
    return events([chunk({"role": "assistant", "content": ""}), chunk(message), chunk({}, finish=end), tail], "[DONE]")


def gemini(call, body):
    if call == "countTokens":
        return document({"totalTokens": 7})
    if call == "embedContent":
        return document({"embedding": {"values": [0.5, -0.25]}})
    if call == "batchEmbedContents":
        return document({"embeddings": [{"values": [0.5, -0.25]} for _ in body["requests"]]})
    config = body.get("generationConfig", {})
    if "AUDIO" in config.get("responseModalities", []):
        data = base64.b64encode(b"\0\1" * 8).decode()
        parts = [{"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": data}}]
    elif any("functionDeclarations" in tool for tool in body.get("tools", [])):
        parts = [{"functionCall": {"name": "weather", "args": {"city": "Rome"}}, "thoughtSignature": "c2ln"}]
    elif "IMAGE" in config.get("responseModalities", []) and call == "generateContent":
        data = base64.b64encode(FILES["cat.png"][1]).decode()
        parts = [{"text": "answer"}, {"inlineData": {"mimeType": "image/png", "data": data}}]
    elif "responseJsonSchema" in config and call == "generateContent":
        parts = [{"text": json.dumps([{"start": "00:01", "speaker": "Anna", "text": "answer"}])}]
    else:
        parts = [{"text": "answer"}]
    pieces = [{"candidates": [{"content": {"role": "model", "parts": parts}}]},
              {"candidates": [{"finishReason": "STOP"}], "usageMetadata": GEMINI_USAGE, "modelVersion": "m"}]
    if call == "streamGenerateContent":
        return events(pieces)
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", **grounding(body.get("tools", []))}
    return document({"candidates": [candidate], "usageMetadata": GEMINI_USAGE})


def grounding(tools):
    """What a response has in addition to its text if Google's tools were used."""
    source, place = {"uri": "https://a.example/", "title": "a.example"}, {"uri": "https://maps.example/", "title": "Café", "placeId": "places/1"}
    support = {"segment": {"endIndex": 6, "text": "answer"}, "groundingChunkIndices": [0]}
    for tool in tools:
        if "googleSearch" in tool:
            return {"groundingMetadata": {"webSearchQueries": ["riga"], "searchEntryPoint": {"renderedContent": "<div></div>"},
                                          "groundingChunks": [{"web": source}], "groundingSupports": [support]}}
        if "googleMaps" in tool:
            return {"groundingMetadata": {"groundingChunks": [{"maps": place}], "groundingSupports": [support]}}
        if "urlContext" in tool:
            page = {"retrievedUrl": "https://a.example/", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"}
            return {"urlContextMetadata": {"urlMetadata": [page]}}
    return {}


def interaction(name):
    if name == "interactions":
        return document({"id": "task-1", "status": "in_progress"})
    if name == "task-failed":
        return document({"id": name, "status": "failed", "error": {"message": "no"}})
    if name == "task-running":
        return document({"id": name, "status": "in_progress"})
    return document({"id": name, "status": "completed", "outputs": [{"type": "text", "text": "report"}], "usage": {}})
