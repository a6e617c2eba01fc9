from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response


class Hello(Endpoint):
    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return Response("Hello", 200)
