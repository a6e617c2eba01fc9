import json

import calls
from dify_plugin.entities import I18nObject, ParameterOption
from dify_plugin.entities.trigger import Variables
from dify_plugin.errors.trigger import EventIgnoreError
from dify_plugin.interfaces.trigger import Event


class Push(Event):
    def _on_event(self, request, parameters, payload):
        match parameters.get("branch"):
            case "other":
                raise EventIgnoreError
            case "broken":
                raise ValueError("the payload has no branch")
            case str(branch) if branch.startswith("call:"):
                result = calls.make(branch.removeprefix("call:"), self.runtime.session)
                return Variables(variables={"text": json.dumps(result), "length": 0})
        return Variables(variables={"text": payload.get("text"), "length": len(request.get_data())})

    def _fetch_parameter_options(self, parameter):
        return [ParameterOption(value="main", label=I18nObject(en_US=parameter))]
