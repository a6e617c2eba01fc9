from dify_plugin import OAICompatLargeLanguageModel


class BenchLargeLanguageModel(OAICompatLargeLanguageModel):
    pass
