//! The descriptions of the endpoints that read events: those behind a number.

use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterIn};
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{HttpMethod, Object, ObjectBuilder, OneOfBuilder, PathItem, RefOr, Required, Schema};

use super::metrics::{REFUSALS, TAG, choices, choices_and_time, or_nothing, page, paging};
use super::names;
use super::parts::{
    answer, kept, named, needs, nullable, object, operation, optional, parameter, reference, refused, repeated, text,
    with, words,
};
use crate::access::Scope;
use crate::api::delete_events::Deleted;
use crate::api::v6::{BOUNDS, BY, ChoiceName, ErrorName, EventView, FORMATS, MeasureView, StatusNow, kinds, statuses};
use crate::catalog::{CATALOG, MetricsType, Observed, Units};
use crate::events::{Ingest, Job, JobExecution, Task};
use crate::listing::Groups;
use crate::vocabulary::{ChoiceId, ErrorCategory, EventKind};

/// Schemas of responses that are not one serialized struct.
pub(super) fn schemas() -> impl Iterator<Item = (String, RefOr<Schema>)> {
    let measures = ObjectBuilder::new()
        .description(Some("What was measured, by the name of the measure; `null` where there was nothing to measure."))
        .additional_properties(Some(Schema::from(nullable(names::count()))));
    let statuses_now = ObjectBuilder::new()
        .description(Some("The statuses that any event has, by name."))
        .additional_properties(Some(reference::<StatusNow>()));
    let measures_of_group = ObjectBuilder::new()
        .description(Some("What was measured, by the name of the measure."))
        .additional_properties(Some(reference::<MeasureView>()));
    let schemas = [
        ("Measures", measures.build()),
        ("ListedEvent", optional_but(with(object::<EventView<'_>>(), "measures", named("Measures")), &ALWAYS_LISTED)),
        ("ChoiceName", optional_but(object::<ChoiceName<'_>>(), &["id", "title"])),
        ("Task", optional_but(object::<Task>(), &["type"])),
        ("EventList", page(named("ListedEvent"))),
        ("GroupMeasures", measures_of_group.build()),
        ("Common", common()),
        (
            "EventGroup",
            with(
                with(with(Object::new(), "group", named("Common")), "count", names::count()),
                "measures",
                named("GroupMeasures"),
            ),
        ),
        ("Statuses", statuses_now.build()),
        ("AllNow", with(Object::new(), "statuses", named("Statuses"))),
        (
            "ChoiceNow",
            optional_but(with(object::<ChoiceName<'_>>(), "statuses", named("Statuses")), &["id", "title", "statuses"]),
        ),
        ("Now", with(page(named("ChoiceNow")), "all", named("AllNow"))),
        ("Breakdown", with(page(named("EventGroup")), "total", names::count())),
    ];
    let objects = schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema.into()));
    objects.chain([("Event".to_owned(), stored_event().into())])
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

/// `GET /v6/metrics/{name}/breakdown/`
pub(in crate::api) fn breakdown() -> PathItem {
    let mut by = repeated(
        "by",
        "One or two respects. `job_type` is one on `errors` only; `hour` (0 to 23) and `weekday` (1 for Monday to 7) are those of local \
         clocks.",
        names::one_of(BY.map(|(name, _)| name)),
    );
    by.required = Required::True;
    let operation = operation(
        TAG,
        "getBreakdown",
        "Groups of the events behind a number",
        "The events that the same parameters list, in groups: how many there are, and what was measured of them. The largest group comes \
         first; those of equal size are in the order of what they have in common. `total` is over all groups, of which there may be \
         10,000.",
    )
    .parameters(Some(choices_and_time()))
    .parameters(Some(narrowing()))
    .parameter(by)
    .parameter(optional("format", "CSV has all groups, and no pages.", words(FORMATS)))
    .parameters(Some(paging()));
    let response = answer(
        "A page of groups; or, as CSV, what they have in common, the count and the measures, with a header.",
        [("application/json", named("Breakdown")), ("text/csv", Schema::from(text()).into())],
    );
    PathItem::new(HttpMethod::Get, refused(needs(kept(operation, response), Scope::Read), &REFUSALS))
}

// A description takes no constant.
const _: () = assert!(Groups::MOST == 10_000);

/// The schema of what the events of a group have in common.
fn common() -> Object {
    let part = |name: &str| match name {
        "choice" | "job_type" => reference::<ChoiceName<'_>>(),
        "error" => or_nothing(reference::<ErrorName<'_>>()).into(),
        "error_category" => or_nothing(reference::<ErrorCategory>()).into(),
        "status" => names::one_of(status_names()).into(),
        "hour" => names::integer(0, 23).into(),
        _ => names::integer(1, 7).into(),
    };
    let group = BY.iter().fold(Object::new(), |group, (name, _)| with(group, name, part(name)));
    optional_but(group, &[])
}

fn status_names() -> Vec<&'static str> {
    names::distinct(CATALOG.iter().flat_map(|metrics| statuses(metrics.id)).map(|(name, _)| name))
}

/// `GET /v6/metrics/{name}/now/`
pub(in crate::api) fn now() -> PathItem {
    let operation = operation(
        TAG,
        "getNow",
        "What has not ended",
        "How many events have each status that is not final, and since when the first of them is there: by when it started or was \
         queued, a job by when it was last modified. `all` is over all selected choices together, `results` are those choices that have \
         such events. What counts for `errors` has ended, so there it is not found.",
    )
    .parameters(Some(choices()))
    .parameter(kind())
    .parameters(Some(paging()));
    let response = answer("A page of choices.", [("application/json", named("Now"))]);
    PathItem::new(HttpMethod::Get, refused(needs(kept(operation, response), Scope::Read), &REFUSALS))
}

/// `GET /v6/events/{kind}/{id}/`
pub(in crate::api) fn event() -> PathItem {
    let in_path = |name: &str, description: &str, schema: RefOr<Schema>| {
        parameter(name, ParameterIn::Path, description, schema).required(Required::True).build()
    };
    let names = || {
        let kinds = names::one_of(EventKind::ALL.iter().map(|kind| kind.name()));
        let kind = in_path("kind", "The kind of the event.", Schema::from(kinds).into());
        [kind, in_path("id", "What identifies it within its kind.", reference::<ChoiceId>())]
    };
    let summary = "The event as it is stored, with its status as it is now.";
    let operation = operation("events", "getEvent", "One event", summary).parameters(Some(names()));
    let delete = delete_event().parameters(Some(names()));
    let response = answer("The event, as it was posted.", [("application/json", named("Event"))]);
    let mut item = PathItem::new(HttpMethod::Get, refused(needs(kept(operation, response), Scope::Read), &REFUSALS));
    item.delete = Some(delete.build());
    item
}

/// `DELETE /v6/events/{kind}/{id}/`
fn delete_event() -> OperationBuilder {
    let operation = operation(
        "events",
        "deleteEvent",
        "Delete one event",
        "Takes the event out and corrects every number that counted it. When it answers `200`, that is on disk and shows in every answer. \
         A deleted event that is posted again is new.",
    );
    let deleted = answer("It is deleted.", [("application/json", reference::<Deleted>())]);
    refused(needs(operation.response("200", deleted), Scope::Write), &REFUSALS)
}

/// The schema of an event as it is stored: of the kind that it names.
fn stored_event() -> Schema {
    let of = |kind: EventKind, object: Object, always: &[&str]| {
        let always: Vec<_> = ["kind", "id", "status"].into_iter().chain(always.iter().copied()).collect();
        Schema::from(optional_but(with(object, "kind", names::one_of([kind.name()])), &always))
    };
    OneOfBuilder::new()
        .item(of(EventKind::Job, object::<Job>(), &["job_type"]))
        .item(of(EventKind::JobExecution, object::<JobExecution>(), &["job_type"]))
        .item(of(EventKind::Ingest, object::<Ingest>(), &[]))
        .build()
        .into()
}

/// The parameter that asks for events of some kinds.
fn kind() -> Parameter {
    repeated(
        "kind",
        "Of these kinds; only on `job-types`. With `job_execution` and a `status`, executions that failed or were canceled, too.",
        names::one_of(kinds().into_iter().map(|(name, _)| name)),
    )
}

/// The parameters that narrow events.
fn narrowing() -> Vec<Parameter> {
    let mut parameters = vec![
        kind(),
        repeated(
            "status",
            "That ended so. Which statuses there are depends on the metrics type.",
            names::one_of(status_names()),
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
