"""Every answer, read by the reference SDK's entities and, where it knows the type, by Dify's own (`graphon`).

"Parsed" means completely: a key that the entity drops is a failure, at any depth.
"""

from pydantic import TypeAdapter, ValidationError

from dify_plugin.entities.model import AIModelEntity as SdkModel
from dify_plugin.entities.model.llm import LLMPollingResult as SdkPolling
from dify_plugin.entities.model.llm import LLMResultChunk as SdkChunk
from dify_plugin.entities.model.rerank import RerankResult as SdkRerank
from dify_plugin.entities.model.text_embedding import TextEmbeddingResult as SdkEmbedding
from dify_plugin.entities.model.tts import TTSResult as SdkTts
from graphon.model_runtime.entities.llm_entities import LLMPollingResult, LLMResultChunk
from graphon.model_runtime.entities.model_entities import AIModelEntity
from graphon.model_runtime.entities.rerank_entities import RerankResult
from graphon.model_runtime.entities.text_embedding_entities import EmbeddingResult

# The shapes that the reference writes as plain dictionaries (`plugin_executor.py`), with every key they may have.
TRUTH, TEXT, NUMBER = TypeAdapter(bool), TypeAdapter(str), TypeAdapter(int)
NUMBERS, VOICES = TypeAdapter(list[int]), TypeAdapter(list[dict[str, str]])
CREDENTIALS = TypeAdapter(dict)

READERS = {
    "invoke_llm": [SdkChunk, LLMResultChunk],
    "start_polling": [SdkPolling, LLMPollingResult],
    "check_polling": [SdkPolling, LLMPollingResult],
    "get_llm_num_tokens": {"num_tokens": NUMBER},
    "invoke_text_embedding": [SdkEmbedding, EmbeddingResult],
    "invoke_multimodal_embedding": [SdkEmbedding, EmbeddingResult],
    "get_text_embedding_num_tokens": {"num_tokens": NUMBERS},
    "invoke_rerank": [SdkRerank, RerankResult],
    "invoke_multimodal_rerank": [SdkRerank, RerankResult],
    "invoke_tts": [SdkTts],
    "get_tts_model_voices": {"voices": VOICES},
    "invoke_speech2text": {"result": TEXT},
    "invoke_moderation": {"result": TRUTH},
    "validate_provider_credentials": {"result": TRUTH, "credentials": CREDENTIALS},
    "validate_model_credentials": {"result": TRUTH, "credentials": CREDENTIALS},
    "get_ai_model_schemas": {"model_schema": [SdkModel, AIModelEntity]},
}


# What Dify's entity does not keep, and why it is sent.
INTENDED = [
    ("graphon.LLMResultChunk", "delta.message.opaque_body",
     "the SDK and the daemon carry it; this version of graphon drops it, and Gemini's signatures are then kept by the runtime"),
    ("graphon.AIModelEntity", ".pt_BR", "the SDK fills all four languages before it sends; graphon keeps two"),
    ("graphon.AIModelEntity", ".ja_JP", "as above"),
]


def left_over(given, kept, path=""):
    """Paths of what is in `given` and not in `kept`."""
    if isinstance(given, dict):
        if not isinstance(kept, dict):
            return [path]
        found = []
        for key, value in given.items():
            inner = f"{path}.{key}" if path else key
            found += left_over(value, kept[key], inner) if key in kept else [inner]
        return found
    if isinstance(given, list):
        if not isinstance(kept, list) or len(kept) != len(given):
            return [path]
        return [found for one, other in zip(given, kept, strict=True) for found in left_over(one, other, f"{path}[]")]
    return []


def read(reader, item):
    """Problems of one item."""
    try:
        kept = reader.model_validate(item).model_dump(mode="json")
    except ValidationError as error:
        return [f"{reader.__module__}.{reader.__name__} refuses it: {error}"]
    name = f"{reader.__module__.partition('.')[0]}.{reader.__name__}"
    paths = sorted(set(left_over(item, kept)))
    return [f"{name} does not keep `{path}`" for path in paths if not intended(name, path)]


def intended(name, path):
    return any(name == entity and path.endswith(end) for entity, end, _reason in INTENDED)


def problems(action, item):
    """What is wrong with one result item of an action."""
    readers = READERS[action]
    if isinstance(readers, list):
        return [problem for reader in readers for problem in read(reader, item)]
    found = [f"unknown key `{key}`" for key in item.keys() - readers.keys()]
    for key, reader in readers.items():
        if key not in item:
            if key != "credentials":
                found.append(f"`{key}` is missing")
        elif isinstance(reader, list):
            found += [problem for one in reader for problem in read(one, item[key])]
        else:
            try:
                reader.validate_python(item[key], strict=True)
            except ValidationError as error:
                found.append(f"`{key}`: {error}")
    return found


def error_problems(error):
    """What is wrong with an error payload."""
    found = [f"unknown key `{key}`" for key in error.keys() - {"error_type", "message", "args"}]
    if not (isinstance(error.get("error_type"), str) and error["error_type"]):
        found.append("`error_type` is missing")
    if not (isinstance(error.get("message"), str) and error["message"]):
        found.append("`message` is missing")
    if not isinstance(error.get("args", {}), dict):
        found.append("`args` is no object")
    return found
