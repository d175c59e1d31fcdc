//! Asking what runs in the background to come to an end.

use tokio::sync::watch;

/// Asks for the end. Dropping it asks too.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

/// Knows whether the end has been asked for. Clones share it.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// A way to ask for the end, and to hear of it.
#[must_use]
pub fn shutdown() -> (ShutdownTrigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (ShutdownTrigger(sender), Shutdown(receiver))
}

impl ShutdownTrigger {
    /// Asks for the end.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Completes once the end has been asked for.
    pub async fn requested(&mut self) {
        // An error means that nobody is left to ask: the end as well.
        let _ = self.0.wait_for(|requested| *requested).await;
    }

    /// Whether the end has been asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn the_end_is_heard_by_all() {
        let (trigger, mut one) = shutdown();
        let mut two = one.clone();
        assert!(one.requested().now_or_never().is_none() && !one.is_requested());
        trigger.request();
        assert!(one.requested().now_or_never().is_some() && two.requested().now_or_never().is_some());
        assert!(two.is_requested());
    }

    #[test]
    fn a_dropped_trigger_is_the_end() {
        let (trigger, mut end) = shutdown();
        drop(trigger);
        assert!(end.requested().now_or_never().is_some() && end.is_requested());
    }
}
