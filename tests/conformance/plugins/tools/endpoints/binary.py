from dify_plugin import Endpoint
from werkzeug import Response


class Binary(Endpoint):
    def _invoke(self, r, values, settings):
        return Response(bytes(range(256)))
