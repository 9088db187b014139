//! `/explorer/`: any columns of a metrics type, of all choices together or of some, over any time.

use serde_json::{Value, json};

use crate::common::{Week, bucket, settled};
use crate::server::Server;
use crate::support::{Page, browser};

/// The explorer of a week of the sample events, with more in its address.
fn open(week: &Week, more: &str) -> Option<(Page, &'static Server)> {
    let browser = browser()?;
    let server = Server::demo();
    let page = browser.open(&server.url(&format!("/explorer/?{}{more}", week.query())));
    settled(&page);
    Some((page, server))
}

/// All parameters of the address with this name.
fn parameters(page: &Page, name: &str) -> Value {
    page.eval(&format!("new URLSearchParams(location.search).getAll('{name}')"))
}

/// What the picture says of itself.
fn series(page: &Page, field: &str) -> Value {
    page.eval(&format!("JSON.parse(document.querySelector('.picture svg').dataset.series).map((it) => it.{field})"))
}

/// Clicks, and waits until the page shows what the address then says.
fn click(page: &Page, selector: &str) {
    page.click(selector);
    page.wait("!document.querySelector('#view').hasAttribute('aria-busy')", "the page to be up to date");
    settled(page);
}

#[test]
fn columns_are_ticked_by_group_and_kept_in_the_address() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week, "") else { return };
    assert_eq!(series(&page, "key"), json!(["completed_count", "failed_count", "canceled_count"]));
    let groups = server.get_json("/v6/metrics/job-types/")["groups"].take();
    let titles: Vec<_> =
        groups.as_array().unwrap().iter().map(|group| group["title"].as_str().unwrap().to_owned()).collect();
    assert_eq!(page.texts(".columns legend"), titles);
    click(&page, "input[value=canceled_count]");
    click(&page, "input[value=failed_count]");
    click(&page, "input[value=total_count]");
    let chosen = json!(["completed_count", "total_count"]);
    assert_eq!(series(&page, "key"), chosen);
    assert_eq!(parameters(&page, "column"), chosen);
    click(&page, "input[value=completed_count]");
    // The last one stays: a picture of nothing is none.
    click(&page, "input[value=total_count]");
    assert_eq!(page.eval("document.querySelector('input[value=total_count]').checked"), true);
    assert_eq!(series(&page, "key"), json!(["total_count"]));
    page.eval("history.back()");
    page.wait("document.querySelector('input[value=completed_count]').checked", "the column again");
    settled(&page);
    assert_eq!(series(&page, "key"), chosen);
    page.reload();
    settled(&page);
    assert_eq!(series(&page, "key"), chosen);
    page.assert_clean(server.origin());
}

#[test]
fn choices_are_found_by_typing_and_chosen_with_keys() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week, "&column=total_count") else { return };
    let choices = server.get_json("/v6/metrics/job-types/")["choices"].take();
    let ids = |word: &str| -> Vec<String> {
        let choices = choices.as_array().unwrap().iter();
        let meant = choices.filter(|choice| choice["title"].as_str().unwrap().to_lowercase().contains(word));
        meant.map(|choice| choice["id"].to_string()).collect()
    };
    let landsat = ids("landsat");
    assert!(landsat.len() >= 2, "{choices}");
    page.type_text(".combobox input", "landsat");
    page.wait(
        &format!("document.querySelectorAll('[role=option]').length === {}", landsat.len()),
        "those that are meant",
    );
    page.press("ArrowDown");
    page.press("ArrowDown");
    assert_eq!(
        page.eval("document.getElementById(document.querySelector('.combobox input').getAttribute('aria-activedescendant')) === document.querySelectorAll('[role=option]')[1]"),
        true
    );
    page.press("Enter");
    page.wait("document.querySelectorAll('.chips li').length === 1", "the first one");
    page.type_text(".combobox input", "sentinel-2 tiles");
    page.wait("document.querySelectorAll('[role=option]').length === 1", "the other one");
    page.click("[role=option]");
    page.wait("document.querySelectorAll('.chips li').length === 2", "both");
    settled(&page);
    let expected = [landsat[1].clone(), ids("sentinel-2 tiles").swap_remove(0)];
    assert_eq!(parameters(&page, "choice_id"), json!(expected));
    let keys = series(&page, "key");
    let mut shown: Vec<_> = keys.as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect();
    let mut wanted = expected.clone().map(|id| format!("total_count:{id}")).to_vec();
    shown.sort();
    wanted.sort();
    assert_eq!(shown, wanted);
    page.click(".chips li:nth-child(1) button");
    page.wait("document.querySelectorAll('.chips li').length === 1", "the other one only");
    page.eval("document.querySelector('.combobox input').focus()");
    page.press("Backspace");
    page.wait("document.querySelectorAll('.chips li').length === 0", "nobody");
    settled(&page);
    assert_eq!(series(&page, "key"), json!(["total_count"]));
    page.assert_clean(server.origin());
}

