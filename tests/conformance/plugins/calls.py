"""One call back into Dify of every type, as `tests/support/backwards_calls.rs` makes it in Rust: the same names and values."""

from binascii import hexlify
from io import BytesIO

from dify_plugin.entities.model import EmbeddingInputType
from dify_plugin.entities.model.llm import LLMModelConfig
from dify_plugin.entities.model.message import (
    AssistantPromptMessage,
    ImagePromptMessageContent,
    PromptMessageTool,
    SystemPromptMessage,
    TextPromptMessageContent,
    ToolPromptMessage,
    UserPromptMessage,
)
from dify_plugin.entities.model.moderation import ModerationModelConfig
from dify_plugin.entities.model.rerank import MultiModalRerankModelConfig, RerankModelConfig
from dify_plugin.entities.model.speech2text import Speech2TextModelConfig
from dify_plugin.entities.model.text_embedding import (
    MultiModalContent,
    MultiModalEmbeddingModelConfig,
    TextEmbeddingModelConfig,
)
from dify_plugin.entities.model.tts import TTSModelConfig
from dify_plugin.entities.tool import ToolProviderType
from dify_plugin.entities.workflow_node import ClassConfig, ModelConfig, ParameterConfig

PROVIDER = "acme/models/acme"
MODEL = LLMModelConfig(provider=PROVIDER, model="acme-1", mode="chat", completion_params={"temperature": 0.2})
ASKED = [UserPromptMessage(content="hi")]
FUNCTION = AssistantPromptMessage.ToolCall.ToolCallFunction(name="lookup", arguments='{"q":"x"}')
CALL = AssistantPromptMessage.ToolCall(id="call_1", type="function", function=FUNCTION)
IMAGE = ImagePromptMessageContent(
    format="png", mime_type="image/png", base64_data="iVBORw0", detail=ImagePromptMessageContent.DETAIL.HIGH
)
CONVERSATION = [
    SystemPromptMessage(content="Be brief."),
    UserPromptMessage(content=[TextPromptMessageContent(data="What is this?"), IMAGE]),
    AssistantPromptMessage(content="", tool_calls=[CALL]),
    ToolPromptMessage(content="42", name="lookup", tool_call_id="call_1"),
]
QUERY = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
LOOKUP = PromptMessageTool(name="lookup", description="find", parameters=QUERY)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
TEXT, SCAN = MultiModalContent(content="q", content_type="text"), MultiModalContent(content="QUJD", content_type="image")


def named(config, model, **more):
    return config(provider=PROVIDER, model=model, **more)


def dumped(messages):
    return [message.model_dump(mode="json") for message in messages]


def node(response):
    return response.model_dump(mode="json")


def result(answer, structured=None):
    message = answer.message
    return {
        "text": message.content, "tool_calls": [call.model_dump(mode="json") for call in message.tool_calls],
        "tokens": answer.usage.total_tokens, "structured_output": structured,
    }


def streamed(chunks):
    chunks = list(chunks)
    return {
        "text": "".join(chunk.delta.message.content for chunk in chunks), "tool_calls": [],
        "tokens": chunks[-1].delta.usage.total_tokens, "structured_output": None,
    }


def structured(answer):
    return result(answer, answer.structured_output)


def rank(config):
    return named(config, "rank", score_threshold=0.5, top_n=2)


def extractor():
    return [
        ParameterConfig(name="city", type="string", description="the city", required=True),
        ParameterConfig(name="unit", type="select", options=["C", "F"], description="", required=False),
    ]


CALLS = {
    "llm_stream": lambda s: streamed(s.model.llm.invoke(MODEL, CONVERSATION, [LOOKUP], ["END"], True)),
    "llm_whole": lambda s: result(s.model.llm.invoke(MODEL, ASKED, stream=False)),
    "llm_structured_output": lambda s: structured(
        s.model.llm_structured_output.invoke(MODEL, ASKED, CITY, stream=False)
    ),
    "summary": lambda s: s.model.summary.invoke("A long text", "in one line", min_summarize_length=0),
    "text_embedding": lambda s: node(
        s.model.text_embedding.invoke(named(TextEmbeddingModelConfig, "embed"), ["a", "b"], EmbeddingInputType.DOCUMENT)
    ),
    "multimodal_embedding": lambda s: node(
        s.model.text_embedding.invoke_multimodal(
            named(MultiModalEmbeddingModelConfig, "embed", tenant_id=""), [MultiModalContent(content="a", content_type="text"), SCAN]
        )
    ),
    "rerank": lambda s: node(s.model.rerank.invoke(rank(RerankModelConfig), ["a", "b"], "q")),
    "multimodal_rerank": lambda s: node(s.model.rerank.invoke_multimodal(rank(MultiModalRerankModelConfig), TEXT, [SCAN])),
    "tts": lambda s: [
        hexlify(chunk).decode() for chunk in s.model.tts.invoke(named(TTSModelConfig, "say", voice="alloy"), "Hello")
    ],
    "speech2text": lambda s: s.model.speech2text.invoke(named(Speech2TextModelConfig, "hear"), BytesIO(b"RIFF\x00\xff")),
    "moderation": lambda s: s.model.moderation.invoke(named(ModerationModelConfig, "mod"), "text"),
    "tool": lambda s: dumped(s.tool.invoke(ToolProviderType.MCP, "server", "look", {"q": 1}, "cred-1")),
    "tool_of_context": lambda s: dumped(s.tool.invoke_builtin_tool("acme/time/time", "now", {})),
    "tool_workflow": lambda s: dumped(s.tool.invoke_workflow_tool("w", "t", {"a": "b"})),
    "tool_api": lambda s: dumped(s.tool.invoke_api_tool("p", "t", {"a": "b"})),
    "chat_stream": lambda s: list(s.app.chat.invoke("app-1", "How is it?", {"city": "Riga"}, "streaming", "conv-1")),
    "chat_whole": lambda s: s.app.chat.invoke("app-1", "How is it?", {}, "blocking"),
    "completion_whole": lambda s: s.app.completion.invoke("app-1", {"q": "a"}, "blocking", "u"),
    "workflow_stream": lambda s: list(s.app.workflow.invoke("app-1", {"q": "a"}, "streaming")),
    "fetch_app": lambda s: s.app.fetch_app("app-1"),
    "parameter_extractor": lambda s: node(
        s.workflow_node.parameter_extractor.invoke(
            extractor(),
            ModelConfig(provider=PROVIDER, name="acme-1", completion_params={"temperature": 0}),
            "Weather in Riga",
            "be exact",
        )
    ),
    "question_classifier": lambda s: node(
        s.workflow_node.question_classifier.invoke(
            [ClassConfig(id="1", name="weather"), ClassConfig(id="2", name="other")],
            ModelConfig(provider=PROVIDER, name="acme-1"),
            "Weather?",
        )
    ),
    "storage_get": lambda s: hexlify(s.storage.get("k")).decode(),
    "storage_set": lambda s: s.storage.set("k", b"\x00\xff"),
    "storage_delete": lambda s: s.storage.delete("k"),
    "storage_exist": lambda s: s.storage.exist("k"),
}


def make(name, session):
    return CALLS[name](session)
