//! Claims that race, listings of many executions, and what the table holds beside the wire format.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use kairos::backend::{Claim, Claimed, ExecutionFilter, History as _, Outcome};
use kairos::clock::{Clock as _, SystemClock, later};
use kairos::page::PageRequest;
use kairos::{Execution, ExecutionState, Hold, Owner, WorkItem};
use kairos_aws::DynamoHistory;
use tokio::sync::Barrier;

use crate::support::{Tables, work};

const MINUTE: Duration = Duration::from_secs(60);
const ONE: Owner = Owner::from_u128(1);
const OTHER: Owner = Owner::from_u128(2);

fn claim(work: &WorkItem, owner: Owner, now: Timestamp) -> Claim {
    Claim::new(work.clone(), Hold { owner, until: later(now, MINUTE) }, now)
}

/// Two tasks on threads of their own, which begin together, over and over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_tasks_that_race_for_a_claim_one_is_granted() {
    const RACES: usize = 50;
    let tables = Tables::new().await;
    let history = Arc::new(tables.history());
    let now = SystemClock.now();
    for race in 0..RACES {
        let (work, start) = (work(&format!("carrera {race}"), "2026-01-01T12:00:00Z"), Arc::new(Barrier::new(2)));
        let contender = |owner| {
            let (history, start, claim) = (history.clone(), start.clone(), claim(&work, owner, now));
            tokio::spawn(async move {
                start.wait().await;
                history.claim(&claim).await.unwrap()
            })
        };
        let (one, other) = (contender(ONE), contender(OTHER));
        let (one, other) = (one.await.unwrap(), other.await.unwrap());
        let (granted, held) = (Claimed::Granted { attempt: 1 }, Claimed::Held { until: later(now, MINUTE) });
        assert!((&one, &other) == (&granted, &held) || (&one, &other) == (&held, &granted), "{one:?} {other:?}");
    }
}

#[tokio::test]
async fn a_claim_repeated_with_a_later_end_lasts_until_then() {
    let tables = Tables::new().await;
    let (history, work, now) = (tables.history(), work("ventas", "2026-01-01T12:00:00Z"), SystemClock.now());
    assert_eq!(history.claim(&claim(&work, ONE, now)).await.unwrap(), Claimed::Granted { attempt: 1 });
    let after = later(now, MINUTE / 2);
    assert_eq!(history.claim(&claim(&work, ONE, after)).await.unwrap(), Claimed::Granted { attempt: 1 });
    // An earlier end takes nothing away.
    assert_eq!(history.claim(&claim(&work, ONE, now)).await.unwrap(), Claimed::Granted { attempt: 1 });
    let until = later(after, MINUTE);
    assert_eq!(history.claim(&claim(&work, OTHER, later(now, MINUTE))).await.unwrap(), Claimed::Held { until });
}

/// Nobody took it over: it is still the first attempt.
#[tokio::test]
async fn an_ended_claim_repeated_by_its_owner_is_the_same_attempt() {
    let tables = Tables::new().await;
    let (history, work, now) = (tables.history(), work("ventas", "2026-01-01T12:00:00Z"), SystemClock.now());
    for repeated in [now, later(now, MINUTE * 2), later(now, MINUTE * 4)] {
        assert_eq!(history.claim(&claim(&work, ONE, repeated)).await.unwrap(), Claimed::Granted { attempt: 1 });
    }
    let overtaken = claim(&work, OTHER, later(now, MINUTE * 6));
    assert_eq!(history.claim(&overtaken).await.unwrap(), Claimed::Granted { attempt: 2 });
}

async fn expiry(tables: &Tables, work: &WorkItem) -> String {
    let key = AttributeValue::S(work.execution_id.to_string());
    let request = tables.client.get_item().table_name(&tables.names.executions).key("IdEjecucion", key);
    let item = request.send().await.unwrap().item.unwrap();
    item["Caduca"].as_n().unwrap().clone()
}

