//! Ids, and what they are made of.

use kairos::{ProcessId, ScheduleId, Specification, limits};

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
        for variant in variants(specification) {
            assert_ne!(variant.schedule_id(), specification.schedule_id(), "{specification:?}, {variant:?}");
        }
    }
    assert_eq!(one.schedule_id() == other.schedule_id(), one == other, "{one:?}, {other:?}: {}", one.schedule_id());
}

/// The same in all but one field, or with the text of one field in another.
fn variants(one: &Specification) -> impl Iterator<Item = Specification> {
    let mut variants: [_; 6] = std::array::from_fn(|_| one.clone());
    let [expression, exchanged, turned, window, group, zone] = &mut variants;
    expression.expression.push(' ');
    std::mem::swap(&mut exchanged.time_zone, &mut exchanged.group);
    std::mem::swap(&mut turned.start, &mut turned.end);
    window.window_minutes = one.window_minutes.map_or(Some(0), |minutes| minutes.checked_sub(1));
    group.group = Some(format!("{}-", one.group.as_deref().unwrap_or_default()));
    zone.time_zone = Some(format!("{};", one.time_zone.as_deref().unwrap_or_default()));
    variants.into_iter().filter(move |variant| variant != one)
}

fn check_id(specification: &Specification) {
    let id = specification.schedule_id();
    assert!(id.as_str().len() <= 64 && may_be_id(id.as_str()) && id.is_own(), "{id}");
    let bare = Specification::new(specification.expression.as_str());
    // Base64 makes four characters of three bytes.
    let fits = "calendarizacion-".len() + bare.expression.len().div_ceil(3) * 4 <= 64;
    let told = id.expression();
    assert_eq!(told.is_some(), fits && bare == *specification, "{specification:?}: {id}");
    assert!(told.is_none_or(|expression| expression == bare.expression));
}

/// Whether a text could be the id of anything.
pub(crate) fn may_be_id(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=limits::ID).contains(&text.len()) && text.chars().all(fits)
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
