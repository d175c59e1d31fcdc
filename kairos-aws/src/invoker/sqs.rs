//! Queues: sent to, by the URL that the service gives for their ARN.

use std::collections::HashMap;
use std::sync::Mutex;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageAttributeValue;
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use kairos::backend::Invocation;
use kairos::{Arn, Error, ErrorKind, TargetKind};
use tokio::sync::oneshot;

use super::as_session;
use super::failure::Failure;
use super::message::{Fifo, attributes, body, check_size};
use super::sessions::Session;
use super::sync::lock;
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

    pub(super) async fn invoke(&self, session: &Session, target: &Arn, invocation: &Invocation) -> Result<(), Failure> {
        let attributes = attributes(invocation);
        let body = body(TargetKind::Sqs, invocation.payload.as_deref())?;
        check_size(TargetKind::Sqs, Some(body), &attributes)?;
        let url = self.url(session, target).await?;
        let mut request = self.client.send_message().queue_url(url).message_body(body);
        for attribute in attributes {
            let value =
                MessageAttributeValue::builder().data_type(attribute.data_type).string_value(attribute.value).build();
            request = request.message_attributes(attribute.name, value.map_err(error::no_request)?);
        }
        if let Some(fifo) = Fifo::of(target, invocation) {
            request = request.message_group_id(fifo.group).message_deduplication_id(fifo.deduplication);
        }
        let answer = request.customize().config_override(as_session!(aws_sdk_sqs, session, target)).send().await;
        let failure = match answer {
            Ok(_) => return Ok(()),
            Err(error) => Failure::of(error, error::of_send_to_target),
        };
        if failure.error.kind() == ErrorKind::NotFound {
            lock(&self.urls).remove(target.as_str());
        }
        Err(failure)
    }

    /// Whether the queue is there, and the role may know.
    pub(super) async fn check(&self, session: &Session, target: &Arn) -> Result<(), Failure> {
        self.ask(session, target).await.map(|_| ())
    }

    /// One asks for all who need it at that time. Its role may not be allowed to: then each asks as its own.
    async fn url(&self, session: &Session, target: &Arn) -> Result<String, Failure> {
        let (mut answered, mut asked) = (None, None);
        {
            let mut urls = lock(&self.urls);
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
            if let Some(Url::Known(url)) = lock(&self.urls).get(target.as_str()) {
                return Ok(url.clone());
            }
        }
        let url = self.ask(session, target).await;
        let mut urls = lock(&self.urls);
        match &url {
            Ok(url) => remember(&mut urls, target, Url::Known(url.clone())),
            Err(_) if answered.is_some() => drop(urls.remove(target.as_str())),
            Err(_) => {}
        }
        url
    }

    async fn ask(&self, session: &Session, target: &Arn) -> Result<String, Failure> {
        let answer = self
            .client
            .get_queue_url()
            .queue_name(target.resource())
            .queue_owner_aws_account_id(target.account())
            .customize()
            .config_override(as_session!(aws_sdk_sqs, session, target))
            .send()
            .await
            .map_err(|error| Failure::of(error, error::of_get_queue_url))?;
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
