//! Ids, and what they are made of.

use kairos::{ProcessId, ScheduleId, Specification};

use crate::stored::check_round_trip;

/// Different specifications never share an id; a bare one is told by its id; a name is told by its process id, and by no other.
pub fn ids(text: &str) {
    let (one, other) = text.split_once('\n').unwrap_or((text, text));
    for text in [one, other] {
        check_texts(text);
    }
    let [one, other] = [one, other].map(|text| match serde_json::from_str::<Specification>(text) {
        Ok(specification) => specification,
        // Then the text is an expression.
        Err(_) => Specification::new(text),
    });
    for specification in [&one, &other] {
        check_round_trip(specification);
        check_id(specification);
    }
    assert_eq!(one.schedule_id() == other.schedule_id(), one == other, "{one:?}, {other:?}: {}", one.schedule_id());
}

fn check_id(specification: &Specification) {
    let id = specification.schedule_id();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    assert!(id.as_str().len() <= 64 && id.as_str().chars().all(fits) && id.is_own(), "{id}");
    let bare = Specification::new(specification.expression.as_str());
    // Base64 makes four characters of three bytes.
    let fits = "calendarizacion-".len() + bare.expression.len().div_ceil(3) * 4 <= 64;
    let told = id.expression();
    assert_eq!(told.is_some(), fits && bare == *specification, "{specification:?}: {id}");
    assert!(told.is_none_or(|expression| expression == bare.expression));
}

fn check_texts(text: &str) {
    assert_eq!(ProcessId::of(text).name().as_deref(), Some(text));
    let id = ProcessId::from(text);
    assert!(id.name().is_none_or(|name| ProcessId::of(&name) == id), "{id} was not made of {:?}", id.name());
    let id = ScheduleId::from(text);
    if let Some(expression) = id.expression() {
        let made = Specification::new(expression.as_str()).schedule_id();
        assert!(made == id || id.as_str().len() > 64, "{id} was not made of {expression:?}");
    }
}
