"""That the judges of kinds.py can reject: each gets responses that it accepted, with one thing changed."""

import base64
import copy

import entities
import kinds_compare
import kinds_entities
import registration

# Members that a reader may miss without an error.
OPTIONAL = {"meta", "status", "headers", "result", "user_id", "cancelled", "metadata"}


def changed(value):
    """The value with its first leaf changed, or None if it has none."""
    if isinstance(value, dict):
        for name, member in value.items():
            other = changed(member)
            if other is not None:
                return {**value, name: other}
        return None
    if isinstance(value, list):
        other = changed(value[0]) if value else None
        return None if other is None else [other, *value[1:]]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, bytes):
        return value + b"x"
    return value + "x" if isinstance(value, str) else None


def entity_problems(accepted):
    """Every action's first item, with an unknown member, and without each of its own."""
    firsts = {}
    for action, outcome, _ in accepted:
        for item in outcome.items:
            firsts.setdefault((action, item.get("type")), item)
    for (action, kind), item in firsts.items():
        where = f"`{action}`" + (f", message `{kind}`" if kind else "")
        if not kinds_entities.problems(action, {**item, "unknown": 1}):
            yield f"an unknown member of {where}"
        for name in item.keys() - OPTIONAL:
            if not kinds_entities.problems(action, {key: value for key, value in item.items() if key != name}):
                yield f"{where} without `{name}`"
        if isinstance(item.get("message"), dict) and kind != "log":
            if not kinds_entities.problems(action, {**item, "message": {"unknown": 1}}):
                yield f"{where} with another message"


def file_problems(accepted):
    """A file in chunks, each rule broken once."""
    chunks = next(outcome.items for action, outcome, _ in accepted
                  if action == "invoke_tool" and len(outcome.items) > 3 and outcome.items[0]["type"] == "blob_chunk")
    chunks = [item for item in chunks if item["type"] == "blob_chunk"]
    if kinds_entities.files(chunks)[1]:
        yield "a valid file"

    def edited(index, **fields):
        items = copy.deepcopy(chunks)
        items[index]["message"] |= fields
        return items

    short = base64.b64encode(b"x").decode()
    long = base64.b64encode(b"x" * 8193).decode()
    for what, items in [
        ("another total length", edited(0, total_length=1)), ("a chunk too long", edited(0, blob=long)),
        ("another number", edited(1, sequence=5)), ("bytes in the last chunk", edited(-1, blob=short)),
        ("a chunk of another file", edited(0, id="other")), ("a lost chunk", chunks[1:]), ("no last chunk", chunks[:-1]),
        ("no media type", [{**item, "meta": None} for item in chunks]),
    ]:
        if not kinds_entities.files(items)[1]:
            yield f"a file with {what}"


def comparison_problems(accepted):
    """Every response that equals the SDK's, with one leaf of each part changed."""
    for action, outcome, reference in accepted:
        theirs = kinds_compare.meaning(action, reference)
        for part, value in kinds_compare.meaning(action, outcome).items():
            other = changed(value)
            if other is None:
                continue
            ours = kinds_compare.meaning(action, outcome) | {part: other}
            if not kinds_compare.compare(action, ours, copy.deepcopy(theirs), set()):
                yield f"`{action}` with other {part}: {other!r:.300}"


def problems(accepted, registered):
    events, assets = registered
    passed = [*entity_problems(accepted), *file_problems(accepted), *comparison_problems(accepted)]
    passed += [f"another registration: {event}" for event in events
               if not registration.differences(({**events, event: changed(events[event])}, assets), registered, set())]
    if not registration.differences((events, {}), registered, set()):
        passed.append("a registration without assets")
    if not entities.error_problems({"message": "m"}):
        passed.append("an error without a type")
    return [f"judges: {what} passes" for what in passed]