#[test]
fn two_units_have_an_axis_each_and_a_third_one_is_refused_in_words() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week, "&column=run_time_avg&column=total_count&kind=line") else { return };
    assert_eq!(series(&page, "units"), json!(["seconds", "count"]));
    let sides = page.eval(
        "(() => {
            const svg = document.querySelector('.picture svg');
            const [left, , width] = svg.dataset.plot.split(' ').map(Number);
            const texts = [...svg.querySelectorAll('text')].map((text) => [Number(text.getAttribute('x')), text.textContent]);
            return [texts.filter(([x]) => x < left), texts.filter(([x]) => x > left + width)].map((side) => side.map(([, text]) => text));
        })()",
    );
    let [left, right] = [0, 1].map(|side| sides[side].as_array().unwrap().clone());
    assert!(left.len() >= 3 && left.len() == right.len(), "{sides}");
    assert!(left.iter().any(|label| label.as_str().unwrap().ends_with(" m")), "{left:?}");
    // A count may be in thousands, as the sample events have it on some days of the week.
    let count = |label: &Value| label.as_str().unwrap().trim_end_matches(" k").parse::<f64>();
    assert!(right.iter().all(|label| count(label).is_ok()), "{right:?}");
    page.assert_clean(server.origin());

    click(&page, "label:has([value=stacked])");
    assert_eq!(
        page.text(".picture"),
        "Parameter kind is \"stacked\"; stacks need columns of one unit, and these have seconds, count."
    );
    page.goto(
        &server.url("/explorer/?type=ingests&column=total_count&column=file_size_sum&column=ingest_time_avg&kind=bar"),
    );
    settled(&page);
    let refusal = page.text(".picture");
    assert!(
        refusal.starts_with("A picture has at most 2 units, and these columns have count, bytes, seconds;"),
        "{refusal}"
    );
    // It is no fault of the page, and the way out is to choose less.
    assert!(page.take_errors().iter().all(|error| error.contains("400")));
    click(&page, "input[value=total_count]");
    assert_eq!(series(&page, "units"), json!(["bytes", "seconds"]));
    page.assert_clean(server.origin());
}

#[test]
fn kind_and_buckets_are_chosen_and_kept() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week, "&column=total_count") else { return };
    let bucket = || page.eval("document.querySelector('.picture svg').dataset.bucket");
    assert_eq!(bucket(), "86400");
    click(&page, "label:has([name=option-resolution][value=hour])");
    page.wait("document.querySelector('.picture svg').dataset.bucket === '3600'", "hours");
    for (kind, described) in [("line", "Lines by hour"), ("bar", "Bars by hour"), ("stacked", "Stacked bars by hour")] {
        click(&page, &format!("label:has([name=option-kind][value={kind}])"));
        page.wait(&format!("document.querySelector('.picture desc').textContent.startsWith('{described}')"), described);
        assert_eq!(parameters(&page, "kind"), json!([kind]));
    }
    page.reload();
    settled(&page);
    assert_eq!(bucket(), "3600");
    assert_eq!(page.eval("document.querySelector('input[name=option-kind]:checked').value"), "stacked");
    page.assert_clean(server.origin());
}

#[test]
fn the_table_the_call_and_the_csv_have_the_same_values() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week, "&column=total_count&column=queue_time_avg&kind=line") else { return };
    page.click(".chart summary");
    page.wait("document.querySelectorAll('.chart tbody tr').length === 7", "a row for each day");
    let shown = page.eval(
        "[...document.querySelectorAll('.chart tbody tr')].reverse().map((row) => [...row.querySelectorAll('td data')].map((it) => Number(it.value)))",
    );
    let values = |column| week.values(server, "job-types", column, "");
    let shown: Vec<[f64; 2]> = serde_json::from_value(shown).unwrap();
    let expected: Vec<_> = values("total_count")
        .into_iter()
        .zip(values("queue_time_avg"))
        .map(|((_, one), (_, other))| [one, other])
        .collect();
    assert_eq!(shown, expected);
    let called = page.eval("fetch(document.querySelector('#call').value).then((answer) => answer.json())");
    let of_call: Vec<Vec<f64>> = called["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|series| {
            series["values"].as_array().unwrap().iter().map(|value| value["value"].as_f64().unwrap()).collect()
        })
        .collect();
    let transposed = |place: usize| expected.iter().map(|row| row[place]).collect::<Vec<_>>();
    assert_eq!(of_call, [transposed(0), transposed(1)]);
    let csv = page.eval("fetch(document.querySelector('.links a').href).then((answer) => answer.text())");
    let csv: Vec<f64> =
        csv.as_str().unwrap().lines().skip(1).map(|line| line.rsplit_once(',').unwrap().1.parse().unwrap()).collect();
    assert_eq!(csv, [transposed(0), transposed(1)].concat());
    page.click(".links button");
    page.wait("document.querySelector('.links [role=status]').textContent === 'Copied'", "the copy");
    assert_eq!(parameters(&page, "table"), json!(["open"]));
    page.reload();
    page.wait("document.querySelectorAll('.chart tbody tr').length === 7", "the table once more");
    page.assert_clean(server.origin());
}

