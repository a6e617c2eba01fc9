//! What all cases share: the browser, and an open page of the workbench with what must hold of each, whatever the case is: an
//! empty console, and no request to another origin.

use std::path::Path;

use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::driver::Driver;
use crate::workbench::Workbench;

pub struct Tester {
    pub driver: Driver,
    pub runtime: Handle,
}

impl Tester {
    /// Opens the page on a plugin of the executable itself.
    pub fn open(&self, directory: &Path) -> Page<'_> {
        self.show(Workbench::start(&self.runtime, directory))
    }

    /// Opens the page on a plugin that is a command.
    pub fn open_command(&self, directory: &Path, command: &Path) -> Page<'_> {
        self.show(Workbench::start_with(&self.runtime, directory, &[], &[command]))
    }

    /// Opens the page of a workbench that runs.
    pub fn show(&self, workbench: Workbench) -> Page<'_> {
        self.driver.open(&workbench.address);
        let page = Page { driver: &self.driver, workbench };
        page.ready();
        page
    }

    /// Leaves nothing for the next case.
    pub fn reset(&self) {
        self.driver.open("about:blank");
        self.driver.size(1280, 900);
        self.driver.prefer("light");
        self.driver.console();
        self.driver.requests();
    }
}

pub struct Page<'t> {
    pub driver: &'t Driver,
    pub workbench: Workbench,
}

impl Page<'_> {
    /// Waits until the plugin is drawn.
    pub fn ready(&self) {
        self.driver.element("html[data-state=ready]");
    }

    /// Goes to a view by its tab.
    pub fn view(&self, name: &str) {
        self.driver.click(&format!("[data-action=view][data-value={name}]"));
        self.driver.element(&format!("main[data-view={name}]"));
    }

    /// Sets a native select.
    pub fn select(&self, css: &str, value: &str) {
        self.driver.element(css);
        let set = "const [css, value] = arguments, select = document.querySelector(css);
            select.value = value;
            select.dispatchEvent(new Event('input', {bubbles: true}));
            select.dispatchEvent(new Event('change', {bubbles: true}));
            return select.value === value;";
        if self.driver.script(set, json!([css, value])) != true {
            self.driver.fail(&format!("{css} has no value {value}"));
        }
    }

    /// What must hold at the end of every case.
    pub fn end(self) {
        let console = self.driver.console();
        assert!(console.is_empty(), "the console is not empty: {console:#?}");
        let allowed = [self.workbench.origin.as_str(), "blob:", "data:", "about:", "devtools:", "chrome:"];
        let outside: Vec<String> = self
            .driver
            .requests()
            .into_iter()
            .filter(|url| !allowed.iter().any(|start| url.starts_with(start)))
            .collect();
        assert!(outside.is_empty(), "requests to other origins: {outside:#?}");
        // The page must be gone before its server is.
        self.driver.open("about:blank");
    }

    /// Stores credentials without the page.
    pub fn store_credentials(&self, key: &str, values: &Value) {
        let key: Vec<String> = key.split('/').map(|part| part.replace(' ', "%20")).collect();
        self.workbench.api("PUT", &format!("/api/credentials/{}", key.join("/")), Some(json!({ "values": values })));
    }

    /// Goes to a place by its address, as a link of the page would.
    pub fn go(&self, parts: &[&str]) {
        let go = "location.hash = '#/' + arguments[0].map(encodeURIComponent).join('/')";
        self.driver.script(go, json!([parts]));
    }

    /// In "As Dify shows it": a provider's page.
    pub fn open_provider(&self, kind: &str, name: &str) {
        self.go(&["drawn", kind, name]);
        self.driver.element(&format!("main[data-view=drawn] [data-provider='{name}'][data-kind='{kind}']"));
    }

    /// A tool, a strategy, a datasource or an event of a provider. Returns where it is drawn.
    pub fn open_part(&self, kind: &str, name: &str, part: &str) -> String {
        self.go(&["drawn", kind, name, "parts", part]);
        let place = format!("[data-provider='{name}'][data-kind='{kind}'] [data-part-name='{part}']");
        self.driver.element(&place);
        place
    }

    /// The parameters of a model. Returns where they are drawn.
    pub fn open_model(&self, provider: &str, model_type: &str, model: &str) -> String {
        self.go(&["drawn", "model", provider, "models", model]);
        let row = format!("[data-row=model][data-model='{model}'][data-type='{model_type}']");
        let place = format!("[data-provider='{provider}'] .row-group:has(> {row}) .details");
        self.driver.element(&place);
        place
    }

    /// In "Try it": a provider.
    pub fn try_provider(&self, kind: &str, name: &str) {
        self.go(&["try", kind, name]);
        self.driver.element(&format!("main[data-view=try] [data-provider='{name}'][data-kind='{kind}']"));
    }

    /// In "Try it": a model that no file declares.
    pub fn try_model(&self, provider: &str, model_type: &str, name: &str) {
        self.try_provider("model", provider);
        self.driver.element("[data-view=try] [data-action=model-type]");
        self.select("[data-view=try] [data-action=model-type]", model_type);
        self.driver.fill("[data-view=try] [data-action=model-name]", name);
        self.driver.element(&format!("[data-view=try] [data-model='{name}']"));
    }

    /// Opens what is folded in a view.
    pub fn unfold(&self, view: &str) {
        let unfold = "document.querySelectorAll(`main[data-view=${arguments[0]}] details`).forEach(details => { details.open = true; })";
        self.driver.script(unfold, json!([view]));
    }
}
