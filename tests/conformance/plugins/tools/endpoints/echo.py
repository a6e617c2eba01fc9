from dify_plugin import Endpoint
from werkzeug import Response


class Echo(Endpoint):
    def _invoke(self, r, values, settings):
        query, header = r.query_string.decode(), r.headers.get("x-a", "")
        text = f"{r.method} {query} {header} {settings.get('token', '')} {r.get_data(as_text=True)}"
        return Response(text, headers={"x-b": "1"})
