//! Parameters of tools, agent strategies, datasources and events, in the nodes of a workflow and in an agent app.
//!
//! Source: `langgenius/dify: web/app/components/workflow/nodes/_base/components/{form-input-item,agent-strategy}.tsx`,
//! `workflow/nodes/tool/components/tool-form/item.tsx`, `app/configuration/config/agent/agent-tools/setting-built-in-tool.tsx`.

use serde_json::{Value, json};

use super::field::{Choice, Field, Form, four, maybe};
use super::place::Place;
use crate::declare::codes::Code;
use crate::declare::parameter::{Parameter, ParameterKind as Kind};

/// Which component draws a parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// The node of a tool, a datasource or an event.
    Tool,
    /// The node of an agent strategy.
    Agent,
    /// The settings of a tool in an agent app.
    Old,
    /// The dialog of a subscription.
    New,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Agent => "agent",
            Self::Old => "old",
            Self::New => "new",
        }
    }

    fn control(self, parameter: &Parameter) -> &'static str {
        let has_range = parameter.min.is_some() && parameter.max.is_some();
        match (self, parameter.kind) {
            (Self::Agent, Kind::String) => "prompt",
            (Self::Agent, Kind::Number) if has_range => "slider",
            (_, Kind::Number) => "number",
            (Self::Tool, Kind::String | Kind::SecretInput) | (_, Kind::String) => "text",
            (_, Kind::SecretInput) => "password",
            (Self::Tool, Kind::Boolean) => "buttons",
            (_, Kind::Boolean) => "boolean",
            (Self::Tool, Kind::Select) if parameter.multiple => "multi-select",
            (_, Kind::Select) => "select",
            (Self::Tool | Self::New, Kind::DynamicSelect) => "dynamic-select",
            (Self::Tool | Self::New, Kind::Checkbox) => "checkboxes",
            (Self::Tool, Kind::Object | Kind::Array) => "json",
            (Self::Tool, Kind::File) => "file",
            (Self::Tool, Kind::Files) => "files",
            (Self::Tool | Self::Agent | Self::Old, Kind::AppSelector) => "app",
            (Self::Tool | Self::Agent | Self::Old, Kind::ModelSelector) => "model",
            (Self::Agent | Self::Old, Kind::ToolsSelector) => "tools",
            (Self::Agent, Kind::Any) => "variable",
            _ => "none",
        }
    }
}

/// A form of parameters, each with its index in the file.
pub(super) fn form<'p>(
    parameters: impl Iterator<Item = (usize, &'p Parameter)>,
    engine: Engine,
    place: &Place<'_>,
    path: &str,
    raw: &Value,
) -> Form {
    let fields = parameters.map(|(index, parameter)| {
        let mut field = field(parameter, engine);
        if let Some(schema) = raw["parameters"][index].get("input_schema") {
            field.schema = schema.clone();
        }
        place.fill(&mut field, &format!("{path}[{index}]"));
        field
    });
    Form { engine: engine.name(), fields: fields.collect() }
}

fn field(parameter: &Parameter, engine: Engine) -> Field {
    let control = engine.control(parameter);
    let explanation = [&parameter.human_description, &parameter.description, &parameter.help];
    let explanation = explanation.into_iter().flatten().find(|text| !text.en_us.is_empty());
    let under = engine == Engine::Tool && matches!(parameter.kind, Kind::String | Kind::SecretInput);
    let switches = [Kind::Number, Kind::Boolean, Kind::Select, Kind::Object, Kind::Array];
    let mut field = Field {
        variable: parameter.name.clone(),
        kind: parameter.kind.name().to_owned(),
        control,
        label: four(&parameter.label),
        required: parameter.required,
        help: maybe(explanation, four),
        help_drawn_as: explanation.map(|_| if under { "under" } else { "icon" }),
        default: json!(parameter.default),
        initial: initial(parameter, engine, control),
        options: parameter
            .options
            .iter()
            .map(|option| Choice {
                value: option.value.clone(),
                label: four(&option.label),
                icon: option.icon.clone(),
                // Dify's page would heed a condition, but the daemon leaves it out.
                show_on: Vec::new(),
            })
            .collect(),
        min: parameter.min,
        max: parameter.max,
        step: (control == "slider").then_some(1.0),
        multiple: parameter.multiple,
        variable_switch: engine == Engine::Tool && switches.contains(&parameter.kind),
        scope: parameter.scope.clone(),
        hidden: control == "none",
        ..Field::default()
    };
    if engine == Engine::New {
        if !field.help.is_null() {
            field.note(Code::HiddenHelp, "its explanation is not shown in the dialog of a subscription");
        }
        field.help = Value::Null;
        field.help_drawn_as = None;
    }
    if control == "none" {
        let blocked = if parameter.required { "; it is required, so the node cannot run" } else { "" };
        field.note(Code::NoControl, format!("nothing is drawn for `{}` here{blocked}", parameter.kind.name()));
    }
    if engine == Engine::Tool && parameter.kind == Kind::SecretInput {
        field.note(Code::OpenSecret, "is typed and shown as open text");
    }
    if control == "number" && engine == Engine::Tool && (parameter.min.is_some() || parameter.max.is_some()) {
        field.note(Code::RangeIgnored, "`min` and `max` are not enforced");
    }
    field
}

/// What a new node starts with. That of an agent strategy has defaults of texts and numbers only.
fn initial(parameter: &Parameter, engine: Engine, control: &str) -> Value {
    if engine != Engine::Agent {
        return json!(parameter.default);
    }
    match control {
        "slider" => {
            let default = parameter.default.as_ref();
            let number = default.and_then(|value| value.as_f64().or_else(|| value.as_str()?.parse().ok()));
            json!(number.map_or(1, |number| number as i64))
        }
        "prompt" | "number" => json!(parameter.default),
        _ => Value::Null,
    }
}
