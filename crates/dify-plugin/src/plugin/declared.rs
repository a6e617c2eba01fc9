//! What a package declares against what its code serves: a tool without code would fail when it is called, and code
//! without a declaration is never called.

use std::path::Path;

use super::Plugin;
use crate::declare::code::{self, Code, CodePart, CodeProvider};
use crate::declare::datasource::DatasourceType;
use crate::declare::{self, Declarations, KindDeclarations, PluginKind, Problem, Problems};

impl Plugin {
    /// What the code has: its providers, their parts, and the parameters that each of them reads.
    pub fn code(&self) -> Code {
        let provider =
            |kind, name: &str, parts| CodeProvider { kind, name: name.to_owned(), provider_type: None, parts };
        let part = |name: &str, shape| CodePart { name: name.to_owned(), parameters: shape };
        let tools = self.tools().map(|tools| {
            let parts = tools.tools().all().iter().map(|tool| part(tool.name(), Some(tool.shape())));
            provider(PluginKind::Tool, tools.name(), parts.collect())
        });
        let endpoints = self.endpoints().map(|_| provider(PluginKind::Endpoint, "", Vec::new()));
        let strategies = self.agents().map(|agents| {
            let parts = agents.all().iter().map(|strategy| part(strategy.name(), Some(strategy.shape())));
            provider(PluginKind::AgentStrategy, agents.name(), parts.collect())
        });
        let datasources = self.datasources().map(|datasources| {
            let all = datasources.datasources().all();
            let parts = all.iter().map(|(name, contents)| part(name, contents.shape()));
            let mut types: Vec<DatasourceType> = all.iter().map(|(_, contents)| contents.datasource_type()).collect();
            types.dedup();
            let provider_type = types.first().copied().filter(|_| types.len() == 1);
            CodeProvider { provider_type, ..provider(PluginKind::Datasource, datasources.name(), parts.collect()) }
        });
        let events = self.triggers().map(|trigger| {
            let parts = trigger.events().all().iter().map(|event| part(event.name(), Some(event.shape())));
            provider(PluginKind::Trigger, trigger.name(), parts.collect())
        });
        let providers = [tools, endpoints, strategies, datasources, events];
        Code { providers: providers.into_iter().flatten().collect(), needs: self.needs.clone() }
    }

    /// Every problem of a plugin directory: what Dify would reject, and what differs from the code. For tests of a plugin;
    /// the command `check` prints the same.
    ///
    /// ```no_run
    /// # use std::path::Path;
    /// # use dify_plugin::plugin::Plugin;
    /// # let plugin = Plugin::new();
    /// assert_eq!(plugin.check(Path::new(".")), []);
    /// ```
    pub fn check(&self, directory: &Path) -> Vec<Problem> {
        self.inspect(directory).1.0
    }

    /// The same, with the declarations unless Dify would reject them.
    pub(crate) fn inspect(&self, directory: &Path) -> (Option<Declarations>, Problems) {
        let (declarations, Problems(mut problems)) = declare::inspect(directory);
        if let Some(declarations) = &declarations {
            problems.extend(self.check_permissions(&declarations.manifest));
        }
        let known = problems.len();
        for problem in code::check(directory, &self.code()) {
            // A permission is named with its lines above.
            let is_known = |known: &Problem| {
                known.file == problem.file && known.path == problem.path && known.severity >= problem.severity
            };
            if !problem.path.starts_with("resource.permission") && !problems[..known].iter().any(is_known) {
                problems.push(problem);
            }
        }
        (declarations, Problems(problems))
    }

    /// Every difference between the declarations and the code, one per line; none is a plugin that can be served.
    pub fn differences(&self, declared: &KindDeclarations) -> Vec<String> {
        let mut found = Vec::new();
        let tools = declared.tool.as_ref().map(|provider| {
            let parts = provider.tools.iter().map(|tool| tool.identity.name.as_str()).collect();
            (provider.identity.name.as_str(), parts)
        });
        let code = self.tools().map(|provider| (provider.name(), provider.tools().names()));
        compare("tool", tools, code, &mut found);
        let strategies = declared.agent_strategy.as_ref().map(|provider| {
            let parts = provider.strategies.iter().map(|strategy| strategy.identity.name.as_str()).collect();
            (provider.identity.name.as_str(), parts)
        });
        let code = self.agents().map(|strategies| (strategies.name(), strategies.names()));
        compare("agent strategy", strategies, code, &mut found);
        let datasources = declared.datasource.as_ref().map(|provider| {
            let parts = provider.datasources.iter().map(|datasource| datasource.identity.name.as_str()).collect();
            (provider.identity.name.as_str(), parts)
        });
        let code = self.datasources().map(|provider| (provider.name(), provider.datasources().names()));
        compare("datasource", datasources, code, &mut found);
        let events = declared.trigger.as_ref().map(|provider| {
            let parts = provider.events.iter().map(|event| event.identity.name.as_str()).collect();
            (provider.identity.name.as_str(), parts)
        });
        let code = self.triggers().map(|provider| (provider.name(), provider.events().names()));
        compare("event", events, code, &mut found);
        match (declared.endpoint.is_some(), self.endpoints().is_some()) {
            (true, false) => found.push("endpoints are declared, but the plugin has no code for them".to_owned()),
            (false, true) => found.push("the plugin has code for endpoints, but declares none".to_owned()),
            _ => {}
        }
        found
    }
}

/// A provider's name and those of its parts.
type Named<'a> = (&'a str, Vec<&'a str>);

fn compare(what: &str, declared: Option<Named<'_>>, code: Option<Named<'_>>, found: &mut Vec<String>) {
    let (declared, code) = match (declared, code) {
        (None, None) => return,
        (Some((name, _)), None) => {
            return found.push(format!("provider `{name}` is declared, but the plugin has no code for it"));
        }
        (None, Some((name, _))) => {
            return found.push(format!("the plugin has code for provider `{name}`, but declares no {what}"));
        }
        (Some(declared), Some(code)) => (declared, code),
    };
    if declared.0 != code.0 {
        found.push(format!("provider `{}` is declared, but the code is for provider `{}`", declared.0, code.0));
    }
    for name in declared.1.iter().filter(|name| !code.1.contains(name)) {
        found.push(format!("{what} `{name}` is declared, but the plugin has no code for it"));
    }
    for name in code.1.iter().filter(|name| !declared.1.contains(name)) {
        found.push(format!("the plugin has code for {what} `{name}`, but does not declare it"));
    }
}

#[cfg(test)]
mod tests;
