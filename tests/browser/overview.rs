//! `/`: how much there was, what became of it, where the time went, and whether that is worse than before.

use serde_json::{Value, json};

use crate::common::{Week, assert_fits, bucket, numbers, place, settled};
use crate::server::Server;
use crate::support::{Page, browser};

/// The overview of a week of the sample events.
fn open(week: &Week) -> Option<(Page, &'static Server)> {
    let browser = browser()?;
    let server = Server::demo();
    let page = browser.open(&server.url(&format!("/?{}", week.query())));
    settled(&page);
    Some((page, server))
}

#[track_caller]
fn assert_near(shown: Option<f64>, expected: f64, what: &str) {
    let shown = shown.unwrap_or_else(|| panic!("{what} is not shown"));
    assert!((shown - expected).abs() < 1e-9, "{what}: {shown}, not {expected}");
}

/// The names in a table of choices, as they are shown.
fn names(page: &Page, section: &str) -> Vec<String> {
    page.texts(&format!("#{section} .choices tbody th"))
}

// The numbers.

#[test]
fn totals_are_those_of_plot_data() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week) else { return };
    let sum = |metrics, column| week.sum(server, metrics, column, "");
    for (section, expected) in [
        (
            "job-types",
            vec![
                sum("job-types", "total_count"),
                sum("job-types", "completed_count") / sum("job-types", "total_count"),
                sum("job-types", "failed_count") / sum("job-types", "total_count"),
                sum("job-types", "error_system_count"),
                sum("job-types", "error_data_count"),
                sum("job-types", "error_algorithm_count"),
            ],
        ),
        ("errors", vec![sum("errors", "total_count")]),
        (
            "ingests",
            vec![
                sum("ingests", "total_count"),
                sum("ingests", "errored_count") / sum("ingests", "total_count"),
                sum("ingests", "duplicate_count") / sum("ingests", "total_count"),
                sum("ingests", "file_size_sum"),
            ],
        ),
    ] {
        let shown = numbers(&page, &format!("#{section} .tiles dd:nth-child(2)"));
        let titles = page.texts(&format!("#{section} .tiles dt"));
        assert!(expected[0] > 0.0, "the samples have nothing to compare");
        for (place, expected) in expected.into_iter().enumerate() {
            assert_near(shown[place], expected, &titles[place]);
        }
    }
    page.assert_clean(server.origin());
}

#[test]
fn averages_and_what_was_before_are_those_of_the_totals() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week) else { return };
    let query = format!("column=queue_time_avg&column=run_time_avg&column=total_count&against=P7D&{}", week.query());
    let all = server.get_json(&format!("/v6/metrics/job-types/totals/?{query}"))["all"].take();
    let shown = numbers(&page, "#job-types .tiles dd:nth-child(2)");
    assert_near(shown[6], all["values"]["queue_time_avg"].as_f64().unwrap(), "queue");
    assert_near(shown[7], all["values"]["run_time_avg"].as_f64().unwrap(), "run");
    let [now, before] = ["values", "before"].map(|when| all[when]["total_count"].as_f64().unwrap());
    let trends = page.texts("#job-types .tiles dd:nth-child(3)");
    let change = (now / before - 1.0) * 100.0;
    let expected = match change {
        _ if change.abs() < 0.5 => "= about the same".to_owned(),
        _ if change > 0.0 => format!("▲ {change:.0} %"),
        _ => format!("▼ {:.0} %", -change),
    };
    let heard =
        |text: &str| text.replace("up", "").replace("down", "").split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(heard(&trends[0]), expected, "{now} against {before}");
    page.assert_clean(server.origin());
}

#[test]
fn each_row_has_the_numbers_of_its_choice_the_worst_first() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week) else { return };
    let links = page.eval("[...document.querySelectorAll('#job-types .choices tbody a')].map((link) => link.href)");
    let links = links.as_array().unwrap();
    assert!(links.len() >= 10, "{links:?}");
    let mut rates = Vec::new();
    for (row, link) in links.iter().enumerate() {
        let (_, id) = link.as_str().unwrap().split_once("choice_id=").unwrap();
        let only = format!("&choice_id={}", id.split('&').next().unwrap());
        let sum = |column| week.sum(server, "job-types", column, &only);
        let shown = numbers(&page, &format!("#job-types .choices tbody tr:nth-child({}) td:not(.spark)", row + 1));
        let total = sum("total_count");
        assert_near(shown[1], total, "ended");
        let shown_as =
            [(0, "failed_count"), (2, "error_system_count"), (3, "error_data_count"), (4, "error_algorithm_count")];
        for (place, column) in shown_as {
            assert_near(shown[place], sum(column) / total, column);
        }
        rates.push(shown[0].unwrap());
    }
    assert!(rates.is_sorted_by(|one, next| one >= next), "{rates:?}");
    page.assert_clean(server.origin());
}

