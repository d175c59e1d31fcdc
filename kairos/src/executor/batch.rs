//! Deliveries that were received together, and the order that their groups ask for.

use std::ops::Deref;
use std::sync::Arc;

use super::Handled;
use crate::backend::Delivery;

/// Whether a delivery is to be executed, or goes back as one that is to run before it does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    Execute,
    HoldBack,
}

impl Turn {
    /// That of the next one of a group.
    pub(super) fn after(handled: &Handled) -> Self {
        if handled.verdict.comes_back() { Self::HoldBack } else { Self::Execute }
    }
}

/// One delivery of a batch, which stays in its place among the others for as long as anybody is at one of them.
#[derive(Clone, Debug)]
pub(super) struct Received {
    batch: Arc<Vec<Delivery>>,
    place: usize,
}

impl Received {
    /// Those that may be begun side by side: the ones without a group, and the first of each group.
    pub(super) fn first_of_each(batch: Vec<Delivery>) -> impl Iterator<Item = Self> {
        let batch = Arc::new(batch);
        (0..batch.len()).map(move |place| Self { batch: Arc::clone(&batch), place }).filter(Self::is_first)
    }

    fn is_first(&self) -> bool {
        self.group.is_none() || !self.batch[..self.place].iter().any(|before| before.group == self.group)
    }

    /// The next one of its group.
    pub(super) fn follower(&self) -> Option<Self> {
        self.group.as_ref()?;
        let mut after = self.place + 1..self.batch.len();
        let place = after.find(|place| self.batch[*place].group == self.group)?;
        Some(Self { batch: Arc::clone(&self.batch), place })
    }

    /// It and all that follow it.
    pub(super) fn and_followers(self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), Self::follower)
    }
}

impl Deref for Received {
    type Target = Delivery;

    fn deref(&self) -> &Delivery {
        &self.batch[self.place]
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::backend::Receipt;
    use crate::model::Body;

    fn batch(deliveries: &[(&str, Option<&str>)]) -> Vec<Delivery> {
        let delivery = |(id, group): &(&str, Option<&str>)| {
            Delivery::new(*id, Receipt::new(*id), Timestamp::UNIX_EPOCH, Body::from_json("{}"))
                .with_group(group.map(Arc::from))
        };
        deliveries.iter().map(delivery).collect()
    }

    #[test]
    fn each_group_is_one_row_in_the_order_of_the_batch() {
        let batch =
            batch(&[("1", Some("a")), ("2", None), ("3", Some("b")), ("4", Some("a")), ("5", None), ("6", Some("a"))]);
        let rows: Vec<Vec<String>> = Received::first_of_each(batch)
            .map(|first| first.and_followers().map(|delivery| delivery.message_id.to_string()).collect())
            .collect();
        assert_eq!(rows, [vec!["1", "4", "6"], vec!["2"], vec!["3"], vec!["5"]]);
    }
}
