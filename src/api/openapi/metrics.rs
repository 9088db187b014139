//! The descriptions of the endpoints that read metrics: types, details, plot data, totals.

use std::ops::RangeInclusive;

use actix_web::http::StatusCode;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder};
use utoipa::openapi::{HttpMethod, Object, ObjectBuilder, OneOfBuilder, PathItem, RefOr, Required, Schema, Type};

use super::names::{self, BucketStart, ColumnName, GroupName, TypeName};
use super::parts::{
    answer, kept, list, named, needs, nullable, object, operation, optional, parameter, reference, refused, repeated,
    text, with, words,
};
use crate::access::Scope;
use crate::api::page::{DEFAULT_SIZE, Head, MAX_SIZE};
use crate::api::v6::{
    FILLS, FORMATS, HEIGHTS, KINDS, LEGENDS, MetricsTypeView, PeriodView, RESOLUTIONS, STANDARD_HEIGHT, STANDARD_WIDTH,
    SeriesHead, THEMES, UNITS, WIDTHS,
};
use crate::catalog::CATALOG;
use crate::events::{ErrorDefinition, JobType, Strike};
use crate::picture::{MOST_SERIES, MOST_UNITS};
use crate::time::{Date, Duration, Timestamp};
use crate::vocabulary::ChoiceId;

pub(super) const TAG: &str = "metrics";

/// Schemas of responses that are not one serialized struct.
pub(super) fn schemas() -> impl Iterator<Item = (String, RefOr<Schema>)> {
    let choice = OneOfBuilder::new()
        .item(reference::<JobType>())
        .item(reference::<Strike>())
        .item(reference::<ErrorDefinition>());
    let choice = Schema::from(choice.build());
    let point = ObjectBuilder::new()
        .description(Some("The value of a bucket; with the id of its choice exactly when more than one is selected."))
        .property("id", reference::<ChoiceId>())
        .property("datetime", reference::<BucketStart>())
        .property("value", names::count())
        .required("datetime")
        .required("value")
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    let values = ObjectBuilder::new()
        .description(Some("The selected columns, each with its value; `null` where there is none to give."))
        .additional_properties(Some(Schema::from(nullable(names::count()))));
    let total = || with(with(Object::new(), "values", named("Values")), "before", or_nothing(named("Values")));
    let totals = with(page(named("ChoiceTotal")), "started", reference::<Timestamp>());
    let totals = with(totals, "ended", reference::<Timestamp>());
    let totals = with(totals, "before", or_nothing(reference::<PeriodView>()));
    let schemas = [
        ("Values", values.build()),
        ("Total", total()),
        ("ChoiceTotal", with(with(total(), "id", reference::<ChoiceId>()), "choice", choice.clone())),
        ("Totals", with(totals, "all", named("Total"))),
        ("MetricsTypePage", page(reference::<MetricsTypeView>())),
        ("MetricsDetails", with(object::<MetricsTypeView>(), "choices", list(choice))),
        ("PlotValue", point.build()),
        ("Series", with(object::<SeriesHead>(), "values", list(named("PlotValue")))),
        ("SeriesPage", page(named("Series"))),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema.into()))
}

/// The same, or `null`.
pub(super) fn or_nothing(of: RefOr<Schema>) -> Schema {
    OneOfBuilder::new().item(of).item(Object::with_type(Type::Null)).build().into()
}

pub(super) fn page(of: RefOr<Schema>) -> Object {
    with(object::<Head>(), "results", list(of))
}

/// `GET /v6/metrics/`
pub(in crate::api) fn types() -> PathItem {
    let operation = operation(
        TAG,
        "listMetricsTypes",
        "All metrics types",
        "What can be asked for: each metrics type with its filters, groups and columns.",
    );
    let response = answer("A page of metrics types.", [("application/json", named("MetricsTypePage"))]);
    let operation = needs(kept(operation.parameters(Some(paging())), response), Scope::Read);
    PathItem::new(HttpMethod::Get, refused(operation, &[StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND]))
}

/// `GET /v6/metrics/{name}/`
pub(in crate::api) fn details() -> PathItem {
    let operation = operation(
        TAG,
        "getMetricsType",
        "One metrics type with its choices",
        "The type's own filters narrow the choices; those of other types are ignored. An answer that would take too much \
         memory is refused with a `400`.",
    );
    let operation = operation.parameter(name()).parameters(Some(filters()));
    let response =
        answer("The metrics type; choices are ordered by id.", [("application/json", named("MetricsDetails"))]);
    PathItem::new(HttpMethod::Get, refused(needs(kept(operation, response), Scope::Read), &REFUSALS))
}

