//! A proxy before a server that counts what arrives there, by operation: retries too, and what no client tells of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};

pub(crate) type Counts = BTreeMap<String, u64>;

/// Works for as long as the runtime that it was made on.
pub(crate) struct Counting {
    pub(crate) endpoint: String,
    counts: Arc<Mutex<Counts>>,
}

impl Counting {
    pub(crate) async fn before(server: &str) -> Self {
        let server: Arc<str> = server.strip_prefix("http://").unwrap().trim_end_matches('/').into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let counts = Arc::<Mutex<Counts>>::default();
        let seen = counts.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(client, server.clone(), seen.clone()));
            }
        });
        Self { endpoint, counts }
    }

    /// What has arrived since this was asked last.
    pub(crate) fn take(&self) -> Counts {
        std::mem::take(&mut self.counts.lock().unwrap())
    }
}

/// One connection: requests one by one, answers as they come. It ends with either side.
async fn pass(client: TcpStream, server: Arc<str>, seen: Arc<Mutex<Counts>>) {
    let server = TcpStream::connect(&*server).await.unwrap();
    // What comes in pieces goes on in pieces, and must not wait for each to be acknowledged.
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut requests, mut answers) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let forward = async {
        let mut bytes = Vec::new();
        while let Some(request) = next_request(&mut bytes, &mut requests).await {
            *seen.lock().unwrap().entry(operation(&request)).or_default() += 1;
            if to_server.write_all(&request).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = forward => {}
        _ = copy(&mut from_server, &mut answers) => {}
    }
}

/// The next whole request, `None` when there is none any more. What was read of the one after it stays in `bytes`.
async fn next_request(bytes: &mut Vec<u8>, from: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    loop {
        if let Some(length) = request_length(bytes).filter(|length| *length <= bytes.len()) {
            let rest = bytes.split_off(length);
            return Some(std::mem::replace(bytes, rest));
        }
        if from.read_buf(bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// How long a request is that begins here; `None` until its head is complete. No service of ours is sent chunks.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).unwrap();
    assert!(header(text, "transfer-encoding").is_none(), "a body in chunks: {text}");
    Some(head + header(text, "content-length").map_or(0, |length| length.parse::<usize>().unwrap()))
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let named = head.lines().filter_map(|line| line.split_once(':'));
    named.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

/// What a request asks for: in the JSON protocols by a header, in the query protocol by a parameter, in the others by its path.
fn operation(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    if let Some(target) = header(head, "x-amz-target") {
        return target.rsplit('.').next().unwrap_or_default().to_owned();
    }
    if let Some(action) = body.split('&').find_map(|pair| pair.strip_prefix("Action=")) {
        return action.to_owned();
    }
    let path = head.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default();
    match path.rsplit('/').next() {
        Some("invocations") => "Invoke".to_owned(),
        _ => format!("{} {path}", head.split(' ').next().unwrap_or_default()),
    }
}

#[tokio::test]
async fn requests_are_told_apart_and_named() {
    let requests = [
        ("POST / HTTP/1.1\r\nX-Amz-Target: AmazonSQS.SendMessage\r\nContent-Length: 7\r\n\r\nAction=", "SendMessage"),
        ("POST / HTTP/1.1\r\ncontent-length: 30\r\n\r\nVersion=1&Action=AssumeRole&a=", "AssumeRole"),
        ("POST /2015-03-31/functions/f/invocations?Qualifier=1 HTTP/1.1\r\n\r\n", "Invoke"),
        ("GET /schedules/x HTTP/1.1\r\nhost: y\r\n\r\n", "GET /schedules/x"),
    ];
    let stream: String = requests.iter().map(|(text, _)| *text).collect();
    let (mut from, mut bytes) = (stream.as_bytes(), Vec::new());
    for (text, name) in requests {
        let request = next_request(&mut bytes, &mut from).await.unwrap();
        assert_eq!((String::from_utf8_lossy(&request).as_ref(), operation(&request).as_str()), (text, name));
    }
    assert_eq!(next_request(&mut bytes, &mut from).await, None);
}
