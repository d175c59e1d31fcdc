//! The Lambda Runtime API (AWS Lambda Developer Guide, "Using the Lambda runtime API"): starts a function's binary as Lambda does, and
//! gives it events. It is the Lambda service too, as far as a function invokes itself asynchronously.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use kairos::clock::{Clock as _, ClockExt as _, SystemClock, later};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

/// The longest that anything takes here, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

/// What a function has answered: its response, or the error that it told.
pub(crate) type Answer = Result<Value, Value>;

/// An event, how long it may take, and who waits for the answer.
type Waiting = (String, Duration, oneshot::Sender<Answer>);

struct Service {
    arn: String,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<Waiting>>,
    state: Mutex<Invocations>,
}

#[derive(Default)]
struct Invocations {
    /// How many there were; the last of them has this number.
    count: usize,
    under_way: Option<oneshot::Sender<Answer>>,
    /// What has been invoked asynchronously: which function, and with what.
    invoked: Vec<(String, String)>,
}

/// A running function.
pub(crate) struct Function {
    process: Child,
    service: Arc<Service>,
    events: mpsc::UnboundedSender<Waiting>,
    /// What it writes to its output, line by line.
    lines: Arc<Mutex<Vec<String>>>,
}

impl Function {
    /// Starts `binary` with an environment beside that of Lambda.
    pub(crate) async fn start(binary: &str, path: &str, environment: &[(&str, String)]) -> Self {
        let (events, queue) = mpsc::unbounded_channel();
        let arn = format!("arn:aws:lambda:us-east-1:123456789012:function:{binary}");
        let service = Arc::new(Service { arn, events: tokio::sync::Mutex::new(queue), state: Mutex::default() });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2015-03-31/functions/{function}/invocations", post(invoke))
            .with_state(service.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, router).await });

        let mut command = Command::new(path);
        command.env_clear().stdout(Stdio::piped()).kill_on_drop(true);
        for (name, value) in [
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_ENDPOINT_URL_LAMBDA", &format!("http://{address}")),
            ("AWS_LAMBDA_FUNCTION_NAME", binary),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ] {
            command.env(name, value);
        }
        let mut process = command.envs(environment.iter().cloned()).spawn().unwrap();
        let lines = collect(&mut process);
        Self { process, service, events, lines }
    }

    /// One invocation, with so many seconds until its deadline.
    pub(crate) async fn invoke(&mut self, event: impl Into<String>, seconds: u64) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.events.send((event.into(), Duration::from_secs(seconds), answer)).unwrap();
        tokio::select! {
            answer = SystemClock.within(LIMIT, answered) => answer.expect("no answer within a minute").unwrap(),
            status = self.process.wait() => panic!("the function ended: {status:?}: {:?}", self.lines()),
        }
    }

    /// The events that the function has invoked itself with since this was asked last.
    pub(crate) fn continuations(&self) -> Vec<String> {
        let invoked = std::mem::take(&mut self.service.state.lock().unwrap().invoked);
        invoked.into_iter().map(|(function, event)| (function == self.service.arn).then_some(event).unwrap()).collect()
    }

    /// What it has written so far. What it wrote before it answered is there.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The metrics of its last invocation; panics if there are none, or more than one line of them.
    pub(crate) async fn metrics(&self) -> Value {
        let id = format!("\"requestId\":\"{}\"", request_id(self.service.state.lock().unwrap().count));
        let written = until(|| {
            let lines = self.lines();
            let mut of_request = lines.iter().filter(|line| line.contains("\"_aws\"") && line.contains(&id));
            let line = of_request.next().map(|line| crate::metrics::checked(line));
            assert!(of_request.next().is_none(), "more than one line: {lines:?}");
            line
        });
        written.await.unwrap_or_else(|| panic!("no metrics: {:?}", self.lines()))
    }
}

/// The lines of a process's output, as they come.
pub(crate) fn collect(process: &mut Child) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
    let collected = lines.clone();
    tokio::spawn(async move {
        while let Ok(Some(line)) = output.next_line().await {
            collected.lock().unwrap().push(line);
        }
    });
    lines
}

/// What can be seen of another process, as soon as it is there; `None` if that takes a minute.
pub(crate) async fn until<T: Send>(mut look: impl FnMut() -> Option<T> + Send) -> Option<T> {
    let seen = async {
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            SystemClock.sleep(Duration::from_millis(20)).await;
        }
    };
    SystemClock.within(LIMIT, seen).await
}

fn request_id(request: usize) -> String {
    format!("00000000-0000-4000-8000-{request:012}")
}

async fn next(State(service): State<Arc<Service>>) -> (HeaderMap, String) {
    let Some((event, time, answer)) = service.events.lock().await.recv().await else {
        return std::future::pending().await;
    };
    let count = {
        let mut state = service.state.lock().unwrap();
        state.count += 1;
        state.under_way = Some(answer);
        state.count
    };
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json".into()),
        ("lambda-runtime-aws-request-id", request_id(count)),
        ("lambda-runtime-deadline-ms", later(SystemClock.now(), time).as_millisecond().to_string()),
        ("lambda-runtime-invoked-function-arn", service.arn.clone()),
        ("lambda-runtime-trace-id", "Root=1-695b7f10-5e2b1c0a1f3d4c5b6a798899;Sampled=0".into()),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    (headers, event)
}

async fn response(State(service): State<Arc<Service>>, Path(id): Path<String>, body: String) -> StatusCode {
    answered(&service, &id, Ok(serde_json::from_str(&body).unwrap()))
}

async fn error(State(service): State<Arc<Service>>, Path(id): Path<String>, body: String) -> StatusCode {
    answered(&service, &id, Err(serde_json::from_str(&body).unwrap()))
}

fn answered(service: &Service, id: &str, answer: Answer) -> StatusCode {
    let mut state = service.state.lock().unwrap();
    assert_eq!(id, request_id(state.count));
    state.under_way.take().unwrap().send(answer).unwrap();
    StatusCode::ACCEPTED
}

async fn invoke(
    State(service): State<Arc<Service>>,
    Path(function): Path<String>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    assert_eq!(headers["x-amz-invocation-type"], "Event");
    service.state.lock().unwrap().invoked.push((function, body));
    StatusCode::ACCEPTED
}
