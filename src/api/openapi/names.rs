//! The schemas of plain values: names that are one of a few, ids, times. Names come from the catalogue and the enums.

use std::borrow::Cow;

use serde_json::Value;
use utoipa::openapi::{KnownFormat, Object, ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::catalog::{Column, MetricsType, Percentiles, with_percentiles};
use crate::time::{Date, Duration, Timestamp};
use crate::vocabulary::{ChoiceId, ErrorCategory, ExecutionStatus, IngestStatus, JobStatus, MAX_ID, TaskType};

/// Gives each type a schema with a name and a description.
macro_rules! schemas {
    ($(#[doc = $description:literal] $name:literal: $type:ty = $schema:expr;)*) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let mut schema = $schema;
                schema.description = Some($description.trim_ascii().to_owned());
                schema.into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                $name.into()
            }
        }
    )*

        /// All of them, for a server with the most common percentiles.
        pub(super) fn all() -> Vec<(String, RefOr<Schema>)> {
            vec![$(($name.to_owned(), <$type>::schema())),*]
        }
    };
}

schemas! {
    /// The name of a metrics type.
    "MetricsTypeName": TypeName = of_catalogue(|metrics| vec![metrics.name]);
    /// The name of a parameter that narrows choices.
    "FilterName": FilterName = of_catalogue(|metrics| metrics.filters.to_vec());
    /// What the values of a filter are.
    "FilterType": FilterType = one_of([FilterType::STRING]);
    /// The name of a group. Which ones a metrics type has, its details say.
    "GroupName": GroupName = of_catalogue(|metrics| metrics.groups.iter().map(|group| group.name).collect());
    /// The name of a column. Which ones a metrics type has, its details say.
    "ColumnName": ColumnName = one_of(column_names(standard()));
    /// What values count.
    "Units": UnitsName = one_of(units());
    /// The operation that makes one value of many.
    "Aggregate": Aggregate = one_of(aggregates(standard()).iter().map(String::as_str));
    /// Where a job is in its life.
    "JobStatus": JobStatus = one_of(JobStatus::ALL.iter().map(|status| status.name()));
    /// Where an execution is in its life.
    "ExecutionStatus": ExecutionStatus = one_of(ExecutionStatus::ALL.iter().map(|status| status.name()));
    /// Where an ingest is in its life.
    "IngestStatus": IngestStatus = one_of(IngestStatus::ALL.iter().map(|status| status.name()));
    /// What a task does.
    "TaskType": TaskType = one_of(TaskType::ALL.iter().map(|task| task.name()));
    /// What kind of thing an error blames.
    "ErrorCategory": ErrorCategory = one_of(ErrorCategory::ALL.iter().map(|category| category.name()));
    /// An id, which every JSON client can tell apart from others.
    "Id": ChoiceId = integer(1, MAX_ID);
    /// ISO-8601 date and time from 1970-01-01 to 9999-12-31, in UTC unless it has an offset or another time zone is asked for; kept to the microsecond.
    "Time": Timestamp = matching(&format!("{DATE}T{CLOCK}{OFFSET}"), "2015-01-01T00:00:00Z");
    /// ISO-8601 date from 1970-01-01 to 9999-12-31, in UTC unless another time zone is asked for; where a point in time is meant, the midnight with which it begins.
    "Date": Date = formatted(KnownFormat::Date, matching(DATE, "2015-01-31"));
    /// ISO-8601 duration; its last part may have a fraction.
    "Duration": Duration = matching(DURATION, "P7D");
    /// The start of a bucket: in UTC, or as local clocks show it, with their offset.
    "BucketStart": BucketStart = matching(&format!("(1969-12-[0-3][0-9]|{DATE})T{LOCAL}"), "2015-01-01T06:00:00");
}

pub(in crate::api) struct TypeName;
pub(in crate::api) struct FilterName;
pub(in crate::api) struct FilterType;
pub(in crate::api) struct GroupName;
pub(in crate::api) struct ColumnName;
pub(in crate::api) struct UnitsName;
pub(in crate::api) struct Aggregate;
pub(in crate::api) struct BucketStart;

