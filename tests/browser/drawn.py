"""Writes tests/data/workbench/drawn/*.json: what Dify 1.14 draws for declarations, derived from the YAML by rules read in
Dify's source. It shares no code with the plugin library, because the tests compare the two.

    python3 tests/browser/drawn.py
"""

import glob
import itertools
import json
import os
import sys

import yaml

ROOT = os.path.normpath(os.path.join(os.path.dirname(__file__), "..", ".."))
TABLES = os.path.join(ROOT, "tests", "data", "workbench", "drawn")

PLUGINS = {
    "models": ".",
    "agent": "plugins/agent",
    "gemini-tools": "plugins/gemini-tools",
    "openai-endpoint": "plugins/openai-endpoint",
    "every-model-field": "tests/data/workbench/every-model-field",
    "every-setting": "tests/data/workbench/every-setting",
    "conformance-tools": "tests/conformance/plugins/tools",
    "conformance-agent": "tests/conformance/plugins/agent",
    "conformance-crawl": "tests/conformance/plugins/crawl",
    "conformance-documents": "tests/conformance/plugins/documents",
    "conformance-drive": "tests/conformance/plugins/drive",
    "conformance-trigger": "tests/conformance/plugins/trigger",
}

LANGUAGES = ("en_US", "zh_Hans")
PLEASE_ENTER = {"en_US": "Please enter", "zh_Hans": "请输入"}
TYPE_ORDER = ["llm", "moderation", "rerank", "speech2text", "text-embedding", "tts"]
FEATURES_DRAWN = ["vision", "document", "audio", "video"]

# Dify's templates of parameters; labels and help of ours are compared where the declaration has its own.
TEMPLATES = {
    "temperature": {"type": "float", "default": 0, "min": 0, "max": 1, "precision": 2},
    "top_p": {"type": "float", "default": 1, "min": 0, "max": 1, "precision": 2},
    "top_k": {"type": "int", "default": 50, "min": 1, "max": 100, "precision": 0},
    "presence_penalty": {"type": "float", "default": 0, "min": 0, "max": 1, "precision": 2},
    "frequency_penalty": {"type": "float", "default": 0, "min": 0, "max": 1, "precision": 2},
    "max_tokens": {"type": "int", "default": 64, "min": 1, "max": 2048, "precision": 0},
    "response_format": {"type": "string", "options": ["JSON", "XML"]},
    "json_schema": {"type": "text"},
}


class Plain(yaml.SafeLoader):
    """Dates stay texts."""


Plain.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return yaml.load(file, Plain)


def expanded(value, blocks):
    """A value with the shared blocks that `use` names."""
    if isinstance(value, list):
        items = []
        for item in value:
            item = expanded(item, blocks)
            items.extend(item if isinstance(item, list) else [item])
        return items
    if not isinstance(value, dict):
        return value
    own = {key: expanded(member, blocks) for key, member in value.items() if key != "use"}
    if "use" not in value:
        return own
    block = expanded(blocks[value["use"]], blocks)
    return block if isinstance(block, list) else merged(block, own)


def merged(below, above):
    out = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged(out[key], value)
        else:
            out[key] = value
    return out


def text(value, fallback=None):
    """A text in the languages that are compared; English where there is none."""
    if isinstance(value, str):
        value = {"en_US": value}
    if not value:
        return fallback
    english = value.get("en_US") or next(iter(value.values()))
    return {language: value.get(language) or english for language in LANGUAGES}


def options(field):
    return [[str(option["value"]), text(option.get("label")) or text(str(option["value"]))] for option in field.get("options") or []]


