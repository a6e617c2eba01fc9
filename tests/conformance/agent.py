"""Drives the plugin `agent` through conversations with a scripted model and tools, and judges every frame; see README.md.

Started by run.py. With OFFICIAL_AGENT=DIRECTORY, the directory of Dify's own plugin (`agent-strategies/cot_agent`), the same
conversations run there, too, and what the agent node shows is compared.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path

import yaml
from dify_plugin.core.entities.plugin.request import ModelInvokeLLMRequest
from dify_plugin.entities.tool import ToolProviderType

import kinds_entities
from plugin import Plugin

PACKAGE = Path(__file__).resolve().parent.parent.parent / "plugins" / "agent"

USAGE = {"prompt_tokens": 10, "prompt_unit_price": "0.001", "prompt_price_unit": "0.001", "prompt_price": "0.00001",
         "completion_tokens": 5, "completion_unit_price": "0.002", "completion_price_unit": "0.001",
         "completion_price": "0.00001", "total_tokens": 15, "total_price": "0.00002", "currency": "USD", "latency": 0.1}
LABEL = {"en_US": "l"}
STORED = {"type": "image_link", "message": {"text": "/files/tools/1.png"},
          "meta": {"tool_file_id": "1", "mime_type": "image/png", "filename": "a.png"}}


def chunk(text="", calls=(), usage=None):
    calls = [{"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}
             for identifier, name, arguments in calls]
    message = {"role": "assistant", "content": text, "name": "", "tool_calls": calls}
    return {"model": "m", "prompt_messages": [], "system_fingerprint": "",
            "delta": {"index": 0, "message": message, "usage": usage, "finish_reason": "stop" if usage else None}}


def reply(*texts, calls=()):
    """The chunks of a model that answers this, and then calls tools."""
    return [chunk(text) for text in texts] + ([chunk(calls=calls)] if calls else []) + [chunk(usage=USAGE)]


def text(*texts):
    return [{"type": "text", "message": {"text": part}, "meta": None} for part in texts]


def react(action, given):
    return reply("Thought: I need it.\nAction: ", json.dumps({"action": action, "action_input": given}))


SEARCH, WEATHER = ("c1", "search", '{"query": "news"}'), ("c2", "weather", '{"place": "Riga"}')

# Title: strategy, responses of the model, responses of the tools, other parameters, whether Dify's own plugin does the same.
CASES = {
    "an answer": ("function_calling", [reply("It is ", "42.")], [], {}, True),
    "one call": ("function_calling", [reply("Let me see.", calls=[SEARCH]), reply("Done.")], [text("found")], {}, True),
    "two calls": ("function_calling", [reply(calls=[SEARCH, WEATHER]), reply("Done.")], [text("a"), text("b")], {}, True),
    "two rounds": ("function_calling", [reply(calls=[SEARCH]), reply(calls=[WEATHER]), reply("Done.")], [text("a"), text("b")], {}, True),
    "an object": ("function_calling", [reply(calls=[SEARCH]), reply("Done.")],
                  [[{"type": "json", "message": {"json_object": {"a": [1, "ü"]}}, "meta": None}]], {}, True),
    "an image": ("function_calling", [reply(calls=[SEARCH]), reply("Done.")], [text("see") + [STORED]], {}, True),
    "a tool that fails": ("function_calling", [reply(calls=[SEARCH]), reply("Sorry.")], ["no more queries"], {}, True),
    "an unknown tool": ("function_calling", [reply(calls=[("c", "fly", "{}")]), reply("Sorry.")], [], {}, True),
    "fragments": ("function_calling", [[chunk(calls=[("c1", "search", '{"query"')]), chunk(calls=[("c1", "", ': "a"}')]),
                                        chunk(usage=USAGE)], reply("Done.")], [text("a")], {}, False),
    "broken arguments": ("function_calling", [reply(calls=[("c1", "search", '{"query')]), reply("Sorry.")], [], {}, False),
    "the last iteration": ("function_calling", [reply(calls=[SEARCH]), reply("Done.")], [text("a")], {"maximum_iterations": 1}, False),
    "thoughts": ("function_calling", [reply("<think>a", "b</think>", "c")], [], {}, True),
    "a context": ("function_calling", [reply("Done.")], [],
                  {"context": [{"content": "c", "title": "t", "metadata": {"position": 1, "score": 0.5, "dataset_name": "d"}}]}, True),
    "ReAct, an answer": ("ReAct", [reply("Thought: easy\nFinal", "Answer: It is ", "42.")], [], {}, True),
    "ReAct, one call": ("ReAct", [react("search", {"query": "news"}), reply("FinalAnswer: Done.")], [text("found")], {}, True),
    "ReAct, an image": ("ReAct", [react("search", {"query": "news"}), reply("FinalAnswer: Done.")], [text("see") + [STORED]], {}, True),
    "ReAct, an unknown tool": ("ReAct", [react("fly", {}), reply("FinalAnswer: Sorry.")], [], {}, True),
    "ReAct, a name and an input": ("ReAct", [reply("Action: search\nAction Input: news"), reply("FinalAnswer: Done.")], [text("a")], {}, False),
    "ReAct, a broken action": ("ReAct", [reply('Action: {"action": "search", "action_input": {"q'), reply("FinalAnswer: Done.")], [], {}, False),
    "ReAct, the last iteration": ("ReAct", [react("search", {}), reply("FinalAnswer: Done.")], [text("a")], {"maximum_iterations": 1}, False),
}


class Script:
    """Dify's side: answers with what a case has, one response for each call of a model or a tool."""

    def start(self, models, tools):
        self.models, self.tools = iter(models), iter(tools)

    def answer(self, invoke):
        def event(kind, message="", data=None):
            return {"backwards_request_id": invoke["backwards_request_id"], "event": kind, "message": message, "data": data}

        responses = next(self.models if invoke["type"] == "llm" else self.tools, "nothing is left in the script")
        if isinstance(responses, str):
            return [event("error", responses), event("end")]
        return [event("response", "stream", response) for response in responses] + [event("end")]


