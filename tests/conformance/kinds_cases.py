"""The requests to plugins of every kind but models, made of the SDK's own request types; see README.md."""

import binascii
from dataclasses import dataclass, field

from dify_plugin.core.entities.plugin import request as sdk

import dify

GOOD, BAD = {"api_key": "good-key"}, {"api_key": "bad-key"}
REDIRECT = "https://dify.example/callback"
CLIENT = {"client_id": "id", "client_secret": "secret"}
ORIGIN = {"conversation_id": "c", "message_id": "m", "app_id": "app-of-session", "endpoint_id": None,
          "context": {"credentials": {"tool_credentials": {"acme/time/time": "cred-of-context"}}}}
# `image_link` as Dify sends it to a plugin that called a tool.
STORED = {"type": "image_link", "message": {"text": "/files/tools/1.png"}, "meta": {"tool_file_id": "1", "mime_type": "image/png"}}
STORED_FILE = {"type": "binary_link", "message": {"text": "/files/tools/2.pdf"}, "meta": {"tool_file_id": "2"}}


@dataclass
class Case:
    """One request. `files` are the lengths of the files in its response."""

    title: str
    data: dict
    origin: dict = field(default_factory=dict)
    expected: str | None = None
    files: tuple = ()
    in_sdk: bool = True


def of(kind, **fields):
    return kind(**({"user_id": "user"} if "user_id" in kind.model_fields else {}), **fields).model_dump(mode="json")


def raw(request, body=b""):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return binascii.hexlify(f"{request} HTTP/1.1\r\nHost: dify.example\r\n{length}X-A: 1\r\n\r\n".encode() + body).decode()


def message_steps():
    """Messages that tools and agent strategies share: title, steps, lengths of files."""
    yield "text", [{"do": "text", "text": "Hello "}, {"do": "text", "text": "wörld 📄"}], ()
    yield "link and image", [{"do": "link", "url": "https://example.com"}, {"do": "image", "url": "https://example.com/a.png"}], ()
    yield "json", [{"do": "json", "value": {"a": [1, 2.5, None, True, "b"]}}, {"do": "json", "value": [1, {"b": 2}]}], ()
    variables = [("number", 21), ("float", 0.5), ("text", "a"), ("list", [1, "b"]), ("object", {"a": 1}), ("nothing", None), ("truth", True)]
    yield "variables", [{"do": "variable", "name": f"a_{name}", "value": value} for name, value in variables], ()
    yield "streamed variable", [{"do": "stream", "name": "report", "parts": ["one ", "two ", "three"]}], ()
    for length in (1, 8191, 8192, 8193, 100_000):
        blob = {"do": "blob", "bytes": length, "mime_type": "application/pdf", "filename": "a.pdf"}
        yield f"file of {length} bytes", [blob, {"do": "text", "text": "done"}], (length,)
    blob = {"do": "blob", "bytes": 9000, "mime_type": "image/png", "filename": "a.png"}
    yield "two files", [blob, {**blob, "bytes": 20_000}], (9000, 20_000)
    yield "stored image of another tool", [{"do": "forward", "message": STORED}], ()
    yield "nothing", [], ()
    yield "origin", [{"do": "origin"}], ()
    yield "failure after text", [{"do": "text", "text": "before"}, {"do": "fail", "kind": "bad_request", "message": "not so"}], ()
    for name in dify.BY_NAME:
        if name != "upload_file":
            yield f"call back: {name}", [{"do": "call", "name": name}], ()
    yield "call back: upload_file", [{"do": "upload"}], ()
    yield "call back that fails", [{"do": "call", "name": "fetch_app"}], ()


def scripted(make):
    for title, steps, files in message_steps():
        name = title.removeprefix("call back: ") if title.startswith("call back: ") else None
        yield Case(title, make(steps), ORIGIN, name, files)


