from dify_plugin import Endpoint
from werkzeug import Response


class Empty(Endpoint):
    def _invoke(self, r, values, settings):
        return Response(status=204)