def tool(name, parameter):
    parameter = {"name": parameter, "label": LABEL, "human_description": LABEL, "type": "string", "form": "llm",
                 "llm_description": parameter, "required": True}
    return {"identity": {"author": "a", "name": name, "label": LABEL, "provider": f"a/{name}/{name}"},
            "description": {"human": LABEL, "llm": f"Does {name}."}, "parameters": [parameter], "output_schema": None,
            "has_runtime_parameters": False, "provider_type": "builtin", "credential_id": None, "runtime_parameters": {}}


def request(strategy, more):
    entity = {"model": "m", "label": LABEL, "model_type": "llm", "fetch_from": "predefined-model", "deprecated": False,
              "features": ["tool-call", "stream-tool-call", "vision"], "pricing": None, "parameter_rules": [],
              "model_properties": {"mode": "chat", "context_size": 8000}}
    history = [{"role": "user", "content": "Hi", "name": None}, {"role": "assistant", "content": "Hello", "name": None, "tool_calls": []}]
    model = {"provider": "a/b/b", "model": "m", "model_type": "llm", "mode": "chat", "completion_params": {},
             "history_prompt_messages": history, "entity": entity}
    parameters = {"model": model, "tools": [tool("search", "query"), tool("weather", "place")], "instruction": "Be brief.",
                  "query": "What?", "maximum_iterations": 3, "context": None, "allowed_tools": None, **more}
    return {"user_id": "u", "type": "agent_strategy", "action": "invoke_agent_strategy", "agent_strategy_provider": "agent",
            "agent_strategy": strategy, "agent_strategy_params": parameters}


def call_problems(invoke):
    """What the SDK, whose types the Dify API shares, does not accept of a call back."""
    body = invoke["request"]
    if invoke["type"] == "llm":
        known = {"provider", "model", "model_type", "mode", "completion_params", "prompt_messages", "tools", "stop", "stream"}
        if body.keys() - known:
            yield f"unknown members: {sorted(body.keys() - known)}"
        fields = {key: body[key] for key in ("provider", "model", "prompt_messages", "tools", "stop", "stream")}
        fields |= {"user_id": "u", "credentials": {}, "model_type": "llm", "model_parameters": body["completion_params"]}
        try:
            ModelInvokeLLMRequest.model_validate(fields)
        except ValueError as error:
            yield f"{error}"
        roles = [message["role"] for message in body["prompt_messages"]]
        for before, after in zip(roles, roles[1:]):
            if before == after != "tool":
                yield f"two messages of `{after}` in a row"
    else:
        if body.keys() - {"tool_type", "provider", "tool", "tool_parameters", "credential_id", "credential_type", "app_id"}:
            yield f"unknown members: {sorted(body)}"
        ToolProviderType.value_of(body["tool_type"])


def shown(outcome):
    """What the agent node shows: text, files, the log, the usage."""
    logs, texts, files, usage, citations = {}, "", [], None, None
    for item in outcome.items:
        message = item["message"]
        if item["type"] == "text":
            texts += message["text"]
        elif item["type"] == "log":
            logs[message["id"]] = message
        elif item["type"] == "json":
            usage = message["json_object"].get("execution_metadata")
        elif item["type"] == "retriever_resources":
            citations = message["retriever_resources"]
        else:
            files.append((item["type"], message["text"], (item.get("meta") or {}).get("tool_file_id")))
    labels = {identifier: message["label"] for identifier, message in logs.items()}
    entries = [{"label": message["label"], "parent": labels.get(message.get("parent_id")), "data": sorted(message["data"]),
                "metadata": sorted(key for key, value in message["metadata"].items() if value not in (None, ""))}
               for message in logs.values()]
    statuses = [(message["label"], message["status"]) for message in logs.values()]
    return {"text": texts.strip(), "files": files, "log": entries, "statuses": statuses, "usage": usage, "citations": citations}


