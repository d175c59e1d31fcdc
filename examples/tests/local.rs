//! The local program as its user sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use kairos::clock::{Clock as _, SystemClock};
use serde_json::Value;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/processes.json");

fn local(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    local(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A file of its own for each test.
fn file(name: &str, text: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_quarter_of_the_shipped_file_loses_nothing_and_agrees_with_the_expressions() {
    // From winter into summer time in the north, and out of it in the south.
    let output = run(&["simulate", SHIPPED, "--for", "92d", "--from", "2026-03-01T00:00:00Z", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let account: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&account["Desde"], &account["Hasta"]),
        (&"2026-03-01T00:00:00Z".into(), &"2026-06-01T00:00:00Z".into())
    );
    let count = |name: &str, what: &str| -> u64 {
        let lines = account["Procesos"].as_array().unwrap();
        lines.iter().find(|line| line["Nombre"] == name).unwrap()[what].as_u64().unwrap()
    };
    for line in account["Procesos"].as_array().unwrap() {
        let sum: u64 = ["Ejecutadas", "Fallidas", "Muertas", "Omitidas", "Perdidas"]
            .iter()
            .map(|what| line[*what].as_u64().unwrap())
            .sum();
        assert_eq!(line["Previstas"], sum, "{line}");
        assert_eq!((&line["Perdidas"], &line["Fallidas"]), (&0.into(), &0.into()), "{line}");
    }
    // Counted by hand: 65 weekdays; 92 nights, of which the one of 8 March skips 02:30; every quarter of an hour.
    assert_eq!(count("informe-de-ventas", "Ejecutadas"), 65);
    assert_eq!(count("reporte-de-madrugada", "Ejecutadas"), 2 * 92 - 1);
    assert_eq!(count("limpieza-de-sesiones", "Ejecutadas"), 92 * 96);
    assert_eq!((count("pasarela-caida", "Ejecutadas"), count("pasarela-caida", "Muertas")), (0, 92 * 4));
    assert_eq!(count("cobro-inestable", "Ejecutadas"), 92 * 12);
    assert_eq!(count("en-pausa", "Previstas"), 0);
}

#[test]
fn the_table_names_every_process_and_ends_with_what_was_lost() {
    let output = run(&["simulate", SHIPPED, "--from", "2026-01-01T00:00:00Z"]);
    let shown = text(&output.stdout);
    for name in ["informe-de-ventas", "en-pausa", "pasarela-caida"] {
        assert!(shown.lines().any(|line| line.trim_start().starts_with(name)), "{shown}");
    }
    assert!(shown.trim_end().ends_with("4 dead letters, 0 skipped, 0 lost"), "{shown}");
}

#[test]
fn a_faulty_file_is_told_line_by_line_and_nothing_starts() {
    let faulty = file(
        "faulty.json",
        r#"[{"nombre":"bien","cron":"rate(1 day)","arnProceso":"kairos:task:ok"},
            {"nombre":"mal","cron":"cron(0 9 * * * *)","arnProceso":"kairos:task:","ventanaMinutos":0},
            {"cron":7}]"#,
    );
    let output = run(&["simulate", &faulty]);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    for expected in ["3 (without a name): cron: must be a string, not 7", "3 (without a name): nombre: is missing"] {
        assert!(told.contains(expected), "{told}");
    }
    let faulty = file(
        "faulty_values.json",
        r#"[{"nombre":"mal","cron":"cron(0 9 * * * *)","arnProceso":"kairos:task:","ventanaMinutos":0}]"#,
    );
    let told = text(&run(&["simulate", &faulty]).stderr);
    for expected in [
        "1 (mal): cron: ",
        "use ? in one of them",
        "1 (mal): arnProceso: ",
        "1 (mal): ventanaMinutos: 0 is out of range 1-1440",
    ] {
        assert!(told.contains(expected), "{told}");
    }
    assert!(text(&run(&["simulate", "nowhere.json"]).stderr).contains("nowhere.json: "));
    let unknown = file("unknown.json", r#"[{"nombre":"a","cron":"rate(1 day)","arnProceso":"kairos:task:nadie"}]"#);
    assert!(run(&["simulate", &unknown]).status.success(), "code of other programs has a stand-in");
    let told = text(&run(&["run", &unknown]).stderr);
    assert!(
        told.contains("no task is registered under the name 'nadie'; those that are: fails, flaky, ok, slow"),
        "{told}"
    );
}

#[test]
fn next_describes_and_points() {
    let output = run(&[
        "next",
        "cron(0 9 ? * MON-FRI *)",
        "--tz",
        "America/Santiago",
        "--from",
        "2026-01-01T00:00:00Z",
        "-n",
        "2",
    ]);
    let shown = text(&output.stdout);
    assert!(shown.starts_with("cron(0 9 ? * MON-FRI *): at 09:00"), "{shown}");
    assert!(shown.contains("2026-01-01T12:00:00Z") && shown.contains("2026-01-02T12:00:00Z"), "{shown}");
    let never = text(&run(&["next", "at(2020-01-01T00:00:00)"]).stdout);
    assert!(never.lines().nth(1).unwrap().contains("never"), "{never}");
    let told = text(&run(&["next", "cron(71 8 1 * ? *)"]).stderr);
    assert!(told.ends_with("cron(71 8 1 * ? *)\n       ^\n"), "{told}");
}

#[test]
fn next_answers_each_line_as_it_comes() {
    let mut child = local(&["next", "--jsonl"]).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for hour in [9, 10] {
        writeln!(input, r#"{{"expr":"cron(0 {hour} * * ? *)","from":"2026-01-01T00:00:00Z","n":1}}"#).unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), format!(r#"{{"next":["2026-01-01T{hour:02}:00:00Z"]}}"#));
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// Starts `run` on a quick and a slow process of the same moment, and interrupts it once the quick one has run: the slow one is under way.
#[cfg(unix)]
fn interrupted(name: &str, grace: &str) -> String {
    let soon = SystemClock
        .now()
        .checked_add(jiff::SignedDuration::from_secs(2))
        .unwrap()
        .strftime("%Y-%m-%dT%H:%M:%S")
        .to_string();
    let processes = file(
        name,
        &format!(
            r#"[{{"nombre":"rapido","cron":"at({soon})","arnProceso":"kairos:task:ok"}},
                {{"nombre":"lento","cron":"at({soon})","arnProceso":"kairos:task:slow"}}]"#
        ),
    );
    let mut child: Child = local(&["run", &processes, "--grace", grace]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("rapido (scheduled")), "the quick one never ran");
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let rest: Vec<_> = lines.collect();
    assert!(child.wait().unwrap().success());
    rest.join("\n")
}

#[cfg(unix)]
#[test]
fn ctrl_c_lets_what_is_under_way_end() {
    let told = interrupted("interrupted_with_grace.json", "20");
    assert!(told.contains("lento (scheduled"), "{told}");
    assert!(
        told.contains("1 executions were under way, of which 0 did not end in time; 0 messages are left"),
        "{told}"
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_within_its_grace_and_reports_what_was_in_flight() {
    let told = interrupted("interrupted_without_grace.json", "0");
    assert!(
        told.contains("1 executions were under way, of which 1 did not end in time; 1 messages are left"),
        "{told}"
    );
    assert!(told.ends_with("unfinished: lento"), "{told}");
}

/// Asks the served API, over a connection of its own, and gives its whole answer.
fn ask(address: &str, method: &str, path: &str, body: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        connection,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[cfg(unix)]
#[test]
fn what_is_registered_over_http_runs_beside_it_until_ctrl_c() {
    let file = file("served.json", r#"[{"nombre":"en-pausa","cron":"rate(1 day)","arnProceso":"kairos:task:ok"}]"#);
    let mut child: Child = local(&["serve", &file, "--port", "0", "--grace", "20"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let greeting = lines.find(|line| line.contains("http://")).expect("it never took requests");
    assert!(greeting.starts_with("1 processes are registered; "), "{greeting}");
    let address = greeting.split("http://").nth(1).unwrap().split(' ').next().unwrap().to_owned();

    let listed = ask(&address, "GET", "/Procesos", "");
    assert!(listed.starts_with("HTTP/1.1 200 ") && listed.contains(r#""Nombre":"en-pausa""#), "{listed}");
    let slow = r#"{"nombre":"lento","cron":"rate(1 day)","arnProceso":"kairos:task:slow","habilitado":false}"#;
    assert!(ask(&address, "POST", "/Procesos", slow).starts_with("HTTP/1.1 200 "));
    let id = kairos::ProcessId::of("lento");
    let ran = ask(&address, "POST", &format!("/Procesos/{id}/Ejecutar"), "");
    assert!(ran.contains("IdEjecucion"), "{ran}");
    let under_way = || ask(&address, "GET", "/Ejecuciones?estado=EnCurso", "").contains(id.as_str());
    assert!((0..1_000).any(|_| under_way()), "it never began");

    // Another one on the same port says so and leaves it alone.
    let port = address.rsplit(':').next().unwrap();
    let taken = run(&["serve", "--port", port]);
    assert!(taken.status.code() == Some(2) && text(&taken.stderr).contains(&address), "{taken:?}");

    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let told = lines.collect::<Vec<_>>().join("\n");
    assert!(child.wait().unwrap().success());
    assert!(told.contains("lento (scheduled"), "{told}");
    assert!(told.contains("1 executions were under way, of which 0 did not end in time"), "{told}");
    TcpStream::connect(&address).unwrap_err();
}
