//! Conversations with the API, to the byte: each file holds requests and the answers to them, in order.
//!
//! `> METHOD PATH` and perhaps a body behind another `>` is a request, `< STATUS MEDIA-TYPE` and a body the answer, `! SECONDS` lets time pass,
//! and `#` says why. `UPDATE_GOLDEN=1` writes the answers as they are.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::support::World;

async fn converse(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/golden").join(name);
    let written = std::fs::read_to_string(&path).unwrap();
    let mut world = World::new();
    let mut heard = String::new();
    let mut lines = written.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(seconds) = line.strip_prefix("! ") {
            world.kairos.advance(Duration::from_secs(seconds.parse().unwrap())).await;
        }
        if line.starts_with('<') {
            continue;
        }
        writeln!(heard, "{line}").unwrap();
        let Some((method, path)) = line.strip_prefix("> ").and_then(|request| request.split_once(' ')) else {
            continue;
        };
        let body = lines.next_if(|line| line.starts_with("> "));
        if let Some(body) = body {
            writeln!(heard, "{body}").unwrap();
        }
        let answer = world.ask(method, path, body.map_or("", |body| &body[2..])).await;
        write!(heard, "< {} {}", answer.status.as_u16(), answer.header("content-type").unwrap()).unwrap();
        if let Some(allowed) = answer.header("allow") {
            write!(heard, " allow: {allowed}").unwrap();
        }
        writeln!(heard, "\n< {}", answer.text).unwrap();
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &heard).unwrap();
        return;
    }
    for (number, (expected, actual)) in written.lines().zip(heard.lines()).enumerate() {
        assert_eq!(actual, expected, "{name}:{}", number + 1);
    }
    assert_eq!(heard.lines().count(), written.lines().count());
}

macro_rules! conversations {
    ($($name:ident)+) => {
        $(#[tokio::test]
        async fn $name() {
            converse(concat!(stringify!($name), ".http")).await;
        })+
    };
}

conversations!(registering changing listing schedules running refused older_clients);
