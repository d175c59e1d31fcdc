//! What must hold of anything that comes in from outside, whatever it is: one function per surface, which panics where it does not.
//!
//! | function | what comes in | the text |
//! | --- | --- | --- |
//! | [`expressions`] | schedule expressions | `ZONE INSTANT START END ANCHOR`, a line feed, the expression |
//! | [`targets`] | names of targets and roles | the name |
//! | [`triggers`] | inputs of the dispatcher | the JSON |
//! | [`messages`] | bodies of queue messages | the JSON; `=` as an id of process or execution stands for the one that belongs there |
//! | [`placeholders`] | parameters | the parameters |
//! | [`stored`] | items of the tables | the JSON of a process, a schedule or an execution |
//! | [`cursors`] | cursors of listings | `LIMIT`, a line feed, the cursor; `=` before a position stands for its seal, `~` for that of another position |
//! | [`requests`] | bodies of API calls | the JSON of a registration, a line feed, the JSON of changes |
//! | [`ids`] | specifications and ids | one specification as JSON, a line feed, another |
//! | [`executions`] | messages that are executed | how the target answers, a line feed, the body as of [`messages`] |
//!
//! Everywhere: what is accepted is written and read back as the same, and written again as the same text; what is refused is refused
//! with one line that says so, and with a place inside the text, if it names one.
//!
//! The targets run with `scripts/fuzz`; what a text of the corpus does is seen with `scripts/fuzz --replay TARGET FILE`.
#![forbid(unsafe_code)]

mod cursors;
mod driving;
mod executions;
mod expressions;
mod ids;
mod input;
mod messages;
mod placeholders;
mod refusal;
mod requests;
mod stored;
mod targets;
mod triggers;

pub use cursors::cursors;
pub use executions::executions;
pub use expressions::expressions;
pub use ids::ids;
pub use messages::messages;
pub use placeholders::placeholders;
pub use requests::requests;
pub use stored::stored;
pub use targets::targets;
pub use triggers::triggers;
