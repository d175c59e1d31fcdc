//! A client that does no more than it must. In a test's build the SDK takes milliseconds for each call, and here are tens of thousands.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::place::{ACCOUNT, endpoint};

/// A connection to a service that is spoken to in JSON.
pub(crate) struct Raw {
    stream: BufReader<TcpStream>,
    host: String,
    /// What precedes the body of every request but for the operation and the length.
    headers: String,
    targets: &'static str,
}

impl Raw {
    pub(crate) async fn dynamodb() -> Self {
        Self::new("KAIROS_TEST_DYNAMODB", "dynamodb", "DynamoDB_20120810").await
    }

    pub(crate) async fn sqs() -> Self {
        Self::new("KAIROS_TEST_AWS", "sqs", "AmazonSQS").await
    }

    async fn new(variable: &str, service: &str, targets: &'static str) -> Self {
        let endpoint = endpoint(variable);
        let host = endpoint.strip_prefix("http://").unwrap().trim_end_matches('/');
        // Neither server looks at the signature, only at who signs.
        let headers = format!(
            "Host: {host}\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Date: 20260101T000000Z\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/us-east-1/{service}/aws4_request, \
             SignedHeaders=host, Signature=none\r\n"
        );
        Self { stream: connect(host).await, host: host.to_owned(), headers, targets }
    }

    /// The answer, which must be a success.
    pub(crate) async fn call<T: DeserializeOwned>(&mut self, operation: &str, request: &impl Serialize) -> T {
        let body = serde_json::to_string(request).unwrap();
        let Self { headers, targets, .. } = self;
        let length = body.len();
        let request = format!(
            "POST / HTTP/1.1\r\n{headers}X-Amz-Target: {targets}.{operation}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let (mut head, mut length) = (String::new(), None);
        self.stream.write_all(request.as_bytes()).await.unwrap_or_default();
        if self.stream.read_line(&mut head).await.unwrap_or_default() == 0 {
            // A server closes a connection that it has answered on for a while.
            self.stream = connect(&self.host).await;
            self.stream.write_all(request.as_bytes()).await.unwrap();
        }
        while !head.ends_with("\r\n\r\n") {
            let from = head.len();
            assert_ne!(self.stream.read_line(&mut head).await.unwrap(), 0, "{operation} was not answered");
            let header = head[from..].split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            length = header.map(|(_, value)| value.trim().parse().unwrap()).or(length);
        }
        let mut answer = vec![0; length.unwrap_or_else(|| panic!("of what length? {head}"))];
        self.stream.read_exact(&mut answer).await.unwrap();
        let text = String::from_utf8(answer).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{operation}: {head}{text}");
        serde_json::from_str(&text).unwrap()
    }
}

async fn connect(host: &str) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(host).await.unwrap();
    stream.set_nodelay(true).unwrap();
    BufReader::new(stream)
}