#[test]
fn the_parts_of_the_time_are_those_of_its_sum() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week) else { return };
    let columns = ["queue_time_sum", "pre_time_sum", "job_time_sum", "post_time_sum", "stage_time_sum"];
    let query = columns.map(|column| format!("column={column}&")).concat() + &week.query();
    let all = server.get_json(&format!("/v6/metrics/job-types/totals/?{query}"))["all"]["values"].take();
    let sums = columns.map(|column| all[column].as_f64().unwrap());
    let whole: f64 = sums.iter().sum();
    let shown = numbers(&page, "#job-types .split li");
    let texts = page.texts("#job-types .split li data");
    for (place, sum) in sums.into_iter().enumerate() {
        assert_near(shown[place], sum, columns[place]);
        assert_eq!(texts[place], format!("{:.1} %", sum / whole * 100.0), "{}", columns[place]);
    }
    let colours = page.eval(
        "[...document.querySelectorAll('#job-types .split .bar span')].map((part) => getComputedStyle(part).backgroundColor)",
    );
    let legend = page.eval(
        "[...document.querySelectorAll('#job-types .chart:has(.split) .swatch')].map((it) => getComputedStyle(it).backgroundColor)",
    );
    assert_eq!(colours, legend);
    page.assert_clean(server.origin());
}

// What is done with a table.

#[test]
fn a_click_on_a_heading_sorts_and_another_turns_it_round() {
    let Some((page, server)) = open(&Week::of_samples()) else { return };
    let ended =
        || numbers(&page, "#job-types .choices tbody td:nth-child(4)").into_iter().flatten().collect::<Vec<_>>();
    for (direction, is_sorted) in [
        ("descending", (|values: &[f64]| values.is_sorted_by(|one, next| one >= next)) as fn(&[f64]) -> bool),
        ("ascending", |values| values.is_sorted()),
    ] {
        page.click("#job-types th[data-order=total_count] button");
        settled(&page);
        page.wait(
            &format!("document.querySelector('#job-types th[data-order=total_count]').ariaSort === '{direction}'"),
            direction,
        );
        assert!(is_sorted(&ended()), "{direction}: {:?}", ended());
    }
    page.click("#job-types th[data-order=title] button");
    page.wait("document.querySelector('#job-types th[data-order=title]').ariaSort === 'ascending'", "names by letter");
    settled(&page);
    let by_name = names(&page, "job-types");
    assert!(by_name.is_sorted(), "{by_name:?}");
    assert_eq!(page.eval("new URLSearchParams(location.search).get('order.job-types')"), "title");
    page.reload();
    settled(&page);
    assert_eq!(names(&page, "job-types"), by_name);
    page.assert_clean(server.origin());
}

#[test]
fn a_search_shows_who_is_meant_and_leaves_the_totals_as_they_are() {
    let Some((page, server)) = open(&Week::of_samples()) else { return };
    let all = names(&page, "job-types");
    let tiles = page.texts("#job-types .tiles dd");
    page.type_text("#job-types input[type=search]", "LANDSAT");
    page.wait("location.search.includes('LANDSAT')", "the search in the address");
    settled(&page);
    let found = names(&page, "job-types");
    let mut expected: Vec<_> = all.into_iter().filter(|name| name.to_lowercase().contains("landsat")).collect();
    let mut sorted = found.clone();
    expected.sort();
    sorted.sort();
    assert!(!expected.is_empty() && sorted == expected, "{found:?}, not {expected:?}");
    assert_eq!(page.texts("#job-types .tiles dd"), tiles);
    page.type_text("#job-types input[type=search]", " no such thing");
    page.wait("document.querySelectorAll('#job-types .choices tbody th').length === 0", "nobody to be found");
    assert!(!page.text("#job-types .choices tbody").is_empty());
    page.assert_clean(server.origin());
}

