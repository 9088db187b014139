//! The parameters that select events: those of lists and breakdowns.

use super::request::ReadRequest;
use super::selection::{UNITS, ids, selection};
use crate::api::ApiError;
use crate::api::params::Params;
use crate::catalog::{MetricsType, Observed, Units};
use crate::listing::{Bounds, Filter};
use crate::plot::totals::Period;
use crate::vocabulary::{ErrorCategory, EventKind, FinalStatus, MetricsTypeId};

/// The values of `kind`.
pub(in crate::api) fn kinds() -> Vec<(&'static str, EventKind)> {
    [EventKind::Job, EventKind::JobExecution].map(|kind| (kind.name(), kind)).into()
}

/// The values of `status`.
pub(in crate::api) fn statuses(metrics: MetricsTypeId) -> Vec<(&'static str, FinalStatus)> {
    metrics.statuses().iter().map(|status| (status.name(), *status)).collect()
}

/// The parameters that narrow the events of one metrics type only, beside the filters of its choices.
pub(in crate::api) const NARROWING: [(MetricsTypeId, &str); 2] =
    [(MetricsTypeId::JobTypes, "kind"), (MetricsTypeId::Errors, "job_type")];

/// The prefixes of the parameters that bound observations.
pub(in crate::api) const BOUNDS: [&str; 2] = ["min_", "max_"];

/// Parses what selects events. Bounds are in the given units.
pub(super) fn filter(request: &ReadRequest<'_>, observed: &[Observed]) -> Result<Filter, ApiError> {
    let ReadRequest { metrics, params, definitions, settings, .. } = *request;
    let zone = request.zone()?;
    let categories: Vec<_> = ErrorCategory::ALL.iter().map(|category| (category.name(), *category)).collect();
    let is_error = |id| definitions.error(id).is_some();
    let is_job_type = |id| definitions.get(MetricsTypeId::JobTypes, id).is_some();
    Ok(Filter {
        metrics: metrics.id,
        selection: selection(metrics, params, definitions, settings.dialect)?,
        period: Period::of(params.time_range(request.now(), zone)?, zone),
        kinds: if metrics.id == MetricsTypeId::JobTypes { params.words("kind", &kinds())? } else { Vec::new() },
        statuses: params.words("status", &statuses(metrics.id))?,
        errors: ids(params, "error", "an error", settings.dialect, is_error)?,
        categories: params.words("error_category", &categories)?,
        job_types: if metrics.id == MetricsTypeId::Errors {
            ids(params, "job_type", "a job type", settings.dialect, is_job_type)?
        } else {
            None
        },
        bounds: bounds(metrics, params, observed)?,
    })
}

/// The distributions of a metrics type, in the requested units.
pub(super) fn observed(metrics: &'static MetricsType, params: &Params<'_>) -> Result<Vec<Observed>, ApiError> {
    Ok(metrics.observed_in(params.word("units", UNITS)?.unwrap_or(Units::Seconds)))
}

/// Parses `min_<measure>` and `max_<measure>`.
fn bounds(metrics: &MetricsType, params: &Params<'_>, observed: &[Observed]) -> Result<Vec<Bounds>, ApiError> {
    for pair in params.pairs().filter(|pair| pair.is_given()) {
        let measure = BOUNDS.iter().find_map(|prefix| pair.name.strip_prefix(prefix));
        if measure.is_some_and(|measure| observed.iter().all(|it| it.name != measure)) {
            return Err(ApiError::parameter(&pair.name, &pair.value, measures(metrics, observed)));
        }
    }
    let number = |name: &str| {
        let Some(text) = params.one(name) else { return Ok(None) };
        let is_integer = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u64>().ok().filter(|_| is_integer);
        number.map(Some).ok_or_else(|| ApiError::parameter(name, text, "it must be a whole number from 0 to 2^64 - 1"))
    };
    let mut all = Vec::new();
    for &Observed { name, place, units } in observed {
        let [min, max] = BOUNDS.map(|prefix| number(&format!("{prefix}{name}")));
        let (min, max) = (min?, max?);
        if min.is_some() || max.is_some() {
            // Observations are shown rounded down.
            let (min, max) = (min.unwrap_or(0), max.unwrap_or(u64::MAX));
            let max = max.saturating_mul(units.scale()).saturating_add(units.scale() - 1);
            all.push(Bounds { distribution: place, min: min.saturating_mul(units.scale()), max });
        }
    }
    Ok(all)
}

/// Says which measures a metrics type has.
pub(super) fn measures(metrics: &MetricsType, observed: &[Observed]) -> String {
    let names: Vec<_> = observed.iter().map(|it| it.name).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    format!("the measures of {} are: {names}", metrics.name)
}