#[test]
fn the_link_to_the_picture_is_what_is_shown() {
    let week = Week::of_samples();
    let more = "&column=completed_count&column=failed_count&hidden=completed_count&kind=bar";
    let Some((page, server)) = open(&week, more) else { return };
    assert_eq!(
        page.eval("[...document.querySelectorAll('.legend button')].map((it) => it.ariaPressed)"),
        json!(["false", "true"])
    );
    let link = page.eval("document.querySelector('.links a:last-child').href");
    page.goto(link.as_str().unwrap());
    let names = page.eval("[...document.querySelectorAll('text')].map((text) => text.textContent)");
    let names = names.as_array().unwrap();
    assert!(names.contains(&json!("Failed Count")) && !names.contains(&json!("Completed Count")), "{names:?}");
    page.assert_clean(server.origin());
}

#[test]
fn names_in_the_legend_toggle_and_the_address_knows() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week, "&column=completed_count&column=failed_count") else { return };
    click(&page, ".legend li:nth-child(2) button");
    page.wait("document.querySelector('.legend li:nth-child(2) button').ariaPressed === 'false'", "it to be off");
    assert_eq!(parameters(&page, "hidden"), json!(["failed_count"]));
    let (x, y) = bucket(&page, ".chart", 1);
    page.hover(x, y);
    page.wait("document.querySelector('.tip td')", "the values");
    assert_eq!(page.texts(".tip bdi"), ["Completed Count"]);
    click(&page, ".legend li:nth-child(2) button");
    page.wait("document.querySelector('.legend li:nth-child(2) button').ariaPressed === 'true'", "it to be on");
    assert_eq!(parameters(&page, "hidden"), json!([]));
    page.assert_clean(server.origin());
}

#[test]
fn plus_zooms_in_around_the_value_at_hand() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week, "&column=total_count") else { return };
    page.eval("document.querySelector('.plot').focus()");
    for key in ["ArrowRight", "ArrowRight", "ArrowRight", "+"] {
        page.press(key);
    }
    let day = |number| week.first + chrono::Days::new(number);
    page.wait(&format!("location.search.includes('{}')", day(1)), "the range in the address");
    settled(&page);
    assert_eq!(parameters(&page, "started"), json!([format!("{}T00:00", day(1))]));
    assert_eq!(parameters(&page, "ended"), json!([format!("{}T23:59", day(3))]));
    page.assert_clean(server.origin());
}

#[test]
fn addresses_that_name_what_there_is_not_say_so() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week, "&type=nothing&kind=round&resolution=week&hidden=nothing") else { return };
    assert_eq!(series(&page, "key"), json!(["completed_count", "failed_count", "canceled_count"]));
    assert_eq!(page.eval("document.querySelector('#type').value"), "job-types");
    page.assert_clean(server.origin());

    page.goto(&server.url("/explorer/?column=total_count&choice_id=99999999"));
    settled(&page);
    assert_eq!(page.texts(".chips bdi"), ["Unknown: 99999999"]);
    let refusal = page.text(".picture");
    assert!(refusal.starts_with("Parameter choice_id is \"99999999\"; "), "{refusal}");
    page.click(".chips button");
    page.wait("document.querySelector('.picture svg')", "the picture of all");
    page.goto(&server.url("/explorer/?column=nothing"));
    settled(&page);
    let refusal = page.text(".picture");
    assert!(refusal.starts_with("Parameter column is \"nothing\"; "), "{refusal}");
    click(&page, "input[value=total_count]");
    assert_eq!(series(&page, "key"), json!(["total_count"]));
    let errors = page.take_errors();
    assert!(errors.iter().all(|error| error.contains("400")), "{errors:?}");
    page.assert_clean(server.origin());
}

#[test]
fn another_type_begins_anew() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week, "&column=run_time_avg&choice_id=1") else { return };
    page.eval("(() => { const field = document.querySelector('#type'); field.value = 'ingests'; field.dispatchEvent(new Event('change')); })()");
    page.wait("document.querySelector('input[value=errored_count]')?.checked", "the columns of ingests");
    settled(&page);
    assert_eq!(series(&page, "key"), json!(["ingested_count", "errored_count", "duplicate_count"]));
    assert_eq!((parameters(&page, "choice_id"), parameters(&page, "column")), (json!([]), json!([])));
    assert_eq!(parameters(&page, "started"), json!([format!("{}T00:00", week.first)]));
    page.assert_clean(server.origin());
}

#[test]
fn parameters_of_the_address_that_mean_nothing_are_named() {
    let week = Week::of_samples();
    let Some((page, _)) = open(&week, "&colunm=total_count&kind=line&colunm=failed_count&end=P1D") else { return };
    assert_eq!(page.texts("#ignored"), ["Ignored, since the explorer knows no such parameters: colunm, end"]);
    let Some((page, _)) = open(&week, "&kind=line") else { return };
    assert_eq!(page.eval("document.querySelector('#ignored').hidden"), true);
}
