//! Each part with the least that it must be allowed, on a server that enforces it; and that there is nothing in the published
//! policies which could be taken out.

#[path = "permissions/account.rs"]
mod account;
#[path = "permissions/calls.rs"]
mod calls;
#[path = "permissions/executing.rs"]
mod executing;
#[path = "permissions/registering.rs"]
mod registering;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use kairos::{Error, Failure};
use serde_json::Value;

use self::account::{Grant, Site, service_trust};

/// What became of each operation of a part.
type Outcomes = BTreeMap<&'static str, Result<(), Failure>>;

/// A part of an installation, at work with nothing but the credentials of its role.
#[async_trait]
trait Part: Send + Sync + Sized {
    /// The policy that is published for it.
    const POLICY: &'static str;

    /// What it finds when it begins.
    async fn prepare(site: &Site) -> Self;

    /// What its role is called, after the application.
    fn role() -> &'static str {
        Self::POLICY
    }

    /// Who may act as its role.
    fn trust(_site: &Site) -> Value {
        service_trust("lambda.amazonaws.com")
    }

    /// What a denial of an action says of it, and of what to do.
    fn says(action: &str) -> [String; 2] {
        [format!("may not do {action}"), "allow it there".into()]
    }

    /// All that it does. What has been done is done once more without harm.
    async fn work(&self, site: &Site, role: &str) -> Outcomes;

    /// Nothing is lost, and nothing left behind.
    async fn settled(&self, site: &Site);
}

fn told<T>(result: Result<T, Error>) -> Result<(), Failure> {
    result.map(drop).map_err(|error| Failure::from(&error))
}

/// A part works with its policy. Without any one permission of it, just those operations fail that `needs` names, saying what was
/// denied; with it again, they work, and nothing is lost.
async fn prove<P: Part>(needs: &[(&str, &str, &[&'static str])]) {
    let site = Site::new().await;
    let grants = site.policy(P::POLICY).grants();
    let listed: BTreeSet<_> = needs.iter().map(|(statement, action, _)| (*statement, *action)).collect();
    let published: BTreeSet<_> = grants.iter().map(|g| (g.statement.as_str(), g.action.as_str())).collect();
    assert_eq!(published, listed, "the policy of the {} is what is known to be needed", P::POLICY);

    let cases = std::iter::once(None).chain(grants.iter().map(Some)).map(|taken| async move {
        let needing = needs.iter().find(|(statement, action, _)| {
            taken.is_some_and(|taken| taken.statement == *statement && taken.action == *action)
        });
        one_case::<P>(taken, needing.map_or(&[], |(.., operations)| operations)).await
    });
    let counts: Vec<_> = stream::iter(cases).buffer_unordered(30).collect().await;
    println!(
        "{}: {} operations with {} permissions; without each of these, {} denials in all",
        P::POLICY,
        counts[0].0,
        grants.len(),
        counts.iter().map(|(_, denials)| denials).sum::<usize>()
    );
}

async fn one_case<P: Part>(taken: Option<&Grant>, needing: &[&'static str]) -> (usize, usize) {
    let site = Site::new().await.with_services().await;
    let part = P::prepare(&site).await;
    let whole = site.policy(P::POLICY);
    let policy = taken.map_or(whole.clone(), |grant| whole.clone().without(grant));
    let role = site.role(P::role(), &P::trust(&site), Some(&policy)).await;

    let outcomes = part.work(&site, &role).await;
    let failures: Vec<_> =
        outcomes.iter().filter_map(|(name, outcome)| Some((*name, outcome.as_ref().err()?))).collect();
    let failed: BTreeSet<_> = failures.iter().map(|(name, _)| *name).collect();
    let expected: BTreeSet<_> = needing.iter().copied().collect();
    assert_eq!(failed, expected, "{} without {taken:?}: {failures:#?}", P::POLICY);
    for (name, failure) in &failures {
        let Grant { action, .. } = taken.unwrap();
        // A dispatch that failed is to be tried again by its trigger, whatever it failed for.
        let kinds = if P::POLICY == "dispatcher" { &["denied", "failed"][..] } else { &["denied"] };
        assert!(kinds.contains(&&*failure.kind), "{name} without {action}: {failure:?}");
        assert!(P::says(action).iter().all(|words| failure.text.contains(words)), "{name}: {}", failure.text);
        println!("{} {name}: {}", P::POLICY, failure.text);
    }

    if taken.is_some() {
        site.allow(&role, "lo-suyo", &whole).await;
        let outcomes = part.work(&site, &role).await;
        assert!(outcomes.values().all(Result::is_ok), "{} with {taken:?} again: {outcomes:#?}", P::POLICY);
    }
    part.settled(&site).await;
    (outcomes.len(), failures.len())
}
