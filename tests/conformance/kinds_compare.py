"""Two responses to one request, ours and the Python SDK's, compared by what they mean to Dify. Every difference that is
intended is in DIFFERENCES; a row that is no longer needed fails the run.
"""

import binascii
import re
from decimal import Decimal

import kinds_entities
from dify import plain

MESSAGES = {"invoke_tool", "invoke_agent_strategy", "invoke_online_document_datasource_get_page_content",
            "invoke_online_drive_download_file"}
# Members of a log that differ from run to run.
TIMES = ("started_at", "finished_at", "elapsed_time")


def meaning(action, outcome):
    """A response as Dify sees it: parts of a text, a variable or a file are joined, and IDs are numbered."""
    if action in MESSAGES:
        items = messages(outcome.items)
    elif action == "invoke_endpoint":
        items = [endpoint(outcome.items)]
    elif action == "dispatch_trigger_event":
        items = [{**item, "response": kinds_entities.http_response(item["response"])} for item in outcome.items]
    else:
        items = [without_null(item) for item in outcome.items]
    error = outcome.error and {key: outcome.error[key] for key in ("error_type", "message")}
    invokes = [{"type": invoke["type"], "request": plain(invoke["request"])} for invoke in outcome.invokes]
    return {"items": items, "error": error, "invokes": invokes}


def messages(items):
    joined, logs = [], {}
    files = iter(kinds_entities.files(items)[0])
    for item in items:
        kind, message, last = item["type"], item["message"], joined[-1] if joined else {}
        if kind == "text" and last.get("type") == "text":
            last["text"] += message["text"]
        elif kind == "text":
            joined.append({"type": "text", "text": message["text"]})
        elif kind == "variable" and message.get("stream") and last.get("stream") == message["variable_name"]:
            last["value"] += message["variable_value"]
        elif kind == "variable":
            name = message["variable_name"]
            joined.append({"type": "variable", "name": name, "value": message["variable_value"], "stream": name if message.get("stream") else None})
        elif kind == "blob" or (kind == "blob_chunk" and message["end"]):
            data, meta = next(files)
            joined.append({"type": "file", "bytes": data, "meta": meta, "in chunks": kind == "blob_chunk"})
        elif kind == "log":
            number = logs.setdefault(message["id"], len(logs))
            parent = logs.get(message.get("parent_id"))
            joined.append({"type": "log", **without_null({**message, "id": number, "parent_id": parent})})
        elif kind != "blob_chunk":
            joined.append(without_null(item))
    return joined


def endpoint(items):
    head = {key: value for item in items for key, value in item.items() if key != "result"}
    headers = {name.lower(): value for name, value in head.get("headers", {}).items()}
    body = b"".join(binascii.unhexlify(item["result"]) for item in items if item.get("result"))
    return {"status": head.get("status"), "headers": headers, "body": body}


def without_null(value):
    if isinstance(value, dict):
        return {name: without_null(member) for name, member in value.items() if member is not None}
    return [without_null(item) for item in value] if isinstance(value, list) else value


def first(response):
    return response["items"][0] if response["items"] else {}


# Each takes our meaning and the SDK's, and removes one difference. They may change both.

def log_times(action, ours, theirs):
    for response in (ours, theirs):
        for item in response["items"]:
            if item.get("type") == "log":
                kept = {name: value for name, value in (item.pop("metadata", None) or {}).items() if name not in TIMES}
                item |= {"metadata": kept} if kept else {}


def agent_files(action, ours, theirs):
    if action == "invoke_agent_strategy":
        for item in theirs["items"]:
            if item.get("type") == "file":
                item["in chunks"] = True


def http_headers(action, ours, theirs):
    for response in (ours, theirs):
        item = first(response)
        headers = item.get("headers") if action == "invoke_endpoint" else (item.get("response") or {}).get("headers")
        if headers:
            headers.pop("content-length", None)
            if headers.get("content-type") == "text/plain; charset=utf-8":
                del headers["content-type"]


def endpoint_errors(action, ours, theirs):
    if action == "invoke_endpoint" and first(ours)["status"] >= 400 and first(ours)["status"] == first(theirs)["status"]:
        first(theirs)["body"] = first(ours)["body"]


def unknown_events(action, ours, theirs):
    if action == "dispatch_trigger_event" and theirs["items"]:
        events = first(theirs)["events"]
        first(theirs)["events"] = [event for event in events if event != "unknown"]


