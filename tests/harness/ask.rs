//! What a user asks a running Daymark.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A reader of the HTTP API.
#[derive(Clone)]
pub struct Ask {
    base: String,
    client: reqwest::Client,
    key: Option<String>,
}

impl Ask {
    /// Asks the service at `base`.
    pub fn new(base: String) -> Ask {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        Ask { base, client, key: None }
    }

    /// The same questions with an API key.
    pub fn with_key(mut self, key: &str) -> Ask {
        self.key = Some(key.to_owned());
        self
    }

    /// `GET path`: status and body.
    pub async fn raw(&self, path: &str) -> (u16, String) {
        let mut request = self.client.get(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// `GET path`, which must succeed.
    pub async fn get(&self, path: &str) -> Value {
        let (status, text) = self.raw(path).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The rows of a SQL answer, which must be complete.
    pub async fn sql(&self, query: &str) -> Vec<Vec<Value>> {
        let mut request = self.client.post(format!("{}/api/v1/sql", self.base));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let answer = request.json(&serde_json::json!({ "query": query, "format": "json" })).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{query}: {text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["receipt"]["complete"], true, "{query}: {}", answer["receipt"]);
        answer["rows"].as_array().unwrap().iter().map(|row| row.as_array().unwrap().clone()).collect()
    }

    /// A single integer.
    pub async fn sql_count(&self, query: &str) -> u64 {
        let rows = self.sql(query).await;
        integer(&rows[0][0])
    }

    /// `key...,integer` rows as a map.
    pub async fn sql_counts(&self, query: &str) -> BTreeMap<String, u64> {
        let rows = self.sql(query).await;
        rows.into_iter()
            .map(|mut row| {
                let count = integer(&row.pop().unwrap());
                let key: Vec<String> =
                    row.iter().map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)).collect();
                (key.join(" | "), count)
            })
            .collect()
    }

    /// Asks until `expected` comes back, `limit` at most.
    pub async fn sql_count_becomes(&self, query: &str, expected: u64, limit: Duration) {
        let started = Instant::now();
        loop {
            let count = self.sql_count(query).await;
            if count == expected {
                return;
            }
            assert!(started.elapsed() < limit, "{query}: {count}, expected {expected}, after {limit:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Every item that was received is explained, at every component (design G3). Waits for work in hand to end.
    pub async fn ledger_balances(&self) -> Value {
        // An agent reports its counts with a heartbeat, every second.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let started = Instant::now();
        loop {
            let ledger = self.get("/api/v1/ledger").await;
            let rows: Vec<&Value> = ledger["components"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|component| component["rows"].as_array().unwrap())
                .collect();
            // Agent and collector, three signals each; an agent reports with its next heartbeat.
            let quiet = rows.len() >= 6 && rows.iter().all(|row| row["in_flight"] == 0 && row["unexplained"] == 0);
            if quiet {
                return ledger;
            }
            assert!(started.elapsed() < Duration::from_secs(15), "the ledger does not balance: {ledger}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn integer(cell: &Value) -> u64 {
    let number = cell.as_u64().or_else(|| cell.as_f64().map(|x| x as u64));
    number.or_else(|| cell.as_str().and_then(|text| text.parse().ok())).unwrap_or_else(|| panic!("no integer: {cell}"))
}
