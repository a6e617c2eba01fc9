//! What a package declares against what its code serves: a tool without code would fail when it is called, and code
//! without a declaration is never called.

use super::Plugin;
use crate::declare::KindDeclarations;

impl Plugin {
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
