//! The OpenAPI document of the router, generated from its routes and types.

use std::collections::BTreeMap;

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr};
use utoipa::{IntoResponses, PartialSchema as _, ToSchema};

use super::problem::{FieldFault, PROBLEM_JSON, Report};

/// What the document begins with.
pub(super) fn opening() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Kairos")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Runs processes on a schedule and does not lose them."))
        .build();
    let components = utoipa::openapi::ComponentsBuilder::new()
        .schema(Report::name(), Report::schema())
        .schema(FieldFault::name(), FieldFault::schema())
        .build();
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

fn problem(description: &str) -> ResponseBuilder {
    let schema = Ref::from_schema_name(Report::name());
    ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_JSON, ContentBuilder::new().schema(Some(schema)).build())
}

fn later(description: &str) -> ResponseBuilder {
    let seconds = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer)).minimum(Some(1)).build();
    let header =
        HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds to wait before the next try")).build();
    problem(description).header("Retry-After", header)
}

macro_rules! responses {
    ($($(#[$doc:meta])* $name:ident: $($status:literal => $response:expr),+;)+) => {
        $(
            $(#[$doc])*
            pub(super) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    [$(($status.to_owned(), RefOr::T($response.build()))),+].into()
                }
            }
        )+
    };
}

responses! {
    /// What any call that asks something of somebody may answer.
    Failing:
        "429" => later("There are too many requests."),
        "500" => problem("Something went wrong inside; the log tells what, under the id in `instance`."),
        "503" => later("Others are at it, or something does not answer. What was asked for may or may not have been done; asking again does it once, but for a run without a key.");
    /// Of a call that reads what its caller writes.
    Faulty: "400" => problem("The request is not valid: `errores` says what is wrong, in which field and where in its text.");
    /// Of a call about something by its id.
    Missing: "404" => problem("There is no such thing.");
    /// Of a call that changes something.
    Conflicting: "409" => problem("What is stored is in the way: `errores` names the fields.");
    /// Of a call with a body.
    TooLarge: "413" => problem("The request is larger than 2 MiB.");
}
