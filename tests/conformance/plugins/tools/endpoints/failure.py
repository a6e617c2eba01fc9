from dify_plugin import Endpoint


class Failure(Endpoint):
    def _invoke(self, r, values, settings):
        raise RuntimeError("it failed")
