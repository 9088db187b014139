//! The descriptions of `POST /v6/events/`, of the objects that it takes, and of `POST /v6/events/delete/`.

use actix_web::http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{AdditionalProperties, AllOfBuilder, AnyOfBuilder, ArrayItems, Discriminator};
use utoipa::openapi::{
    Content, HttpMethod, Object, ObjectBuilder, OneOfBuilder, PathItem, RefOr, Required, Schema, Type,
};
use utoipa::{PartialSchema, ToSchema};

use super::names::one_of;
use super::parts::{
    answer, list, named, needs, nullable, object, operation, optional, or_null, parameter, reference, refused, text,
    words,
};
use crate::access::Scope;
use crate::api::delete_events::Deleted;
use crate::api::error::{InvalidEvents, Refusal};
use crate::api::post_events::{Accepted, WAITS};
use crate::events::{ErrorDefinition, Ingest, Job, JobExecution, JobType, Strike, Task};
use crate::time::Timestamp;
use crate::vocabulary::{ChoiceId, EventKind, ExecutionStatus, IngestStatus, JobStatus, Kind};

/// The field that is the name unless it is given.
const TITLE: &str = "title";
const POSTED_TASK: &str = "PostedTask";

/// The schemas of posted objects: one for each kind, and their union.
pub(super) fn schemas() -> impl Iterator<Item = (String, RefOr<Schema>)> {
    let kinds: Vec<_> = Kind::ALL.iter().map(|&kind| schema(kind)).collect();
    let places = kinds.iter().map(|(name, _)| format!("#/components/schemas/{name}"));
    let places = Kind::ALL.iter().map(|kind| kind.name()).zip(places);
    let any = kinds.iter().fold(OneOfBuilder::new(), |any, (name, _)| any.item(named(name)));
    let any = any.discriminator(Some(Discriminator::with_mapping("kind", places)));
    let more = [("Posted".to_owned(), any.build().into()), (POSTED_TASK.to_owned(), posted::<Task>(None).into())];
    kinds.into_iter().chain(more).map(|(name, schema)| (name, schema.into()))
}

