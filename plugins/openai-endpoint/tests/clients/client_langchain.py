"""LangChain's client."""

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from openai import RateLimitError
from pydantic import BaseModel

from judge import KEY, URL, check, raises, run

chat = ChatOpenAI(model="chat", base_url=URL, api_key=KEY, max_retries=0, timeout=20)


@tool
def forecast(place: str) -> str:
    """The weather of a place."""
    return "sunny in " + place


class City(BaseModel):
    """A city."""

    name: str
    capital: bool


@check
def invoke():
    answer = chat.invoke([SystemMessage("Be brief."), HumanMessage("Hi")])
    assert answer.text == "Hello, Ada" and answer.usage_metadata["total_tokens"] == 7, answer
    assert answer.response_metadata["finish_reason"] == "stop"


@check
def stream():
    chunks = list(chat.stream("Hi", stream_usage=True))
    assert "".join(chunk.text for chunk in chunks) == "Hello, Ada"
    assert sum(chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata) == 7


@check
async def stream_without_blocking():
    assert "".join([chunk.text async for chunk in chat.astream("Hi")]) == "Hello, Ada"


@check
def tools_round_trip():
    bound = chat.bind_tools([forecast])
    answer = bound.invoke("Weather in Riga?")
    assert answer.tool_calls[0]["args"] == {"place": "Riga"}
    call = answer.tool_calls[0]
    result = ToolMessage(forecast.invoke(call["args"]), tool_call_id=call["id"])
    assert bound.invoke([HumanMessage("Weather in Riga?"), answer, result]).text == "It is sunny in Riga."
    joined = None
    for chunk in bound.stream("Weather in Riga?"):
        joined = chunk if joined is None else joined + chunk
    assert joined.tool_calls[0]["args"] == {"place": "Riga"}


@check
def json_schema():
    assert chat.with_structured_output(City, method="json_schema").invoke("Riga?") == City(name="Riga", capital=True)
    assert chat.with_structured_output(None, method="json_mode").invoke("Riga, as JSON?") == {"ok": True}


@check
def completion():
    assert OpenAI(model="chat", base_url=URL, api_key=KEY, max_retries=0).invoke("Once") == "Hello, Ada"


@check
def embeddings():
    embed = OpenAIEmbeddings(model="embed", base_url=URL, api_key=KEY, check_embedding_ctx_length=False)
    assert embed.embed_documents(["a", "b"]) == [[0.0, 0.5, -0.25], [1.0, 0.5, -0.25]]
    assert embed.embed_query("a") == [0.0, 0.5, -0.25]


@check
def errors():
    with raises(RateLimitError):
        chat.invoke("fail:rate")


run()