# Intended differences from Dify's own plugin: what is adjusted in its outcome and ours before they are compared.


def failures(view):
    """A call that failed is shown as failed."""
    view["statuses"] = [(label, "success") for label, _ in view["statuses"]]


def exact_prices(view):
    """Prices are decimal numbers in strings; ReAct has all members, too."""
    view["usage"] = {key: float(view["usage"][key]) if "price" in key else view["usage"][key]
                     for key in ("total_tokens", "total_price", "currency")}


def citation_members(view):
    """Members without a value are left out."""
    view["citations"] = [{key: value for key, value in citation.items() if value is not None}
                         for citation in view["citations"] or []]


def log_members(view):
    """Thoughts have a member of their own."""
    for entry in view["log"]:
        entry["data"] = [key for key in entry["data"] if key not in ("thought", "reasoning")]


def react_calls(view):
    """Calls of ReAct are logged as those of function calling are."""
    for entry in view["log"]:
        if entry["label"].startswith("CALL"):
            entry["data"] = []


DIFFERENCES = [failures, exact_prices, citation_members, log_members, react_calls]


def declared(directory, strategy):
    """The parameters of a strategy without their texts."""
    content = yaml.safe_load((directory / "strategies" / f"{strategy}.yaml").read_text())
    texts = {"label", "help", "human_description"}
    parameters = [{key: value for key, value in parameter.items() if key not in texts} for parameter in content["parameters"]]
    return {"name": content["identity"]["name"], "features": content["features"], "parameters": parameters}


def main():
    script, failed, counts, used = Script(), [], Counter(), set()
    ours = Plugin([sys.argv[1]], PACKAGE, script)
    official = os.environ.get("OFFICIAL_AGENT")
    theirs = Plugin([sys.executable, "-m", "main"], Path(official), script) if official else None
    for title, (strategy, models, tools, more, is_common) in CASES.items():
        script.start(models, tools)
        outcome = ours.call(request(strategy, more))
        counts["conversations"] += 1
        counts["items"] += len(outcome.items)
        counts["calls back"] += len(outcome.invokes)
        problems = list(kinds_entities.response_problems("invoke_agent_strategy", outcome.items))
        problems += [problem for invoke in outcome.invokes for problem in call_problems(invoke)]
        if outcome.error:
            problems.append(f"failed: {outcome.error}")
        left = [*script.models, *script.tools]
        problems += ["not all of the script was requested"] if left else []
        if theirs and is_common:
            script.start(models, tools)
            reference = theirs.call(request(strategy, more))
            views = [shown(outcome), shown(reference)]
            for adjust in DIFFERENCES:
                before = json.dumps(views, sort_keys=True)
                for view in views:
                    adjust(view)
                if json.dumps(views, sort_keys=True) != before:
                    used.add(adjust)
            counts["compared with Dify's own plugin"] += 1
            problems += [f"{key}: {views[0][key]} instead of {views[1][key]}" for key in views[0] if views[0][key] != views[1][key]]
        failed += [f"{title}: {problem}" for problem in problems]
    if official:
        for strategy in ("function_calling", "ReAct"):
            if declared(PACKAGE, strategy) != declared(Path(official), strategy):
                failed.append(f"{strategy}: parameters differ: {declared(PACKAGE, strategy)} instead of {declared(Path(official), strategy)}")
        failed += [f"nothing needs `{adjust.__name__}`" for adjust in DIFFERENCES if adjust not in used]
        theirs.kill()
    # The judges can reject.
    for broken in ({"type": "log", "message": {"id": "1"}, "meta": None}, {"type": "text", "message": "a", "meta": None}):
        if not list(kinds_entities.response_problems("invoke_agent_strategy", [broken])):
            failed.append(f"the judge accepts {broken}")
    doubled = [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]
    body = {"provider": "p", "model": "m", "completion_params": {}, "prompt_messages": doubled, "tools": None, "stop": None, "stream": True}
    for wrong in (body, {**body, "prompt_messages": [{"role": "unknown", "content": "a"}]}):
        if not list(call_problems({"type": "llm", "request": wrong})):
            failed.append(f"the judge accepts {wrong}")
    if ours.close() != 0:
        failed.append(f"the plugin ended with {ours.process.returncode}: {ours.stderr()}")
    for failure in failed:
        print(f"FAILED {failure}")
    print("agent:", ", ".join(f"{count} {what}" for what, count in counts.items()), f"— {len(failed)} failures")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
