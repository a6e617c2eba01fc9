//! Pages of other origins, a name that was rebound to loopback, and addresses without the right token: what an attacker's page
//! would try from the browser of an author whose workbench runs. Requests that no browser sends are tested without one.

use axum::response::Html;
use axum::routing::get;
use serde_json::{Value, json};

use crate::page::{Page, Tester};
use crate::workbench::root;

pub const CASES: &[crate::Case] = &[
    ("a_page_of_another_origin_gets_nothing", a_page_of_another_origin_gets_nothing),
    ("a_rebound_name_gets_nothing", a_rebound_name_gets_nothing),
    ("a_wrong_or_missing_token_shows_no_plugin", a_wrong_or_missing_token_shows_no_plugin),
    ("the_token_is_in_the_memory_of_the_tab_only", the_token_is_in_the_memory_of_the_tab_only),
    ("the_page_runs_no_script_that_is_not_its_own", the_page_runs_no_script_that_is_not_its_own),
];

/// Tries everything that a page may without asking, and collects what came of it.
const ATTACK: &str = r#"<!doctype html><meta charset="utf-8"><title>attack</title><body><script>
const origin = decodeURIComponent(location.hash.slice(1)), results = {};
const note = (name, promise) => promise.then(value => results[name] = value, error => results[name] = "refused: " + error.name);
const loaded = (tag, attribute, path) => new Promise(done => {
  const element = document.createElement(tag);
  element.onload = () => done("loaded");
  element.onerror = () => done("refused");
  element[attribute] = origin + path;
  document.body.append(element);
});
const call = JSON.stringify({action: "invoke_llm", type: "model", data: {provider: "xinference", model: "x"}, credentials: null, answers: "scripted"});
const read = async (path, init) => { const answer = await fetch(origin + path, init); return "read " + answer.type + " " + answer.status + " " + (await answer.text()).length; };
const all = [
  note("page", read("/")),
  note("plugin", read("/api/plugin")),
  note("plugin with credentials", read("/api/plugin", {credentials: "include"})),
  note("script's text", read("/app/main.js")),
  note("events", read("/api/events")),
  note("simple post", read("/api/calls", {method: "POST", body: call})),
  note("json post", read("/api/calls", {method: "POST", body: call, headers: {"content-type": "application/json"}})),
  note("token guessed", read("/api/plugin", {headers: {authorization: "Bearer " + "a".repeat(64)}})),
  note("opaque post", fetch(origin + "/api/calls", {method: "POST", mode: "no-cors", body: call}).then(answer => "sent " + answer.type + " " + answer.status)),
  note("put", read("/api/credentials/model/xinference", {method: "PUT", body: "{\"values\":{}}"})),
  note("beacon", Promise.resolve("sent " + navigator.sendBeacon(origin + "/api/calls", call))),
  note("image", loaded("img", "src", "/api/files/_assets/xinference-small.svg")),
  note("script", loaded("script", "src", "/app/text.js")),
  note("style", (() => { const link = document.createElement("link"); link.rel = "stylesheet"; link.href = origin + "/style/base.css"; return new Promise(done => { link.onload = () => done("loaded"); link.onerror = () => done("refused"); document.head.append(link); }); })()),
  note("websocket", new Promise(done => { const socket = new WebSocket(origin.replace("http", "ws") + "/api/events"); socket.onopen = () => done("open"); socket.onerror = () => done("refused"); })),
  note("event source", new Promise(done => { const source = new EventSource(origin + "/api/events"); source.onopen = () => done("open"); source.onerror = () => { source.close(); done("refused"); }; })),
  note("frame", new Promise(done => { const frame = document.createElement("iframe"); frame.src = origin + "/"; frame.onload = () => { let inside; try { inside = frame.contentDocument ? "readable" : "opaque"; } catch { inside = "opaque"; } done(inside); }; document.body.append(frame); })),
  note("form", new Promise(done => { const frame = document.createElement("iframe"); frame.name = "target"; document.body.append(frame);
    const form = document.createElement("form"); form.method = "post"; form.enctype = "text/plain"; form.action = origin + "/api/calls"; form.target = "target";
    const field = document.createElement("input"); field.name = call.slice(0, -1) + ',"x":"'; field.value = '"}'; form.append(field); document.body.append(form);
    let loads = 0; frame.onload = () => { if (++loads >= 1) { let inside; try { inside = frame.contentDocument ? "readable" : "opaque"; } catch { inside = "opaque"; } done(inside); } }; form.submit(); })),
  note("navigated frame", new Promise(done => { const frame = document.createElement("iframe"); frame.src = origin + "/api/plugin"; frame.onload = () => { let inside; try { inside = frame.contentDocument ? "readable" : "opaque"; } catch { inside = "opaque"; } done(inside); }; document.body.append(frame); })),
];
Promise.all(all).then(() => { window.results = results; document.body.dataset.state = "ended"; });
</script>"#;

fn a_page_of_another_origin_gets_nothing(tester: &Tester) {
    let page = tester.open(root());
    let attacker =
        tester.runtime.block_on(crate::loopback::serve(axum::Router::new().route("/", get(|| async { Html(ATTACK) }))));
    page.driver.open(&format!("{attacker}/#{}", page.workbench.origin));
    page.driver.element("body[data-state=ended]");
    let results = page.driver.script("return window.results", json!([]));
    let results = results.as_object().unwrap();
    assert_eq!(results.len(), 19, "{results:#?}");
    for (name, result) in results {
        let result = result.as_str().unwrap();
        let harmless = match name.as_str() {
            // Sent by the browser without asking; the server's answer is below.
            "opaque post" => result == "sent opaque 0" || result.starts_with("refused"),
            "beacon" => result.starts_with("sent"),
            // An error page, or nothing that this origin may read.
            "frame" | "form" | "navigated frame" => result == "opaque",
            _ => result.starts_with("refused"),
        };
        assert!(harmless, "{name}: {result}");
    }
    // Framed, the page was not drawn.
    let console = page.driver.console();
    assert!(
        console.iter().any(|line| line.contains("frame-ancestors")
            || line.contains("refused to connect")
            || line.contains("Framing")),
        "{console:#?}"
    );
    // Whatever arrived, nothing ran and nothing was stored.
    assert_eq!(page.workbench.api("GET", "/api/sessions", None), json!([]), "a call ran");
    assert_eq!(stored(&page), 0, "credentials were stored");
}

