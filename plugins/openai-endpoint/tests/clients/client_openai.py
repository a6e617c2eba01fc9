"""The official Python client, over every route that it has."""

import asyncio
import io

import openai
from pydantic import BaseModel

from judge import KEY, URL, check, raises, run

client = openai.OpenAI(base_url=URL, api_key=KEY, max_retries=0, timeout=20)
TOOL = {"type": "function", "function": {"name": "forecast", "description": "d", "parameters": {
    "type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}}}


def ask(text, **more):
    return client.chat.completions.create(model="chat", messages=[{"role": "user", "content": text}], **more)


@check
def models():
    names = [model.id for model in client.models.list()]
    assert "chat" in names and "app" in names, names
    assert client.models.retrieve("gpt-4o").owned_by == "acme/models/acme"


@check
def chat_whole():
    answer = ask("Hi", temperature=0.1, seed=7, stop=["END"], user="u", extra_body={"unknown": {"a": 1}})
    message = answer.choices[0].message
    assert (message.content, message.reasoning_content, message.role) == ("Hello, Ada", "Hm.", "assistant"), message
    assert (answer.choices[0].finish_reason, answer.usage.total_tokens, answer.model) == ("stop", 7, "chat")
    assert answer._request_id.startswith("session-")
    assert ask("Hi", max_completion_tokens=1).choices[0].finish_reason == "length"


@check
def chat_streamed():
    chunks = list(ask("Hi", stream=True, stream_options={"include_usage": True}))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "Hello, Ada"
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "Hm."
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 4
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    with client.chat.completions.stream(model="chat", messages=[{"role": "user", "content": "Hi"}]) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Hello, Ada"


@check
def images_and_audio():
    content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
               {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
               {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]
    answer = client.chat.completions.create(model="chat", messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == "Hello, Ada image image audio", answer


@check
def tools_round_trip():
    messages = [{"role": "user", "content": "Weather in Riga?"}]
    answer = client.chat.completions.create(model="chat", messages=messages, tools=[TOOL], tool_choice="auto")
    call = answer.choices[0].message.tool_calls[0]
    assert (answer.choices[0].finish_reason, call.function.name, call.function.arguments) == ("tool_calls", "forecast", '{"place": "Riga"}')
    messages += [answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    answer = client.chat.completions.create(model="chat", messages=messages, tools=[TOOL])
    assert answer.choices[0].message.content == "It is sunny."
    with client.chat.completions.stream(model="chat", messages=messages[:1], tools=[TOOL]) as stream:
        call = stream.get_final_completion().choices[0].message.tool_calls[0]
    assert (call.id, call.function.arguments) == ("call-1", '{"place": "Riga"}')


class City(BaseModel):
    name: str
    capital: bool


@check
def json_schema():
    messages = [{"role": "user", "content": "Riga?"}]
    answer = client.chat.completions.parse(model="chat", messages=messages, response_format=City)
    assert answer.choices[0].message.parsed == City(name="Riga", capital=True)
    with client.chat.completions.stream(model="chat", messages=messages, response_format=City) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == City(name="Riga", capital=True)
    assert ask("Hi", response_format={"type": "json_object"}).choices[0].message.content == '{"ok": true}'


@check
def completions():
    answer = client.completions.create(model="chat", prompt="Once", max_tokens=9)
    assert answer.choices[0].text == "Hello, Ada"
    assert "".join(chunk.choices[0].text for chunk in client.completions.create(model="chat", prompt="Once", stream=True)) == "Hello, Ada"


@check
def embeddings():
    # Base64 by default.
    answer = client.embeddings.create(model="embed", input=["a", "b"])
    assert [list(row.embedding) for row in answer.data] == [[0.0, 0.5, -0.25], [1.0, 0.5, -0.25]] and answer.usage.total_tokens == 5
    assert client.embeddings.create(model="embed", input="a", encoding_format="float").data[0].embedding == [0.0, 0.5, -0.25]


@check
def audio():
    speech = client.audio.speech.create(model="speak", voice="alloy", input="Hello")
    assert speech.content == b"ID3\x04Hello" and speech.response.headers["content-type"] == "audio/mpeg"
    with client.audio.speech.with_streaming_response.create(model="speak", voice="alloy", input="Hello") as response:
        assert b"".join(response.iter_bytes()) == b"ID3\x04Hello"
    file = ("a.wav", io.BytesIO(b"RIFF1234"))
    assert client.audio.transcriptions.create(model="listen", file=file).text == "heard 8 bytes"
    file = ("a.wav", io.BytesIO(b"RIFF1234"))
    assert client.audio.transcriptions.create(model="listen", file=file, response_format="text").strip() == "heard 8 bytes"


@check
def moderations():
    answer = client.moderations.create(model="judge", input=["good", "bad"])
    assert [result.flagged for result in answer.results] == [False, True] and answer.results[0].categories.hate is False


@check
def apps():
    def turn(**more):
        messages = [{"role": "user", "content": "Hi"}]
        return client.chat.completions.create(model="app", messages=messages, **more)

    assert turn().choices[0].message.content == "Turn 1"
    first, second = turn(metadata={"conversation_id": "mine"}), turn(extra_body={"conversation_id": "mine"})
    assert (first.choices[0].message.content, second.choices[0].message.content) == ("Turn 1", "Turn 2")
    assert second.conversation_id == "mine" and second.citations[0]["document_name"] == "d.pdf"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in turn(stream=True)) == "Turn 1"


@check
def errors():
    for text, kind, code in [
        ("rate", openai.RateLimitError, "rate_limit_exceeded"), ("credentials", openai.PermissionDeniedError, "provider_credentials"),
        ("context", openai.BadRequestError, "context_length_exceeded"), ("missing", openai.NotFoundError, "model_not_found"),
        ("bad", openai.BadRequestError, "provider_bad_request"),
    ]:
        for stream in (False, True):
            with raises(kind) as raised:
                ask("fail:" + text, stream=stream)
            assert raised.error.code == code and raised.error.type, raised.error
    with raises(openai.AuthenticationError) as raised:
        openai.OpenAI(base_url=URL, api_key="sk-wrong-0123456789", max_retries=0).models.list()
    assert raised.error.code == "invalid_api_key"
    with raises(openai.NotFoundError):
        openai.OpenAI(base_url=URL, api_key="sk-limited-0123456789", max_retries=0).chat.completions.create(model="chat", messages=[])
    with raises(openai.BadRequestError) as raised:
        ask("Hi", n=2)
    assert raised.error.param == "n"
    with raises(openai.NotFoundError):
        client.images.generate(model="chat", prompt="x")
    with raises(openai.APIError) as raised:
        list(ask("break", stream=True))
    assert raised.error.code == "rate_limit_exceeded", raised.error


@check
async def many_streams_at_once():
    many = openai.AsyncOpenAI(base_url=URL, api_key=KEY, max_retries=0, timeout=60)

    async def one():
        stream = await many.chat.completions.create(model="chat", messages=[{"role": "user", "content": "Hi"}], stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert await asyncio.gather(*(one() for _ in range(40))) == ["Hello, Ada"] * 40


@check
def a_client_that_leaves():
    stream = ask("endless", stream=True)
    assert next(iter(stream)).choices
    stream.close()


run()
