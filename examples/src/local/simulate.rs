//! `simulate`: a span of time on a manual clock, and an account of every occurrence in it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use comfy_table::{Cell, CellAlignment, Table, presets};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use kairos::backend::{ExecutionFilter, History};
use kairos::clock::{Clock as _, ManualClock, SystemClock, between, later, whole_second};
use kairos::page::PageRequest;
use kairos::{Execution, ExecutionState, Process, Registration};
use kairos_memory::{Embedded, Simulation};
use serde::Serialize;

use super::{Result, file, instant_or_now, tasks};

/// What `simulate` is asked.
#[derive(Args, Debug)]
pub struct Arguments {
    /// JSON array of registrations, as the API takes them.
    file: PathBuf,
    /// How long, as 24h, 90m, 7d, 1y.
    #[arg(long = "for", value_name = "SPAN", default_value = "24h")]
    span: Span,
    /// When it begins; now if it is not given. Everything is registered then.
    #[arg(long, value_name = "INSTANT")]
    from: Option<Timestamp>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// What became of the occurrences of a span of time: after `Desde`, up to and including `Hasta`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Account {
    /// Where the span begins.
    pub desde: Timestamp,
    /// Where it ends.
    pub hasta: Timestamp,
    /// One line per process, in the order of the file.
    pub procesos: Vec<Line>,
}

/// What became of the occurrences of one process.
///
/// Each expected one has run, failed and still comes back, is dead, was skipped as too late, or is lost: the last five add up to the first.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Line {
    /// The process.
    pub id_proceso: String,
    /// Its name.
    pub nombre: String,
    /// How many occurrences its expression has in the span, computed from the expression alone; none if it is disabled.
    pub previstas: usize,
    /// How many of them its target took.
    pub ejecutadas: usize,
    /// How many of them failed and are still to be tried again.
    pub fallidas: usize,
    /// How many of them lie with the dead letters.
    pub muertas: usize,
    /// How many of them came too late to be run.
    pub omitidas: usize,
    /// How many of them have none of these ends.
    pub perdidas: usize,
    /// How many executions are no occurrence at all.
    #[serde(skip)]
    pub unexpected: usize,
    /// How many tries failed.
    #[serde(skip)]
    pub failures: usize,
    /// The first fires after the beginning.
    #[serde(skip)]
    pub next: Vec<Timestamp>,
}

/// Runs the command.
///
/// # Errors
/// If the file cannot be read or holds faults, or an occurrence was lost.
pub fn main(arguments: &Arguments) -> Result<()> {
    let from = instant_or_now(arguments.from);
    let until = from.to_zoned(TimeZone::UTC).checked_add(arguments.span)?.timestamp();
    if until <= from {
        return Err("--for: a span longer than nothing is expected, like 24h".into());
    }
    let registrations = file::read(&arguments.file)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let started = SystemClock.now();
    let account = runtime.block_on(simulate(arguments, &registrations, from, until))?;
    let took = between(started, SystemClock.now());
    let mut output = std::io::stdout().lock();
    if arguments.json {
        writeln!(output, "{}", serde_json::to_string(&account)?)?;
    } else {
        print(&mut output, &account, took)?;
    }
    let (lost, unexpected) = (account.sum(|line| line.perdidas), account.sum(|line| line.unexpected));
    if lost + unexpected > 0 {
        return Err(format!("{lost} occurrences were lost and {unexpected} executions were none").into());
    }
    Ok(())
}

async fn simulate(
    arguments: &Arguments,
    registrations: &[Registration],
    from: Timestamp,
    until: Timestamp,
) -> Result<Account> {
    let clock = ManualClock::at(from);
    // Whatever still runs after the span has this long to end.
    let after = Duration::from_secs(30 * 24 * 60 * 60);
    let mut kairos = Embedded::builder()
        .with_tasks(tasks::with_stand_ins(Arc::new(clock.clone()), file::tasks(registrations)))
        .with_recorded_calls(0)
        .with_history_retention(between(from, until) + 2 * after)
        .simulate(clock);
    let processes = file::register(&arguments.file, kairos.scheduler(), registrations).await?;
    kairos.advance_to(until).await;
    // An occurrence of the span may fire later, within its flexible window.
    let window = processes.iter().filter_map(|process| process.window_minutes).max().unwrap_or(0);
    kairos.advance_to(later(until, Duration::from_secs(60 * u64::from(window)))).await;
    kairos.drain(after).await;
    account(&kairos, registrations, &processes, from, until).await
}

