"""Runs the reference SDK and writes what it says to tests/golden/reference.json.

    python3 -m venv venv && venv/bin/pip install dify_plugin    (Python 3.12 or newer)
    venv/bin/python tests/golden/generate.py
"""
import json
import pathlib

from dify_plugin import LargeLanguageModel
from dify_plugin.entities.model import AIModelEntity, ModelType
from dify_plugin.entities.model.llm import LLMResultChunk, LLMResultChunkDelta, LLMUsage
from dify_plugin.entities.model.message import AssistantPromptMessage
from dify_plugin.errors import model as errors

PRICES = [
    None,
    {"input": "0.15", "output": "0.60", "unit": "0.000001", "currency": "USD"},
    {"input": "2", "output": "12", "unit": "0.000001", "currency": "USD"},
    {"input": "0.0015", "output": "0.002", "unit": "0.001", "currency": "RMB"},
    {"input": "0.075", "output": "0.30", "unit": "0.000001", "currency": "USD"},
    {"input": "0", "output": "0", "unit": "0.000001", "currency": "USD"},
    {"input": "0.02", "unit": "0.000001", "currency": "USD"},
    {"input": "1e-1", "output": "30", "unit": "0.000001", "currency": "USD"},
]
TOKENS = [(0, 0), (1, 0), (0, 1), (12, 5), (3, 7), (10, 3), (33, 67), (999, 1), (123456, 654321), (1000000, 1000000), (2**31, 2**31)]

RULES = [
    {"name": "temperature", "label": {"en_US": "T"}, "type": "float", "min": 0, "max": 2, "precision": 2},
    {"name": "whole", "label": {"en_US": "W"}, "type": "float", "precision": 0},
    {"name": "limit", "use_template": "max_tokens", "label": {"en_US": "L"}, "type": "int", "min": 1, "max": 100},
    {"name": "mode", "label": {"en_US": "M"}, "type": "string", "required": True, "default": "a", "options": ["a", "b"]},
    {"name": "flag", "label": {"en_US": "F"}, "type": "boolean"},
    {"name": "note", "label": {"en_US": "N"}, "type": "text"},
]
PARAMETERS = [
    {}, {"temperature": 1}, {"temperature": 0.07}, {"temperature": 0.123}, {"temperature": 2.0}, {"temperature": 2.01},
    {"temperature": -0.1}, {"temperature": "1"}, {"temperature": None}, {"whole": 2}, {"whole": 2.5}, {"limit": 5},
    {"limit": 0}, {"limit": 101}, {"limit": "5"}, {"max_tokens": 7}, {"max_tokens": 700}, {"limit": 5, "max_tokens": 7},
    {"mode": "b"}, {"mode": "c"}, {"mode": 1}, {"flag": True}, {"flag": "true"}, {"note": "text"}, {"note": {}},
    {"unknown": 1}, {"temperature": 1, "unknown": 1},
]


class Reference(LargeLanguageModel):
    def _invoke(self, *arguments, **options):
        raise NotImplementedError

    def validate_credentials(self, *arguments, **options):
        raise NotImplementedError

    def get_num_tokens(self, *arguments, **options):
        raise NotImplementedError

    @property
    def _invoke_error_mapping(self):
        return {}


def model(pricing=None, rules=()):
    return Reference([AIModelEntity(
        model="m", label={"en_US": "m"}, model_type=ModelType.LLM, model_properties={}, pricing=pricing,
        parameter_rules=list(rules), fetch_from="predefined-model",
    )])


def usage():
    for pricing in PRICES:
        for prompt, completion in TOKENS:
            found = model(pricing)._calc_response_usage("m", {}, prompt, completion).model_dump(mode="json")
            found.pop("latency")
            yield {"pricing": pricing, "prompt_tokens": prompt, "completion_tokens": completion, "usage": found}


def parameters():
    for given in PARAMETERS:
        try:
            outcome = {"accepted": model(rules=RULES)._validate_and_filter_model_parameters("m", dict(given), {})}
        except ValueError as error:
            outcome = {"refused": str(error)}
        yield {"given": given, **outcome}


def chunks():
    calls = [AssistantPromptMessage.ToolCall(
        id="c1", type="function",
        function=AssistantPromptMessage.ToolCall.ToolCallFunction(name="f", arguments='{"q":1}'),
    )]
    messages = [
        (AssistantPromptMessage(content="Hel\u00e4\n\u2028"), None, None),
        (AssistantPromptMessage(content="", tool_calls=calls), None, None),
        (AssistantPromptMessage(content=""), LLMUsage.empty_usage(), "stop"),
    ]
    for index, (message, used, reason) in enumerate(messages):
        delta = LLMResultChunkDelta(index=index, message=message, usage=used, finish_reason=reason)
        yield LLMResultChunk(model="m", delta=delta).model_dump(mode="json")


def error_words():
    names = ["InvokeConnectionError", "InvokeServerUnavailableError", "InvokeRateLimitError", "InvokeAuthorizationError", "InvokeBadRequestError"]
    return {name: getattr(errors, name).description.strip() for name in names}


if __name__ == "__main__":
    golden = {
        "rules": RULES, "usage": list(usage()), "parameters": list(parameters()), "chunks": list(chunks()), "errors": error_words(),
    }
    path = pathlib.Path(__file__).with_name("reference.json")
    path.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
    print("%s: %d usages, %d parameter sets" % (path, len(golden["usage"]), len(golden["parameters"])))
