from dify_plugin.interfaces.agent import AgentProvider


class Bench(AgentProvider):
    pass