/// The parameters that say which time is meant.
pub(super) fn time_range() -> [Parameter; 2] {
    let time = AnyOfBuilder::new()
        .item(reference::<Timestamp>())
        .item(reference::<Date>())
        .item(reference::<Duration>())
        .item(nullable(names::one_of([""])))
        .build();
    let started = "Where the time begins: a date and time, a date, or a duration back from now; rounded down to the bucket. \
                   By default everything that there is. It has to be earlier than `ended`.";
    let ended = "Where the time ends, in the same forms; by default now. The bucket in which it lies belongs to it: where there are no \
                 buckets, the hour, so all of a day ends with 23:00.";
    [optional("started", started, Schema::from(time.clone())), optional("ended", ended, Schema::from(time))]
}

/// `GET /v6/metrics/{name}/plot-data/`
pub(in crate::api) fn plot_data() -> PathItem {
    let operation = operation(
        TAG,
        "getPlotData",
        "Values by hour, day, week or month",
        "A series for each selected column, oldest value first. `column` and `group` select together; without either, all \
         columns are selected. `choice_id` and the type's own filters select the choices that pass all of them; without \
         any, values are over all choices. An answer that would take too much memory is refused with a `400` that says how \
         to ask for less.",
    )
    .parameters(Some(selection()))
    .parameter(resolution())
    .parameter(fill())
    .parameter(optional("format", "CSV has all columns, and no pages.", words(FORMATS)))
    .parameters(Some(paging()));
    let response = answer(
        "A page of series; or, as CSV, `column,id,datetime,value` with a header.",
        [("application/json", named("SeriesPage")), ("text/csv", Schema::from(text()).into())],
    );
    PathItem::new(HttpMethod::Get, refused(needs(kept(operation, response), Scope::Read), &REFUSALS))
}

/// `GET /v6/metrics/{name}/plot.svg`
pub(in crate::api) fn plot_svg() -> PathItem {
    let operation = operation(
        TAG,
        "getPicture",
        "Values as a picture",
        "Plot data, drawn: an axis of time, and one of values on each side at most, so the columns may have two units. \
         Without `column` and `group`, the first group of the type is drawn. There are at most 24 series, one for each column \
         and selected choice; more, a third unit, or stacks of two are refused with a `400` that says how to ask for less. \
         What is too narrow to be seen is drawn together: of bars the largest, of lines the smallest and the largest. The \
         root has `data-plot`, left, top, width and height of the plot in pixels; `data-from` and `data-to`, the times at \
         its left and right edge; `data-bucket`, the seconds of a bucket, on average; and `data-series`, a JSON array of all series, each \
         with `key` (what `hidden` calls it), `title`, `units` and `color`.",
    )
    .parameters(Some(selection()))
    .parameter(resolution())
    .parameter(fill())
    .parameter(optional("kind", "How values are drawn.", words(KINDS)))
    .parameter(optional("width", "How many pixels it is wide.", pixels(&WIDTHS, STANDARD_WIDTH)))
    .parameter(optional("height", "How many pixels it is high.", pixels(&HEIGHTS, STANDARD_HEIGHT)))
    .parameter(optional("theme", "For which page.", words(THEMES)))
    .parameter(optional(
        "legend",
        "Whether it has a title and the names of the series, and a surface; without, it stands on whatever is below it.",
        words(LEGENDS),
    ))
    .parameter(repeated(
        "hidden",
        "These series of the picture are left out, and the others keep their colours. A series is called by its column, and \
         where values have ids by column and id, as in `total_count:7`.",
        text(),
    ));
    let response = answer("The picture.", [("image/svg+xml", Schema::from(text()).into())]);
    PathItem::new(HttpMethod::Get, refused(needs(kept(operation, response), Scope::Read), &REFUSALS))
}

// A description takes no constant.
const _: () = assert!(MOST_SERIES == 24 && MOST_UNITS == 2);

