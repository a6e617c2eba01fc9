"""Steps of a tool or an agent strategy, as the request lists them; the same as `script.rs` takes."""

from typing import Any

from dify_plugin.entities.invoke_message import InvokeMessage
from dify_plugin.errors.tool import ToolProviderCredentialValidationError

import calls


def pattern(length: int) -> bytes:
    return bytes(number % 251 for number in range(length))


def take(author: Any, step: dict):
    """The messages of one step."""
    match step["do"]:
        case "text":
            yield author.create_text_message(step["text"])
        case "link":
            yield author.create_link_message(step["url"])
        case "image":
            yield author.create_image_message(step["url"])
        case "json":
            yield author.create_json_message(step["value"])
        case "variable":
            yield author.create_variable_message(step["name"], step["value"])
        case "stream":
            for part in step["parts"]:
                yield author.create_stream_variable_message(step["name"], part)
        case "blob":
            meta = {"mime_type": step["mime_type"], "filename": step["filename"]}
            yield author.create_blob_message(pattern(step["bytes"]), meta)
        case "forward":
            yield author.response_type.model_validate(step["message"])
        case "call":
            name = step["name"]
            yield author.create_json_message({"call": name, "result": calls.make(name, author.session)})
        case "upload":
            file = author.session.file.upload("a.pdf", b"%PDF", "application/pdf")
            yield author.create_json_message({"id": file.id, "name": file.name, "type": file.type.value})
        case "origin":
            yield author.create_json_message(origin(author))
        case "log":
            yield from log(author, step)
        case "citations":
            resource = InvokeMessage.RetrieverResourceMessage.RetrieverResource
            resources = [resource(**fields) for fields in step["resources"]]
            yield author.create_retriever_resource_message(resources, step["context"])
        case "fail":
            raise failure(step["kind"], step["message"])
        case other:
            raise ValueError(f"unknown step `{other}`")


def origin(author: Any) -> dict:
    session = author.session
    return {
        "user_id": author.runtime.user_id, "app_id": session.app_id, "conversation_id": session.conversation_id,
        "message_id": session.message_id,
        "tool_credential": session.context.credentials.get_credential_id("acme/time/time"),
        "api_key": getattr(author.runtime, "credentials", {}).get("api_key"),
    }


def log(author: Any, step: dict):
    status = InvokeMessage.LogMessage.LogStatus
    outer = author.create_log_message(step["label"], {"step": 1}, status.START)
    yield outer
    inner = author.create_log_message("CALL lookup", {}, status.START, parent=outer, metadata={"provider": "acme/time/time"})
    yield inner
    if step.get("error"):
        yield author.finish_log_message(inner, status.ERROR, error=step["error"])
    else:
        yield author.finish_log_message(inner, status.SUCCESS, data={"found": 1})
    yield author.finish_log_message(outer, status.SUCCESS, data={"step": 1})


def failure(kind: str, message: str) -> Exception:
    return ToolProviderCredentialValidationError(message) if kind == "credentials" else ValueError(message)
