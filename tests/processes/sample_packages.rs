//! The sample plugins and `solver` by name, and their declarations as files. Tools and endpoints are in `tests/data/plugins/weather`.

use dify_plugin::plugin::Plugin;
use tempfile::TempDir;

use crate::sample_plugins;
use crate::solver;

/// The code of a sample plugin, by its name.
pub fn plugin(name: &str) -> Option<Plugin> {
    match name {
        "weather" => Some(sample_plugins::weather()),
        "agent" => Some(solver::agent()),
        "sources" => Some(sample_plugins::sources()),
        "triggers" => Some(sample_plugins::triggers()),
        _ => None,
    }
}

/// The agent provider `solver` with the strategies `solve` and `fan`.
pub fn agent() -> TempDir {
    package("agent_strategies: [provider/solver.yaml]", &[SOLVER, SOLVE, FAN])
}

/// The provider `sources` as one of its types.
pub fn sources(provider_type: &str) -> TempDir {
    let provider = SOURCES.1.replace("TYPE", provider_type);
    package("datasources: [provider/sources.yaml]", &[(SOURCES.0, &provider), SITE, NOTES, DRIVE])
}

/// The provider `forge` with the event `push`.
pub fn triggers() -> TempDir {
    package("triggers: [provider/forge.yaml]", &[FORGE, PUSH])
}

type File<'a> = (&'static str, &'a str);

fn package(plugins: &str, files: &[File<'_>]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let manifest = MANIFEST.replace("PLUGINS", plugins);
    for (path, text) in [("manifest.yaml", manifest.as_str()), ("_assets/icon.svg", "<svg/>")].iter().chain(files) {
        let file = directory.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    directory
}

const MANIFEST: &str = "version: 0.1.0
type: plugin
author: acme
name: sample-kinds
label: {en_US: Sample}
description: {en_US: A plugin for the tests}
icon: icon.svg
resource:
  memory: 1048576
  permission:
    model: {enabled: true, llm: true}
    tool: {enabled: true}
    storage: {enabled: true, size: 1048576}
plugins: {PLUGINS}
meta:
  version: 0.0.2
  minimum_dify_version: 1.10.0
  arch: [amd64]
  runner: {language: python, version: '3.12', entrypoint: main}
created_at: 2026-01-31T00:00:00Z
";

const SOLVER: File<'static> = (
    "provider/solver.yaml",
    "identity: {author: acme, name: solver, label: {en_US: Solver}, description: {en_US: Solves}, icon: icon.svg}
strategies: [strategies/solve.yaml, strategies/fan.yaml]
",
);

const SOLVE: File<'static> = (
    "strategies/solve.yaml",
    "identity: {author: acme, name: solve, label: {en_US: Solve}}
description: {en_US: Solves}
parameters:
  - {name: query, type: string, required: true, label: {en_US: Query}}
  - {name: model, type: model-selector, scope: tool-call&llm, required: true, label: {en_US: Model}}
  - {name: tools, type: 'array[tools]', label: {en_US: Tools}}
  - {name: rounds, type: number, default: 2, label: {en_US: Rounds}}
",
);

const FAN: File<'static> = (
    "strategies/fan.yaml",
    "identity: {author: acme, name: fan, label: {en_US: Fan}}
description: {en_US: Calls many tools}
parameters: []
",
);

const SOURCES: File<'static> = (
    "provider/sources.yaml",
    "identity: {author: acme, name: sources, label: {en_US: Sources}, description: {en_US: Sources}, icon: icon.svg}
provider_type: TYPE
credentials_schema:
  - {name: api_key, type: secret-input, required: true, label: {en_US: Key}}
oauth_schema:
  client_schema:
    - {name: client_id, type: text-input, required: true, label: {en_US: Client}}
  credentials_schema:
    - {name: access_token, type: secret-input, label: {en_US: Token}}
datasources: [datasources/site.yaml, datasources/notes.yaml, datasources/drive.yaml]
",
);

const SITE: File<'static> = (
    "datasources/site.yaml",
    "identity: {author: acme, name: site, label: {en_US: Site}}
description: {en_US: Pages of a site}
parameters:
  - {name: url, type: string, required: true, label: {en_US: URL}, description: {en_US: Where it begins}}
",
);

const NOTES: File<'static> = (
    "datasources/notes.yaml",
    "identity: {author: acme, name: notes, label: {en_US: Notes}}\ndescription: {en_US: Notes}\nparameters: []\n",
);

const DRIVE: File<'static> = (
    "datasources/drive.yaml",
    "identity: {author: acme, name: drive, label: {en_US: Drive}}\ndescription: {en_US: Files}\nparameters: []\n",
);

const FORGE: File<'static> = (
    "provider/forge.yaml",
    "identity: {author: acme, name: forge, label: {en_US: Forge}, description: {en_US: Forge}, icon: icon.svg}
subscription_schema:
  - {name: secret, type: secret-input, required: true, label: {en_US: Secret}}
  - {name: id, type: text-input, label: {en_US: ID}}
subscription_constructor:
  parameters:
    - {name: repo, type: dynamic-select, required: true, label: {en_US: Repository}}
  credentials_schema:
    - {name: api_key, type: secret-input, label: {en_US: Key}}
  oauth_schema:
    client_schema:
      - {name: client_id, type: text-input, required: true, label: {en_US: Client}}
    credentials_schema:
      - {name: access_token, type: secret-input, label: {en_US: Token}}
events: [events/push.yaml]
",
);

const PUSH: File<'static> = (
    "events/push.yaml",
    "identity: {author: acme, name: push, label: {en_US: Push}}
description: {en_US: Commits were pushed}
parameters:
  - {name: branch, type: string, label: {en_US: Branch}}
",
);