#[test]
fn many_choices_have_pages() {
    let Some(browser) = browser() else { return };
    let server = Server::empty();
    let page = browser.open(&server.url("/"));
    let now = page.eval("new Date().toISOString()");
    let mut events = Vec::new();
    for id in 1..=60_u32 {
        events.push(json!({"kind": "job_type", "id": id, "name": format!("type-{id:02}"), "version": "1"}));
        for job in 0..id {
            let job = id * 100 + job;
            events.push(json!({"kind": "job", "id": job, "job_type": id, "status": "COMPLETED", "ended": now}));
        }
    }
    server.post_ndjson(&events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"));
    page.goto(&server.url("/?order.job-types=-total_count"));
    settled(&page);
    let shown =
        || numbers(&page, "#job-types .choices tbody td:nth-child(4)").into_iter().flatten().collect::<Vec<_>>();
    let down = |from: u32, to: u32| (to..=from).rev().map(f64::from).collect::<Vec<_>>();
    assert_eq!(shown(), down(60, 36));
    assert_eq!(page.text("#job-types .pages span"), "1–25 of 60");
    for (from, to, text) in [(35, 11, "26–50 of 60"), (10, 1, "51–60 of 60")] {
        page.click("#job-types .pages button:last-child");
        page.wait(&format!("document.querySelector('#job-types .pages').innerText.includes('{text}')"), text);
        settled(&page);
        assert_eq!(shown(), down(from, to));
    }
    assert_eq!(page.eval("document.querySelector('#job-types .pages button:last-child').disabled"), true);
    page.eval("history.back()");
    page.wait("document.querySelector('#job-types .pages').innerText.includes('26–50')", "the page before");
    page.assert_clean(server.origin());
}

#[test]
fn a_row_leads_to_the_explorer_with_its_choice() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week) else { return };
    let first = names(&page, "job-types").swap_remove(0);
    page.click("#job-types .choices tbody a");
    page.wait("location.pathname === '/explorer/'", "the explorer");
    settled(&page);
    assert_eq!(page.texts(".chips bdi"), [first]);
    assert_eq!(page.eval("new URLSearchParams(location.search).get('started')"), format!("{}T00:00", week.first));
    page.assert_clean(server.origin());
}

// What is done with a chart.

const OUTCOMES: &str = "#job-types .chart:nth-child(1)";

#[test]
fn dragging_zooms_in_and_the_way_back_is_the_browsers() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week) else { return };
    let before = page.eval("location.href");
    page.drag(bucket(&page, OUTCOMES, 2), bucket(&page, OUTCOMES, 4));
    page.wait(&format!("location.href !== {before}"), "another address");
    settled(&page);
    let day = |number| week.first + chrono::Days::new(number);
    let asked = page.eval("['started', 'ended'].map((name) => new URLSearchParams(location.search).get(name))");
    assert_eq!(asked, json!([format!("{}T00:00", day(2)), format!("{}T23:59", day(4))]));
    let zoomed = Week { first: day(2), last: day(4) };
    let shown = numbers(&page, "#job-types .tiles dd:nth-child(2)");
    assert_near(shown[0], zoomed.sum(server, "job-types", "total_count", ""), "the jobs of three days");
    page.eval("history.back()");
    page.wait(&format!("location.href === {before}"), "the address before");
    settled(&page);
    let shown = numbers(&page, "#job-types .tiles dd:nth-child(2)");
    assert_near(shown[0], week.sum(server, "job-types", "total_count", ""), "the jobs of the week");
    page.assert_clean(server.origin());
}

#[test]
fn a_click_on_a_name_switches_its_series_off_and_on() {
    let Some((page, server)) = open(&Week::of_samples()) else { return };
    let button = format!("{OUTCOMES} .legend li:nth-child(1) button");
    let colour = page.eval(&format!("JSON.parse(document.querySelector('{OUTCOMES} svg').dataset.series)[0].color"));
    let bars = format!("document.querySelectorAll('{OUTCOMES} .picture [fill={colour}]').length");
    assert!(page.eval(&bars).as_u64().unwrap() > 0, "{bars}");
    let others = page.eval(&format!(
        "document.querySelectorAll('{OUTCOMES} .picture svg rect, {OUTCOMES} .picture svg path').length"
    ));
    for (pressed, is_there) in [("false", false), ("true", true)] {
        page.click(&button);
        page.wait(&format!("document.querySelector('{button}').ariaPressed === '{pressed}'"), pressed);
        assert_eq!(page.eval(&bars).as_u64().unwrap() > 0, is_there);
    }
    assert_eq!(
        page.eval(&format!(
            "document.querySelectorAll('{OUTCOMES} .picture svg rect, {OUTCOMES} .picture svg path').length"
        )),
        others
    );
    page.assert_clean(server.origin());
}

