"""LiteLLM's client, with the endpoint as a server that speaks OpenAI's API."""

import io
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # noqa: E402

from judge import KEY, URL, check, raises, run  # noqa: E402

litellm.telemetry = False
litellm.suppress_debug_info = True
COMMON = {"api_base": URL, "api_key": KEY, "num_retries": 0, "timeout": 20}
TOOL = {"type": "function", "function": {"name": "forecast", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}}}


def ask(text, **more):
    return litellm.completion(model="openai/chat", messages=[{"role": "user", "content": text}], **COMMON, **more)


@check
def chat_whole():
    answer = ask("Hi", temperature=0.1, seed=1)
    assert (answer.choices[0].message.content, answer.choices[0].message.reasoning_content) == ("Hello, Ada", "Hm."), answer
    assert answer.usage.total_tokens == 7


@check
def chat_streamed():
    chunks = list(ask("Hi", stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello, Ada"
    assert litellm.stream_chunk_builder(chunks).choices[0].message.content == "Hello, Ada"


@check
async def chat_without_blocking():
    answer = await litellm.acompletion(model="openai/chat", messages=[{"role": "user", "content": "Hi"}], **COMMON)
    assert answer.choices[0].message.content == "Hello, Ada"


@check
def tools():
    call = ask("Weather?", tools=[TOOL]).choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("forecast", '{"place": "Riga"}')


@check
def json_schema():
    schema = {"name": "city", "schema": {"type": "object", "properties": {"name": {"type": "string"}}}}
    answer = ask("Riga?", response_format={"type": "json_schema", "json_schema": schema})
    assert '"Riga"' in answer.choices[0].message.content


@check
def text_completion():
    assert litellm.text_completion(model="text-completion-openai/chat", prompt="Once", **COMMON).choices[0].text == "Hello, Ada"


@check
def embeddings():
    answer = litellm.embedding(model="openai/embed", input=["a"], **COMMON)
    assert list(answer.data[0]["embedding"]) == [0.0, 0.5, -0.25], answer


@check
def rerank():
    # vLLM's API is the one of LiteLLM's that sends to `/v1/rerank` of any server.
    answer = litellm.rerank(model="hosted_vllm/rank", query="q", documents=["a", "longer"], top_n=1, api_base=URL, api_key=KEY)
    assert answer.results[0]["index"] == 1, answer


@check
def audio():
    speech = litellm.speech(model="openai/speak", voice="alloy", input="Hello", api_base=URL, api_key=KEY)
    assert speech.content == b"ID3\x04Hello"
    file = io.BytesIO(b"RIFF1234")
    file.name = "a.wav"
    assert litellm.transcription(model="openai/listen", file=file, api_base=URL, api_key=KEY).text == "heard 8 bytes"


@check
def moderations():
    assert litellm.moderation(model="judge", input="bad", custom_llm_provider="openai", api_base=URL, api_key=KEY).results[0].flagged


@check
def errors():
    for text, kind in [("rate", litellm.RateLimitError), ("context", litellm.ContextWindowExceededError),
                       ("missing", litellm.NotFoundError), ("bad", litellm.BadRequestError)]:
        with raises(kind):
            ask("fail:" + text)
    with raises(litellm.AuthenticationError):
        litellm.completion(model="openai/chat", messages=[{"role": "user", "content": "Hi"}], api_base=URL, api_key="sk-wrong-0123456789")


run()
