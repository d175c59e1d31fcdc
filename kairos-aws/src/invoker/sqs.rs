//! Queues: sent to, by the URL that the service gives for their ARN.

use std::collections::HashMap;

use aws_sdk_sqs::Client;
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use kairos::{Arn, Error, ErrorKind};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::failure::Failure;
use super::message::addressed;
use super::{Call, send_as};
use crate::error;

/// How many URLs are remembered; beyond that all are asked for again.
const MOST_URLS: usize = 10_000;

/// Queues, and where they are. Where a queue is does not depend on who asks.
#[derive(Debug)]
pub(super) struct Queues {
    client: Client,
    urls: Mutex<HashMap<Box<str>, Url>>,
}

#[derive(Clone, Debug)]
enum Url {
    Known(String),
    /// Somebody asks; this ends with the answer, whatever it is.
    Asked(Shared<oneshot::Receiver<()>>),
}

impl Queues {
    pub(super) fn new(client: Client) -> Self {
        Self { client, urls: Mutex::default() }
    }

    pub(super) async fn invoke(&self, call: &Call<'_>) -> Result<(), Failure> {
        let url = self.url(call).await?;
        let request = self
            .client
            .send_message()
            .queue_url(url)
            .set_message_body(call.invocation.payload.as_deref().map(str::to_owned));
        let request = addressed!(aws_sdk_sqs, call, request);
        let answer = send_as!(aws_sdk_sqs, call, request);
        let failure = match answer {
            Ok(_) => return Ok(()),
            Err(error) => Failure::of(error, error::of_send_to_target),
        };
        if failure.error.kind() == ErrorKind::NotFound {
            self.urls.lock().remove(call.target.as_str());
        }
        Err(failure)
    }

    /// Whether the queue is there, and the role may know.
    pub(super) async fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        self.ask(call).await.map(|_| ())
    }

    /// One asks for all who need it at that time. Its role may not be allowed to: then each asks as its own.
    async fn url(&self, call: &Call<'_>) -> Result<String, Failure> {
        let target = call.target;
        let (mut answered, mut asked) = (None, None);
        {
            let mut urls = self.urls.lock();
            match urls.get(target.as_str()) {
                Some(Url::Known(url)) => return Ok(url.clone()),
                Some(Url::Asked(other)) => asked = Some(other.clone()),
                None => {
                    let (sender, receiver) = oneshot::channel();
                    answered = Some(sender);
                    remember(&mut urls, target, Url::Asked(receiver.shared()));
                }
            }
        }
        if let Some(asked) = asked {
            // An error, as nothing is ever sent.
            let _ = asked.await;
            if let Some(Url::Known(url)) = self.urls.lock().get(target.as_str()) {
                return Ok(url.clone());
            }
        }
        let url = self.ask(call).await;
        let mut urls = self.urls.lock();
        match &url {
            Ok(url) => remember(&mut urls, target, Url::Known(url.clone())),
            Err(_) if answered.is_some() => drop(urls.remove(target.as_str())),
            Err(_) => {}
        }
        url
    }

    async fn ask(&self, call: &Call<'_>) -> Result<String, Failure> {
        let request = self.client.get_queue_url().queue_name(call.target.resource());
        let request = request.queue_owner_aws_account_id(call.target.account());
        let answer = send_as!(aws_sdk_sqs, call, request);
        let answer = answer.map_err(|error| Failure::of(error, error::of_get_queue_url))?;
        let missing = || Error::new(ErrorKind::Unavailable, "the service answered without a URL");
        Ok(answer.queue_url.ok_or_else(missing)?)
    }
}

fn remember(urls: &mut HashMap<Box<str>, Url>, target: &Arn, url: Url) {
    if urls.len() >= MOST_URLS {
        urls.clear();
    }
    urls.insert(target.as_str().into(), url);
}
