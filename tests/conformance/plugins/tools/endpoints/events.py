import time

from dify_plugin import Endpoint
from werkzeug import Response


class Events(Endpoint):
    def _invoke(self, r, values, settings):
        def parts():
            for number in range(int(r.args["count"])):
                time.sleep(int(r.args["pause"]) / 1000)
                yield f"data: {number}\n\n"

        return Response(parts(), content_type="text/event-stream")
