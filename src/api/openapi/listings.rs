//! The descriptions of the endpoints that read events: those behind a number.

use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{HttpMethod, Object, ObjectBuilder, PathItem, RefOr, Schema};

use super::metrics::{REFUSALS, TAG, choices_and_time, page, paging};
use super::names;
use super::parts::{
    answer, kept, named, needs, nullable, object, operation, optional, reference, refused, repeated, text, with, words,
};
use crate::access::Scope;
use crate::api::v6::{BOUNDS, ChoiceName, EventView, FORMATS, kinds, statuses};
use crate::catalog::{CATALOG, MetricsType, Observed, Units};
use crate::events::Task;
use crate::vocabulary::{ChoiceId, ErrorCategory};

/// Schemas of responses that are not one serialized struct.
pub(super) fn schemas() -> impl Iterator<Item = (String, RefOr<Schema>)> {
    let measures = ObjectBuilder::new()
        .description(Some("What was measured, by the name of the measure; `null` where there was nothing to measure."))
        .additional_properties(Some(Schema::from(nullable(names::count()))));
    let schemas = [
        ("Measures", measures.build()),
        ("ListedEvent", optional_but(with(object::<EventView<'_>>(), "measures", named("Measures")), &ALWAYS_LISTED)),
        ("ChoiceName", optional_but(object::<ChoiceName<'_>>(), &["id", "title"])),
        ("Task", optional_but(object::<Task>(), &["type"])),
        ("EventList", page(named("ListedEvent"))),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema.into()))
}

/// The fields that every listed event has.
const ALWAYS_LISTED: [&str; 7] = ["kind", "id", "status", "ended", "choice", "error", "measures"];

/// The same schema; of its fields and no others, only these are always there.
fn optional_but(mut object: Object, always: &[&str]) -> Object {
    object.required = always.iter().map(|&field| field.to_owned()).collect();
    object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    object
}

/// `GET /v6/metrics/{name}/events/`
pub(in crate::api) fn events() -> PathItem {
    let operation = operation(
        TAG,
        "listEvents",
        "The events behind a number",
        "The events that a selection counts: for every bucket, choice and count column as many as the value says. The time is in whole \
         hours, as that of totals. Jobs and executions are both listed where neither `kind` nor a measure says otherwise; executions that \
         did not complete are listed where `kind=job_execution` and a `status` are both asked for. Parameters that narrow must all match; \
         several values of one are alternatives.",
    )
    .parameters(Some(choices_and_time()))
    .parameters(Some(narrowing()))
    .parameter(optional(
        "order",
        "What comes first: `-ended` the newest, `ended` the oldest, `-run_time` (or another measure) the longest. Events without such a \
         measure are left out; ties by kind and id.",
        order(),
    ))
    .parameter(optional("format", "CSV has the same page.", words(FORMATS)))
    .parameters(Some(paging()));
    let response = answer(
        "A page of events; or, as CSV, `kind,id,status,ended,choice_id,choice_title,error_id,error_title` and the measures, with a \
         header.",
        [("application/json", named("EventList")), ("text/csv", Schema::from(text()).into())],
    );
    PathItem::new(HttpMethod::Get, refused(needs(kept(operation, response), Scope::Read), &REFUSALS))
}

/// The parameters that narrow events.
fn narrowing() -> Vec<Parameter> {
    let status_names = names::distinct(CATALOG.iter().flat_map(|metrics| statuses(metrics.id)).map(|(name, _)| name));
    let kind_names = kinds().into_iter().map(|(name, _)| name);
    let mut parameters = vec![
        repeated("kind", "Of these kinds; only on `job-types`.", names::one_of(kind_names)),
        repeated(
            "status",
            "That ended so. Which statuses there are depends on the metrics type.",
            names::one_of(status_names),
        ),
        repeated("error", "With one of these errors.", reference::<ChoiceId>()),
        repeated("error_category", "With an error of one of these categories.", reference::<ErrorCategory>()),
        repeated("job_type", "Of these job types; only on `errors`.", reference::<ChoiceId>()),
    ];
    for (measure, of) in measures() {
        for prefix in BOUNDS {
            let end = if prefix == "min_" { "least" } else { "most" };
            let description = format!("Measured to be that much at {end}, in whole units; a measure of {of}.");
            parameters.push(optional(&format!("{prefix}{measure}"), &description, nullable(names::count())));
        }
    }
    parameters
}

/// All measures, each with the name of its metrics type.
fn measures() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of = |metrics: &'static MetricsType| {
        metrics.observed_in(Units::Seconds).into_iter().map(|Observed { name, .. }| (name, metrics.name))
    };
    CATALOG.iter().flat_map(of)
}

fn order() -> Object {
    let names = ["ended"].into_iter().chain(measures().map(|(name, _)| name));
    let both = names.flat_map(|name| [format!("-{name}"), name.to_owned()]);
    let both: Vec<_> = both.collect();
    let mut order = nullable(names::one_of(both.iter().map(String::as_str)));
    order.default = Some("-ended".into());
    order
}
