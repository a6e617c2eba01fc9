"""Drives every action of every provider and judges every frame; see README.md. Started by run.py."""

import json
import sys
from collections import Counter
from pathlib import Path

import cases
import entities
import wire
from plugin import Plugin
from upstream import Upstream

ROOT = Path(__file__).resolve().parent.parent.parent
REFUSALS = [(400, "InvokeBadRequestError"), (401, "InvokeAuthorizationError"), (403, "InvokeAuthorizationError"),
            (429, "InvokeRateLimitError"), (500, "InvokeServerUnavailableError"), (503, "InvokeServerUnavailableError")]


class Suite:
    def __init__(self, binary):
        self.upstream = Upstream()
        self.plugin = Plugin([binary])
        self.failures = []
        self.counts = Counter()

    def fail(self, where, problem):
        self.failures.append(f"{where}: {problem}")

    def ask(self, where, request):
        """One session; its frames and upstream calls are judged whatever the outcome."""
        self.counts["sessions"] += 1
        outcome = self.plugin.call(request)
        for item in outcome.items:
            self.counts["items"] += 1
            for problem in entities.problems(request["action"], item):
                self.fail(where, problem)
        if outcome.error is not None:
            self.counts["errors"] += 1
            for problem in entities.error_problems(outcome.error):
                self.fail(where, problem)
        for method, path, body in self.upstream.take():
            found, known = wire.problems(request.get("provider"), method, path, body)
            self.counts["upstream calls judged" if known else "upstream calls without a vocabulary"] += 1
            for problem in found:
                self.fail(where, f"{path}: {problem}")
        return outcome

    def action(self, name, title, request):
        where = f"{name}, {title}"
        good = self.ask(where, request)
        refused = good.error is not None
        if request["action"] in OFFERS_NOT[name]:
            if not (refused and good.error["error_type"] in CLEAR):
                self.fail(where, f"not rejected with a clear error: {good.error}")
        elif refused:
            self.fail(where, f"rejected: {good.error}")
        elif not good.items:
            self.fail(where, "no items and no error")
        if not refused and request["action"] == "invoke_llm":
            self.whole_answer(where, good.items)
        for variation, other, must_answer in cases.variations(request):
            outcome = self.ask(f"{where}, {variation}", other)
            if must_answer and not refused and outcome.error is not None:
                self.fail(f"{where}, {variation}", f"rejected: {outcome.error['message']}")
            if outcome.error is not None and outcome.error["error_type"] in ("InvokeError", "PluginInternalError"):
                self.fail(f"{where}, {variation}", f"no clear error: {outcome.error}")

    def parameters(self, name, provider, chat):
        """Every parameter that the model's own rules offer, one at a time."""
        for model in [provider["llm"], *provider.get("more", [])]:
            request = {**chat, "model": model}
            asked = {**request, "action": "get_ai_model_schemas"}
            rules = self.ask(f"{name}, {model}, rules", asked).items[0]["model_schema"]["parameter_rules"]
            for rule in rules:
                for value in cases.values(rule):
                    given = {**request, "model_parameters": {rule["name"]: value}}
                    outcome = self.ask(f"{name}, {model}, {rule['name']}={value!r}", given)
                    self.counts["parameter values"] += 1
                    if outcome.error is not None and outcome.error["error_type"] != "InvokeBadRequestError":
                        self.fail(f"{name}, {model}, {rule['name']}={value!r}", f"rejected: {outcome.error}")

    def whole_answer(self, where, items):
        """Usage and finish reason once and last, numbered from 0."""
        deltas = [item["delta"] for item in items]
        if [delta["index"] for delta in deltas] != list(range(len(deltas))):
            self.fail(where, "the chunks are not numbered from 0")
        for key in ("usage", "finish_reason"):
            if [bool(delta[key]) for delta in deltas] != [False] * (len(deltas) - 1) + [True]:
                self.fail(where, f"`{key}` does not come once and last")

    def refusals(self, name, request):
        """What an upstream's refusal becomes."""
        request = {**request, "credentials": {**request["credentials"], "max_retries": "0"}}
        for status, expected in REFUSALS:
            if name == "xinference":
                # A key that this server rejected is not tried again for some minutes.
                request["credentials"]["api_key"] = f"key-{status}"
            body = json.dumps({"error": {"code": status, "message": "refused by the upstream", "status": "REFUSED"}})
            self.upstream.refusal = (status, body.encode())
            outcome = self.ask(f"{name}, upstream returns {status}", request)
            self.upstream.refusal = None
            found = outcome.error or {}
            if found.get("error_type") != expected:
                self.fail(f"{name}, upstream returns {status}", f"expected {expected}, found {found}")
            if not found.get("message", "").startswith(f"[{name}] "):
                self.fail(f"{name}, upstream returns {status}", f"the provider is not named: {found}")

    def malformed(self):
        """Requests that cannot be served end with an error, never silently."""
        for data in ({}, {"type": "model"}, {"type": "model", "action": "nothing"}, {"type": "tool", "action": "invoke_tool"},
                     {"type": "model", "action": "invoke_llm", "provider": "unknown", "model": "m", "model_type": "llm", "credentials": {}},
                     {"type": "model", "action": "invoke_llm", "prompt_messages": 5}):
            self.counts["sessions"] += 1
            outcome = self.plugin.call(data)
            if outcome.error is None:
                self.fail(f"malformed {data}", "no error")
            else:
                for problem in entities.error_problems(outcome.error):
                    self.fail(f"malformed {data}", problem)

    def frames(self):
        """Every line is one of the events that the daemon knows."""
        for frame in self.plugin.lines:
            self.counts["frames"] += 1
            if frame["event"] not in ("session", "heartbeat", "log", "error"):
                self.fail("frames", f"unknown event: {frame}")
            if frame["event"] == "session" and frame["data"]["type"] not in ("stream", "end", "error"):
                self.fail("frames", f"unknown message: {frame}")

    def run(self):
        for name, provider in cases.providers(self.upstream.url).items():
            requests = list(cases.actions(name, provider))
            for title, request in requests:
                self.action(name, title, request)
            self.parameters(name, provider, requests[0][1])
            self.refusals(name, requests[0][1])
        self.malformed()
        if self.plugin.close() != 0:
            self.fail("end", f"the plugin ended with {self.plugin.process.returncode}: {self.plugin.stderr()}")
        self.frames()