/// `GET /v6/metrics/{name}/totals/`
pub(in crate::api) fn totals() -> PathItem {
    let operation = operation(
        TAG,
        "getTotals",
        "Values of a whole period, by choice",
        "The selected columns over all hours that start between `started`, rounded down to the hour, and `ended`, both \
         included; and over as many hours of an earlier time. `all` is over all selected choices together, as if computed \
         from all their events; `results` are those choices in which there is anything, now or before.",
    )
    .parameters(Some(selection()))
    .parameter(optional(
        "against",
        "How much earlier the other period is: a duration of whole hours, days or weeks. By default it ends where the \
         period begins. Without `started`, or before 1970, there is none, and `before` is `null`.",
        Schema::from(AnyOfBuilder::new().item(reference::<Duration>()).item(nullable(names::one_of([""]))).build()),
    ))
    .parameter(optional("format", "CSV has all choices, and no pages.", words(FORMATS)))
    .parameter(optional(
        "order",
        "What results are ordered by: `id`, `title`, a selected column, or two of them as a quotient \
         (`failed_count/total_count`); `-` before it turns it round. Those without such a value come last, ties by id.",
        nullable(order()),
    ))
    .parameters(Some(paging()));
    let response = answer(
        "A page of choices with their totals; or, as CSV, `column,id,value,before` with a header: for each column a line for \
         all choices together, without `id`, and one for each choice.",
        [("application/json", named("Totals")), ("text/csv", Schema::from(text()).into())],
    );
    PathItem::new(HttpMethod::Get, refused(needs(kept(operation, response), Scope::Read), &REFUSALS))
}

/// The pattern of `order`. It does not check that the columns are selected.
fn order() -> Object {
    let mut order = text();
    order.pattern = Some("^-?(id|title|[a-z_]+(/[a-z_]+)?)$".to_owned());
    order.default = Some("id".into());
    order
}

/// The error statuses of the read endpoints.
pub(super) const REFUSALS: [StatusCode; 4] = [
    StatusCode::BAD_REQUEST,
    StatusCode::NOT_FOUND,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// The parameters that select columns, choices and the time range.
fn selection() -> Vec<Parameter> {
    let mut parameters = choices_and_time();
    parameters.push(repeated("column", "These columns, in this order.", reference::<ColumnName>()));
    parameters.push(repeated("group", "All columns of these groups.", reference::<GroupName>()));
    parameters
}

/// The parameters that select choices and the time range.
pub(super) fn choices_and_time() -> Vec<Parameter> {
    let mut parameters = choices();
    parameters.extend(time_range());
    parameters.push(optional(
        "timezone",
        "The IANA time zone, such as `Europe/Berlin`, in which days, weeks and months begin at midnight, and in which times without \
         an offset are meant. The default is `UTC`, unless the settings name another one. In a zone whose midnight is not at a full \
         hour of UTC, events are read, so it is refused with a `400` for days whose events are forgotten.",
        nullable(text()),
    ));
    parameters.push(optional("units", "What times are in: whole seconds or milliseconds, rounded down.", words(UNITS)));
    parameters
}

/// The parameters that select choices.
pub(super) fn choices() -> Vec<Parameter> {
    let ids = repeated("choice_id", "These choices of the metrics type.", reference::<ChoiceId>());
    [name(), ids].into_iter().chain(filters()).collect()
}

/// What stands for empty buckets.
fn fill() -> Parameter {
    optional(
        "fill",
        "With `zero`, every bucket of the range has 0 in sums where nothing was counted; without `started`, from the first bucket \
         that has something.",
        words(FILLS),
    )
}

/// How long buckets are.
fn resolution() -> Parameter {
    optional(
        "resolution",
        "How long the buckets are; weeks begin on Monday. A server with the dialect `scale` has hours as its default.",
        words(RESOLUTIONS),
    )
}

/// A parameter that is a number of pixels.
fn pixels(allowed: &RangeInclusive<u32>, standard: u32) -> Object {
    let mut schema = nullable(names::integer((*allowed.start()).into(), (*allowed.end()).into()));
    schema.default = Some(standard.into());
    schema
}

/// The part of the path that names the metrics type.
fn name() -> Parameter {
    let name = parameter("name", ParameterIn::Path, "Which metrics type.", reference::<TypeName>());
    name.required(Required::True).build()
}

pub(super) fn paging() -> [Parameter; 2] {
    let number =
        |default: usize| ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).default(Some(default.into()));
    [
        optional("page", "Which page. One behind the last is not found.", nullable(number(1).build())),
        optional(
            "page_size",
            &format!("How many results a page has; more than {MAX_SIZE} counts as {MAX_SIZE}."),
            nullable(number(DEFAULT_SIZE).maximum(Some(MAX_SIZE)).build()),
        ),
    ]
}

/// The filters of all metrics types.
fn filters() -> Vec<Parameter> {
    let names = names::catalogue_names(|metrics| metrics.filters.to_vec());
    let filter = |name: &'static str| {
        let of = CATALOG.iter().filter(|metrics| metrics.filters.contains(&name)).map(|metrics| metrics.name);
        let of: Vec<_> = of.collect();
        let description = format!("The choices with one of these values; a filter of {}.", of.join(", "));
        repeated(name, &description, text())
    };
    names.into_iter().map(filter).collect()
}
