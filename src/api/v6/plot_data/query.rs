//! Parser for the parameters of plot data and pictures: returns a [`Query`], which is equal for all spellings with the same
//! meaning.

use crate::api::ApiError;
use crate::api::params::Params;
use crate::api::v6::selection::{columns, selection};
use crate::catalog::MetricsType;
use crate::config::Dialect;
use crate::events::Choices;
use crate::plot::{Fill, Query};
use crate::time::{Calendar, Resolution, Timestamp, Zone};

/// The values of `resolution`; the first one is the default of the documented dialect.
pub(in crate::api) const RESOLUTIONS: &[(&str, Resolution)] =
    &[("day", Resolution::Day), ("hour", Resolution::Hour), ("week", Resolution::Week), ("month", Resolution::Month)];
/// The values of `fill`, and whether empty buckets are filled; the first one is the default.
pub(in crate::api) const FILLS: &[(&str, bool)] = &[("none", false), ("zero", true)];

pub(in crate::api) fn parse(
    metrics: &'static MetricsType,
    params: &Params<'_>,
    choices: &Choices,
    dialect: Dialect,
    (now, zone): (Timestamp, Zone),
) -> Result<Query, ApiError> {
    let resolution = params.word("resolution", RESOLUTIONS)?;
    let resolution = resolution.unwrap_or(match dialect {
        Dialect::Documented => Resolution::Day,
        Dialect::Scale => Resolution::Hour,
    });
    let columns = columns(metrics, params)?;
    let selection = selection(metrics, params, choices, dialect)?;
    let calendar = Calendar { zone, resolution };
    let range = calendar.buckets(params.time_range(now, zone)?);
    let fill = match params.word("fill", FILLS)? {
        Some(true) => Fill::Zero { from_start: params.one("started").is_some() },
        Some(false) | None => Fill::None,
    };
    Ok(Query { metrics: metrics.id, columns, selection, calendar, range, fill })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::api::fuzz::choices;
    use crate::api::known_at_endpoint;
    use crate::vocabulary::MetricsTypeId;

    /// Parses a query string at noon of 2015-01-31; choices 1 and 2 are called `a`, 3 is called `b`.
    fn meaning(query: &str) -> Query {
        let choices = choices(
            br#"[
            {"kind": "job_type", "id": 1, "name": "a", "version": "1"},
            {"kind": "job_type", "id": 2, "name": "a", "version": "1"},
            {"kind": "job_type", "id": 3, "name": "b", "version": "1"}
        ]"#,
        );
        let now = "2015-01-31T12:00:00Z".parse().expect("it is a time");
        let metrics = MetricsTypeId::JobTypes.describe();
        let request = TestRequest::with_uri("/v6/metrics/job-types/plot-data/").to_http_request();
        let params = Params::parse(query, known_at_endpoint(&request)).expect("no name is nearly right");
        parse(metrics, &params, &choices, Dialect::Documented, (now, Zone::UTC)).expect("it is a good query")
    }

    #[test]
    fn what_means_the_same_is_the_same_query() {
        let same: [&[&str]; 7] = [
            &["", "&", "resolution=day", "started=null&column=&foo=bar", "ended=2015-01-31", "started=1970-01-01"],
            &["ended=2015-01-31T12:59:59Z", "ended=2015-01-31T00:00:01%2B00:00", "ended=PT1H", "ended=PT0S"],
            &["started=2015-01-01", "started=2015-01-01T23:59:59", "started=P30D", "started=PT720H"],
            &[
                "name=a",
                "choice_id=1&choice_id=2",
                "choice_id=2&choice_id=1&choice_id=2",
                "choice_id[]=2&choice_id%5B%5D=1",
                "name=a&choice_id=02&choice_id=1",
            ],
            &["name=a&name=b", "choice_id=3&choice_id=2&choice_id=1", "version=1"],
            &[
                "group=overview",
                "group=overview&column=completed_count",
                "column=completed_count&column=failed_count&column=canceled_count&column=total_count",
                "column=completed_count&column=failed_count&group=overview&column=failed_count",
            ],
            &[
                "resolution=hour&ended=2015-01-31T12:30:00",
                "resolution=hour",
                "resolution=hour&ended=2015-01-31T12:00:00Z",
            ] as &[&str],
        ];
        for same in same {
            for query in same {
                assert_eq!(meaning(query), meaning(same[0]), "{query} and {}", same[0]);
            }
        }
    }

    #[test]
    fn what_means_something_else_is_another_query() {
        let different = [
            "",
            "resolution=hour",
            "resolution=hour&ended=PT1S",
            "ended=2015-01-30T23:59:59Z",
            "started=2015-01-01",
            "started=2015-01-02",
            "choice_id=1",
            "choice_id=3",
            "name=b&choice_id=1",
            "column=completed_count&column=failed_count",
            "column=failed_count&column=completed_count",
            "group=errors",
        ];
        for (place, one) in different.iter().enumerate() {
            for other in &different[place + 1..] {
                assert_ne!(meaning(one), meaning(other), "{one} and {other}");
            }
        }
    }
}