#[test]
fn the_pointer_is_told_the_values_of_its_day() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week) else { return };
    let (x, y) = bucket(&page, OUTCOMES, 3);
    page.hover(x, y);
    let tip = format!("{OUTCOMES} .tip");
    page.wait(&format!("document.querySelector('{tip} td')?.checkVisibility()"), "the values");
    let expected = ["completed_count", "failed_count", "canceled_count"]
        .map(|column| week.values(server, "job-types", column, "")[3].1.to_string());
    assert_eq!(page.texts(&format!("{tip} td")), expected);
    let day = (week.first + chrono::Days::new(3)).format("%a, %b %-d %Y").to_string();
    assert_eq!(page.text(&format!("{tip} p")), day);
    let [left, _, width, _] = place(&page, &format!("{OUTCOMES} .crosshair"));
    assert!((left + width / 2.0 - x).abs() <= 2.0, "the line is at {left}, the pointer at {x}");
    page.hover(2.0, 2.0);
    page.wait(&format!("!document.querySelector('{tip}').checkVisibility()"), "the values to go");
    page.assert_clean(server.origin());
}

#[test]
fn arrow_keys_say_the_values_and_escape_ends_it() {
    let week = Week::of_samples();
    let Some((page, server)) = open(&week) else { return };
    page.eval(&format!("document.querySelector('{OUTCOMES} .plot').focus()"));
    let values = week.values(server, "job-types", "failed_count", "");
    for (key, day) in [("ArrowRight", 0), ("ArrowRight", 1), ("End", 6), ("ArrowLeft", 5), ("Home", 0)] {
        page.press(key);
        let said = format!(
            "{}: Completed Count {}, Failed Count {},",
            (week.first + chrono::Days::new(day)).format("%a, %b %-d %Y"),
            week.values(server, "job-types", "completed_count", "")[usize::try_from(day).unwrap()].1,
            values[usize::try_from(day).unwrap()].1
        );
        let said = json!(said);
        page.wait(&format!("document.querySelector('{OUTCOMES} [aria-live]').textContent.startsWith({said})"), key);
    }
    page.press("Escape");
    page.wait(&format!("!document.querySelector('{OUTCOMES} .tip').checkVisibility()"), "the values to go");
    page.assert_clean(server.origin());
}

// What surrounds the numbers.

#[test]
fn presets_move_with_the_clock_and_a_free_range_stays() {
    let week = Week::of_samples();
    let Some(browser) = browser() else { return };
    let server = Server::demo();
    let page = browser.open(&server.url("/"));
    settled(&page);
    assert_eq!(page.eval("document.querySelector('[data-range][aria-pressed=true]').dataset.range"), "P7D");
    page.click("[data-range=PT48H]");
    page.wait("location.search === '?range=PT48H'", "the range in the address");
    settled(&page);
    assert_eq!(page.eval(&format!("document.querySelector('{OUTCOMES} svg').dataset.bucket")), "3600");
    page.click("[data-range=P30D]");
    page.wait(&format!("document.querySelector('{OUTCOMES} svg').dataset.bucket === '86400'"), "days");
    settled(&page);
    let set = format!(
        "(() => {{
            const [from, to] = document.querySelectorAll('.free input');
            [from.value, to.value] = ['{}T00:00', '{}T23:59'];
            for (const field of [from, to]) field.dispatchEvent(new Event('input'));
        }})()",
        week.first, week.last
    );
    page.eval(&set);
    page.click(".free button");
    page.wait("location.search.includes('started')", "the range in the address");
    settled(&page);
    assert_eq!(page.eval("decodeURIComponent(location.search)"), format!("?{}", week.query()));
    assert_eq!(page.eval("document.querySelectorAll('[data-range][aria-pressed=true]').length"), 0);
    page.assert_clean(server.origin());
}

#[test]
fn an_empty_server_says_how_to_fill_it_and_shows_what_comes() {
    let Some(browser) = browser() else { return };
    let server = Server::empty();
    let page = browser.open(&server.url("/"));
    settled(&page);
    assert_eq!(page.texts("h1"), ["No events yet"]);
    let command = page.text(".empty pre");
    assert!(command.contains(&server.url("/v6/events/")), "{command}");
    let (_, events) = command.split_once("<<'END'\n").unwrap();
    server.post_ndjson(events.strip_suffix("END").unwrap());
    page.eval("dispatchEvent(new Event('online'))");
    page.wait("document.querySelector('#job-types .tiles data')", "the first job");
    settled(&page);
    assert_eq!(numbers(&page, "#job-types .tiles dd:nth-child(2)")[..2], [Some(1.0), Some(1.0)]);
    assert_eq!(names(&page, "job-types"), ["My Job 1.0"]);
    page.assert_clean(server.origin());
}

