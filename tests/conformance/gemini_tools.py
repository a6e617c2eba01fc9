"""Drives every tool of the plugin `gemini-tools` against a mock of Gemini: every frame is read by the SDK's entities and Dify's, every
request to Gemini by its protobuf types, and every declaration by the SDK. Started by run.py.
"""

import sys
from collections import Counter
from pathlib import Path

import yaml
from dify_plugin.entities.provider_config import ProviderConfig
from dify_plugin.entities.tool import ToolConfiguration
from pydantic import ValidationError

import entities
import kinds_entities
import wire
from plugin import Plugin
from upstream import FILES, Upstream

DIRECTORY = Path(__file__).resolve().parents[2] / "plugins" / "gemini-tools"
PROVIDER = "gemini-tools"
RESERVED = {"text", "json", "files"}
# Path in a request: why it is sent although the protobuf package does not know it. `[]` is any item.
OVERLAY = {
    "generationConfig.imageConfig.imageSize": "size of images; field of the REST API, newer than the package",
    "contents[].parts[].speechMetadata": "style and speakers of speech; field of the REST API, newer than the package",
}
DIALOGUE = "Anna: Hi.\nBen: Yes."


def file(upstream, name, kind):
    """A file as Dify describes it to a tool."""
    return {"dify_model_identity": "__dify__file__", "url": f"{upstream.url}/dify-files/{name}?sign=x", "type": kind,
            "mime_type": FILES[name][0], "filename": name, "extension": f".{name.rpartition('.')[2]}", "size": len(FILES[name][1])}


def cases(upstream):
    """Parameters of each tool: with nothing but what is required, and with everything."""
    image, talk = file(upstream, "cat.png", "image"), file(upstream, "talk.mp3", "audio")
    return {
        "create_image": [{"prompt": "A cat"}, {"prompt": "A cat", "aspect_ratio": "21:9", "size": "4K", "count": 4}],
        "edit_image": [{"prompt": "Blue", "images": [image]},
                       {"prompt": "Join", "images": [image, image], "image_urls": "https://a.example/b.webp", "size": "2K"}],
        "search": [{"query": "Riga?"}, {"query": "Riga?", "model": "gemini-4-hydrogen"}],
        "maps": [{"query": "Cafés?"}, {"query": "Cafés?", "place": "56.95, 24.11", "language": "de"}],
        "read_pages": [{"urls": "https://a.example/"}, {"urls": "https://a.example/ https://b.example/", "question": "Why?"}],
        "understand_media": [{"files": [talk]}, {"task": "answer", "question": "Who?", "url": "https://youtu.be/x", "start": 1, "end": 2},
                             {"task": "transcribe", "files": [talk], "timestamps": True, "speakers": True}],
        "speak": [{"text": "Hi."}, {"text": DIALOGUE, "second_voice": "Puck", "style": "calmly", "language": "en-US", "format": "wav"}],
    }


