"""What Dify answers in the clients' tests: models and an app that react to what the clients send."""

import json
import time

from dify import Failed

ERRORS = {
    "rate": 'PluginInvokeError: {"args":{"description":"slow down"},"error_type":"InvokeRateLimitError","message":"m"}',
    "credentials": 'PluginInvokeError: {"args":{"description":"bad key"},"error_type":"InvokeAuthorizationError","message":"m"}',
    "context": "This model's maximum context length is 8192 tokens.",
    "missing": "Model acme not exist",
    "bad": 'PluginInvokeError: {"args":{"description":"no"},"error_type":"InvokeBadRequestError","message":"m"}',
}
USAGE = {
    "prompt_tokens": 3, "prompt_unit_price": "0", "prompt_price_unit": "0", "prompt_price": "0", "completion_tokens": 4,
    "completion_unit_price": "0", "completion_price_unit": "0", "completion_price": "0", "total_tokens": 7,
    "total_price": "0", "currency": "USD", "latency": 0.1,
}


def chunk(content="", tool_calls=(), finish_reason=None, **more):
    message = {"role": "assistant", "content": content, "name": "", "tool_calls": list(tool_calls)}
    return {"model": "m", "prompt_messages": [], "system_fingerprint": "fp", **more, "delta": {
        "index": 0, "message": message, "usage": USAGE if finish_reason else None, "finish_reason": finish_reason}}


def text_of(content):
    return content if isinstance(content, str) else "".join(part.get("data", "") for part in content)


def llm(request):
    last = request["prompt_messages"][-1]
    text = text_of(last["content"])
    if text.startswith("fail:"):
        raise Failed("invoke llm model failed: " + ERRORS[text[5:]])
    if text == "break":
        yield chunk("Hel")
        time.sleep(0.05)
        raise Failed("invoke llm model failed: " + ERRORS["rate"])
    if text == "endless":
        while True:
            yield chunk("word ")
            time.sleep(0.02)
    if last["role"] == "tool":
        yield chunk("It is " + text + ".")
        yield chunk(finish_reason="stop")
        return
    if request.get("tools"):
        name = request["tools"][0]["name"]
        call = lambda arguments, name="": {"id": "call-1", "type": "function", "function": {"name": name, "arguments": arguments}}
        yield chunk(tool_calls=[call('{"place"', name)])
        yield chunk(tool_calls=[call(': "Riga"}')])
        yield chunk(finish_reason="tool_calls")
        return
    if request["completion_params"].get("response_format") == "json_object":
        yield chunk('{"ok": true}')
        yield chunk(finish_reason="stop")
        return
    parts = last["content"] if isinstance(last["content"], list) else []
    kinds = [part["type"] for part in parts if part["type"] != "text"]
    for part in ["<thi", "nk>\nHm.", "\n</think>\n", "Hello", ", ", "Ada", " ".join([""] + kinds)]:
        yield chunk(part)
        time.sleep(0.002)
    yield chunk(finish_reason="length" if request["completion_params"].get("max_tokens") == 1 else "stop")


def structured(request):
    assert request["structured_output_schema"]["properties"]
    answer = {"name": "Riga", "capital": True}
    text = json.dumps(answer)
    yield chunk(text[:7])
    yield chunk(text[7:])
    yield chunk(finish_reason="stop")
    yield chunk(structured_output=answer)


CONVERSATIONS = {}
STORAGE = {}


def app(request):
    conversation = request.get("conversation_id") or "dify-%d" % (len(CONVERSATIONS) + 1)
    turns = CONVERSATIONS.setdefault(conversation, [])
    turns.append(request["query"])
    for part in ["Turn ", str(len(turns))]:
        yield {"event": "message", "answer": part, "conversation_id": conversation}
    yield {"event": "message_end", "conversation_id": conversation, "metadata": {
        "usage": USAGE, "retriever_resources": [{"position": 1, "document_name": "d.pdf"}]}}


def storage(request):
    key = request["key"]
    if request["opt"] == "set":
        STORAGE[key] = request["value"]
        yield {"data": "ok"}
    elif key in STORAGE:
        yield {"data": STORAGE[key]}
    else:
        raise Failed("load data failed, please check if the key is correct or you have not set it")


def answer(kind, request):
    if kind == "llm":
        yield from llm(request)
    elif kind == "llm_structured_output":
        yield from structured(request)
    elif kind == "text_embedding":
        vectors = [[float(index), 0.5, -0.25] for index in range(len(request["texts"]))]
        yield {"model": "embed", "embeddings": vectors, "usage": {"tokens": 5, "total_tokens": 5, "unit_price": "0", "price_unit": "0",
                                                                 "total_price": "0", "currency": "USD", "latency": 0.1}}
    elif kind == "rerank":
        scores = sorted(((len(text), index) for index, text in enumerate(request["docs"])), reverse=True)
        yield {"model": "rank", "docs": [{"index": index, "text": request["docs"][index], "score": length / 100}
                                         for length, index in scores[:request["top_n"]]]}
    elif kind == "tts":
        yield {"result": b"ID3\x04".hex()}
        yield {"result": request["content_text"].encode().hex()}
    elif kind == "speech2text":
        yield {"result": "heard %d bytes" % (len(request["file"]) // 2)}
    elif kind == "moderation":
        yield {"result": "bad" in request["text"]}
    elif kind == "app":
        yield from app(request)
    elif kind == "storage":
        yield from storage(request)
    else:
        raise Failed("unsupported invoke type: " + kind)


def settings(key):
    def model(name, model_type):
        return {"provider": "acme/models/acme", "model": name, "model_type": model_type}

    return {
        "api_key": key, "llm": {**model("chat", "llm"), "mode": "chat", "completion_params": {}},
        "text_embedding": model("embed", "text-embedding"), "speech2text": model("listen", "speech2text"),
        "moderation": model("judge", "moderation"), "tts": {**model("speak", "tts"), "voice": "nova"},
        "chat_app": {"app_id": "app-1"}, "more_models": "rank = acme/models/acme/rank; gpt-4o = acme/models/acme/gpt-4o",
        "more_keys": "sk-limited-0123456789 = embed",
    }
