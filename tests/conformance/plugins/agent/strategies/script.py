from dify_plugin.interfaces.agent import AgentStrategy

import steps


class Script(AgentStrategy):
    def _invoke(self, parameters):
        for step in parameters["steps"]:
            yield from steps.take(self, step)
        usage = {"total_tokens": 7, "total_price": "0.01", "currency": "USD"}
        yield self.create_json_message({"execution_metadata": usage})
