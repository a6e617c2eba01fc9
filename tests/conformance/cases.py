"""The requests to each provider: one valid request per action, and the other spellings that a daemon may send."""

import copy

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WAVE = (b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x08\0\0\0" + b"\0\1" * 4).hex()
MESSAGES = [
    {"role": "system", "content": "Be brief.", "name": None},
    {"role": "user", "content": [
        {"type": "text", "data": "What is this?"},
        {"type": "image", "format": "png", "mime_type": "image/png", "base64_data": PIXEL, "url": "", "detail": "low", "filename": ""},
    ], "name": None},
]
ASKED = [{"role": "user", "content": "Why is the sky blue?"}]
TOOL = {"name": "weather", "description": "The weather of a city", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "description": "a city"}}, "required": ["city"]}}
HISTORY = [
    {"role": "user", "content": "The weather in Rome?"},
    {"role": "assistant", "content": "", "tool_calls": [
        {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Rome\"}"}}]},
    {"role": "tool", "content": "sunny", "tool_call_id": "call-1", "name": "weather"},
]
TEXT = {"content": "a", "content_type": "text"}


def providers(url):
    """For each provider: credentials, the model of each type, and the actions that it has no model for."""
    gateway = {"auth_method": "api_key", "api_key": "key", "endpoint_url": f"{url}/v1", "vision_support": "support"}
    return {
        "google": {
            "credentials": {"google_api_key": "AIza-key", "google_base_url": url},
            "llm": "gemini-2.5-flash", "text-embedding": "gemini-embedding-001", "tts": "gemini-3.1-flash-tts-preview",
            "speech2text": "gemini-2.5-flash-lite", "agent": "deep-research-preview-04-2026",
            "more": ["gemini-3.8-flash", "gemini-2.5-flash-image"],
            "parameters": {"temperature": 1, "top_p": 0.5, "max_output_tokens": 100},
        },
        "ai-gateway": {
            "credentials": gateway, "llm": "chat", "text-embedding": "embed", "rerank": "rerank", "tts": "tts", "speech2text": "asr",
            "parameters": {"temperature": 1, "top_p": 0.5, "max_tokens": 100},
        },
        "xinference": {
            "credentials": {"server_url": url}, "uid": True,
            "llm": "chat", "text-embedding": "embed", "rerank": "rerank", "tts": "tts", "speech2text": "asr",
            "parameters": {"temperature": 1, "top_p": 0.5, "max_tokens": 100},
        },
    }


