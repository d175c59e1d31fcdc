//! What is asked of the service, and what its answers come to: without any server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, ConfigBag, Credentials, Intercept, Region, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::get_item::GetItemOutput;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::scan::ScanOutput;
use aws_sdk_dynamodb::operation::transact_write_items::{
    TransactWriteItemsError, TransactWriteItemsInput, TransactWriteItemsOutput,
};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::error::{ConditionalCheckFailedException, TransactionCanceledException};
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason};
use aws_smithy_mocks::{MockResponse, MockResponseInterceptor, Rule, RuleMode, create_mock_http_client, mock};
use kairos::backend::{Claim, Claimed, ExecutionFilter, History as _, ProcessFilter, Store as _, Transaction};
use kairos::clock::ManualClock;
use kairos::page::PageRequest;
use kairos::{Error, ErrorKind, Hold, Owner, ProcessId, ScheduleId};
use kairos_aws::{DynamoHistory, DynamoStore, TableNames};

use crate::support::{process, schedule, work};

fn client(rules: &[&Rule]) -> Client {
    let interceptor = MockResponseInterceptor::new().rule_mode(RuleMode::MatchAny);
    let interceptor = rules.iter().fold(interceptor, |interceptor, rule| interceptor.with_rule(rule));
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("123456789012", "secret", None, None, "tests"))
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
        .http_client(create_mock_http_client())
        .interceptor(interceptor);
    Client::from_conf(config.build())
}

type Answer = MockResponse<TransactWriteItemsOutput, TransactWriteItemsError>;
type Transactions = Arc<Mutex<Vec<TransactWriteItemsInput>>>;

fn done() -> Answer {
    MockResponse::Output(TransactWriteItemsOutput::builder().build())
}

fn reason(code: &str) -> CancellationReason {
    CancellationReason::builder().code(code).message("por algo").build()
}

fn cancelled(reasons: &[CancellationReason]) -> Answer {
    let error = TransactionCanceledException::builder().set_cancellation_reasons(Some(reasons.to_vec())).build();
    MockResponse::Error(TransactWriteItemsError::TransactionCanceledException(error))
}

/// A service that answers each request by its number, from 0, and what it was asked.
fn service(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> (Rule, Transactions) {
    let asked = Transactions::default();
    let seen = asked.clone();
    let rule = mock!(Client::transact_write_items).then_compute_response(move |input| {
        let mut seen = seen.lock().unwrap();
        seen.push(input.clone());
        answer(seen.len() - 1)
    });
    (rule, asked)
}

/// Commits a process and a schedule, moving the clock whenever the store waits.
async fn commit(rule: &Rule) -> Result<(), Error> {
    let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
    let store = DynamoStore::new(&client(&[rule]), &TableNames::of("App")).with_clock(Arc::new(clock.clone()));
    let (row, record) = (process("ventas"), schedule("calendarizacion-x"));
    let mut changed = (*row).clone();
    changed.enabled = false;
    let both = Transaction::new().with_process(Some(row), Some(Arc::new(changed))).with_schedule(Some(record), None);
    let mut commit = Box::pin(store.commit(&both));
    loop {
        if let Poll::Ready(result) = futures_util::poll!(&mut commit) {
            return result;
        }
        match clock.next_timer() {
            Some(timer) => clock.advance_to(timer),
            None => tokio::task::yield_now().await,
        }
    }
}

fn tokens(asked: &Transactions) -> Vec<String> {
    asked.lock().unwrap().iter().map(|input| input.client_request_token().unwrap().to_owned()).collect()
}

/// What the service says of the two changes, and what it comes to after so many requests.
#[tokio::test]
async fn each_reason_for_a_cancellation_comes_to_its_own_kind() {
    let table: [(&[&str], ErrorKind, usize); 8] = [
        (&["ConditionalCheckFailed", "None"], ErrorKind::Lost, 1),
        (&["TransactionConflict", "ConditionalCheckFailed"], ErrorKind::Lost, 1),
        (&["None", "TransactionConflict"], ErrorKind::Busy, 6),
        (&["ThrottlingError", "None"], ErrorKind::Throttled, 1),
        (&["ProvisionedThroughputExceeded", "TransactionConflict"], ErrorKind::Throttled, 1),
        (&["ThrottlingError", "ValidationError"], ErrorKind::Invalid, 1),
        (&["ValidationError", "ConditionalCheckFailed"], ErrorKind::Lost, 1),
        (&[], ErrorKind::Unavailable, 1),
    ];
    for (codes, kind, requests) in table {
        let reasons: Vec<_> = codes.iter().map(|code| reason(code)).collect();
        let (rule, asked) = service(move |_| cancelled(&reasons));
        let error = commit(&rule).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (kind, Some("commit")), "{codes:?}: {error}");
        assert_eq!(asked.lock().unwrap().len(), requests, "{codes:?}");
    }
}

