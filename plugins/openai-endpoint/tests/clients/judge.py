"""Counts the checks of one client. A check is a function with a name; the first failure ends the client with its traceback."""

import asyncio
import inspect
import os

URL = os.environ.get("ENDPOINT_URL", "")
KEY = os.environ.get("ENDPOINT_KEY", "")
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def run():
    for function in CHECKS:
        result = function()
        if inspect.iscoroutine(result):
            asyncio.run(result)
        print("ok   %s" % function.__name__.replace("_", " "), flush=True)


class raises:
    """A block that must raise this exception; it is `error` afterwards."""

    def __init__(self, kind):
        self.kind = kind

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        assert kind is not None, "%s was not raised" % self.kind.__name__
        self.error = error
        return isinstance(error, self.kind)