class Suite:
    def __init__(self, binary):
        self.upstream = Upstream()
        self.plugin = Plugin([binary], DIRECTORY)
        self.failures, self.counts, self.used = [], Counter(), set()

    def fail(self, where, problem):
        self.failures.append(f"{PROVIDER}, {where}: {problem}")

    def ask(self, where, kind, action, **fields):
        """A request with the credentials of the mock."""
        credentials = {"google_base_url": self.upstream.url, "google_api_key": "key", "max_retries": "0"}
        data = {"type": kind, "action": action, "user_id": "u", "provider": PROVIDER, "credentials": credentials,
                "credential_type": "api-key", **fields}
        outcome = self.plugin.call(data)
        self.counts["sessions"] += 1
        self.counts["items"] += len(outcome.items)
        problems = kinds_entities.response_problems(action, outcome.items) if outcome.error is None else entities.error_problems(outcome.error)
        for method, path, body in self.upstream.take():
            found, is_known = wire.problems(PROVIDER, method, path, self.known(body))
            problems += found
            self.counts["requests to Gemini"] += is_known
        for problem in problems:
            self.fail(where, problem)
        return outcome

    def known(self, body):
        """The request without what the package does not know."""
        for path in OVERLAY:
            shorter = wire.without(body, path)
            if shorter != body:
                self.used.add(path)
            body = shorter
        return body

    def tool(self, name, declared, parameters):
        where = f"{name} {parameters}"[:120]
        outcome = self.ask(where, "tool", "invoke_tool", tool=name, tool_parameters=parameters)
        if outcome.error is not None:
            return self.fail(where, outcome.error)
        sent = {item["message"]["variable_name"] for item in outcome.items if item["type"] == "variable"}
        outputs = set(declared["output_schema"]["properties"])
        # An output that is declared and not sent is null in Dify.
        if sent != outputs or outputs & RESERVED:
            self.fail(where, f"outputs {sorted(outputs)} are declared, {sorted(sent)} are sent")
        types = Counter(item["type"] for item in outcome.items)
        if types["json"] != 1 or types["text"] != 1:
            self.fail(where, f"one text and one JSON object are due, not {dict(types)}")
        return None

    def declarations(self):
        """Every YAML file, as the SDK reads it. It wants a Python file in each; `show_on` and the like it would drop."""
        provider = yaml.safe_load((DIRECTORY / f"provider/{PROVIDER}.yaml").read_text())
        read = [(name, ProviderConfig, {"name": name, **field}) for name, field in provider["credentials_for_provider"].items()]
        tools = {}
        for path in provider["tools"]:
            tool = yaml.safe_load((DIRECTORY / path).read_text())
            tools[tool["identity"]["name"]] = tool
            read.append((path, ToolConfiguration, {**tool, "extra": {"python": {"source": "x.py"}}}))
        for where, entity, value in read:
            self.counts["declarations"] += 1
            try:
                kept = entity.model_validate(value).model_dump(mode="json")
            except ValidationError as error:
                self.fail(where, error)
                continue
            for path in entities.left_over(value, kept):
                self.fail(where, f"the SDK does not keep `{path}`")
        return tools

    def run(self):
        tools = self.declarations()
        given = cases(self.upstream)
        if given.keys() != tools.keys():
            self.fail("cases", f"{sorted(given)} instead of {sorted(tools)}")
        for name, parameters in given.items():
            for values in parameters:
                self.tool(name, tools[name], values)
            for parameter in tools[name]["parameters"]:
                if parameter["type"] == "dynamic-select":
                    self.ask(f"options of {name}", "dynamic_parameter", "fetch_parameter_options", provider_action=name, parameter=parameter["name"])
            if self.ask(name, "tool", "invoke_tool", tool=name, tool_parameters={}).error is None:
                self.fail(name, "nothing is missing without parameters")
        self.ask("credentials", "tool", "validate_tool_credentials")
        self.upstream.refusal = (429, b'{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded."}}')
        if self.ask("quota", "tool", "invoke_tool", tool="search", tool_parameters={"query": "x"}).error is None:
            self.fail("quota", "the error of Gemini is lost")
        for path in OVERLAY.keys() - self.used:
            self.fail("OVERLAY", f"nothing needs `{path}`")
        if self.plugin.close() != 0:
            self.fail("end", f"the plugin ended with {self.plugin.process.returncode}: {self.plugin.stderr()}")


def judged():
    """The judge of files rejects what it must."""
    broken = [{"type": "blob_chunk", "message": {"id": "1", "sequence": 0, "total_length": 2, "blob": "AA==", "end": True}}]
    return [] if kinds_entities.response_problems("invoke_tool", broken) else ["a broken file passes"]


def main():
    suite = Suite(sys.argv[1])
    suite.run()
    failures = suite.failures + judged()
    for failure in failures:
        print(f"FAILED {failure}")
    print(", ".join(f"{count} {what}" for what, count in suite.counts.items()), f"— {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
