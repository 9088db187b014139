//! The description of the interface, an `OpenAPI` 3.1 document.
//!
//! It is made from what answers: the paths are those that are served (`ENDPOINTS`), the schemas are those of the structs
//! that are serialized, names come from the catalogue and the enums, limits and defaults from where they are applied.
//! Schemathesis finds nothing that the server answers and the document does not say.
//!
//! Not here: which paths there are (`api`), how the document is shown to people (`dashboard`).

mod events;
mod listings;
mod metrics;
pub(super) mod names;
mod parts;
mod server;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use utoipa::ToSchema;
use utoipa::openapi::path::{ParameterIn, PathItem, PathsBuilder};
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, RefOr, Schema, Server};

use super::admin::Rebuilt;
use super::delete_events::Deleted;
use super::error::{InvalidEvents, Refusal};
use super::post_events::Accepted;
use super::probes::{Health, NotReady};
use super::v6::{EventView, MeasureView, MetricsTypeView, PeriodView, StatusNow};
use super::{Content, ENDPOINTS, State, answer};
use crate::access::Scope;
use crate::catalog::MetricsType;
use crate::events::{ErrorDefinition, JobType, Strike};

pub(super) use events::{delete, post};
pub(super) use listings::{breakdown, event, events, now};
pub(super) use metrics::{details, plot_data, plot_svg, totals, types};
pub(super) use server::{alive, document, export, figures, ready, rebuild};

/// The names of the query parameters that a description has.
pub(super) fn query_parameters(item: &PathItem) -> Vec<String> {
    let operations = [&item.get, &item.post, &item.delete].into_iter().flatten();
    let parameters = operations.flat_map(|operation| operation.parameters.iter().flatten());
    let of_query = parameters.filter(|parameter| parameter.parameter_in == ParameterIn::Query);
    of_query.map(|parameter| parameter.name.clone()).collect()
}

/// The document of a server with this catalogue, as it is sent and printed.
pub(crate) fn openapi(catalog: &'static [MetricsType]) -> String {
    to_json(&make(catalog))
}

fn to_json(document: &OpenApi) -> String {
    let mut json = document.to_pretty_json().expect("a document has texts for keys and cannot fail");
    json.push('\n');
    json
}

/// `GET /v6/openapi.json`. Paths in it begin at the root of the host, unless it names another place.
pub(super) async fn get(request: HttpRequest, state: Data<State>) -> HttpResponse {
    let prefix = state.public_urls.prefix(&request);
    let json = if prefix.as_str().is_empty() {
        state.openapi.get_or_init(|| openapi(state.reads.catalog)).clone()
    } else {
        let mut document = make(state.reads.catalog);
        document.servers = Some(vec![Server::new(prefix.as_str())]);
        to_json(&document)
    };
    answer(&request, Content { media_type: "application/json", body: json.into_bytes() })
}

const BEARER: &str = "bearer";
const TOKEN: &str = "token";

fn make(catalog: &'static [MetricsType]) -> OpenApi {
    let info = InfoBuilder::new()
        .title(env!("CARGO_PKG_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Metrics of processing clusters: events in, daily and hourly rollups, the v6 metrics services out.\n\n\
             `HEAD` works wherever `GET` does. A path without its trailing slash redirects to the one with it, but `POST \
             /v6/events` is taken as it is. A writing request with an `Origin` that the settings do not list gets `403`. Answers are \
             compressed when asked for. A parameter of the query that is empty or `null` counts as not given, and `name[]` is \
             `name`. Parameters that are not known are ignored, and the header `X-Ignored-Parameters` of the answer names \
             them; but names that are easily mistaken for a known one, such as `columns` or `start`, are refused with `400` and \
             the right name. Every refusal is JSON with a `detail`.",
        ))
        .license(Some(License::new(env!("CARGO_PKG_LICENSE"))));
    let paths =
        ENDPOINTS.iter().fold(PathsBuilder::new(), |paths, endpoint| paths.path(endpoint.path, (endpoint.describe)()));
    let tags = [
        ("metrics", "What is asked for: metrics types, their choices, their numbers."),
        ("events", "What comes in: definitions of choices, states of jobs, executions and ingests."),
        ("server", "What the server says of itself."),
    ];
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths)
        .components(Some(components(catalog).build()))
        .tags(Some(tags.map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build())))
        .build()
}

fn components(catalog: &'static [MetricsType]) -> ComponentsBuilder {
    let mut schemas = names::all();
    add::<MetricsTypeView>(&mut schemas);
    add::<JobType>(&mut schemas);
    add::<Strike>(&mut schemas);
    add::<ErrorDefinition>(&mut schemas);
    add::<PeriodView>(&mut schemas);
    EventView::schemas(&mut schemas);
    add::<MeasureView>(&mut schemas);
    add::<StatusNow>(&mut schemas);
    add::<Accepted>(&mut schemas);
    add::<Deleted>(&mut schemas);
    add::<Refusal>(&mut schemas);
    add::<InvalidEvents<'_>>(&mut schemas);
    add::<Rebuilt>(&mut schemas);
    add::<Health>(&mut schemas);
    add::<NotReady>(&mut schemas);
    schemas.extend(listings::schemas());
    schemas.extend(metrics::schemas());
    schemas.extend(events::schemas());
    names::adapt(&mut schemas, catalog);
    let token = ApiKeyValue::with_description(
        "Authorization",
        "The same token, as Scale's clients send it: `Token` and a space before it.",
    );
    ComponentsBuilder::new()
        .schemas_from_iter(schemas.into_iter().map(|(name, schema)| (name, complete(schema))))
        .responses_from_iter(parts::refusals())
        .security_scheme(BEARER, SecurityScheme::Http(bearer()))
        .security_scheme(TOKEN, SecurityScheme::ApiKey(ApiKey::Header(token)))
}

/// Adds the schema of a type, and those that it refers to.
fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    T::schemas(schemas);
    schemas.push((T::name().into_owned(), T::schema()));
}

/// The fields that an answer may leave out.
const LEFT_OUT: [&str; 2] = ["future", "missing"];

/// The same schema; an object of an answer has all its fields, `null` or not, but for [`LEFT_OUT`], and no other.
fn complete(mut schema: RefOr<Schema>) -> RefOr<Schema> {
    if let RefOr::T(Schema::Object(object)) = &mut schema
        && !object.properties.is_empty()
        && object.additional_properties.is_none()
    {
        let is_always_there = |name: &&String| !LEFT_OUT.contains(&name.as_str());
        object.required = object.properties.keys().filter(is_always_there).cloned().collect();
        object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    }
    schema
}

fn bearer() -> Http {
    let scopes: Vec<_> = Scope::ALL.iter().map(|scope| format!("`{}`", scope.name())).collect();
    HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(format!(
            "A token that `scale-metrics token` made. It has some of the scopes {}; none implies another, and each operation \
             says which one it needs. A server without tokens asks nobody for one.",
            scopes.join(", ")
        )))
        .build()
}
