"""Every response of a tool, endpoint, agent strategy, datasource or trigger, read by the SDK's entities and, where it knows
the type, by Dify's own (`graphon`). Files are joined by the rules of all their readers.
"""

import base64
import binascii
import copy
import io
from http.client import HTTPResponse

from dify_plugin.core.entities.plugin.request import (
    TriggerDispatchResponse,
    TriggerInvokeEventResponse,
    TriggerSubscriptionResponse,
    TriggerUnsubscribeResponse,
)
from dify_plugin.entities import ParameterOption
from dify_plugin.entities.agent import AgentInvokeMessage
from dify_plugin.entities.datasource import (
    DatasourceGetPagesResponse,
    DatasourceMessage,
    OnlineDriveBrowseFilesResponse,
    WebsiteCrawlMessage,
)
from dify_plugin.entities.oauth import OAuthCredentials
from dify_plugin.entities.tool import ToolInvokeMessage, ToolParameter
from dify_plugin.entities.trigger import Subscription, UnsubscribeResult
from graphon.nodes.tool_runtime_entities import ToolRuntimeMessage
from pydantic import BaseModel, ConfigDict

import entities


class EndpointItem(BaseModel):
    """What the daemon reads of an item of an endpoint's response; the SDK writes plain dictionaries."""

    model_config = ConfigDict(extra="forbid", strict=True)

    status: int | None = None
    headers: dict[str, str] | None = None
    result: str | None = None


class RuntimeParameters(BaseModel):
    parameters: list[ToolParameter]


class Options(BaseModel):
    options: list[ParameterOption]


class Truth(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    result: bool


class AuthorizationUrl(BaseModel):
    authorization_url: str


READERS = {
    "invoke_tool": [ToolInvokeMessage, ToolRuntimeMessage],
    "validate_tool_credentials": [Truth],
    "get_tool_runtime_parameters": [RuntimeParameters],
    "invoke_endpoint": [EndpointItem],
    "invoke_agent_strategy": [AgentInvokeMessage, ToolRuntimeMessage],
    "get_authorization_url": [AuthorizationUrl],
    "get_credentials": [OAuthCredentials],
    "refresh_credentials": [OAuthCredentials],
    "fetch_parameter_options": [Options],
    "validate_datasource_credentials": [Truth],
    "invoke_website_datasource_get_crawl": [WebsiteCrawlMessage],
    "invoke_online_document_datasource_get_pages": [DatasourceGetPagesResponse],
    "invoke_online_document_datasource_get_page_content": [DatasourceMessage, ToolRuntimeMessage],
    "invoke_online_drive_browse_files": [OnlineDriveBrowseFilesResponse],
    "invoke_online_drive_download_file": [DatasourceMessage, ToolRuntimeMessage],
    "validate_trigger_credentials": [Truth],
    "subscribe_trigger": [TriggerSubscriptionResponse],
    "unsubscribe_trigger": [TriggerUnsubscribeResponse],
    "refresh_trigger": [TriggerSubscriptionResponse],
    "dispatch_trigger_event": [TriggerDispatchResponse],
    "invoke_trigger_event": [TriggerInvokeEventResponse],
}
# What the SDK keeps as a plain dictionary within the item.
WITHIN = {"subscribe_trigger": Subscription, "refresh_trigger": Subscription, "unsubscribe_trigger": UnsubscribeResult}

# Messages that the SDK cannot read, and why they are sent.
UNREADABLE = {"binary_link": "a stored file that a called tool returned; Dify reads it, the SDK's own parser does not"}

# Members that no response may lack, beyond those that its entity requires.
REQUIRED = {"get_credentials": {"metadata", "credentials", "expires_at"}, "refresh_credentials": {"credentials", "expires_at"},
            "invoke_trigger_event": {"variables", "cancelled"}, "dispatch_trigger_event": {"payload"}}

# The rows of UNREADABLE that some message needed.
USED = set()


def http_response(text):
    """Status, headers and body of a response in hexadecimal."""

    class Connection:
        def makefile(self, _):
            return io.BytesIO(binascii.unhexlify(text))

    response = HTTPResponse(Connection())
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return {"status": response.status, "headers": headers, "body": response.read()}


def problems(action, item):
    """What is wrong with one result item."""
    found = []
    for reader in READERS[action]:
        if reader is not ToolRuntimeMessage and item.get("type") in UNREADABLE:
            USED.add(item["type"])
            continue
        # The SDK decodes Base64 in the object that it is given.
        found += entities.read(reader, copy.deepcopy(item))
    if action in WITHIN and not found:
        found += entities.read(WITHIN[action], item["subscription"])
    found += [f"`{key}` is missing" for key in REQUIRED.get(action, set()) - item.keys()]
    if action == "dispatch_trigger_event" and not found:
        http_response(item["response"])
    if action == "invoke_endpoint" and item.get("result") is not None:
        binascii.unhexlify(item["result"])
    return found


def files(items):
    """The files of messages, and what is wrong with their chunks. A chunk is valid if the SDK, Dify and the daemon join it alike."""
    joined, found, complete = {}, [], []
    for item in items:
        message = item.get("message")
        if item.get("type") == "blob":
            complete.append((base64.b64decode(message["blob"], validate=True), item.get("meta") or {}))
        if item.get("type") != "blob_chunk":
            continue
        data = base64.b64decode(message["blob"], validate=True)
        file = joined.setdefault(message["id"], {"bytes": b"", "total": message["total_length"], "next": 0})
        if message["total_length"] != file["total"]:
            found.append("`total_length` changes")
        if message["sequence"] != file["next"]:
            found.append(f"`sequence` is {message['sequence']} where {file['next']} is due")
        if len(data) > 8192:
            found.append(f"a chunk of {len(data)} bytes")
        file["next"] += 1
        file["bytes"] += data
        if message["end"]:
            if data:
                found.append("the daemon drops the bytes of the last chunk of an agent")
            if len(file["bytes"]) != file["total"]:
                found.append(f"`total_length` is {file['total']} for {len(file['bytes'])} bytes")
            complete.append((file["bytes"], item.get("meta") or {}))
            del joined[message["id"]]
    found += [f"file {identifier} has no end" for identifier in joined]
    found += ["a file without a media type" for _, meta in complete if not meta.get("mime_type")]
    return complete, found


def response_problems(action, items):
    """What is wrong with all items of one response."""
    found = [problem for item in items for problem in problems(action, item)]
    if action == "invoke_endpoint":
        if not items or items[0].get("status") is None:
            found.append("the first item of an endpoint has no status")
        found += ["an item after the first body item has no body" for item in items[1:] if item.get("result") is None]
    elif READERS[action][0] in (ToolInvokeMessage, AgentInvokeMessage, DatasourceMessage):
        found += files(items)[1]
    elif action != "invoke_website_datasource_get_crawl" and len(items) != 1:
        found.append(f"{len(items)} items where one is read")
    return found
