"""Checks upstream requests against the types of the upstream APIs; no unknown member is allowed.

An entry of OVERLAY or EXTRA that no request needs any more is a failure too. Gemini: strict protobuf JSON of `google-ai-generativelanguage`, plus OVERLAY, what the REST API has and that package has not.
OpenAI-compatible: the request types of the `openai` package, plus EXTRA and `as_openai_has_it`.
"""

import sys
from pathlib import PurePosixPath

import openai.types.chat.completion_create_params as chat
import openai.types.embedding_create_params as embedding
from google.ai.generativelanguage_v1beta import types as gemini
from google.protobuf import json_format
from openai.types.audio import speech_create_params as speech
from pydantic import TypeAdapter, ValidationError

from entities import left_over

# Path in the request: why it is sent although the package does not know it. `[]` is any item.
OVERLAY = {
    "serviceTier": "field of the REST API, newer than the package",
    "store": "field of the REST API, newer than the package",
    "generationConfig.responseFormat": "speech as MP3; field of the REST API, newer than the package",
    "tools[].fileSearch": "its stores; newer than the package, which knows the tool in its first form",
    "generationConfig.thinkingConfig.thinkingLevel": "field of Gemini 3, newer than the package",
}

# Field of a chat request: why it is sent although OpenAI has no such field.
EXTRA = {
    "top_k": "vLLM, SGLang and the gateway's upstreams take it; sent only when the user sets it",
    "repetition_penalty": "vLLM's and Xinference's name; sent only when the user sets it",
    "enable_search": "the gateway's Qwen models search the web; sent only when the user sets it",
}

# The entries that some request needed.
USED = set()

MESSAGES = {
    "streamGenerateContent": gemini.GenerateContentRequest,
    "generateContent": gemini.GenerateContentRequest,
    "countTokens": gemini.CountTokensRequest,
    "embedContent": gemini.EmbedContentRequest,
    "batchEmbedContents": gemini.BatchEmbedContentsRequest,
}


def eager(module_prefix):
    """Lists in place of lazy iterables, which pydantic would read only when asked for their items."""
    for name, module in list(sys.modules.items()):
        if name.startswith(module_prefix):
            for lazy in ("Iterable", "SequenceNotStr"):
                if hasattr(module, lazy):
                    setattr(module, lazy, list)


eager("openai.types")
OPENAI = {
    "chat/completions": TypeAdapter(chat.CompletionCreateParamsStreaming | chat.CompletionCreateParamsNonStreaming),
    "embeddings": TypeAdapter(embedding.EmbeddingCreateParams),
    "audio/speech": TypeAdapter(speech.SpeechCreateParams),
}


def without(value, path):
    """Returns the value without the member at the path."""
    head, _, rest = path.partition(".")
    name = head.removesuffix("[]")
    if not isinstance(value, dict) or name not in value:
        return value
    if not rest:
        return {key: inner for key, inner in value.items() if key != name}
    inner = value[name]
    inner = [without(item, rest) for item in inner] if head.endswith("[]") else without(inner, rest)
    return {**value, name: inner}


def gemini_problems(call, body):
    for path in OVERLAY:
        shorter = without(body, path)
        if shorter != body:
            USED.add(path)
        body = shorter
    try:
        json_format.ParseDict(body, MESSAGES[call].pb()())
    except json_format.ParseError as error:
        return [f"no protobuf JSON of {MESSAGES[call].__name__}: {error}"]
    return []


def as_openai_has_it(provider, route, body):
    """The body without what these servers take beyond OpenAI."""
    if route == "chat/completions":
        USED.update(body.keys() & EXTRA.keys())
        body = {key: value for key, value in body.items() if key not in EXTRA}
    if provider != "xinference":
        return body
    if route == "audio/speech":
        # Without a voice the server takes the model's own; `stream` is Xinference's own switch.
        return {"voice": "the model's own", **{key: value for key, value in body.items() if key != "stream"}}
    if route == "embeddings" and isinstance(body["input"], list):
        # A multimodal model accepts {"text"} and {"image"} in addition to plain texts.
        plain = [next(iter(item.values())) if isinstance(item, dict) else item for item in body["input"]]
        return {**body, "input": plain}
    return body


def openai_problems(provider, route, body):
    body = as_openai_has_it(provider, route, body)
    reader = OPENAI[route]
    try:
        kept = reader.dump_python(reader.validate_python(body), mode="json")
    except ValidationError as error:
        return [f"the openai package's {route} refuses it: {error}"]
    return [f"OpenAI's {route} has no `{path}`" for path in left_over(body, kept)]


def problems(provider, method, path, body):
    """What is wrong with one upstream call, and whether a vocabulary knew it."""
    if method != "POST" or not isinstance(body, dict):
        return [], False
    call = PurePosixPath(path).name.partition(":")[2]
    if call:
        return gemini_problems(call, body), True
    for route in OPENAI:
        if path.endswith(f"/v1/{route}"):
            return openai_problems(provider, route, body), True
    return [], False