def tools():
    provider = "conformance_tools"

    def invoke(steps):
        return of(sdk.ToolInvokeRequest, provider=provider, tool="script", credentials=GOOD, tool_parameters={"steps": steps})

    yield from scripted(invoke)
    yield Case("stored file of another tool", invoke([{"do": "forward", "message": STORED_FILE}]), in_sdk=False)
    yield Case("empty file", invoke([{"do": "blob", "bytes": 0, "mime_type": "text/plain", "filename": "a.txt"}]), files=(0,))
    yield Case("reserved variable", invoke([{"do": "variable", "name": "files", "value": 1}]))
    yield Case("unknown tool", {**invoke([]), "tool": "nothing"})
    yield Case("unknown provider", {**invoke([]), "provider": "nothing"})
    yield Case("credentials", of(sdk.ToolValidateCredentialsRequest, provider=provider, credentials=GOOD))
    yield Case("rejected credentials", of(sdk.ToolValidateCredentialsRequest, provider=provider, credentials=BAD))
    yield Case("runtime parameters", of(sdk.ToolGetRuntimeParametersRequest, provider=provider, tool="script", credentials=GOOD))
    yield Case("options", of(sdk.DynamicParameterFetchParameterOptionsRequest, credentials=GOOD, credential_type="api-key",
                             provider=provider, provider_action="script", parameter="city"))
    yield Case("options of nothing", of(sdk.DynamicParameterFetchParameterOptionsRequest, credentials={}, provider=provider,
                                        provider_action="nothing", parameter="city"))
    yield from oauth(provider)
    for title, line, body in [("echo", "POST /echo?b=2&a=1", b"body"), ("stream", "GET /stream", b""), ("events", "GET /events?count=8&pause=30", b""), ("empty", "GET /empty", b""),
                              ("binary", "GET /binary", b""), ("failure", "GET /failure", b""), ("unknown path", "GET /nothing", b""),
                              ("other method", "GET /echo", b"")]:
        yield Case(f"endpoint, {title}", of(sdk.EndpointInvokeRequest, settings={"token": "t"}, raw_http_request=raw(line, body)),
                   {"endpoint_id": "e"})


def oauth(provider):
    common = {"provider": provider, "redirect_uri": REDIRECT, "system_credentials": CLIENT}
    yield Case("authorization URL", of(sdk.OAuthGetAuthorizationUrlRequest, **common))
    for title, line in [("code", "GET /callback?code=1&state=2"), ("callback without a code", "GET /callback")]:
        yield Case(title, of(sdk.OAuthGetCredentialsRequest, **common, raw_http_request=raw(line)))
    yield Case("refresh", of(sdk.OAuthRefreshCredentialsRequest, **common, credentials={"access_token": "old"}))


def agent():
    def invoke(steps):
        return of(sdk.AgentInvokeRequest, agent_strategy_provider="conformance_agent", agent_strategy="script",
                  agent_strategy_params={"steps": steps})

    yield from scripted(invoke)
    yield Case("log", invoke([{"do": "log", "label": "ROUND 1"}]))
    yield Case("log of a failure", invoke([{"do": "log", "label": "ROUND 1", "error": "no answer"}]))
    resources = [{"position": 1, "dataset_name": "d", "content": "c", "score": 0.5, "doc_metadata": {"a": 1}}]
    yield Case("citations", invoke([{"do": "citations", "resources": resources, "context": "context"}]))
    yield Case("unknown strategy", {**invoke([]), "agent_strategy": "nothing"})


def datasource(kind, **fields):
    return {"provider": f"conformance_{kind}", "credentials": GOOD, **fields}


def validations(kind):
    for title, credentials in [("credentials", GOOD), ("rejected credentials", BAD)]:
        fields = {"provider": f"conformance_{kind}", "credentials": credentials}
        yield Case(title, of(sdk.DatasourceValidateCredentialsRequest, **fields))


def crawl():
    yield from validations("crawl")
    for title, url in [("crawl", "https://example.com"), ("crawl of nothing", "")]:
        fields = datasource("crawl", datasource="site", datasource_parameters={"url": url, "limit": 5})
        yield Case(title, of(sdk.DatasourceCrawlWebsiteRequest, **fields))


def documents():
    yield from validations("documents")
    yield Case("pages", of(sdk.DatasourceGetPagesRequest, **datasource("documents", datasource="notes", datasource_parameters={})))
    for title, page in [("content", "1"), ("missing page", "missing")]:
        fields = datasource("documents", datasource="notes", page={"workspace_id": "w", "page_id": page, "type": "page"})
        yield Case(title, of(sdk.DatasourceGetPageContentRequest, **fields))
    yield from oauth("conformance_documents")


