//! What Dify's web page shows differently than it is declared: explanations of `W001` to `W020`, as read in Dify 1.14.2.
//!
//! The places where they apply are found in [`crate::declare::drawn`].

use super::{Code, Explanation, new};

const FIELD: &str = "langgenius/dify: web/app/components/base/form/components/base/base-field.tsx";
const FORM: &str = "langgenius/dify: web/app/components/base/form/components/base/base-form.tsx";
const PARAMETER: &str = "langgenius/dify: web/app/components/header/account-setting/model-provider-page/model-parameter-modal/parameter-item.tsx";

pub(super) const TABLE: &[Explanation] = &[
    new(
        Code::Switch,
        "a switch in a model form has a label and no control",
        "The form of model credentials draws the label of a switch and nothing that can be switched, and false is left out of what \
         the plugin gets. Use select or radio with the options `true` and `false`.",
        "variable: use_proxy\ntype: switch   # select",
        FIELD,
    ),
    new(
        Code::SameVariable,
        "a variable twice: the first field is drawn for all",
        "Two fields may have the same variable, each with its own `show_on`. Dify shows and hides each by itself, but draws label, \
         star, placeholder, options and type of the first. Make them alike, or give the second a variable of its own.",
        "- {variable: key, type: secret-input, label: {en_US: API key}}\n- {variable: key, type: secret-input, label: {en_US: Token}}   # shown as API key",
        FORM,
    ),
    new(
        Code::SameVariableDefaults,
        "a variable twice with different defaults: the last one is put in",
        "A form holds one value for each variable. Of several fields with the same variable, a new form gets the default of the \
         last one, also where another one is shown.",
        "- {variable: region, default: eu}\n- {variable: region, default: us}   # us, always",
        FORM,
    ),
    new(
        Code::SecretDefault,
        "a default of a secret may be stored as a mask",
        "A secret that the user has not touched is saved as the text `[__HIDDEN__]`, which means the stored value. A new form \
         has none, so this text itself may be stored. Leave the default out.",
        "variable: api_key\ntype: secret-input\ndefault: none   # leave it out",
        "langgenius/dify: web/app/components/base/form/utils/secret-input/",
    ),
    new(
        Code::HiddenHelp,
        "a help, URL or tooltip that is not shown",
        "The Dify API drops `help`, `url` and `tooltip` of the fields of a model provider. For tools and others, `help` is shown \
         together with `url` only, as the text of the link. Of a parameter the daemon reads one explanation: `human_description` of a tool's, `help` of an \
         agent strategy's, `description` of others; the dialog of a subscription shows none. Say it in the placeholder, the label or an option.",
        "variable: api_key\ntype: secret-input\nhelp: {en_US: Create one in your account}   # placeholder",
        "langgenius/graphon: src/graphon/model_runtime/entities/provider_entities.py",
    ),
    new(
        Code::LengthAfterSave,
        "a length that is checked after saving only",
        "The form lets users type as much as they like; the Dify API refuses a longer value when they save.",
        "variable: name\ntype: text-input\nmax_length: 20   # say so in the placeholder",
        "langgenius/graphon: src/graphon/model_runtime/schema_validators/common_validator.py",
    ),
    new(
        Code::NeverShown,
        "a condition that never holds",
        "`show_on` names a variable that this form does not have, or a value that is none of its options. The field or option is \
         never shown.",
        "- {variable: mode, type: select, options: [{value: key}]}\n- {variable: key, type: secret-input, show_on: [{variable: mode, value: keys}]}   # key",
        FORM,
    ),
    new(
        Code::ModelTypeCondition,
        "a condition on the model type where there is none",
        "Only the form of customizable models (`model_credential_schema`) has a type and a name of the model. In any other form a \
         condition on `__model_type` or `__model_name` never holds.",
        "provider_credential_schema:\n  credential_form_schemas:\n    - {variable: a, show_on: [{variable: __model_type, value: llm}]}   # never",
        "langgenius/dify: web/app/components/header/account-setting/model-provider-page/model-modal/index.tsx",
    ),
    new(
        Code::HiddenRequired,
        "a required field that may be hidden",
        "A field that its conditions hide is not asked for, required or not. The plugin must work without it.",
        "- {variable: key, required: true, show_on: [{variable: mode, value: key}]}   # may be missing",
        FORM,
    ),
    new(
        Code::NotDrawn,
        "members of a provider that are not shown",
        "The page of Dify 1.14 shows neither `icon_large` nor `background` nor the `description` of a model provider. They do no \
         harm.",
        "provider: acme\nbackground: \"#fff\"   # not shown",
        "langgenius/dify: web/app/components/header/account-setting/model-provider-page/provider-added-card/",
    ),
    new(
        Code::NoDarkIcon,
        "no icon for dark pages",
        "Without `icon_small_dark` (or `icon_dark`) the light icon is shown on a dark page. See that it can be recognised there.",
        "icon_small: {en_US: icon.svg}   # and icon_small_dark: {en_US: icon_dark.svg}",
        "langgenius/dify: web/app/components/header/account-setting/model-provider-page/provider-icon/",
    ),
    new(
        Code::PrecisionIgnored,
        "a precision that the slider does not follow",
        "The slider of a parameter moves in steps of 0.1, 1, 10 or 100, which follow from the range alone. Finer values can be typed \
         only.",
        "name: temperature\ntype: float\nmin: 0\nmax: 2\nprecision: 2   # steps of 0.1",
        PARAMETER,
    ),
    new(
        Code::NarrowSlider,
        "a slider that cannot be used",
        "The steps of a slider follow from the range: a range of less than one step, such as 0 to 0.05 or 990 to 1010, has no place \
         between its ends.",
        "name: rate\ntype: float\nmin: 0\nmax: 0.05   # steps of 0.1",
        PARAMETER,
    ),
    new(
        Code::NoSlider,
        "only one end of a range, so there is no slider",
        "A parameter has a slider if it has both `min` and `max`. With one of them users see an input only.",
        "name: seed\ntype: int\nmin: 0   # and max",
        PARAMETER,
    ),
    new(
        Code::RawOptions,
        "options of a parameter are shown as they are",
        "The options of a model's parameter have no labels: users of every language see the values.",
        "name: style\ntype: string\noptions: [v1, v2]   # words that users understand",
        PARAMETER,
    ),
    new(
        Code::OpenSecret,
        "a secret that is shown as it is typed",
        "A tool parameter of the type secret-input is an ordinary text input in a workflow, and its value is stored in the \
         workflow. Put secrets into the credentials of the provider.",
        "parameters:\n  - name: password\n    type: secret-input   # credentials_schema of the provider",
        "langgenius/dify: web/app/components/workflow/nodes/_base/components/form-input-item.tsx",
    ),
    new(
        Code::RangeIgnored,
        "a range that is not enforced",
        "`min` and `max` of a tool's parameter are not checked by the page. The plugin gets whatever is typed and must check it.",
        "parameters:\n  - name: count\n    type: number\n    max: 10   # check it in the code, too",
        "langgenius/dify: web/app/components/workflow/nodes/_base/components/form-input-item.tsx",
    ),
    new(
        Code::UnsavableEndpoint,
        "a required setting that cannot be false or 0",
        "The form of endpoint settings takes false and 0 for missing values, so a required boolean or number cannot be saved with \
         them. Leave `required` out.",
        "settings:\n  - name: debug\n    type: boolean\n    required: true   # leave it out",
        "langgenius/dify: web/app/components/plugins/plugin-detail-panel/endpoint-modal.tsx",
    ),
    new(
        Code::NoControl,
        "a type without a control",
        "Dify draws nothing for a parameter of this type here. If it is required, the node cannot run.",
        "parameters:\n  - name: day\n    type: dynamic-select   # in an agent strategy: no control",
        "langgenius/dify: web/app/components/workflow/nodes/_base/components/agent-strategy.tsx",
    ),
    new(
        Code::LostText,
        "a text that users of a language do not see",
        "Texts of model providers, their models and parameters reach the page in English and Chinese only. A text that is missing in \
         a language is shown in English; a text without a language that others of its file have is probably forgotten.",
        "label:\n  en_US: Temperature\n  pt_BR: Temperatura   # not shown for a model",
        "langgenius/graphon: src/graphon/model_runtime/entities/common_entities.py",
    ),
];
