//! The conformance suites.

use kairos::clock::{Clock as _, ManualClock, SystemClock};
use kairos::conformance::{self, Report};

use crate::support::{Tables, options};

/// That every case applies. What was found is printed, for whoever reads the log.
fn assert_whole(report: &Report, cases: usize) {
    println!("{report}");
    assert!(report.not_applicable.is_empty() && report.cases.len() == cases, "{report}");
}

#[tokio::test]
async fn the_store_conforms() {
    let tables = Tables::new().await;
    assert_whole(&conformance::store(&tables.store()).await, 37);
}

/// The clock is moved by hand: when a claim has ended is told by the claims alone. It begins now, as rows expire by the service's clock.
#[tokio::test]
async fn the_history_conforms_also_the_second_time() {
    let tables = Tables::new().await;
    let (history, clock) = (tables.history(), ManualClock::at(SystemClock.now()));
    for _ in 0..2 {
        assert_whole(&conformance::history(&history, &clock).await, 38);
    }
}

#[tokio::test]
async fn making_tables_again_leaves_them_as_they_are() {
    let tables = Tables::new().await;
    kairos_aws::create_tables(&tables.client, &tables.names, &options()).await.unwrap();
    let describe = tables.client.describe_time_to_live().table_name(&tables.names.executions);
    let expiry = describe.send().await.unwrap().time_to_live_description.unwrap();
    assert_eq!(expiry.attribute_name(), Some("Caduca"));
    let describe = tables.client.describe_table().table_name(&tables.names.executions).send().await.unwrap();
    let mut indexes: Vec<_> = describe
        .table
        .unwrap()
        .global_secondary_indexes
        .unwrap()
        .into_iter()
        .map(|index| index.index_name.unwrap())
        .collect();
    indexes.sort();
    assert_eq!(indexes, ["PorEstado", "PorProceso"]);
}