def actions(name, provider):
    """Pairs of a title and a good request."""
    def of(action, model_type, **fields):
        model = provider[model_type]
        credentials = dict(provider["credentials"])
        if provider.get("uid"):
            credentials["model_uid"] = model
        return {"type": "model", "action": action, "user_id": "user", "provider": name, "model_type": model_type,
                "model": model, "credentials": credentials, **fields}

    def llm(messages, **fields):
        return of("invoke_llm", "llm", prompt_messages=messages, model_parameters=provider["parameters"],
                  **{"tools": [], "stop": [], "stream": True, **fields})

    yield "chat", llm(ASKED)
    yield "chat, blocking", llm(ASKED, stream=False)
    yield "chat with an image and a stop word", llm(MESSAGES, stop=["END"])
    yield "chat that calls a tool", llm(ASKED, tools=[TOOL])
    yield "chat that goes on after a tool", llm(HISTORY, tools=[TOOL])
    yield "chat by a schema", llm(ASKED, json_schema={"type": "object", "properties": {"a": {"type": "string"}}})
    yield "token count", of("get_llm_num_tokens", "llm", prompt_messages=ASKED, tools=[TOOL])
    yield "embedding", of("invoke_text_embedding", "text-embedding", texts=["a", "b"], input_type="query")
    yield "embedding token count", of("get_text_embedding_num_tokens", "text-embedding", texts=["a", "b"])
    yield "multimodal embedding", of("invoke_multimodal_embedding", "text-embedding", documents=[TEXT], input_type="document")
    if "rerank" in provider:
        yield "rerank", of("invoke_rerank", "rerank", query="q", docs=["a", "b"], score_threshold=0.5, top_n=1)
        yield "multimodal rerank", of("invoke_multimodal_rerank", "rerank", query=TEXT, docs=[TEXT, TEXT], score_threshold=None, top_n=None)
    yield "speech", of("invoke_tts", "tts", content_text="Hello.", voice="", tenant_id="t")
    yield "voices", of("get_tts_model_voices", "tts", language=None)
    yield "transcription", of("invoke_speech2text", "speech2text", file=WAVE)
    yield "moderation", {**of("invoke_moderation", "llm", text="a"), "model_type": "moderation"}
    yield "provider credentials", {"type": "model", "action": "validate_provider_credentials", "user_id": "user",
                                   "provider": name, "credentials": provider["credentials"]}
    for kind in ("llm", "text-embedding", "rerank", "tts", "speech2text"):
        if kind in provider:
            yield f"{kind} credentials", of("validate_model_credentials", kind)
            yield f"{kind} schema", of("get_ai_model_schemas", kind)
    polling = {**llm(ASKED, stream=False), "action": "start_polling"}
    if "agent" in provider:
        # Agents are a provider of their own, of the same code and credentials.
        polling |= {"provider": "gemini-agents", "model": provider["agent"], "model_parameters": {}}
    yield "polling, started", polling
    for state in ("task-running", "task-done", "task-failed"):
        yield f"polling, {state}", {**of("check_polling", "llm"), "provider": polling["provider"], "model": polling["model"],
                                        "plugin_state": {"interaction": state}}


def values(rule):
    """Values that a parameter rule allows."""
    kind = rule["type"]
    if rule.get("options"):
        return rule["options"]
    if kind == "boolean":
        return [True, False]
    if kind in ("int", "float"):
        number = int if kind == "int" else float
        return [number(rule[key]) for key in ("min", "max", "default") if rule.get(key) is not None]
    return ["{\"type\": \"object\", \"properties\": {}}"] if "schema" in rule["name"] else ["text"]


# What a request cannot do without: the rest may be null, empty or absent.
NEEDED = {"type", "action", "provider", "model", "model_type", "credentials"}
# Required content; a clear error is as good as a response.
CONTENT = {"prompt_messages", "texts", "query", "docs", "documents", "content_text", "file", "text", "plugin_state", "voice"}


def variations(request):
    """Other spellings of a request: title, request, whether the response must be equal to the original one."""
    for key in request.keys() - NEEDED:
        absent = {name: value for name, value in request.items() if name != key}
        yield f"without {key}", absent, key not in CONTENT
        yield f"{key} null", {**request, key: None}, key not in CONTENT
        empty = {str: "", list: [], dict: {}}.get(type(request[key]))
        if empty is not None:
            yield f"{key} empty", {**request, key: empty}, key not in CONTENT
    optional = {key: None for key in request.keys() - NEEDED - CONTENT}
    yield "all fields null", {**request, **optional}, True
    yield "unknown fields", {**request, "unknown": {"a": [1]}, "conversation_id": None}, True
    if request.get("top_n") is not None:
        yield "top_n as a float", {**request, "top_n": float(request["top_n"])}, True
        yield "score_threshold as an integer", {**request, "score_threshold": 0}, True
    if request.get("model_parameters"):
        turned = {key: float(value) if isinstance(value, int) else value for key, value in request["model_parameters"].items()}
        yield "integers as floats", {**request, "model_parameters": turned}, True
        yield "unknown parameters null", {**request, "model_parameters": dict.fromkeys(request["model_parameters"])}, True
    if request.get("prompt_messages"):
        messages = copy.deepcopy(request["prompt_messages"])
        for message in messages:
            message |= {"name": None, "unknown": 1}
            message.setdefault("tool_calls", None)
        yield "messages with nulls and unknown fields", {**request, "prompt_messages": messages}, True
