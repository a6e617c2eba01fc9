from dify_plugin.interfaces.agent import AgentProvider


class Provider(AgentProvider):
    pass
