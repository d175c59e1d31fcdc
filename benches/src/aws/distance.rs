//! Servers as far away as the services are: what is waited for is not the servers' work, nor their share of these cores.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use kairos::clock::{ClockExt as _, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};

use super::Outcome;

/// How long a request is on its way.
pub(super) const DISTANCE: Duration = Duration::from_millis(15);

/// The address of a relay that holds every request to a server back. It works on a thread of its own, until the program ends.
pub(super) fn away_from(server: &str) -> Outcome<String> {
    let server: Arc<str> = server.trim_start_matches("http://").trim_end_matches('/').into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = format!("http://{}", listener.local_addr()?);
    thread::spawn(move || {
        runtime.block_on(async {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, server.clone()));
            }
        });
    });
    Ok(address)
}

/// One connection: requests one by one, answers as they come. It ends with either side.
async fn relay(client: TcpStream, server: Arc<str>) -> io::Result<()> {
    let server = TcpStream::connect(&*server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut requests, mut answers) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let forward = async {
        // Longer than any request here: one that came in two pieces would be held back twice.
        let mut bytes = vec![0; 1 << 17];
        loop {
            let length = requests.read(&mut bytes).await?;
            if length == 0 {
                return Ok(());
            }
            SystemClock.sleep(DISTANCE).await;
            to_server.write_all(&bytes[..length]).await?;
        }
    };
    tokio::select! {
        ended = forward => ended,
        ended = copy(&mut from_server, &mut answers) => ended.map(drop),
    }
}