#[tokio::test]
async fn the_row_that_was_lost_is_named() {
    let (rule, _) = service(|_| cancelled(&[reason("None"), reason("ConditionalCheckFailed")]));
    let error = commit(&rule).await.unwrap_err();
    assert_eq!((error.kind(), error.subject()), (ErrorKind::Lost, Some("calendarizacion-x")), "{error}");
}

#[tokio::test]
async fn a_conflict_that_passes_is_tried_again_under_another_token() {
    let (rule, asked) = service(|request| match request {
        0 | 1 => cancelled(&[reason("TransactionConflict"), reason("None")]),
        _ => done(),
    });
    commit(&rule).await.unwrap();
    let mut tokens = tokens(&asked);
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 3);
}

/// What goes out, try by try.
#[derive(Clone, Debug, Default)]
struct Wire(Arc<Mutex<Vec<serde_json::Value>>>);

impl Intercept for Wire {
    fn name(&self) -> &'static str {
        "Wire"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request().body().bytes().unwrap();
        self.0.lock().unwrap().push(serde_json::from_slice(body).unwrap());
        Ok(())
    }
}

/// The answer was lost, and the client asks again by itself: the service must know it for the same request.
#[tokio::test]
async fn what_the_client_repeats_by_itself_bears_one_token() {
    let lost = mock!(Client::transact_write_items).sequence().http_status(500, None).times(2);
    let rule = lost.output(|| TransactWriteItemsOutput::builder().build()).build();
    let wire = Wire::default();
    let client = Client::from_conf(client(&[&rule]).config().to_builder().interceptor(wire.clone()).build());
    let store = DynamoStore::new(&client, &TableNames::of("App"));
    store.commit(&Transaction::new().with_process(None, Some(process("ventas")))).await.unwrap();
    let sent = wire.0.lock().unwrap();
    assert_eq!(sent.len(), 3);
    assert!(sent[0]["ClientRequestToken"].is_string() && sent.iter().all(|again| *again == sent[0]), "{sent:?}");
}

#[tokio::test]
async fn a_row_in_another_spelling_is_expected_as_it_is_spelled() {
    let older = || {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let item = HashMap::from([
            ("IdProceso".to_owned(), text(ProcessId::of("ventas").as_str())),
            ("IdCalendarizacion".to_owned(), text("calendarizacion-x")),
            ("Nombre".to_owned(), text("ventas")),
            ("ArnProceso".to_owned(), text("kairos:task:a")),
            ("Habilitado".to_owned(), AttributeValue::Bool(true)),
            ("FechaCreacion".to_owned(), text("2026-01-01T00:00:00.0000000+00:00")),
            ("Ajeno".to_owned(), text("suyo")),
        ]);
        let found = CancellationReason::builder().code("ConditionalCheckFailed").set_item(Some(item)).build();
        cancelled(&[found, reason("None")])
    };
    let (rule, asked) = service(move |request| if request == 0 { older() } else { done() });
    commit(&rule).await.unwrap();
    let update = asked.lock().unwrap()[1].transact_items()[0].update().unwrap().clone();
    let condition = update.condition_expression().unwrap();
    assert!(condition.contains("attribute_not_exists(#Parametros)"), "{condition}");
    assert!(!condition.contains("Ajeno"), "{condition}");
    let spelled = AttributeValue::S("2026-01-01T00:00:00.0000000+00:00".into());
    assert!(update.expression_attribute_values().unwrap().values().any(|value| *value == spelled));
    assert_eq!(update.update_expression().split(" = ").next(), Some("SET #Habilitado"), "only what has changed");

    // Somebody writes it in yet another spelling each time: it ends.
    let (rule, asked) = service(move |_| older());
    let error = commit(&rule).await.unwrap_err();
    assert_eq!((error.kind(), asked.lock().unwrap().len()), (ErrorKind::Lost, 6));
}