/// Holds what history says against what the expressions alone say.
async fn account(
    kairos: &Simulation,
    registrations: &[Registration],
    processes: &[Process],
    from: Timestamp,
    until: Timestamp,
) -> Result<Account> {
    let mut lines = Vec::new();
    for (registration, process) in registrations.iter().zip(processes) {
        // A rate counts from the second in which its schedule was made, which is the one in which the span begins.
        let timetable = registration.specification().timetable(whole_second(from))?;
        let expected = timetable.after(from).take_while(|at| *at <= until);
        let mut executions = executions(kairos, process, until).await?;
        let mut line = Line {
            id_proceso: process.id.to_string(),
            nombre: process.name.clone(),
            next: timetable.after(from).take(2).collect(),
            ..Line::default()
        };
        for at in expected.take_while(|_| process.enabled) {
            line.previstas += 1;
            match executions.remove(&at) {
                Some(execution) => line.count(&execution),
                None => line.perdidas += 1,
            }
        }
        line.unexpected = executions.len();
        lines.push(line);
    }
    Ok(Account { desde: from, hasta: until, procesos: lines })
}

/// The executions of a process by their scheduled time, up to `until`.
async fn executions(
    kairos: &Simulation,
    process: &Process,
    until: Timestamp,
) -> Result<BTreeMap<Timestamp, Execution>> {
    let filter =
        ExecutionFilter::all().with_process(process.id.clone()).with_until(later(until, Duration::from_nanos(1)));
    let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
    let mut executions = BTreeMap::new();
    loop {
        let listed = kairos.history().list(&filter, &page).await?;
        executions.extend(listed.items.into_iter().map(|execution| (execution.scheduled_time, execution)));
        match listed.next {
            Some(cursor) => page = page.with_cursor(cursor),
            None => return Ok(executions),
        }
    }
}

impl Line {
    fn count(&mut self, execution: &Execution) {
        let end = match execution.state {
            ExecutionState::Succeeded => &mut self.ejecutadas,
            ExecutionState::Failed => &mut self.fallidas,
            ExecutionState::Dead => &mut self.muertas,
            ExecutionState::Skipped => &mut self.omitidas,
            _ => &mut self.perdidas,
        };
        *end += 1;
        // The last try of what ran succeeded, and that of what was skipped was none.
        let unfailed = matches!(execution.state, ExecutionState::Succeeded | ExecutionState::Skipped);
        self.failures += execution.attempts as usize - usize::from(unfailed);
    }
}

impl Account {
    fn sum(&self, count: impl Fn(&Line) -> usize) -> usize {
        self.procesos.iter().map(count).sum()
    }
}

fn print(output: &mut impl Write, account: &Account, took: Duration) -> Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "process",
        "next fires",
        "",
        "expected",
        "runs",
        "failed tries",
        "dead letters",
        "skipped",
        "lost",
    ]);
    for line in &account.procesos {
        let mut next = line.next.iter().map(ToString::to_string);
        let mut cells = vec![Cell::new(&line.nombre)];
        cells.extend((0..2).map(|_| Cell::new(next.next().unwrap_or_default())));
        let lost = line.perdidas + line.fallidas;
        let counts = [line.previstas, line.ejecutadas, line.failures, line.muertas, line.omitidas, lost];
        cells.extend(counts.map(|count| Cell::new(count).set_alignment(CellAlignment::Right)));
        table.add_row(cells);
    }
    writeln!(output, "{}", table.trim_fmt())?;
    writeln!(
        output,
        "\n{} to {}, simulated in {:.2} s: {} occurrences expected, {} run, {} dead letters, {} skipped, {} lost",
        account.desde,
        account.hasta,
        took.as_secs_f64(),
        account.sum(|line| line.previstas),
        account.sum(|line| line.ejecutadas),
        account.sum(|line| line.muertas),
        account.sum(|line| line.omitidas),
        account.sum(|line| line.perdidas + line.fallidas),
    )?;
    Ok(())
}
