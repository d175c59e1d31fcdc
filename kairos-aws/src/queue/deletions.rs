//! Messages are deleted by tens, also where each is acknowledged by itself.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use kairos::clock::{ClockExt as _, SystemClock};
use kairos::{Error, Result};
use tokio::sync::{Mutex, Notify, oneshot};

use super::{Answers, BATCH};
use crate::error::sqs::{sqs, sqs_entry, unanswered};

/// Deletes up to ten messages; one answer each.
pub(super) async fn delete(client: &Client, url: &str, handles: &[String]) -> Vec<Result<()>> {
    let entries = handles.iter().enumerate().map(|(index, handle)| {
        DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(handle).build()
    });
    let Ok(entries) = entries.collect::<Result<Vec<_>, _>>() else {
        return handles.iter().map(|_| Err(unanswered())).collect();
    };
    match client.delete_message_batch().queue_url(url).set_entries(Some(entries)).send().await.map_err(sqs) {
        Ok(answer) => {
            let mut answers = Answers::new(handles.len());
            answer.successful().iter().for_each(|entry| answers.set(entry.id(), Ok(())));
            answer.failed().iter().for_each(|entry| answers.set(entry.id(), Err(sqs_entry(entry))));
            answers.finish()
        }
        Err(error) => handles.iter().map(|_| Err(Error::new(error.kind(), error.message()))).collect(),
    }
}

/// What is deleted from one queue by whoever uses it.
pub(super) struct Deletions {
    client: Client,
    url: Arc<str>,
    open: Mutex<Option<(Arc<Batch>, WeakShared<Request>)>>,
}

/// Waits, then deletes the whole batch. Whoever has joined it drives it: if all of them go away, so does the request, and their messages
/// come back as they would have.
type Request = BoxFuture<'static, ()>;

/// What goes with one request. It is open for as long as it has room and does not wait too long.
#[derive(Default)]
struct Batch {
    entries: Mutex<Vec<(String, oneshot::Sender<Result<()>>)>>,
    full: Notify,
}

impl Deletions {
    pub(super) fn new(client: Client, url: Arc<str>) -> Self {
        Self { client, url, open: Mutex::default() }
    }

    /// Deletes up to ten messages, with others that are deleted within `wait`; one answer each. Ten of them wait for nobody.
    pub(super) async fn delete(self: &Arc<Self>, handles: &[String], wait: Duration) -> Vec<Result<()>> {
        if wait.is_zero() || handles.len() == BATCH {
            return delete(&self.client, &self.url, handles).await;
        }
        let mut joined = Vec::with_capacity(handles.len());
        for handle in handles {
            joined.push(self.join(handle, wait).await);
        }
        let mut answers = Vec::with_capacity(handles.len());
        for (request, answer) in joined {
            request.await;
            answers.push(answer.await.unwrap_or_else(|_| Err(unanswered())));
        }
        answers
    }

    async fn join(self: &Arc<Self>, handle: &str, wait: Duration) -> (Shared<Request>, oneshot::Receiver<Result<()>>) {
        let (answer, answered) = oneshot::channel();
        let mut open = self.open.lock().await;
        let joined = open.take().and_then(|(batch, request)| Some((batch, request.upgrade()?)));
        let (batch, request) = joined.unwrap_or_else(|| self.begin(wait));
        let mut entries = batch.entries.lock().await;
        entries.push((handle.to_owned(), answer));
        let is_full = entries.len() == BATCH;
        drop(entries);
        if is_full {
            batch.full.notify_one();
        } else {
            *open = request.downgrade().map(|request| (batch, request));
        }
        (request, answered)
    }

    fn begin(self: &Arc<Self>, wait: Duration) -> (Arc<Batch>, Shared<Request>) {
        let batch = Arc::new(Batch::default());
        let (own, this) = (batch.clone(), self.clone());
        let request = async move {
            SystemClock.within(wait, own.full.notified()).await;
            let mut open = this.open.lock().await;
            open.take_if(|(batch, _)| Arc::ptr_eq(batch, &own));
            drop(open);
            let entries = std::mem::take(&mut *own.entries.lock().await);
            let (handles, askers): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
            for (answer, asker) in delete(&this.client, &this.url, &handles).await.into_iter().zip(askers) {
                // Somebody may have gone away meanwhile.
                let _ = asker.send(answer);
            }
        };
        (batch, request.boxed().shared())
    }
}
