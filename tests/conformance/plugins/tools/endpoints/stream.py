from dify_plugin import Endpoint
from werkzeug import Response


class Stream(Endpoint):
    def _invoke(self, r, values, settings):
        def parts():
            for number in range(3):
                yield f"data: {number}\n\n"

        return Response(parts(), content_type="text/event-stream")
