//! The three read endpoints of the v6 metrics services.

mod details;
mod list;
mod plot_data;

pub(super) use details::details;
pub(super) use list::list;
pub(super) use plot_data::{Question, plot_data};

use serde::Serialize;

use crate::catalog::{Column, Group, MetricsType};

/// A filter of a metrics type on the wire.
#[derive(Serialize)]
struct FilterView {
    param: &'static str,
    r#type: &'static str,
}

/// A group on the wire.
#[derive(Serialize)]
struct GroupView {
    name: &'static str,
    title: &'static str,
    description: &'static str,
}

/// A column on the wire.
#[derive(Serialize)]
struct ColumnView {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    units: &'static str,
    group: &'static str,
    aggregate: &'static str,
}

/// A metrics type on the wire.
#[derive(Serialize)]
struct MetricsTypeView {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    filters: Vec<FilterView>,
    groups: Vec<GroupView>,
    columns: Vec<ColumnView>,
}

impl From<&'static Group> for GroupView {
    fn from(group: &'static Group) -> Self {
        Self { name: group.name, title: group.title, description: group.description }
    }
}

impl From<&'static Column> for ColumnView {
    fn from(column: &'static Column) -> Self {
        Self {
            name: &column.name,
            title: &column.title,
            description: &column.description,
            units: column.units.name(),
            group: column.group,
            aggregate: column.statistic.name(),
        }
    }
}

impl From<&'static MetricsType> for MetricsTypeView {
    fn from(metrics: &'static MetricsType) -> Self {
        Self {
            name: metrics.name,
            title: metrics.title,
            description: metrics.description,
            filters: metrics.filters.iter().map(|&param| FilterView { param, r#type: "string" }).collect(),
            groups: metrics.groups.iter().map(GroupView::from).collect(),
            columns: metrics.columns.iter().map(ColumnView::from).collect(),
        }
    }
}
