from collections.abc import Generator
from typing import Any

from dify_plugin.entities.agent import AgentInvokeMessage
from dify_plugin.entities.model.llm import LLMModelConfig
from dify_plugin.entities.model.message import UserPromptMessage
from dify_plugin.interfaces.agent import AgentStrategy


class Ask(AgentStrategy):
    def _invoke(self, parameters: dict[str, Any]) -> Generator[AgentInvokeMessage, None, None]:
        chunks = self.session.model.llm.invoke(
            model_config=LLMModelConfig(provider="bench/bench/bench", model="m", mode="chat", completion_params={}),
            prompt_messages=[UserPromptMessage(content=parameters["query"])],
            stream=True,
        )
        yield self.create_text_message("".join(chunk.delta.message.content for chunk in chunks))