# Actions that a provider does not have; a clear refusal is the answer.
OFFERS_NOT = {
    "google": {"invoke_moderation"},
    "ai-gateway": {"invoke_multimodal_embedding", "invoke_multimodal_rerank", "start_polling", "check_polling",
                   "validate_provider_credentials", "invoke_moderation"},
    "xinference": {"start_polling", "check_polling", "validate_provider_credentials", "invoke_moderation"},
}
CLEAR = {"InvokeBadRequestError", "PluginLLMPollingUnsupportedError", "CredentialsValidateFailedError"}


def judges():
    """That the judges can say no."""
    text = {"content": "a"}
    wrong = {
        "an unknown key": entities.problems("invoke_rerank", {"model": "m", "docs": [{"index": 0, "text": "a", "score": 1, "more": 1}]}),
        "a missing key": entities.problems("get_tts_model_voices", {}),
        "a number for text": entities.problems("invoke_speech2text", {"result": 1}),
        "an error without a type": entities.error_problems({"message": "m"}),
        "an unknown Gemini field": wire.gemini_problems("streamGenerateContent", {"contents": [{"parts": [{"txt": "a"}]}]}),
        "an unknown OpenAI field": wire.openai_problems("ai-gateway", "embeddings", {"model": "m", "input": "a", **text}),
        "a wrong OpenAI value": wire.openai_problems("ai-gateway", "audio/speech", {"model": "m", "input": "a", "voice": 5}),
    }
    return [f"judges: {what} passes" for what, found in wrong.items() if not found]


def goldens():
    """Goldens that the SDK would write otherwise today."""
    sys.path.insert(0, str(ROOT / "tests" / "golden"))
    import generate

    kept = json.loads((ROOT / "tests" / "golden" / "reference.json").read_text())
    made = {"rules": generate.RULES, "usage": list(generate.usage()), "parameters": list(generate.parameters()),
            "chunks": list(generate.chunks()), "errors": generate.error_words()}
    made = json.loads(json.dumps(made))
    return [f"goldens: `{key}` differs from the SDK; run tests/golden/generate.py" for key in made if made[key] != kept[key]]


def main():
    suite = Suite(sys.argv[1])
    suite.run()
    unused = [f"wire.py: no request needs `{entry}`" for entry in (wire.OVERLAY.keys() | wire.EXTRA.keys()) - wire.USED]
    failures = judges() + goldens() + suite.failures + unused
    for failure in failures:
        print(f"FAILED {failure}")
    print(", ".join(f"{count} {what}" for what, count in suite.counts.items()), f"— {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