impl FilterType {
    /// Every filter compares texts.
    pub(in crate::api) const STRING: &str = "string";
}

/// A day that the calendar has, but for February 29 of most years.
const DATE: &str = "(19[789][0-9]|[2-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])\
                    |(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|[12][0-9]))";
const CLOCK: &str = "([01][0-9]|2[0-3]):[0-5][0-9](:([0-5][0-9]|60)([.,][0-9]+)?)?";
const LOCAL: &str = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([+-]([01][0-9]|2[0-3])(:[0-5][0-9]){1,2})?";
const OFFSET: &str = "(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?";
const DURATION: &str = "P(?=[0-9]|T[0-9])(?!.*[.,][0-9]+[A-Z].)([0-9]+([.,][0-9]+)?Y)?([0-9]+([.,][0-9]+)?M)?([0-9]+([.,][0-9]+)?W)?\
                        ([0-9]+([.,][0-9]+)?D)?\
                        (T(?=[0-9])([0-9]+([.,][0-9]+)?H)?([0-9]+([.,][0-9]+)?M)?([0-9]+([.,][0-9]+)?S)?)?";

pub(super) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
}

/// Changes the schemas to those of a server with this catalogue, which may have other percentiles.
pub(super) fn adapt(schemas: &mut [(String, RefOr<Schema>)], catalog: &'static [MetricsType]) {
    let aggregates = aggregates(catalog);
    let own = [
        (ColumnName::name(), column_names(catalog)),
        (Aggregate::name(), aggregates.iter().map(String::as_str).collect()),
    ];
    for (known, schema) in schemas {
        if let RefOr::T(Schema::Object(schema)) = schema
            && let Some((_, values)) = own.iter().find(|(name, _)| name == known)
        {
            schema.enum_values = one_of(values.iter().copied()).enum_values;
        }
    }
}

/// The catalogue of a server without settings.
fn standard() -> &'static [MetricsType] {
    with_percentiles(&Percentiles::common())
}

fn of_catalogue(names: impl Fn(&'static MetricsType) -> Vec<&'static str>) -> Object {
    one_of(catalogue_names(names))
}

/// The distinct names of this sort in all metrics types, in the order of the catalogue.
pub(super) fn catalogue_names(names: impl Fn(&'static MetricsType) -> Vec<&'static str>) -> Vec<&'static str> {
    distinct(standard().iter().flat_map(names))
}

fn column_names(catalog: &'static [MetricsType]) -> Vec<&'static str> {
    distinct(columns(catalog).map(|column| column.name.as_str()))
}

fn aggregates(catalog: &'static [MetricsType]) -> Vec<String> {
    distinct(columns(catalog).map(|column| column.statistic.to_string()))
}

fn units() -> Vec<&'static str> {
    let in_milliseconds = standard().iter().flat_map(|metrics| &metrics.columns_in_milliseconds);
    distinct(columns(standard()).chain(in_milliseconds).map(|column| column.units.name()))
}

fn columns(catalog: &'static [MetricsType]) -> impl Iterator<Item = &'static Column> {
    catalog.iter().flat_map(|metrics| &metrics.columns)
}

/// The first of each, in their order.
pub(super) fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut all = Vec::new();
    for value in values {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}

pub(super) fn integer(min: u64, max: u64) -> Object {
    let limit = |number| Some(usize::try_from(number).expect("numbers have 64 bits"));
    ObjectBuilder::new().schema_type(Type::Integer).minimum(limit(min)).maximum(limit(max)).build()
}

/// A number of things.
pub(super) fn count() -> Object {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).build()
}

fn matching(pattern: &str, example: &str) -> Object {
    let pattern = Some(format!("^{pattern}$"));
    ObjectBuilder::new().schema_type(Type::String).pattern(pattern).examples([Value::from(example)]).build()
}

fn formatted(format: KnownFormat, mut schema: Object) -> Object {
    schema.format = Some(SchemaFormat::KnownFormat(format));
    schema
}
