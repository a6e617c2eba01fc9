//! What the plugin daemon refuses: explanations of the codes with `D`. A package with such a problem cannot be uploaded.

use super::{Code, Explanation, new};

/// Where the daemon declares what it reads.
const ENTITIES: &str = "dify-plugin-daemon: pkg/entities/plugin_entities/*_declaration.go";
const MANIFEST: &str = "dify-plugin-daemon: pkg/entities/plugin_entities/plugin_declaration.go";
const MODEL: &str = "dify-plugin-daemon: pkg/entities/plugin_entities/model_declaration.go";
const READER: &str = "dify-plugin-daemon: pkg/plugin_packager/decoder/helper.go";

pub(super) const TABLE: &[Explanation] = &[
    new(
        Code::Unreadable,
        "a file cannot be read",
        "A file that the plugin needs does not exist, is no regular file, leads out of the directory, or is not UTF-8. The daemon \
         reads files of the package only.",
        "plugins:\n  models:\n    - provider/acme.yaml   # is the file there, with this name?",
        READER,
    ),
    new(
        Code::NotYaml,
        "a file is not YAML",
        "The file breaks the syntax of YAML. What is marked is where the mistake begins, as far as it can be known: an open quote \
         or bracket is marked at its beginning. Texts with `: ` or ` #` in them need quotes.",
        "label:\n  en_US: \"Acme   # the closing quote is missing",
        "dify-plugin-daemon: pkg/utils/parser/yaml.go (gopkg.in/yaml.v3)",
    ),
    new(
        Code::RepeatedKey,
        "a key is in a mapping twice",
        "The daemon's parser refuses a file in which a mapping has the same key twice (\"mapping key already defined\"). Other \
         parsers take the last one without a word. Remove one of them.",
        "label: {en_US: Acme}\nlabel: {en_US: Acme Ltd}   # remove one",
        "dify-plugin-daemon: pkg/utils/parser/yaml.go (gopkg.in/yaml.v3)",
    ),
    new(
        Code::MissingFile,
        "a file that is named does not exist in the package",
        "Icons are below `_assets/` and are named without it. The files of tools, strategies, datasources and events are named from \
         the top of the package. A path has no `..`, and a link may not lead out.",
        "icon: icon.svg   # _assets/icon.svg must exist",
        READER,
    ),
    new(
        Code::SeveralFiles,
        "several files where Dify uses one",
        "Of all kinds but models the daemon uses the last file of the list only, without a word about the others. Name one file; \
         it lists all tools, strategies, datasources or events.",
        "plugins:\n  tools: [provider/one.yaml, provider/two.yaml]   # one of them",
        READER,
    ),
    new(
        Code::Missing,
        "a required member is missing",
        "The daemon validates each declaration and refuses the package if a required member is missing or null.",
        "identity:\n  name: acme   # author, label, description and icon are required, too",
        ENTITIES,
    ),
    new(
        Code::WrongType,
        "a value has another type",
        "The declaration has a list, an object, a text, a number or a boolean here. YAML reads a value without quotes as a number \
         or a boolean where it looks like one: put texts such as `1.0` or `on` into quotes.",
        "label: Acme   # an object: {en_US: Acme}",
        ENTITIES,
    ),
    new(
        Code::NotAllowed,
        "a value is none of those that are allowed",
        "The daemon knows a closed set of names here. Names are compared exactly, with their case and hyphens.",
        "type: secret_input   # secret-input",
        ENTITIES,
    ),
    new(
        Code::Length,
        "a text is empty or too long",
        "The daemon limits the length of most texts, in characters, and takes no empty text where one is required.",
        "model: \"\"   # 1 to 255 characters",
        ENTITIES,
    ),
    new(
        Code::TooMany,
        "a list has too many entries",
        "The daemon limits the number of entries of most lists, such as 64 tags, 128 options or 16 conditions.",
        "show_on: []   # at most 16 conditions",
        ENTITIES,
    ),
    new(
        Code::Identifier,
        "a name with characters that it may not have",
        "Author and name of a plugin are parts of its id: small letters, digits, `_` and `-`. Names of tools, strategies and events \
         may have capital letters, too.",
        "author: Acme Ltd   # acme-ltd",
        MANIFEST,
    ),
    new(
        Code::Version,
        "not a version",
        "A version has three numbers of up to four digits, and may have a suffix: `1.2.3-rc1`. A version of Dify has the same \
         form. In quotes it stays a text.",
        "version: 0.1   # 0.1.0",
        "dify-plugin-daemon: pkg/entities/plugin_entities/plugin_declaration.go",
    ),
    new(
        Code::Timestamp,
        "not a timestamp",
        "The daemon reads a time with its zone, as in RFC 3339; a date alone is read without quotes only.",
        "created_at: \"2026-01-31T00:00:00\"   # 2026-01-31T00:00:00Z",
        MANIFEST,
    ),
    new(
        Code::Address,
        "not a URL",
        "The repository of a plugin is a complete URL. Leave it out if there is none: an empty text is refused.",
        "repo: acme/plugin   # https://github.com/acme/plugin",
        MANIFEST,
    ),
    new(
        Code::Decimal,
        "not a decimal number",
        "Prices are decimal numbers such as `0.0000001`, best in quotes so that no digit is lost; tokens are whole numbers.",
        "pricing:\n  input: \"1,5\"   # \"1.5\"\n  unit: \"0.000001\"\n  currency: USD",
        MODEL,
    ),
    new(
        Code::Range,
        "a minimum above the maximum",
        "No value is at least `min` and at most `max`: users could set nothing.",
        "min: 10\nmax: 1   # at least min",
        ENTITIES,
    ),
    new(
        Code::Together,
        "types of plugins that share no package",
        "A package has models, or an agent strategy, or a datasource, or a trigger, alone; tools and endpoints may share one. A \
         package without any of them is refused, too.",
        "plugins:\n  models: [provider/acme.yaml]\n  tools: [provider/tools.yaml]   # a package of its own",
        MANIFEST,
    ),
    new(
        Code::NoOptions,
        "a choice without options",
        "A select or radio field lets users choose one of its options, so it needs at least one.",
        "variable: region\ntype: select\noptions: []   # at least one",
        MODEL,
    ),
    new(
        Code::PlainDefault,
        "a default that is no plain value",
        "A default is a text, a number or a boolean here; lists and objects are refused.",
        "default: [a, b]   # a",
        ENTITIES,
    ),
    new(
        Code::Scope,
        "a scope where none is allowed",
        "A scope narrows what app-selector, model-selector and any offer. Other types have none.",
        "name: words\ntype: string\nscope: all   # leave it out",
        "dify-plugin-daemon: pkg/entities/plugin_entities/config.go",
    ),
    new(
        Code::English,
        "a text without its English form",
        "Every text that is shown has an English form of 1 to 1023 characters under `en_US`; it is shown where another language is \
         missing.",
        "label:\n  zh_Hans: 密钥   # en_US is required",
        "dify-plugin-daemon: pkg/entities/plugin_entities/basic_type.go",
    ),
    new(
        Code::Memory,
        "an amount of memory or storage out of its range",
        "The manifest requests memory in bytes, not zero, and storage of 1024 to 1073741824 bytes.",
        "resource:\n  memory: 0   # 268435456",
        MANIFEST,
    ),
    new(
        Code::Pattern,
        "a pattern of model files that cannot be used",
        "Models are found by patterns such as `models/llm/*.yaml`, which stay inside the package.",
        "models:\n  llm:\n    predefined: [\"../*.yaml\"]   # models/llm/*.yaml",
        READER,
    ),
];
