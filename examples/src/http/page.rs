//! Pages of listings as they are answered.

use kairos::page::{Page, PageRequest};
use kairos::{Error, Result};
use serde::Serialize;

use super::body::Json;

/// The largest answer that is aimed at, in bytes: in the 6 MB of a Lambda function's answer, quotes and backslashes are escaped once more
/// (AWS Lambda developer guide, "Quotas").
const LARGEST: usize = 2 * 1024 * 1024;

/// A listing: which page of it was asked for, and how a page of it is read and written.
pub(super) struct Listed<Read, Write> {
    /// Which page.
    pub(super) page: PageRequest,
    /// Reads a page.
    pub(super) read: Read,
    /// What is answered for a page.
    pub(super) write: Write,
}

/// Answers a page: with fewer items than were asked for where those would be too large together.
pub(super) async fn answer_page<T, Reading, V: Serialize>(
    listed: Listed<impl Fn(PageRequest) -> Reading, impl Fn(Page<T>) -> V>,
) -> Result<Json, Error>
where
    Reading: Future<Output = Result<Page<T>>>,
{
    let Listed { mut page, read, write } = listed;
    loop {
        let found = read(page.clone()).await?;
        let count = found.items.len();
        let answer = Json::of(&write(found))?;
        if answer.len() <= LARGEST || count <= 1 {
            return Ok(answer);
        }
        page.limit = count / 2;
    }
}