def drive():
    yield from validations("drive")
    more = {"after": "a.txt"}
    for title, request in [("buckets", {"prefix": ""}), ("first page", {"bucket": "photos", "prefix": "", "max_keys": 2}),
                           ("last page", {"bucket": "photos", "prefix": "a", "next_page_parameters": more})]:
        fields = datasource("drive", datasource="drive", request=request)
        yield Case(title, of(sdk.DatasourceOnlineDriveBrowseFilesRequest, **fields))
    for length in (1, 8193, 1_000_000):
        fields = datasource("drive", datasource="drive", request={"bucket": "photos", "id": str(length)})
        yield Case(f"file of {length} bytes", of(sdk.DatasourceOnlineDriveDownloadFileRequest, **fields), files=(length,))
    fields = datasource("drive", datasource="drive", request={"id": "nothing"})
    yield Case("missing file", of(sdk.DatasourceOnlineDriveDownloadFileRequest, **fields))
    yield Case("unknown datasource", of(sdk.DatasourceOnlineDriveDownloadFileRequest, **{**fields, "datasource": "nothing"}))


def trigger():
    provider = "conformance_trigger"
    subscription = {"expires_at": -1, "endpoint": "https://dify.example/triggers/plugin/1", "parameters": {"repository": "r"},
                    "properties": {"secret": "s", "hook_id": "7"}}
    bare = {**subscription, "properties": {}}
    access = {"provider": provider, "credentials": GOOD, "credential_type": "api-key"}
    for title, credentials in [("credentials", GOOD), ("rejected credentials", BAD)]:
        yield Case(title, of(sdk.TriggerValidateProviderCredentialsRequest, provider=provider, credentials=credentials))
    for title, parameters in [("subscribe", {"repository": "r"}), ("subscribe to nothing", {})]:
        yield Case(title, of(sdk.TriggerSubscribeRequest, **access, endpoint=subscription["endpoint"], parameters=parameters))
    for title, of_what in [("unsubscribe", subscription), ("unsubscribe from nothing", bare)]:
        yield Case(title, of(sdk.TriggerUnsubscribeRequest, **access, subscription=of_what))
    yield Case("refresh a subscription", of(sdk.TriggerRefreshRequest, **access, subscription=subscription))
    for title, of_what, body in [("dispatch", subscription, b'{"a":1}'), ("dispatch of nothing", subscription, b""),
                                 ("dispatch without a signature", bare, b"a")]:
        fields = {"provider": provider, "credentials": {}, "credential_type": "unauthorized", "subscription": of_what}
        yield Case(title, of(sdk.TriggerDispatchEventRequest, **fields, raw_http_request=raw("POST /t", body)))
    for title, event, branch in [("event", "push", "main"), ("ignored event", "push", "other"), ("failed event", "push", "broken"),
                                 ("unknown event", "nothing", "main")]:
        fields = {**access, "event": event, "subscription": subscription, "parameters": {"branch": branch}}
        yield Case(title, of(sdk.TriggerInvokeEventRequest, **fields, payload={"text": "t"}, raw_http_request=raw("POST /t", b"body")))
    for title, action in [("options of a subscription", "provider"), ("options of an event", "push")]:
        yield Case(title, of(sdk.DynamicParameterFetchParameterOptionsRequest, **access, provider_action=action, parameter="repository"))
    yield from oauth(provider)


# By directory of the package.
CASES = {"tools": tools, "agent": agent, "crawl": crawl, "documents": documents, "drive": drive, "trigger": trigger}

# Members that a daemon may leave out or send as null without another outcome.
OPTIONAL = {"user_id", "credential_type", "payload"}


def variations(data):
    """Other spellings of a request that a daemon may write: title, request. The outcome is the same."""
    for key in OPTIONAL & data.keys() - ({"payload"} if data.get("payload") else set()):
        yield f"without {key}", {name: value for name, value in data.items() if name != key}
        yield f"{key} null", {**data, key: None}
    yield "unknown fields", {**data, "unknown": {"a": [1]}}
    if "subscription" in data:
        subscription = data["subscription"]
        yield "a float as expiry", {**data, "subscription": {**subscription, "expires_at": float(subscription["expires_at"])}}
    if "raw_http_request" in data:
        yield "hexadecimal in upper case", {**data, "raw_http_request": data["raw_http_request"].upper()}
