//! Faults on the way to a server: a microburst of its own for each test, which obeys that test's rules alone.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kairos::clock::{ClockExt as _, SystemClock};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How long what is slow is kept before it is sent on. It is carried out all the same, after its caller has given up.
pub(crate) const SLOW: Duration = Duration::from_millis(2_500);

/// By name: an address it looks up among the hosts of all services, for which it reads every model there is, for seconds.
const HOST: &str = "localhost";

/// A proxy before a server. It ends with the test.
pub(crate) struct Microburst {
    process: Child,
    port: u16,
}

/// A fault that was injected.
#[derive(Debug, Deserialize)]
struct Fired {
    service: Option<String>,
    operation: Option<String>,
    action: String,
}

impl Microburst {
    /// Before a server, without any rule.
    pub(crate) async fn before(server: &str) -> Self {
        for _ in 0..3 {
            if let Some(proxy) = Self::start(server).await {
                return proxy;
            }
        }
        panic!("microburst did not start before {server}");
    }

    /// Another process may take the port that was free.
    async fn start(server: &str) -> Option<Self> {
        let port = TcpListener::bind((HOST, 0)).await.unwrap().local_addr().unwrap().port();
        let process = Command::new(super::place::endpoint("KAIROS_TEST_MICROBURST"))
            .args(["--host", HOST, "--port", &port.to_string(), "--upstream", server])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut proxy = Self { process, port };
        for _ in 0..600 {
            if proxy.process.try_wait().unwrap().is_some() {
                return None;
            }
            if proxy.ask("GET", "health", "").await.is_some() {
                return Some(proxy);
            }
            SystemClock.sleep(Duration::from_millis(50)).await;
        }
        None
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{HOST}:{}", self.port)
    }

    /// Follows these rules from now on, and no others.
    pub(crate) async fn obey(&self, rules: impl IntoIterator<Item = Value>) {
        let rules = Value::Array(rules.into_iter().collect());
        let answer = self.ask("POST", "rules", &rules.to_string()).await.unwrap();
        let taken: Vec<Value> = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{rules}: {answer}"));
        assert_eq!(taken.len(), rules.as_array().unwrap().len(), "{answer}");
    }

    /// How many requests have come by.
    pub(crate) async fn seen(&self) -> u64 {
        let health: Value = serde_json::from_str(&self.ask("GET", "health", "").await.unwrap()).unwrap();
        health["requests_seen"].as_u64().unwrap()
    }

    /// How often which fault was injected: by service, operation and what was done.
    pub(crate) async fn fired(&self) -> BTreeMap<(String, String, String), u64> {
        let fired: Vec<Fired> = serde_json::from_str(&self.ask("GET", "fired?limit=2000", "").await.unwrap()).unwrap();
        // It keeps no more: then there were too many to be counted.
        assert!(fired.len() < 2_000);
        let mut counts = BTreeMap::new();
        for Fired { service, operation, action } in fired {
            let key = (service.unwrap_or_default(), operation.unwrap_or_default(), action);
            *counts.entry(key).or_insert(0) += 1;
        }
        counts
    }

    /// A call of its own interface; `None` if it does not listen yet.
    async fn ask(&self, method: &str, path: &str, body: &str) -> Option<String> {
        let mut stream = TcpStream::connect((HOST, self.port)).await.ok()?;
        let length = body.len();
        let request = format!(
            "{method} /_microburst/{path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }
}

impl Drop for Microburst {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How a service says that it is asked too often, and that it has failed.
fn codes(service: &str) -> (&'static str, &'static str) {
    match service {
        "dynamodb" => ("ProvisionedThroughputExceededException", "InternalServerError"),
        "sqs" => ("RequestThrottled", "InternalFailure"),
        "sts" => ("Throttling", "InternalFailure"),
        _ => ("ThrottlingException", "InternalServerException"),
    }
}

/// Rules under which one request in five meets a fault, each kind by turns, beginning with the first requests: the SDK's three tries
/// are used up now and then. Of a service, or of one of its operations.
pub(crate) fn trouble(service: &str, operation: Option<&str>) -> Vec<Value> {
    let (throttled, failed) = codes(service);
    by_turns(
        service,
        operation,
        [
            json!({ "error": { "code": throttled } }),
            json!({ "error": { "code": failed, "status": 500 } }),
            json!({ "reset": true }),
            json!({ "latency": u64::try_from(SLOW.as_millis()).unwrap() }),
            // Applied; the connection ends before the first byte of the answer's body.
            json!({ "response": { "abort_bytes": 0 } }),
        ],
    )
}

/// The same with what proxies and broken lines make of answers.
pub(crate) fn nonsense(service: &str, operation: Option<&str>) -> Vec<Value> {
    by_turns(
        service,
        operation,
        [
            // Applied; the answer is of the right length and cannot be read.
            json!({ "response": { "corrupt_bytes": 8 } }),
            // Applied; the answer ends too early, and seems to be whole.
            json!({ "response": { "truncate_frac": 0.5 } }),
            // An error that does not say which.
            json!({ "error": { "code": "none", "status": 500, "fields": { "__type": null, "message": "<html>" } } }),
            json!({ "error": { "code": codes(service).0, "status": 429 } }),
            // 504, after a while.
            json!({ "timeout_ms": 200 }),
        ],
    )
}

fn by_turns(service: &str, operation: Option<&str>, faults: [Value; 5]) -> Vec<Value> {
    let rule = |mut fault: Value| {
        fault["service"] = service.into();
        fault["operation"] = operation.into();
        // Each rule sees what those before it let pass: five of about 25.
        fault["sequence"] = json!({ "fail": 1, "pass": 20 });
        fault
    };
    faults.into_iter().map(rule).collect()
}