def plain(value):
    """A value as a control holds it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def row(variable, control, label, **more):
    return {"variable": variable, "control": control, "label": label, **{key: value for key, value in more.items() if value is not None}}


# Forms of credentials, by the newer engine.

NEW_CONTROLS = {
    "text-input": "text",
    "secret-input": "password",
    "select": "select",
    "radio": "cards",
    "boolean": "boolean",
    "dynamic-select": "dynamic-select",
    "checkbox": "checkboxes",
}


def new_row(field, with_help):
    variable = field.get("variable") or field["name"]
    drawn = row(
        variable,
        NEW_CONTROLS.get(field["type"], "none"),
        text(field.get("label")) or text(variable),
        star=bool(field.get("required")),
    )
    if drawn["control"] in ("text", "password", "select", "dynamic-select"):
        drawn["placeholder"] = text(field.get("placeholder"), PLEASE_ENTER)
    if drawn["control"] in ("select", "cards", "checkboxes"):
        drawn["options"] = options(field)
    if with_help and field.get("help") and field.get("url"):
        drawn["help"] = text(field["help"])
    return drawn


def holds(conditions, values):
    return all(values.get(condition["variable"]) == str(condition["value"]) for condition in conditions or [])


def credential_form(fields, name_field, types=None, with_help=False):
    """Rows by variable (each drawn from its first field), what a new form holds, and what is drawn in each situation."""
    name = row(name_field, "text", {"en_US": "Authorization Name", "zh_Hans": "凭据名称"}, star=False, placeholder=PLEASE_ENTER)
    rows = {name_field: name}
    initial = {}
    for field in fields:
        variable = field.get("variable") or field["name"]
        rows.setdefault(variable, new_row(field, with_help))
        if field.get("default") is not None:
            initial[variable] = plain(field["default"])
    first = {}
    for field in fields:
        first.setdefault(field.get("variable") or field["name"], field)

    asked = {}
    for field in fields:
        for condition in field.get("show_on") or []:
            asked.setdefault(condition["variable"], [])
            if str(condition["value"]) not in asked[condition["variable"]]:
                asked[condition["variable"]].append(str(condition["value"]))
    choices = {}
    for variable, values in asked.items():
        if variable == "__model_type":
            choices[variable] = [None, *(types or [])]
        elif variable in first:
            offered = [str(option["value"]) for option in first[variable].get("options") or [] if not option.get("show_on")]
            choices[variable] = offered or values

    situations = []
    for combination in itertools.product(*choices.values()):
        chosen = {variable: value for variable, value in zip(choices, combination) if value is not None}
        values = {**initial, **chosen}
        reachable = all(
            variable == "__model_type" or any(holds(field.get("show_on"), values) for field in fields if (field.get("variable") or field["name"]) == variable)
            for variable in chosen
        )
        if not reachable:
            continue
        drawn = [name_field] + [field.get("variable") or field["name"] for field in fields if holds(field.get("show_on"), values)]
        situations.append({"chosen": chosen, "drawn": drawn})
    situations.sort(key=lambda situation: "__model_type" in situation["chosen"])
    if not situations[0]["chosen"]:
        situations.pop(0)
    opened = [name_field] + [field.get("variable") or field["name"] for field in fields if holds(field.get("show_on"), initial)]
    situations.insert(0, {"chosen": {}, "drawn": opened})
    # Options that appear only with a value.
    for variable, field in first.items():
        shown = [str(option["value"]) for option in field.get("options") or [] if holds(option.get("show_on"), initial)]
        if "options" in rows[variable] and len(shown) != len(rows[variable]["options"]):
            rows[variable]["options"] = [option for option in rows[variable]["options"] if option[0] in shown]
    return {"rows": list(rows.values()), "initial": initial, "situations": situations}


def upper_form(schema, types):
    model = schema.get("model") or {}
    badges = [[kind, text(badge(kind))] for kind in types]
    return {
        "rows": [
            row(
                "__model_name",
                "text",
                text(model.get("label"), {"en_US": "Model Name", "zh_Hans": "模型名称"}),
                star=True,
                placeholder=text(model.get("placeholder"), {"en_US": "Please enter model name", "zh_Hans": "请输入模型名称"}),
            ),
            row("__model_type", "select", {"en_US": "Model Type", "zh_Hans": "模型类型"}, star=True, options=badges),
        ],
        "initial": {},
        "situations": [{"chosen": {}, "drawn": ["__model_name", "__model_type"]}],
    }


def badge(kind):
    return "TEXT EMBEDDING" if kind == "text-embedding" else kind.upper()


# Models.


def context(size):
    return f"{size // 1000}K" if size >= 1000 else str(size)


def parameter(rule):
    rule = {**TEMPLATES.get(rule.get("use_template"), {}), **{key: value for key, value in rule.items() if value is not None}}
    kind, low, high = rule.get("type"), rule.get("min"), rule.get("max")
    number = kind in ("int", "float")
    if number:
        control = "slider" if low is not None and high is not None else "number"
    elif kind == "string":
        control = "select" if rule.get("options") else "text"
    else:
        control = {"text": "text-area", "boolean": "boolean", "tag": "tags"}.get(kind, "none")
    default = rule.get("default")
    if default is None:
        default = {"int": low or 0, "float": low or 0, "boolean": False, "tag": None}.get(kind, "")
    drawn = row(rule["name"], control, text(rule.get("label")), switch=not rule.get("required") and rule["name"] != "stop", help=text(rule.get("help")))
    if rule.get("use_template") and not rule.get("help"):
        drawn["any_help"] = True
    if control == "slider":
        step = 0.1 if kind == "float" else 1 if high < 100 else 10 if high < 1000 else 100
        drawn.update(min=low, max=high, step=step)
    if control == "number":
        drawn["step"] = float(f"0.{rule.get('precision') or 0}")
    if control == "select":
        drawn["options"] = [[str(option), text(str(option))] for option in rule["options"]]
    drawn["initial"] = plain(default)
    if number and default is not None:
        drawn["initial"] = float(default)
    return drawn


def models(directory, declaration, blocks):
    found = []
    for section in (declaration.get("models") or {}).values():
        files, position = [], []
        for pattern in section.get("predefined") or []:
            files += sorted(glob.glob(os.path.join(ROOT, directory, pattern)))
        if section.get("position"):
            position = read(directory, section["position"]) or []
        loaded = [expanded(read(file), blocks) for file in files if not os.path.basename(file).startswith("_position")]
        loaded.sort(key=lambda model: position.index(model["model"]) if model["model"] in position else len(position))
        found += [(len(position) if model["model"] not in position else -1, model) for model in loaded]
    found.sort(key=lambda entry: TYPE_ORDER.index(entry[1]["model_type"]))
    rows = []
    for rank, model in found:
        properties = model.get("model_properties") or {}
        badges = [badge(model["model_type"])]
        if properties.get("mode"):
            badges.append(properties["mode"].upper())
        if properties.get("context_size"):
            badges.append(context(properties["context_size"]))
        badges += [feature for feature in FEATURES_DRAWN if feature in (model.get("features") or [])]
        entry = {"name": model["model"], "type": model["model_type"], "label": text(model.get("label")) or text(model["model"]), "badges": badges, "placed": rank < 0}
        if model.get("deprecated"):
            entry["deprecated"] = True
        if model.get("parameter_rules"):
            entry["parameters"] = [parameter(rule) for rule in model["parameter_rules"]]
        rows.append(entry)
    return rows


def model_provider(directory, path):
    raw = read(directory, path)
    blocks = {}
    for shared in raw.get("shared") or []:
        blocks.update(read(directory, shared) or {})
    declaration = expanded(raw, blocks)
    types, methods = declaration["supported_model_types"], declaration["configurate_methods"]
    provider = {
        "kind": "model",
        "name": declaration["provider"],
        "label": text(declaration["label"]),
        "badges": [badge(kind) for kind in types],
        "forms": {},
    }
    if declaration.get("help"):
        title, url = text(declaration["help"].get("title")), text(declaration["help"].get("url"))
        provider["help"] = {"text": title or url, "url": url}
    if declaration.get("provider_credential_schema") and "predefined-model" in methods:
        fields = declaration["provider_credential_schema"]["credential_form_schemas"]
        provider["forms"]["credentials"] = credential_form(fields, "__authorization_name__")
    if declaration.get("model_credential_schema") and "customizable-model" in methods:
        schema = declaration["model_credential_schema"]
        provider["forms"]["upper"] = upper_form(schema, types)
        provider["forms"]["model_credentials"] = credential_form(schema["credential_form_schemas"], "__authorization_name__", types)
    provider["models"] = models(directory, declaration, blocks)
    # Models share most of their parameters, so a model has the indexes of its own.
    provider["parameters"] = []
    for model in provider["models"]:
        for place, drawn in enumerate(model.get("parameters", [])):
            if drawn not in provider["parameters"]:
                provider["parameters"].append(drawn)
            model["parameters"][place] = provider["parameters"].index(drawn)
    return provider


# Tools, datasources and triggers.


def named(fields):
    """Credentials are a list with names or an object by name. The daemon leaves out conditions of fields and options."""
    if isinstance(fields, dict):
        fields = [{"name": name, **field} for name, field in fields.items()]
    return [without_conditions({**field, "options": [without_conditions(option) for option in field.get("options") or []]}) for field in fields or []]


def without_conditions(declared):
    return {key: value for key, value in declared.items() if key != "show_on"}


TOOL_CONTROLS = {
    "string": "text",
    "secret-input": "text",
    "number": "number",
    "boolean": "buttons",
    "dynamic-select": "dynamic-select",
    "checkbox": "checkboxes",
    "object": "json",
    "array": "json",
    "file": "file",
    "files": "files",
    "app-selector": "app",
    "model-selector": "model",
}


def tool_parameter(field):
    kind = field["type"]
    control = TOOL_CONTROLS.get(kind, "none")
    if kind == "select":
        control = "multi-select" if field.get("multiple") else "select"
    drawn = row(field["name"], control, text(field.get("label")) or text(field["name"]), star=bool(field.get("required")))
    if control == "none":
        return {"variable": field["name"], "invisible": True}
    if control in ("select", "multi-select", "checkboxes"):
        drawn["options"] = options(field)
    described = field.get("human_description") or field.get("description")
    if described:
        drawn["help"] = text(described)
    return drawn


def parameters_form(fields):
    rows = [tool_parameter(field) for field in fields]
    return {"rows": rows, "situations": [{"chosen": {}, "drawn": [row["variable"] for row in rows]}]}


def in_agent_node(fields):
    """The model fills in each parameter, until a switch opens its field; a dynamic select has none."""
    form = parameters_form(fields)
    for drawn in form["rows"]:
        drawn.pop("options", None)
        if drawn.get("control") == "dynamic-select":
            drawn["control"] = "none"
    return form


# In an agent app settings are drawn by the form of endpoints. Types of tools have other names there.
APP_TYPES = {"string": "text-input", "tools-selector": "", "any": ""}


def in_agent_app(fields):
    rows = []
    for field in fields:
        described = field.get("human_description") or field.get("description")
        drawn = old_row({**field, "type": APP_TYPES.get(field["type"], field["type"])}, described)
        rows.append({"variable": field["name"], "invisible": True} if drawn["control"] == "none" else drawn)
    return {"rows": rows, "situations": [{"chosen": {}, "drawn": [row["variable"] for row in rows]}]}


def oauth(provider, schema, forms):
    if schema and schema.get("client_schema"):
        form = credential_form(named(schema["client_schema"]), "__oauth_client__")
        for situation in form["situations"]:
            situation["drawn"] = situation["drawn"][1:]
        form["rows"] = form["rows"][1:]
        forms["oauth"] = form


# A subscription's form knows the types of credentials; the constructor's parameters have the names of tool parameters.
NEW_TYPES = {"string": "text-input", "number": "number-input"}


def subscription(raw, forms):
    """Subscriptions that the plugin creates, and those that the user creates at the service."""
    parameters = (raw.get("subscription_constructor") or {}).get("parameters") or []
    for name, fields in (("subscription_parameters", parameters), ("subscription", named(raw.get("subscription_schema")))):
        if fields:
            rows = [new_row({**field, "type": NEW_TYPES.get(field["type"], field["type"])}, with_help=False) for field in fields]
            forms[name] = {"rows": rows, "situations": [{"chosen": {}, "drawn": [row["variable"] for row in rows]}]}


def tool_like(directory, path, kind):
    raw = read(directory, path)
    identity = raw["identity"]
    provider = {"kind": kind, "name": identity["name"], "label": text(identity["label"]), "forms": {}, "parts": []}
    constructor = raw.get("subscription_constructor") or {}
    credentials = named(raw.get("credentials_for_provider") or raw.get("credentials_schema") or constructor.get("credentials_schema"))
    if credentials:
        provider["forms"]["credentials"] = credential_form(credentials, "__name__", with_help=True)
    oauth(provider, raw.get("oauth_schema") or constructor.get("oauth_schema"), provider["forms"])
    subscription(raw, provider["forms"])
    for file in raw.get("tools") or raw.get("datasources") or raw.get("events") or []:
        part = read(directory, file)
        fields = part.get("parameters") or []
        entry = {"name": part["identity"]["name"], "label": text(part["identity"]["label"]), "forms": {}}
        inputs = [field for field in fields if field.get("form") == "llm"]
        settings = [field for field in fields if field.get("form") != "llm"]
        if kind == "tool":
            if inputs:
                entry["forms"]["inputs"] = parameters_form(inputs)
                entry["forms"]["agent:inputs"] = in_agent_node(inputs)
            if settings:
                entry["forms"]["settings"] = parameters_form(settings)
                entry["forms"]["app:agent_form"] = in_agent_app(settings)
        elif fields:
            entry["forms"]["any"] = parameters_form(fields)
        provider["parts"].append(entry)
    return provider


# Agent strategies and endpoints, by the older engine.

AGENT_CONTROLS = {
    "string": "prompt",
    "boolean": "boolean",
    "select": "select",
    "secret-input": "password",
    "model-selector": "model",
    "tool-selector": "tools",
    "array[tools]": "tools",
    "app-selector": "app",
    "any": "variable",
}


def agent_parameter(field):
    control = AGENT_CONTROLS.get(field["type"], "none")
    if field["type"] == "number":
        control = "slider" if field.get("min") is not None and field.get("max") is not None else "number"
    if control == "none":
        return {"variable": field["name"], "invisible": True}
    drawn = row(field["name"], control, text(field.get("label")) or text(field["name"]), star=bool(field.get("required")))
    if control == "slider":
        drawn.update(min=field["min"], max=field["max"], initial=float(field.get("default") or 1))
    if control == "select":
        drawn["options"] = options(field)
    if field.get("help"):
        drawn["help"] = text(field["help"])
    return drawn


def agent(directory, path):
    raw = read(directory, path)
    identity = raw["identity"]
    provider = {"kind": "agent-strategy", "name": identity["name"], "label": text(identity["label"]), "forms": {}, "parts": []}
    for file in raw["strategies"]:
        part = read(directory, file)
        rows = [agent_parameter(field) for field in part.get("parameters") or []]
        form = {"rows": rows, "situations": [{"chosen": {}, "drawn": [row["variable"] for row in rows]}]}
        provider["parts"].append({"name": part["identity"]["name"], "label": text(part["identity"]["label"]), "forms": {"any": form}})
    return provider


OLD_CONTROLS = {
    "text-input": "text",
    "secret-input": "password",
    "select": "select",
    "boolean": "boolean",
    "model-selector": "model",
    "app-selector": "app",
    "array[tools]": "tools",
    "tools-selector": "tools",
    "number": "number",
    "number-input": "number",
}


def old_row(field, described):
    control = OLD_CONTROLS.get(field["type"], "none")
    drawn = row(field["name"], control, text(field.get("label")) or text(field["name"]), star=bool(field.get("required")))
    if control in ("text", "password", "number", "select") and field.get("placeholder"):
        drawn["placeholder"] = text(field["placeholder"])
    if control == "select":
        drawn["options"] = options(field)
    if described:
        drawn["help"] = text(described)
    return drawn


def endpoint(directory, path):
    raw = read(directory, path)
    name = {"en_US": "Endpoint Name", "zh_Hans": "端点名称"}
    rows, initial = [row("name", "text", name, star=True, placeholder=name)], {}
    for field in named(raw.get("settings")):
        if field.get("default") is not None:
            initial[field["name"]] = plain(field["default"])
        rows.append(old_row(field, field.get("help")))
    routes = []
    for entry in raw.get("endpoints") or []:
        entry = read(directory, entry) if isinstance(entry, str) else entry
        if not entry.get("hidden"):
            routes.append([entry["method"], entry["path"]])
    form = {"rows": rows, "initial": initial, "situations": [{"chosen": {}, "drawn": [row["variable"] for row in rows]}]}
    return {"kind": "endpoint", "forms": {"settings": form}, "routes": routes}


def plugin(directory):
    manifest = read(directory, "manifest.yaml")
    listed = manifest["plugins"]
    providers = [model_provider(directory, path) for path in listed.get("models") or []]
    providers += [tool_like(directory, path, "tool") for path in listed.get("tools") or []]
    providers += [tool_like(directory, path, "datasource") for path in listed.get("datasources") or []]
    providers += [tool_like(directory, path, "trigger") for path in listed.get("triggers") or []]
    providers += [agent(directory, path) for path in listed.get("agent_strategies") or []]
    providers += [endpoint(directory, path) for path in listed.get("endpoints") or []]
    return {
        "directory": directory,
        "label": text(manifest["label"]),
        "organization": manifest["author"],
        "name": manifest["name"],
        "description": text(manifest["description"]),
        "providers": providers,
    }


def lines(value, indent=0):
    """JSON with one short value per line."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= 160 or not isinstance(value, (dict, list)) or not value:
        return flat
    space = " " * (indent + 1)
    if isinstance(value, list):
        return "[\n" + ",\n".join(space + lines(item, indent + 1) for item in value) + "\n" + " " * indent + "]"
    members = (f"{space}{json.dumps(key)}: {lines(member, indent + 1)}" for key, member in value.items())
    return "{\n" + ",\n".join(members) + "\n" + " " * indent + "}"


def main():
    os.makedirs(TABLES, exist_ok=True)
    for name, directory in PLUGINS.items():
        if not os.path.exists(os.path.join(ROOT, directory, "manifest.yaml")):
            sys.exit(f"no plugin in {directory}")
        with open(os.path.join(TABLES, f"{name}.json"), "w", encoding="utf-8") as file:
            file.write(lines(plugin(directory)) + "\n")


if __name__ == "__main__":
    main()
