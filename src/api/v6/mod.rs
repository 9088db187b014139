//! The read endpoints: the three of the v6 metrics services, plots as pictures, totals of a period, and the events behind a number.

mod breakdown;
mod buckets;
mod details;
mod event_filter;
mod event_list;
mod event_scan;
mod list;
mod now;
mod plot_data;
mod read;
mod read_query;
mod request;
mod selection;
mod totals;

pub(super) use breakdown::{BY, MeasureView};
pub(super) use event_filter::{BOUNDS, NARROWING, kinds, statuses};
pub(super) use event_list::{ChoiceName, ErrorName, EventView};
pub(super) use list::list;
pub(super) use now::StatusNow;
pub(super) use plot_data::parse;
pub(super) use plot_data::{
    FILLS, HEIGHTS, KINDS, LEGENDS, RESOLUTIONS, STANDARD_HEIGHT, STANDARD_WIDTH, SeriesHead, THEMES, WIDTHS,
};
pub(super) use read::{Parse, respond};
pub(super) use read_query::ReadQuery;
pub(super) use request::ReadRequest;
pub(crate) use request::ReadSettings;
pub(super) use selection::{FORMATS, UNITS};
pub(super) use totals::PeriodView;

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::openapi::names::{Aggregate, ColumnName, FilterName, FilterType, GroupName, TypeName, UnitsName};
use crate::catalog::{Column, Group, MetricsType};

/// A parameter that narrows the choices of a metrics type.
#[derive(Serialize, ToSchema)]
#[schema(as = Filter)]
struct FilterView {
    /// The name of the parameter.
    #[schema(value_type = FilterName)]
    param: &'static str,
    /// What its values are.
    #[schema(value_type = FilterType)]
    r#type: &'static str,
}

/// Columns that belong together.
#[derive(Serialize, ToSchema)]
#[schema(as = Group)]
struct GroupView {
    /// The name used in queries.
    #[schema(value_type = GroupName)]
    name: &'static str,
    /// The name shown to people.
    title: &'static str,
    /// A sentence about it.
    description: &'static str,
}

/// One statistic of one measure.
#[derive(Serialize, ToSchema)]
#[schema(as = Column)]
struct ColumnView {
    /// The name used in queries.
    #[schema(value_type = ColumnName)]
    name: &'static str,
    /// The name shown to people.
    title: &'static str,
    /// A sentence about it.
    description: &'static str,
    /// What its values count.
    #[schema(value_type = UnitsName)]
    units: &'static str,
    /// The group that it belongs to.
    #[schema(value_type = GroupName)]
    group: &'static str,
    /// The operation that makes one value of many.
    #[schema(value_type = Aggregate)]
    aggregate: String,
}

/// A metrics type: what can be asked for, and how it is narrowed.
#[derive(Serialize, ToSchema)]
#[schema(as = MetricsType)]
pub(super) struct MetricsTypeView {
    /// The name used in paths.
    #[schema(value_type = TypeName)]
    name: &'static str,
    /// The name shown to people.
    title: &'static str,
    /// A sentence about it.
    description: &'static str,
    /// The parameters that narrow its choices.
    filters: Vec<FilterView>,
    /// Its groups, in the order of the catalogue.
    groups: Vec<GroupView>,
    /// Its columns, in the order of the catalogue.
    columns: Vec<ColumnView>,
}

impl From<&'static Column> for ColumnView {
    fn from(column: &'static Column) -> Self {
        Self {
            name: &column.name,
            title: &column.title,
            description: &column.description,
            units: column.units.name(),
            group: column.group,
            aggregate: column.statistic.to_string(),
        }
    }
}

impl From<&'static MetricsType> for MetricsTypeView {
    fn from(metrics: &'static MetricsType) -> Self {
        let group = |&Group { name, title, description }: &Group| GroupView { name, title, description };
        Self {
            name: metrics.name,
            title: metrics.title,
            description: metrics.description,
            filters: metrics.filters.iter().map(|&param| FilterView { param, r#type: FilterType::STRING }).collect(),
            groups: metrics.groups.iter().map(group).collect(),
            columns: metrics.columns.iter().map(ColumnView::from).collect(),
        }
    }
}