/// DynamoDB Local has no lag: there, a read that may be old never is.
#[tokio::test]
async fn what_is_read_is_read_as_it_is_now() {
    let get = mock!(Client::get_item)
        .match_requests(|input| input.consistent_read() == Some(true))
        .then_output(|| GetItemOutput::builder().build());
    let scan = mock!(Client::scan)
        .match_requests(|input| input.consistent_read() == Some(true))
        .then_output(|| ScanOutput::builder().set_items(Some(Vec::new())).build());
    let (client, names) = (client(&[&get, &scan]), TableNames::of("App"));
    let (store, history) = (DynamoStore::new(&client, &names), DynamoHistory::new(&client, &names));
    assert_eq!(store.process(&ProcessId::of("ventas")).await.unwrap(), None);
    assert_eq!(store.schedule(&"calendarizacion-x".into()).await.unwrap(), None);
    let id = work("a", "2026-01-01T12:00:00Z").execution_id;
    assert_eq!(history.get(id).await.unwrap(), None);
    assert!(store.list_schedules(&PageRequest::default()).await.unwrap().items.is_empty());
    assert_eq!((get.num_calls(), scan.num_calls()), (3, 1));
}

/// As the SDK reads a body of nothing.
#[tokio::test]
async fn an_answer_that_lacks_what_was_asked_for_is_none() {
    let scan = mock!(Client::scan).then_output(|| ScanOutput::builder().build());
    let query = mock!(Client::query).then_output(|| QueryOutput::builder().build());
    let update = mock!(Client::update_item).then_output(|| UpdateItemOutput::builder().build());
    let (client, names) = (client(&[&scan, &query, &update]), TableNames::of("App"));
    let (store, history) = (DynamoStore::new(&client, &names), DynamoHistory::new(&client, &names));
    let (page, of_schedule) = (PageRequest::default(), ProcessFilter::of_schedule("calendarizacion-x".into()));
    let work = work("a", "2026-01-01T12:00:00Z");
    let now = work.scheduled_time;
    let claim = Claim::new(work, Hold { owner: Owner::from_u128(1), until: now }, now);
    for error in [
        store.list_schedules(&page).await.unwrap_err(),
        store.list_processes(&of_schedule, &page).await.unwrap_err(),
        history.list(&ExecutionFilter::all(), &page).await.unwrap_err(),
        history.claim(&claim).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
}

#[tokio::test]
async fn a_page_of_what_nothing_comes_through_is_short_and_goes_on() {
    let rule = mock!(Client::query).then_output(|| {
        let last = AttributeValue::S("proceso-YQ..".into());
        QueryOutput::builder().set_items(Some(Vec::new())).last_evaluated_key("IdProceso", last).build()
    });
    let store = DynamoStore::new(&client(&[&rule]), &TableNames::of("App"));
    let filter = ProcessFilter::of_schedule(ScheduleId::from("calendarizacion-x")).with_enabled(true);
    let page = store.list_processes(&filter, &PageRequest::first(10)).await.unwrap();
    assert!(page.items.is_empty() && page.next.is_some());
    assert_eq!(rule.num_calls(), 10);
}

/// The one request says who holds it: no read follows.
#[tokio::test]
async fn a_claim_that_is_held_takes_one_request() {
    let rule = mock!(Client::update_item).then_error(|| {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let item = HashMap::from([
            ("IdEjecucion".to_owned(), text("ccfc2443-088b-5aaa-a43f-145cc331b5b2")),
            ("IdProceso".to_owned(), text("proceso-YQ..")),
            ("IdCalendarizacion".to_owned(), text("calendarizacion-x")),
            ("FechaProgramada".to_owned(), text("2026-01-01T12:00:00Z")),
            ("Origen".to_owned(), text("calendario")),
            ("Estado".to_owned(), text("EnCurso")),
            ("Intentos".to_owned(), AttributeValue::N("1".into())),
            ("FechaInicio".to_owned(), text("2026-01-01T12:00:00Z")),
            ("Propietario".to_owned(), text("00000000-0000-0000-0000-000000000002")),
            ("ReservadaHasta".to_owned(), text("2026-01-01T12:05:00.000000000Z")),
        ]);
        UpdateItemError::ConditionalCheckFailedException(
            ConditionalCheckFailedException::builder().set_item(Some(item)).build(),
        )
    });
    let history = DynamoHistory::new(&client(&[&rule]), &TableNames::of("App"));
    let hold = Hold { owner: Owner::from_u128(1), until: "2026-01-01T12:02:00Z".parse().unwrap() };
    let claim = Claim::new(work("a", "2026-01-01T12:00:00Z"), hold, "2026-01-01T12:01:00Z".parse().unwrap());
    let until = "2026-01-01T12:05:00Z".parse().unwrap();
    assert_eq!(history.claim(&claim).await.unwrap(), Claimed::Held { until });
    assert_eq!(rule.num_calls(), 1);
}
