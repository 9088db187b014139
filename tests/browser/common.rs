//! What tests of the overview and of the explorer have in common: which days they look at, and what the API says of them.

use chrono::{Days, NaiveDate, Utc};
use serde_json::Value;

use crate::server::Server;
use crate::support::Page;

/// A week of the sample events that no test can see the end of.
pub(crate) struct Week {
    pub(crate) first: NaiveDate,
    pub(crate) last: NaiveDate,
}

impl Week {
    pub(crate) fn of_samples() -> Self {
        let today = Utc::now().date_naive();
        Self { first: today - Days::new(9), last: today - Days::new(3) }
    }

    /// The parameters of an address of the API or of a page that select it.
    pub(crate) fn query(&self) -> String {
        format!("started={}T00:00&ended={}T23:59", self.first, self.last)
    }

    /// The numbers of a column on these days, by day; none where nothing was.
    pub(crate) fn values(&self, server: &Server, metrics: &str, column: &str, more: &str) -> Vec<(String, f64)> {
        let path = format!("/v6/metrics/{metrics}/plot-data/?column={column}&{}{more}", self.query());
        let values = server.get_json(&path)["results"][0]["values"].take();
        let value = |value: &Value| (value["datetime"].as_str().unwrap().to_owned(), value["value"].as_f64().unwrap());
        values.as_array().unwrap().iter().map(value).collect()
    }

    /// The sum of a column over these days.
    pub(crate) fn sum(&self, server: &Server, metrics: &str, column: &str, more: &str) -> f64 {
        self.values(server, metrics, column, more).into_iter().map(|(_, value)| value).sum()
    }
}

/// Waits until the page shows what its address says, and nothing is under way.
pub(crate) fn settled(page: &Page) {
    page.wait("document.querySelector('#freshness').textContent !== ''", "the first numbers");
    page.wait("!document.querySelector('#view').hasAttribute('aria-busy')", "the page to be up to date");
    page.rest();
}

/// The numbers that the elements that `selector` finds stand for; an element that stands for none has none.
pub(crate) fn numbers(page: &Page, selector: &str) -> Vec<Option<f64>> {
    let js =
        format!("[...document.querySelectorAll('{selector}')].map((it) => it.querySelector('data')?.value ?? null)");
    let numbers = page.eval(&js);
    numbers.as_array().unwrap().iter().map(|number| number.as_str().map(|number| number.parse().unwrap())).collect()
}

/// The place of an element in the window: left, top, width, height.
pub(crate) fn place(page: &Page, selector: &str) -> [f64; 4] {
    let js = format!(
        "(() => {{
            const found = document.querySelector('{selector}');
            found.scrollIntoView({{block: 'center', behavior: 'instant'}});
            const {{x, y, width, height}} = found.getBoundingClientRect();
            return [x, y, width, height];
        }})()"
    );
    serde_json::from_value(page.eval(&js)).unwrap()
}

/// The middle of a bucket of a chart, by its number, as a place in the window.
pub(crate) fn bucket(page: &Page, chart: &str, number: u32) -> (f64, f64) {
    let [x, y, _, _] = place(page, &format!("{chart} .picture"));
    let js = format!(
        "(() => {{
            const {{plot, from, to, bucket}} = document.querySelector('{chart} .picture svg').dataset;
            const count = (Date.parse(to) - Date.parse(from)) / 1000 / Number(bucket);
            return [...plot.split(' ').map(Number), count];
        }})()"
    );
    let [left, top, width, height, count]: [f64; 5] = serde_json::from_value(page.eval(&js)).unwrap();
    (x + left + (f64::from(number) + 0.5) * width / count, y + top + height / 2.0)
}

/// Asserts that nothing needs to be scrolled to sideways.
#[track_caller]
pub(crate) fn assert_fits(page: &Page) {
    assert_eq!(page.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth"), 0);
}
