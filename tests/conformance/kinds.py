"""Drives every action of every kind of plugin but models, and judges every frame; see README.md. Started by run.py."""

import sys
from collections import Counter
from pathlib import Path

import dify
import entities
import kinds_cases
import kinds_compare
import kinds_entities
import kinds_judges
import registration
from plugin import Plugin

PLUGINS = Path(__file__).resolve().parent / "plugins"


class Suite:
    def __init__(self, binary):
        self.dify = dify.Dify()
        self.command = [binary]
        self.sdk = [sys.executable, str(PLUGINS / "twin.py")]
        self.failures, self.counts, self.used = [], Counter(), set()
        # For the judges: pairs of an action and a response that they accepted, ours and the SDK's.
        self.accepted, self.registered = [], None

    def fail(self, where, problem):
        self.failures.append(f"{where}: {problem}")

    def ask(self, where, plugin, case, data):
        self.counts["sessions"] += 1
        self.dify.expected = case.expected
        outcome = plugin.call(data, **case.origin)
        action = data["action"]
        self.counts["items"] += len(outcome.items)
        self.counts["calls back"] += len(outcome.invokes)
        if outcome.error is None:
            for problem in kinds_entities.response_problems(action, outcome.items):
                self.fail(where, problem)
        else:
            self.counts["errors"] += 1
            for problem in entities.error_problems(outcome.error):
                self.fail(where, problem)
        return outcome

    def case(self, name, ours, theirs, case):
        where, action = f"{name}, {case.title}", case.data["action"]
        outcome = self.ask(where, ours, case, case.data)
        lengths = tuple(len(data) for data, _ in kinds_entities.files(outcome.items)[0])
        if lengths != case.files:
            self.fail(where, f"files of {lengths} bytes instead of {case.files}")
        if case.in_sdk:
            self.counts["compared with the SDK"] += 1
            self.dify.expected = case.expected
            reference = theirs.call(case.data, **case.origin)
            difference = kinds_compare.compare(
                action, kinds_compare.meaning(action, outcome), kinds_compare.meaning(action, reference), self.used)
            for problem in difference:
                self.fail(where, problem)
            self.accepted.append((action, outcome, reference))
            self.vector(where, case.expected, reference)
        for variation, data in kinds_cases.variations(case.data):
            if case.title == "origin":
                break
            other = self.ask(f"{where}, {variation}", ours, case, data)
            before, after = kinds_compare.meaning(action, outcome), kinds_compare.meaning(action, other)
            for problem in kinds_compare.compare(action, before, after, set()):
                self.fail(f"{where}, {variation}", problem)

    def vector(self, where, name, reference):
        """The vector of the Rust tests is what the SDK sends today."""
        if name in dify.BY_NAME and name != "upload_file":
            sent = [dify.plain(invoke["request"]) for invoke in reference.invokes]
            if sent != [dify.plain(dify.BY_NAME[name]["request"])]:
                self.fail(where, f"tests/data/backwards/sdk_calls.json is not what the SDK sends: {sent}")

    def registrations(self):
        """What a daemon gets over TCP, against what the SDK registers for the same package."""
        used = set()
        for name in kinds_cases.CASES:
            ours, theirs = (registration.register(command, PLUGINS / name) for command in (self.command, self.sdk))
            for problem in registration.differences(ours, theirs, used):
                self.fail(f"{name}, registration", problem)
            self.registered = ours
            self.counts["registrations"] += 1
        for row in registration.ROWS - used:
            self.fail("registration.py", f"nothing needs `{row}`")

    def run(self):
        started = [(name, cases, Plugin(self.command, PLUGINS / name, self.dify), Plugin(self.sdk, PLUGINS / name, self.dify))
                   for name, cases in kinds_cases.CASES.items()]
        for name, cases, ours, theirs in started:
            for case in cases():
                self.case(name, ours, theirs, case)
            if ours.close() != 0:
                self.fail(name, f"the plugin ended with {ours.process.returncode}: {ours.stderr()}")
            theirs.kill()
            self.frames(name, ours)
        uploads = set(self.dify.uploads)
        if len(uploads) != 1:
            self.fail("uploads", f"different forms: {uploads}")
        self.registrations()

    def frames(self, name, plugin):
        """Every line is one of the events that the daemon knows."""
        for frame in plugin.lines:
            self.counts["frames"] += 1
            if frame["event"] not in ("session", "heartbeat", "log", "error"):
                self.fail(name, f"unknown event: {frame}")
            if frame["event"] == "session" and frame["data"]["type"] not in ("stream", "end", "error", "invoke"):
                self.fail(name, f"unknown message: {frame}")


def main():
    suite = Suite(sys.argv[1])
    suite.run()
    unused = [f"kinds_compare.py: nothing needs `{adjust.__name__}`"
              for adjust, _ in kinds_compare.DIFFERENCES if adjust.__name__ not in suite.used]
    unused += [f"kinds_entities.py: nothing needs `{row}`" for row in kinds_entities.UNREADABLE.keys() - kinds_entities.USED]
    served = {action for action, _, _ in suite.accepted}
    unused += [f"kinds_cases.py: no case of `{action}`" for action in kinds_entities.READERS.keys() - served]
    failures = suite.failures + unused + kinds_judges.problems(suite.accepted, suite.registered)
    for failure in failures:
        print(f"FAILED {failure}")
    print(", ".join(f"{count} {what}" for what, count in suite.counts.items()), f"— {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