#[tokio::test]
async fn an_execution_expires_after_its_claim_or_its_outcome_and_the_retention() {
    const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
    let tables = Tables::new().await;
    let history = tables.history().with_retention(RETENTION);
    let (work, now) = (work("ventas", "2026-01-01T12:00:00Z"), SystemClock.now());
    let kept_from = |instant: Timestamp| later(instant, RETENTION).as_second().to_string();
    history.claim(&claim(&work, ONE, now)).await.unwrap();
    assert_eq!(expiry(&tables, &work).await, kept_from(later(now, MINUTE)));
    history.renew(work.execution_id, ONE, later(now, MINUTE * 2)).await.unwrap();
    assert_eq!(expiry(&tables, &work).await, kept_from(later(now, MINUTE * 2)));
    let outcome = Outcome::new(work.execution_id, ONE, ExecutionState::Succeeded, later(now, MINUTE / 2));
    history.record(&outcome).await.unwrap();
    assert_eq!(expiry(&tables, &work).await, kept_from(later(now, MINUTE / 2)));
}

async fn listed(history: &DynamoHistory, filter: &ExecutionFilter, limit: usize) -> (Vec<Execution>, usize) {
    let (mut all, mut pages, mut page) = (Vec::new(), 0, PageRequest::first(limit));
    while pages < 100 {
        let answer = history.list(filter, &page).await.unwrap();
        all.extend(answer.items);
        pages += 1;
        match answer.next {
            Some(next) => page = page.with_cursor(next),
            None => return (all, pages),
        }
    }
    panic!("the listing of {filter:?} does not end");
}

/// Spread over the partitions of three states, most of one scheduled time, some of which are the processes' second.
#[tokio::test]
async fn listings_page_through_more_than_a_thousand_executions_newest_first() {
    const COUNT: usize = 1_200;
    let tables = Tables::new().await;
    let (history, now) = (tables.history(), SystemClock.now());
    let run = async |number: usize| {
        let due = if number.is_multiple_of(3) { "2026-01-01T12:00:00Z" } else { "2026-01-01T12:00:00.5Z" };
        let work = work(&format!("proceso {number}"), due);
        history.claim(&claim(&work, ONE, now)).await.unwrap();
        let state = match number % 10 {
            0 => return,
            1 => ExecutionState::Dead,
            _ => ExecutionState::Succeeded,
        };
        history.record(&Outcome::new(work.execution_id, ONE, state, now)).await.unwrap();
    };
    stream::iter(0..COUNT).for_each_concurrent(16, run).await;
    for (filter, expected) in [
        (ExecutionFilter::all(), COUNT),
        (ExecutionFilter::all().with_state(ExecutionState::Running), COUNT / 10),
        (ExecutionFilter::all().with_state(ExecutionState::Dead), COUNT / 10),
        (ExecutionFilter::all().with_state(ExecutionState::Succeeded), COUNT / 10 * 8),
        (ExecutionFilter::all().with_state(ExecutionState::Skipped), 0),
        (ExecutionFilter::all().with_until(Some("2026-01-01T12:00:00.5Z".parse().unwrap())), COUNT / 3),
    ] {
        for limit in [1_000, 300] {
            let (all, pages) = listed(&history, &filter, limit).await;
            assert_eq!(all.len(), expected, "{filter:?}");
            let key = |execution: &Execution| (execution.scheduled_time, execution.id.to_string());
            assert!(all.is_sorted_by(|one, other| key(one) > key(other)), "{filter:?}: in order, and each once");
            assert!(all.iter().all(|execution| filter.admits(execution)), "{filter:?}");
            assert_eq!(pages, expected.div_ceil(limit).max(1), "full pages: {filter:?}");
        }
    }
}

/// More partitions find what was written with fewer.
#[tokio::test]
async fn an_index_of_more_partitions_lists_what_was_written_with_fewer() {
    const EACH: usize = 30;
    let tables = Tables::new().await;
    let (few, many) = (tables.history().with_partitions(1), tables.history().with_partitions(64));
    let now = SystemClock.now();
    let mut expected = Vec::new();
    for (history, name) in [(&few, "pocas"), (&many, "muchas")] {
        for number in 0..EACH {
            let work = work(&format!("{name} {number}"), "2026-01-01T12:00:00Z");
            history.claim(&claim(&work, ONE, now)).await.unwrap();
            expected.push(work.execution_id);
        }
    }
    let filter = ExecutionFilter::all().with_state(ExecutionState::Running);
    let (found, _) = listed(&many, &filter, 50).await;
    let mut found: Vec<_> = found.iter().map(|execution| execution.id).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}
