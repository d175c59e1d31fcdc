//! Why a transaction was cancelled, and what to do about it.

use aws_sdk_dynamodb::types::CancellationReason;
use kairos::{Error, ErrorKind};

use super::commit::Write;
use crate::error::dynamodb::{cancelled, kind_of_reason, row_changed};
use crate::tables::item::Item;

/// What to do about a transaction that was cancelled.
pub(super) enum Verdict {
    /// To expect the rows of these writes as they are spelled.
    Respell(Vec<(usize, Item)>),
    /// To try the same again, in a while.
    Again,
    /// To give up.
    Failed(Error),
}

/// The reasons come one for each write, in their order.
///
/// What cannot pass outweighs what can. A row that has changed comes first: the caller reads again, and does not repeat what is wrong with it.
pub(super) fn judge(writes: &[Write<'_>], reasons: &[CancellationReason]) -> Verdict {
    let (mut respelled, mut met, mut failed) = (Vec::new(), false, None);
    for (index, (write, reason)) in writes.iter().zip(reasons).enumerate() {
        let code = reason.code().unwrap_or_default();
        let Some(kind) = kind_of_reason(code) else { continue };
        match kind {
            ErrorKind::Lost => match reason.item().and_then(|found| write.respells(found)) {
                Some(spelling) => respelled.push((index, spelling)),
                None => return Verdict::Failed(row_changed().about(write.id)),
            },
            ErrorKind::Busy => met = true,
            kind => {
                let error = cancelled(kind, code, reason.message()).about(write.id);
                // Of several, one that trying again does not help.
                failed = failed.filter(|known: &Error| !known.is_retryable()).or(Some(error));
            }
        }
    }
    match failed {
        Some(error) => Verdict::Failed(error),
        None if !respelled.is_empty() => Verdict::Respell(respelled),
        None if met => Verdict::Again,
        None => Verdict::Failed(cancelled(ErrorKind::Unavailable, "no reason", None)),
    }
}