#[test]
fn a_server_that_is_gone_is_waited_for() {
    let Some((page, server)) = open(&Week::of_samples()) else { return };
    let tiles = page.texts("#job-types .tiles dd");
    page.offline(true);
    page.click("[data-range=P30D]");
    page.wait("document.querySelector('#banner').checkVisibility()", "the banner");
    let said = page.text("#banner");
    assert!(said.starts_with("The server does not answer. Trying again every 5 seconds."), "{said}");
    assert_eq!(page.texts("#job-types .tiles dd"), tiles);
    page.poll("errors", || Some(page.take_errors()).filter(|errors| !errors.is_empty()).ok_or("none"));
    page.offline(false);
    page.wait("!document.querySelector('#banner').checkVisibility()", "the banner to go");
    settled(&page);
    page.take_errors();
    assert_ne!(page.texts("#job-types .tiles dd"), tiles);
    page.assert_clean(server.origin());
}

#[test]
fn who_has_no_token_is_asked_for_it() {
    let Some(browser) = browser() else { return };
    let (server, token) = Server::guarded();
    let page = browser.open(&server.url("/"));
    page.wait("document.querySelector('dialog').open", "the question");
    for (typed, refusal) in [("wrong", true), (token.as_str(), false)] {
        page.type_text("dialog input", typed);
        page.press("Enter");
        if refusal {
            page.wait("document.querySelector('#token-why').textContent.startsWith('The last one was refused')", "why");
            page.wait("document.querySelector('dialog').open", "the question again");
            page.rest();
        }
    }
    settled(&page);
    assert_eq!(page.eval("document.querySelector('dialog').open"), false);
    assert!(numbers(&page, "#job-types .tiles dd:nth-child(2)")[0].unwrap() > 0.0);
    let refused = page.take_errors();
    assert!(!refused.is_empty() && refused.iter().all(|error| error.contains("401")), "{refused:?}");
    page.reload();
    settled(&page);
    page.assert_clean(server.origin());
}

#[test]
fn names_are_text_whatever_they_are() {
    let Some(browser) = browser() else { return };
    let server = Server::empty();
    let page = browser.open(&server.url("/"));
    let now = page.eval("new Date().toISOString()");
    let long = "long ".repeat(40);
    let hostile = [
        "<img src=x onerror=window.broken=1>",
        "\"><script>window.broken=1</script>",
        "&lt;b&gt; ' \" & %3Cb%3E",
        "\u{202e}reversed\u{2066}",
        "שלום עולם",
        "${window.broken=1} `x`",
        long.trim_end(),
    ];
    let mut events = Vec::new();
    for (name, id) in hostile.iter().zip(1..) {
        events.push(json!({"kind": "job_type", "id": id, "name": format!("n{id}"), "version": "1", "title": name}));
        events.push(json!({"kind": "job", "id": id, "job_type": id, "status": "COMPLETED", "ended": now}));
    }
    server.post_ndjson(&events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"));
    page.goto(&server.url("/?order.job-types=id"));
    settled(&page);
    let shown =
        page.eval("[...document.querySelectorAll('#job-types .choices tbody bdi')].map((it) => it.textContent)");
    assert_eq!(shown, json!(hostile.map(|name| format!("{name} 1"))));
    let all: Vec<_> = (1..=hostile.len()).map(|id| format!("&choice_id={id}")).collect();
    page.goto(&server.url(&format!("/explorer/?range=PT24H&column=total_count{}", all.concat())));
    settled(&page);
    assert_eq!(page.texts(".legend bdi").len(), hostile.len());
    let (x, y) = bucket(&page, ".chart", 23);
    page.hover(x, y);
    page.wait("document.querySelectorAll('.tip td').length === 7", "the values");
    page.type_text(".combobox input", "img");
    assert!(page.eval("window.broken ?? null").is_null());
    page.resize(360, 700, 1.0);
    settled(&page);
    assert_fits(&page);
    page.assert_clean(server.origin());
}

// What it costs.

#[test]
fn the_first_look_is_small_and_another_one_tiny() {
    let Some(browser) = browser() else { return };
    let server = Server::demo();
    let page = browser.open(&server.url("/"));
    settled(&page);
    let first = page.bytes_received();
    assert!(first < 100_000, "{first} bytes");
    let fresh = page.eval("document.querySelector('#freshness').textContent");
    page.eval("dispatchEvent(new Event('online'))");
    page.wait(&format!("document.querySelector('#freshness').textContent !== {fresh}"), "another time");
    settled(&page);
    let again = page.bytes_received() - first;
    assert!(again < first / 10, "{again} bytes after {first}");
    page.assert_clean(server.origin());
}
