//! Results as the daemon reads them.

use serde_json::json;

use super::*;

#[test]
fn rejects_what_the_daemon_or_dify_would() {
    let error = |outcome: Result<(), Failure>| outcome.err().map(|failure| failure.message).unwrap_or_default();
    let subscription = json!({"subscription": {"success": false, "message": "no such hook"}});
    for (found, expected) in [
        (error(validated(vec![])), "without a result"),
        (error(validated(vec![json!({"result": true}), json!({"result": true})])), "2 results instead of one"),
        (error(validated(vec![json!({"result": "yes"})])), "not as Dify expects"),
        (error(validated(vec![json!({"result": false})])), "without a reason"),
        (error(choices(vec![json!({"options": [{"value": "x"}]})]).map(drop)), "label"),
        (error(choices(vec![json!({"options": [{"value": "x", "label": {"de": "X"}}]})]).map(drop)), "`en_US`"),
        (error(crawled(vec![]).map(drop)), "not `completed`"),
        (error(unsubscribed(vec![subscription])), "no such hook"),
        (error(dispatched(vec![json!({"user_id": "", "events": [], "response": "zz"})]).map(drop)), "hexadecimal"),
        (error(oauth_credentials(vec![json!({"credentials": {}})]).map(drop)), "expires_at"),
        (
            error(response(vec![json!({"status": 200, "headers": {"content-length": "2"}, "result": "00"})]).map(drop)),
            "`content-length`",
        ),
    ] {
        assert!(found.contains(expected), "{expected}: {found:?}");
    }
}

#[test]
fn reads_an_http_response_as_it_is_on_a_connection() {
    let raw = hex::encode("HTTP/1.1 201 Created\r\nX-A: b\r\n\r\nbody");
    let item = json!({"user_id": "u", "events": ["push"], "payload": null, "response": raw});
    let dispatched = dispatched(vec![item]).unwrap();
    assert_eq!(
        (dispatched.response.status().as_u16(), &dispatched.response.headers()["x-a"]),
        (201, &"b".parse().unwrap())
    );
    assert_eq!(&dispatched.response.body()[..], b"body");
}
