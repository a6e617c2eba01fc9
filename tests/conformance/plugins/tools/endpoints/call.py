import json

import calls
from dify_plugin import Endpoint
from werkzeug import Response


class Call(Endpoint):
    def _invoke(self, r, values, settings):
        result = calls.make(r.args["name"], self.session)
        return Response(json.dumps(result), content_type="application/json")
