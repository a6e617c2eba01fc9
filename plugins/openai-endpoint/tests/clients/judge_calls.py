"""Reads the plugin's calls back (JSON on standard input) with the types that the Dify API reads them with; needs `graphon`."""

import json
import sys

from graphon.model_runtime.entities.message_entities import (
    AssistantPromptMessage, PromptMessageTool, SystemPromptMessage, ToolPromptMessage, UserPromptMessage)

ROLES = {"user": UserPromptMessage, "assistant": AssistantPromptMessage, "system": SystemPromptMessage, "tool": ToolPromptMessage}
REQUIRED = {
    "llm": ("provider", "model", "model_type", "mode", "completion_params", "prompt_messages"),
    "llm_structured_output": ("provider", "model", "model_type", "mode", "prompt_messages", "structured_output_schema"),
    "text_embedding": ("provider", "model", "model_type", "texts"), "tts": ("provider", "model", "content_text", "voice"),
    "rerank": ("provider", "model", "query", "docs", "score_threshold", "top_n"), "speech2text": ("provider", "model", "file"),
    "moderation": ("provider", "model", "text"), "app": ("app_id", "inputs", "response_mode"), "storage": ("opt", "key"),
}

kinds = set()
for kind, request in json.load(sys.stdin):
    kinds.add(kind)
    for name in REQUIRED[kind]:
        assert request.get(name) is not None, (kind, name, request)
    for message in request.get("prompt_messages", []):
        read = ROLES[message["role"]].model_validate(message)
        if isinstance(message["content"], list):
            # Parts that are unknown would be texts, or lost.
            assert [part.type for part in read.content] == [part["type"] for part in message["content"]], message
        if message["role"] == "assistant":
            assert len(read.tool_calls) == len(message.get("tool_calls", []))
    for tool in request.get("tools") or []:
        PromptMessageTool.model_validate(tool)
assert kinds == set(REQUIRED), set(REQUIRED) - kinds
print("ok   calls of %d types are what Dify reads" % len(kinds))