/// `POST /v6/events/`
pub(in crate::api) fn post() -> PathItem {
    let operation = operation(
        "events",
        "postEvents",
        "Take in definitions and events",
        "Stores all objects of the body, or none. When it answers `200`, they are on disk and show in every answer. Posting \
         again is safe: the same content changes nothing, another one for the same kind and id replaces the first \
         wherever that was counted, unless both say when they were last modified and the new one is older. A choice has \
         to be defined before the first event that names it, or earlier in the same body. After a `5xx`, or no answer at \
         all, post again.",
    );
    let wait = optional("wait", "Whether to answer only when everything shows; it does so either way.", words(WAITS));
    let encoding = parameter(
        "Content-Encoding",
        ParameterIn::Header,
        "How the body is packed; by default, and if it is empty, not at all.",
        one_of(["gzip", "x-gzip", "identity", ""]),
    );
    let objects = OneOfBuilder::new().item(named("Posted")).item(list(named("Posted"))).build();
    let mut json = Content::new(Some(Schema::from(objects)));
    json.example = Some(example());
    let mut lines = text();
    lines.description = Some("An object a line, each as for application/json; blank lines are skipped.".to_owned());
    let body = RequestBodyBuilder::new()
        .required(Some(Required::True))
        .content("application/json", json)
        .content("application/x-ndjson", Content::new(Some(lines)))
        .build();
    let accepted = answer("All is stored.", [("application/json", reference::<Accepted>())]);
    let why = OneOfBuilder::new().item(reference::<Refusal>()).item(reference::<InvalidEvents<'_>>()).build();
    let invalid = answer(
        "The body cannot be read, or objects in it are wrong. Nothing was stored.",
        [("application/json", Schema::from(why).into())],
    );
    let operation = operation
        .parameter(wait)
        .parameter(encoding)
        .request_body(Some(body))
        .response("200", accepted)
        .response("400", invalid);
    PathItem::new(HttpMethod::Post, refused(needs(operation, Scope::Write), &REFUSALS))
}

/// The error statuses of requests with a body, but for those about what is in it.
const REFUSALS: [StatusCode; 5] = [
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// `POST /v6/events/delete/`
pub(in crate::api) fn delete() -> PathItem {
    let operation = operation(
        "events",
        "deleteEvents",
        "Delete events",
        "Takes all events of the body out that are there, and corrects every number that counted them; all in one step, or nothing. When \
         it answers `200`, that is on disk and shows in every answer. A deleted event that is posted again is new.",
    );
    let key = ObjectBuilder::new()
        .property("kind", one_of(EventKind::ALL.iter().map(|kind| kind.name())))
        .property("id", reference::<ChoiceId>())
        .required("kind")
        .required("id")
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    let key = RefOr::from(Schema::from(key.build()));
    let objects = OneOfBuilder::new().item(key.clone()).item(list(key)).build();
    let mut objects = Content::new(Some(Schema::from(objects)));
    objects.example = Some(json!([{"kind": "job", "id": 1}, {"kind": "job_execution", "id": 1}]));
    let body = RequestBodyBuilder::new()
        .required(Some(Required::True))
        .content("application/json", objects)
        .content("application/x-ndjson", Content::new(Some(text())))
        .build();
    let why = OneOfBuilder::new().item(reference::<Refusal>()).item(reference::<InvalidEvents<'_>>()).build();
    let invalid = answer(
        "The body cannot be read, or objects in it are wrong. Nothing was deleted.",
        [("application/json", Schema::from(why).into())],
    );
    let deleted = answer("What was there is deleted.", [("application/json", reference::<Deleted>())]);
    let operation = operation.request_body(Some(body)).response("200", deleted).response("400", invalid);
    PathItem::new(HttpMethod::Post, refused(needs(operation, Scope::Write), &REFUSALS))
}

/// The objects of a kind, by the name of their schema.
fn schema(kind: Kind) -> (String, Schema) {
    match kind {
        Kind::JobType => definition::<JobType>(kind),
        Kind::Strike => definition::<Strike>(kind),
        Kind::Error => definition::<ErrorDefinition>(kind),
        Kind::Job => event::<Job, _>(kind, "ended", JobStatus::ALL, JobStatus::is_final, JobStatus::name),
        Kind::JobExecution => {
            let (is_final, name) = (ExecutionStatus::is_final, ExecutionStatus::name);
            event::<JobExecution, _>(kind, "ended", ExecutionStatus::ALL, is_final, name)
        }
        Kind::Ingest => {
            event::<Ingest, _>(kind, "ingest_ended", IngestStatus::ALL, IngestStatus::is_final, IngestStatus::name)
        }
    }
}

fn definition<T: ToSchema>(kind: Kind) -> (String, Schema) {
    (format!("Posted{}", T::name()), posted::<T>(Some(kind)).into())
}

/// An event has to say when it `ended`, unless its status is not final.
fn event<T: ToSchema, S: Copy>(
    kind: Kind,
    ended: &str,
    statuses: &[S],
    is_final: fn(S) -> bool,
    name: fn(S) -> &'static str,
) -> (String, Schema) {
    let (schema_name, posted) = definition::<T>(kind);
    let open = statuses.iter().copied().filter(|&status| !is_final(status)).map(name);
    let open = ObjectBuilder::new().property("status", one_of(open)).required("status");
    let ended = ObjectBuilder::new().property(ended, reference::<Timestamp>()).required(ended);
    let either = AnyOfBuilder::new().item(open).item(ended);
    (schema_name, AllOfBuilder::new().item(posted).item(Schema::from(either.build())).build().into())
}

/// An object as it is posted. What may be `null` or has a default may be left out, `null` or not; a name that is not
/// known is an error unless it is `null`.
fn posted<T: PartialSchema>(kind: Option<Kind>) -> Object {
    let mut posted = object::<T>();
    for (field, schema) in &mut posted.properties {
        match schema {
            RefOr::T(Schema::Object(value)) if field == TITLE || value.default.is_some() => {
                if field == TITLE {
                    value.description = Some("The name shown to people; by default the system name.".to_owned());
                }
                *value = nullable(value.clone());
            }
            RefOr::T(Schema::Array(tasks)) => {
                tasks.items = ArrayItems::RefOrSchema(Box::new(named(POSTED_TASK)));
                tasks.schema_type = or_null(tasks.schema_type.clone());
            }
            RefOr::T(_) | RefOr::Ref(_) => continue,
        }
        posted.required.retain(|required| required != field);
    }
    if let Some(kind) = kind {
        let mut name = one_of([kind.name()]);
        name.description = Some("What the object is.".to_owned());
        posted.properties.shift_insert(0, "kind".to_owned(), name.into());
        posted.required.insert(0, "kind".to_owned());
    }
    let unknown = AdditionalProperties::RefOr(Object::with_type(Type::Null).into());
    posted.additional_properties = Some(Box::new(unknown));
    posted
}

fn example() -> Value {
    json!([
        {"kind": "job_type", "id": 1, "name": "parse", "version": "1.0"},
        {"kind": "job", "id": 1, "job_type": 1, "status": "COMPLETED", "ended": "2015-01-01T00:00:00Z"},
    ])
}