def runtime_parameters(action, ours, theirs):
    if action == "get_tool_runtime_parameters" and ours["items"] == [RUNTIME_PARAMETERS]:
        theirs.update(items=ours["items"], error=ours["error"])


def defaults(action, ours, theirs):
    if action == "subscribe_trigger" and theirs["items"]:
        first(theirs)["subscription"]["parameters"].setdefault("events", ["push"])


def languages(action, ours, theirs):
    if action == "fetch_parameter_options":
        for option in first(theirs).get("options", []):
            option["label"] = {"en_US": option["label"]["en_US"]}


def error_names(action, ours, theirs):
    if ours["error"] and theirs["error"] and theirs["error"]["error_type"] in ERROR_NAMES.get(ours["error"]["error_type"], ()):
        theirs["error"]["error_type"] = ours["error"]["error_type"]


def error_texts(action, ours, theirs):
    if ours["error"] and theirs["error"] and SDK_TEXTS.match(theirs["error"]["message"]):
        theirs["error"]["message"] = ours["error"]["message"]


def hints(action, ours, theirs):
    if ours["error"] and theirs["error"] and ours["error"]["message"].startswith(f"{theirs['error']['message']}. "):
        ours["error"]["message"] = theirs["error"]["message"]


def reserved_variables(action, ours, theirs):
    if ours["error"] and ours["error"]["error_type"] == "RuntimeError" and "cannot be a variable" in ours["error"]["message"]:
        ours.update(items=theirs["items"], error=theirs["error"])


def numbers(action, ours, theirs):
    for response in (ours, theirs):
        response["items"] = [rounded(item) if "call" in str(item) else item for item in response["items"]]


def rounded(value):
    if isinstance(value, dict):
        return {name: rounded(member) for name, member in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return str(Decimal(value).normalize()) if isinstance(value, str) and NUMBER.fullmatch(value) else value


# Our types of errors, and those that the SDK writes where its author has not chosen one.
ERROR_NAMES = {name: ("ValueError",) for name in
               ("ToolProviderOAuthError", "DatasourceOAuthError", "TriggerProviderOAuthError", "TriggerInvokeError")}
ERROR_NAMES["ValueError"] = ("Exception",)
LABEL = {"en_US": "Place"}
PLACE = {"name": "place", "type": "string", "form": "llm", "label": LABEL, "human_description": LABEL}
RUNTIME_PARAMETERS = {"parameters": [PLACE]}
# Its own texts.
SDK_TEXTS = re.compile("(Tool|Provider|Agent|Event) `nothing` not found|Cannot find the target|Online drive datasource nothing")
NUMBER = re.compile(r"\d+(\.\d+)?(E-?\d+)?")

DIFFERENCES = [
    (log_times, "times of a log: the SDK's author adds them, the runtime adds them to each entry"),
    (agent_files, "a file of an agent strategy: one line in the SDK, which the daemon's line limit ends; chunks here"),
    (http_headers, "a response's length and default type: the SDK's HTTP library adds them; the daemon sets the length"),
    (endpoint_errors, "the text of an endpoint's error: the SDK returns the exception's"),
    (unknown_events, "an event that the plugin does not have: Dify rejects the whole request, so it is not sent"),
    (runtime_parameters, "runtime parameters: Dify requests them, the SDK has no route for them"),
    (defaults, "a parameter of a subscription that was not given: its declared default is filled in"),
    (languages, "labels of options: the SDK fills all four languages, the daemon does too"),
    (error_names, "an error that the author raises as a plain exception; here every error has a type of its access type"),
    (error_texts, "texts of the SDK's own errors"),
    (hints, "a hint after the text of an error"),
    (reserved_variables, "a variable with the name of an output that every node has: it would replace that output"),
    (numbers, "numbers that a call back returned: embeddings have 32 bits here, and prices no exponent"),
]


def compare(action, ours, theirs, used):
    """Whether two meanings are the same but for what is intended; `used` gets the rows that were needed."""
    for adjust, _ in DIFFERENCES:
        before = repr((ours, theirs))
        adjust(action, ours, theirs)
        if repr((ours, theirs)) != before:
            used.add(adjust.__name__)
    return [f"{key}: {ours[key]!r:.1500}\n    the SDK: {theirs[key]!r:.1500}" for key in ours if ours[key] != theirs[key]]
