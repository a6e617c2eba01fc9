from dify_plugin import Tool
from dify_plugin.entities import I18nObject, ParameterOption

import steps


class Script(Tool):
    def _invoke(self, tool_parameters):
        for step in tool_parameters["steps"]:
            yield from steps.take(self, step)

    def _fetch_parameter_options(self, parameter):
        return [
            ParameterOption(value="riga", label=I18nObject(en_US="Riga"), icon="https://example.com/riga.png"),
            ParameterOption(value=parameter, label=I18nObject(en_US="Other")),
        ]