/// Number of credentials that the server keeps.
fn stored(page: &Page<'_>) -> usize {
    let answer = page.workbench.api("GET", "/api/credentials", None);
    let kept = answer.get("credentials").unwrap_or(&answer);
    kept.as_object().map_or_else(|| kept.as_array().map_or(0, Vec::len), serde_json::Map::len)
}

fn a_rebound_name_gets_nothing(tester: &Tester) {
    let page = tester.open(root());
    let rebound = page.workbench.origin.replace("127.0.0.1", "rebound.example");
    for path in ["/", "/app/main.js", "/api/plugin"] {
        page.driver.open(&format!("{rebound}{path}#token={}", page.workbench.token));
        let seen = page.driver.script(
            "return [location.hostname, performance.getEntriesByType('navigation')[0].responseStatus, document.body.innerText.length, document.scripts.length]",
            json!([]),
        );
        assert_eq!((&seen[0], &seen[1], &seen[3]), (&json!("rebound.example"), &json!(403), &json!(0)), "{path}");
        assert!(seen[2].as_u64().unwrap() < 500, "{path}: more than a message");
        // From there, everything is of the same origin, and the token is known.
        let fetched = page.driver.script_later(
            "fetch('/api/plugin', {headers: {authorization: 'Bearer ' + arguments[0]}}).then(answer => done(answer.status), () => done(0))",
            json!([page.workbench.token]),
        );
        assert_eq!(fetched, 403, "{path}");
    }
    page.driver.console();
}

fn a_wrong_or_missing_token_shows_no_plugin(tester: &Tester) {
    let page = tester.open(root());
    let label = page.driver.text("body");
    assert!(label.contains("Native model providers"), "{label}");
    for (fragment, state) in [("", "main[data-view=no-token]"), ("#token=wrong", "html[data-state=error]")] {
        page.driver.script("sessionStorage.clear()", json!([]));
        page.driver.open("about:blank");
        page.driver.requests();
        page.driver.open(&format!("{}/{fragment}", page.workbench.origin));
        page.driver.element(state);
        let shown = page.driver.text("body");
        assert!(!shown.contains("Native model providers"), "{shown}");
        let asked: Vec<String> = page.driver.requests().into_iter().filter(|url| url.contains("/api/")).collect();
        assert!(!fragment.is_empty() || asked.is_empty(), "asked without a token: {asked:?}");
    }
    page.driver.console();
}

fn the_token_is_in_the_memory_of_the_tab_only(tester: &Tester) {
    let page = tester.open(root());
    for view in ["drawn", "try", "happened", "problems"] {
        page.view(view);
        let places = page.driver.script(
            "return {address: location.href, page: document.documentElement.outerHTML, disk: JSON.stringify(localStorage), cookies: document.cookie, referrer: document.referrer, title: document.title, state: JSON.stringify(history.state)}",
            json!([]),
        );
        for (place, text) in places.as_object().unwrap() {
            assert!(
                !text.as_str().unwrap_or_default().contains(&page.workbench.token),
                "{view}: the token is in {place}"
            );
        }
    }
    let requests = page.driver.requests();
    assert!(requests.len() > 10, "{requests:?}");
    // The browser itself gets the whole address once; a request never carries the fragment to the server.
    let leaked: Vec<&String> = requests
        .iter()
        .filter(|url| url.split('#').next().unwrap_or_default().contains(&page.workbench.token))
        .collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    // The tab keeps it over a reload.
    page.driver.refresh();
    page.ready();
    page.end();
}

fn the_page_runs_no_script_that_is_not_its_own(tester: &Tester) {
    let page = tester.open(root());
    let tries = "(async () => {
        window.hurt = [];
        const script = document.createElement('script');
        script.textContent = 'window.hurt.push(\"inline\")';
        document.body.append(script);
        const button = document.createElement('button');
        button.setAttribute('onclick', 'window.hurt.push(\"attribute\")');
        document.body.append(button);
        button.click();
        // Later, because the driver lets its own scripts evaluate text.
        await new Promise(next => setTimeout(() => { try { eval('window.hurt.push(\"eval\")'); } catch {} next(); }, 0));
        await new Promise(next => setTimeout(() => { try { new Function('window.hurt.push(\"function\")')(); } catch {} next(); }, 0));
        const style = document.createElement('style');
        style.textContent = 'body { outline: 7px solid red }';
        document.head.append(style);
        const outlined = getComputedStyle(document.body).outlineWidth === '7px';
        const far = document.createElement('script');
        far.src = 'data:text/javascript,window.hurt.push(\"data\")';
        const frame = document.createElement('iframe');
        frame.srcdoc = '<script>parent.hurt.push(\"frame\")<\\/script>';
        far.onerror = () => frame.onload ? 0 : done([window.hurt, outlined]);
        document.body.append(frame, far);
    })()";
    let found: Value = page.driver.script_later(tries, json!([]));
    assert_eq!(found, json!([[], false]));
    let refused = page.driver.console();
    assert!(refused.iter().any(|line| line.contains("Content Security Policy")), "{refused:#?}");
}
