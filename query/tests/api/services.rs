//! Services and the calls between them.

use http::StatusCode;
use serde_json::json;

use crate::app::{app, get, refused, texts};
use crate::fixture::fixture;

#[tokio::test]
async fn services_come_from_spans_and_logs_hot_ones_included() {
    let app = app(&fixture().await);
    let answer = get(&app, "/services").await;
    assert_eq!(
        answer["services"],
        json!([
            { "name": "cart", "operations": ["load"] },
            { "name": "frontend", "operations": ["GET /", "GET /cart"] },
            { "name": "worker", "operations": [] },
        ])
    );
    assert_eq!(answer["receipt"]["hot_rows"], 3);
}

#[tokio::test]
async fn the_service_graph_adds_up_fragments_and_takes_back_what_was_no_call() {
    let app = app(&fixture().await);
    let answer = get(&app, "/services/graph").await;
    assert_eq!(texts(&answer["edges"], "callee"), ["cart", "postgresql"], "the call to a name was taken back");
    let [cart, database] = [&answer["edges"][0], &answer["edges"][1]];
    assert_eq!((&cart["calls"], &cart["errors"], &cart["duration_p99_ns"]), (&json!(10), &json!(0), &json!(9_000_000)));
    assert_eq!((&database["connection"], &database["errors"]), (&json!("database"), &json!(1)));
    assert_eq!(answer["nodes"][2], json!({ "name": "postgresql", "kind": "peer" }));
    assert_eq!(answer["receipt"]["complete"], true);
    let of_cart = get(&app, "/services/graph?service=postgresql").await;
    assert_eq!(texts(&of_cart["edges"], "caller"), ["cart"]);
    let none = get(&app, "/services/graph?from=1600000000&to=1600000060").await;
    assert_eq!((&none["edges"], &none["start_time"]), (&json!([]), &json!("2020-09-13T12:26:00Z")));
    refused(&app, "/services/graph?from=1&start=1", StatusCode::BAD_REQUEST, "another name").await;
}
