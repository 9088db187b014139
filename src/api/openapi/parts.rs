//! Building blocks of descriptions: operations, parameters, headers, answers.

use actix_web::http::StatusCode;
use serde_json::Value;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::schema::{ArrayBuilder, SchemaType};
use utoipa::openapi::{
    Content, Header, Object, Ref, RefOr, Response, ResponseBuilder, Schema, SecurityRequirement, Type,
};
use utoipa::{PartialSchema, ToSchema};

use super::{BEARER, TOKEN, names};
use crate::access::Scope;
use crate::api::error::Refusal;

/// The error responses: status, name in the document, and description.
const REFUSALS: [(StatusCode, &str, &str); 9] = [
    (StatusCode::BAD_REQUEST, "BadRequest", "A parameter is wrong, and `detail` says what it may be."),
    (StatusCode::UNAUTHORIZED, "Unauthorized", "No token, or a wrong one."),
    (StatusCode::FORBIDDEN, "Forbidden", "The token does not have the scope, or a web page may not write."),
    (StatusCode::NOT_FOUND, "NotFound", "There is no such path, metrics type or page."),
    (StatusCode::REQUEST_TIMEOUT, "RequestTimeout", "The body did not arrive within the configured time."),
    (StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge", "The body, unpacked, is larger than the configured size."),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", "The body's type or encoding is not understood."),
    (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "The server failed; its log says why."),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "ServiceUnavailable",
        "There is no room or time for it at present; `detail` says what to do.",
    ),
];

/// The error responses, by the names that [`refused`] refers to.
pub(super) fn refusals() -> impl Iterator<Item = (&'static str, Response)> {
    REFUSALS.iter().map(|&(status, name, description)| {
        let mut response = ResponseBuilder::new().description(description);
        if status == StatusCode::UNAUTHORIZED {
            response = response.header("WWW-Authenticate", header("How to send a token.", text()));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let header = header("After how many seconds to try again.", names::count());
            response = response.header("Retry-After", header);
        }
        (name, response.content("application/json", Content::new(Some(reference::<Refusal>()))).build())
    })
}

pub(super) fn operation(tag: &str, id: &str, summary: &str, description: &str) -> OperationBuilder {
    OperationBuilder::new().tag(tag).operation_id(Some(id)).summary(Some(summary)).description(Some(description))
}

/// Adds the security requirement: a token with this scope, or none where the server has no tokens or lets everybody read.
pub(super) fn needs(operation: OperationBuilder, scope: Scope) -> OperationBuilder {
    let operation = operation
        .security(SecurityRequirement::default())
        .security(SecurityRequirement::new(BEARER, [scope.name()]))
        .security(SecurityRequirement::new(TOKEN, [scope.name()]));
    refused(operation, &[StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN])
}

/// Adds the error responses with these statuses.
pub(super) fn refused(mut operation: OperationBuilder, statuses: &[StatusCode]) -> OperationBuilder {
    for (status, name, _) in REFUSALS.iter().filter(|(status, ..)| statuses.contains(status)) {
        operation = operation.response(status.as_str(), Ref::from_response_name(*name));
    }
    operation
}

/// Adds `ETag` and the `304` response.
pub(super) fn kept(operation: OperationBuilder, response: ResponseBuilder) -> OperationBuilder {
    let tag = || header("Names this very body, in this encoding.", text());
    let known = parameter("If-None-Match", ParameterIn::Header, "The tags of answers that are there already.", text());
    let not_modified = ResponseBuilder::new().description("The answer is the one that is there already.");
    operation
        .parameter(known)
        .response("200", response.header("ETag", tag()))
        .response("304", not_modified.header("ETag", tag()))
}

/// A response with a schema for each media type.
pub(super) fn answer<const N: usize>(description: &str, bodies: [(&str, RefOr<Schema>); N]) -> ResponseBuilder {
    let response = ResponseBuilder::new().description(description);
    bodies.into_iter().fold(response, |response, (media, schema)| response.content(media, Content::new(Some(schema))))
}

/// A parameter of the query that may be left out, or be empty or `null`, which is the same.
pub(super) fn optional(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(name, ParameterIn::Query, description, schema).build()
}

/// A query parameter that may be repeated.
pub(super) fn repeated(name: &str, description: &str, each: impl Into<RefOr<Schema>>) -> Parameter {
    let parameter = parameter(name, ParameterIn::Query, description, list(each));
    parameter.style(Some(ParameterStyle::Form)).explode(Some(true)).build()
}

/// A parameter that is not required.
pub(super) fn parameter(
    name: &str,
    place: ParameterIn,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
) -> ParameterBuilder {
    ParameterBuilder::new().name(name).parameter_in(place).description(Some(description)).schema(Some(schema))
}

pub(super) fn header(description: &str, schema: Object) -> Header {
    let mut header = Header::new(schema);
    header.description = Some(description.to_owned());
    header
}

pub(super) fn text() -> Object {
    Object::with_type(Type::String)
}

/// A parameter that is one of these words, of which the first is the default.
pub(super) fn words<T>(words: &[(&str, T)]) -> Object {
    let names = words.iter().map(|(word, _)| *word);
    let mut schema = nullable(names::one_of(names));
    schema.default = words.first().map(|(word, _)| (*word).into());
    schema
}

/// The same, or `null`.
pub(super) fn nullable(mut schema: Object) -> Object {
    schema.schema_type = or_null(schema.schema_type);
    if let Some(names) = &mut schema.enum_values {
        names.push(Value::Null);
    }
    schema
}

pub(super) fn or_null(schema_type: SchemaType) -> SchemaType {
    match schema_type {
        SchemaType::Type(one) => SchemaType::from_iter([one, Type::Null]),
        several @ (SchemaType::Array(_) | SchemaType::AnyValue) => several,
    }
}

/// The schema of an object that the code serializes, to be added to.
pub(super) fn object<T: PartialSchema>() -> Object {
    match T::schema() {
        RefOr::T(Schema::Object(object)) => object,
        RefOr::T(_) | RefOr::Ref(_) => unreachable!("it is the schema of a struct"),
    }
}

/// The same with one more field.
pub(super) fn with(mut object: Object, field: &str, schema: impl Into<RefOr<Schema>>) -> Object {
    object.properties.insert(field.to_owned(), schema.into());
    object.required.push(field.to_owned());
    object
}

pub(super) fn list(of: impl Into<RefOr<Schema>>) -> RefOr<Schema> {
    Schema::from(ArrayBuilder::new().items(of.into()).build()).into()
}

/// A reference to the schema of a type.
pub(super) fn reference<T: ToSchema>() -> RefOr<Schema> {
    named(&T::name())
}

/// A reference to the schema of this name.
pub(super) fn named(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}
