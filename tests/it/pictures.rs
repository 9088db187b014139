//! `GET /v6/metrics/{name}/plot.svg`: that what is drawn are the values of plot data, and what may be asked for.

use roxmltree::{Document, Node};
use scale_metrics::config::Dialect;
use serde_json::{Value, json};

use crate::support::{TestServer, execution, ingest, job, job_type, strike, to_ndjson, with};

const SVG: &str = "/v6/metrics/job-types/plot.svg";

/// A picture as a browser would see it.
struct Picture(String);

/// A rectangle: left, top, width, height, in pixels.
type Bar = [f64; 4];

impl Picture {
    #[track_caller]
    fn of(server: &TestServer, query: &str) -> Self {
        Self::at(server, &format!("{SVG}?{query}"))
    }

    #[track_caller]
    fn at(server: &TestServer, path: &str) -> Self {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("image/svg+xml"));
        Self(answer.text())
    }

    fn look<T>(&self, look: impl FnOnce(Node<'_, '_>) -> T) -> T {
        let document = Document::parse(&self.0).unwrap_or_else(|error| panic!("{error}: {}", self.0));
        look(document.root_element())
    }

    fn attribute(&self, name: &str) -> String {
        self.look(|root| root.attribute(name).unwrap_or_else(|| panic!("no {name}: {}", self.0)).to_owned())
    }

    /// Left, top, width and height of the plot.
    fn plot(&self) -> [f64; 4] {
        let numbers: Vec<f64> = self.attribute("data-plot").split(' ').map(|number| number.parse().unwrap()).collect();
        numbers.try_into().unwrap()
    }

    /// What the root says of the series, a field of each.
    fn series(&self, field: &str) -> Vec<String> {
        let series: Value = serde_json::from_str(&self.attribute("data-series")).unwrap();
        series.as_array().unwrap().iter().map(|series| series[field].as_str().unwrap().to_owned()).collect()
    }

    /// All texts, where they stand: x, y, and what they say.
    fn texts(&self) -> Vec<(f64, f64, String)> {
        self.look(|root| {
            let texts = root.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "text")));
            let number = |node: &Node<'_, '_>, name| node.attribute(name).unwrap().parse().unwrap();
            texts.map(|node| (number(&node, "x"), number(&node, "y"), node.text().unwrap().to_owned())).collect()
        })
    }

    fn words(&self) -> Vec<String> {
        self.texts().into_iter().map(|(_, _, text)| text).collect()
    }

    /// The descriptions of the paths with this paint.
    fn paths(&self, paint: &str, colour: &str) -> Vec<String> {
        self.look(|root| {
            let paths = root.descendants().filter(|node| node.attribute(paint) == Some(colour));
            paths.filter_map(|node| node.attribute("d").map(str::to_owned)).collect()
        })
    }

    /// The bars of the series with this number, from left to right.
    fn bars(&self, series: usize) -> Vec<Bar> {
        let colour = &self.series("color")[series];
        let paths = self.paths("fill", colour).concat();
        let bars = paths.split('z').filter(|bar| !bar.is_empty()).map(|bar| {
            let numbers: Vec<f64> = bar
                .split(['M', 'h', 'v', ' '])
                .filter(|part| !part.is_empty())
                .map(|part| part.parse().unwrap())
                .collect();
            [numbers[0], numbers[1], numbers[2], numbers[3]]
        });
        bars.collect()
    }

    /// The lines of the series with this number, piece by piece; a dot is a piece of one point.
    fn lines(&self, series: usize) -> Vec<Vec<(f64, f64)>> {
        let colour = &self.series("color")[series];
        let pieces = self
            .paths("stroke", colour)
            .into_iter()
            .flat_map(|path| path.split('M').skip(1).map(str::to_owned).collect::<Vec<_>>());
        let mut pieces: Vec<Vec<(f64, f64)>> = pieces
            .map(|piece| {
                let piece = piece.strip_suffix("h0").unwrap_or(&piece);
                let numbers: Vec<f64> = piece.split(['L', ' ']).map(|part| part.parse().unwrap()).collect();
                numbers.chunks(2).map(|point| (point[0], point[1])).collect()
            })
            .collect();
        pieces.sort_by(|one, other| one[0].0.total_cmp(&other[0].0));
        pieces
    }

    /// The value that the largest label of the left axis stands for, which has to be a plain number.
    fn top_of_axis(&self) -> f64 {
        let [left, ..] = self.plot();
        let labels = self.texts().into_iter().filter(|(x, _, _)| *x < left);
        labels.filter_map(|(_, _, text)| text.parse().ok()).fold(0.0, f64::max)
    }

    /// The value that a height stands for on the left axis.
    fn value(&self, height: f64) -> f64 {
        height / self.plot()[3] * self.top_of_axis()
    }
}

/// One job type that completed and failed so many jobs on days in a row from 2015-01-01 on.
fn server_with_days(days: &[(u64, u64)]) -> TestServer {
    let server = TestServer::start();
    let mut events = vec![job_type(1, "one")];
    let mut id = 0;
    for (day, (completed, failed)) in (1..).zip(days) {
        for (status, count) in [("COMPLETED", completed), ("FAILED", failed)] {
            for _ in 0..*count {
                id += 1;
                events.push(job(id, 1, status, &format!("2015-01-{day:02}T12:00:00Z")));
            }
        }
    }
    server.accept(&events);
    server
}

const DAYS: [(u64, u64); 5] = [(10, 2), (7, 0), (0, 0), (3, 9), (1, 1)];
const TWO: &str = "column=completed_count&column=failed_count&started=2015-01-01&ended=2015-01-05";

#[track_caller]
fn assert_near(found: f64, expected: f64, slack: f64) {
    assert!((found - expected).abs() <= slack, "{found}, not {expected}");
}

// What is drawn.

#[test]
fn bars_are_as_high_as_their_values_and_stand_in_their_days() {
    let server = server_with_days(&DAYS);
    let picture = Picture::of(&server, TWO);
    let [left, top, width, height] = picture.plot();
    let day = width / 5.0;
    for (series, values) in [(0, [10.0, 7.0, 3.0, 1.0].as_slice()), (1, &[2.0, 9.0, 1.0])] {
        let bars = picture.bars(series);
        // A zero has no height, and a day without anything no value.
        assert_eq!(bars.len(), values.len(), "{bars:?}");
        for (bar, value) in bars.iter().zip(values) {
            assert_near(picture.value(bar[3]), *value, 0.05);
            assert_near(bar[1] + bar[3], top + height, 0.11);
        }
    }
    let days: Vec<f64> = picture.bars(0).iter().map(|bar| ((bar[0] - left) / day).floor()).collect();
    assert_eq!(days, [0.0, 1.0, 3.0, 4.0]);
    let (one, other) = (picture.bars(0)[0], picture.bars(1)[0]);
    assert!(one[0] + one[2] <= other[0] && other[0] + other[2] <= left + day, "{one:?} {other:?} overlap");
}

#[test]
fn stacks_stand_one_upon_the_other() {
    let server = server_with_days(&DAYS);
    let picture = Picture::of(&server, &format!("{TWO}&kind=stacked"));
    let (completed, failed) = (picture.bars(0), picture.bars(1));
    for (place, below, value) in [(0, 0, 2.0), (1, 2, 9.0), (2, 3, 1.0)] {
        assert_near(failed[place][1] + failed[place][3], completed[below][1], 0.11);
        assert_near(failed[place][0], completed[below][0], 0.0);
        assert_near(picture.value(failed[place][3]), value, 0.05);
    }
    assert!(picture.top_of_axis() >= 12.0, "the axis ends below the largest sum");
}

#[test]
fn lines_go_through_their_values_and_break_where_there_is_none() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "one")]);
    // Days 1, 2, 4, 5 and 7 have executions that waited 10, 20, 40, 50 and 70 seconds.
    for day in [1_u64, 2, 4, 5, 7] {
        let [queued, started] =
            [0, 10 * day].map(|second| format!("2015-01-{day:02}T00:{:02}:{:02}Z", second / 60, second % 60));
        server.accept(&[execution(day, 1, &queued, &started, &started)]);
    }
    let picture = Picture::of(&server, "column=queue_time_max&started=2015-01-01&ended=2015-01-07&kind=line");
    let [left, top, width, height] = picture.plot();
    let lines = picture.lines(0);
    assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    let top_label = picture.texts().into_iter().find(|(x, y, _)| *x < left && (y - 4.5 - top).abs() < 0.1).unwrap().2;
    assert_eq!(top_label, "1 m 15 s");
    for ((x, y), day) in lines.concat().into_iter().zip([1.0, 2.0, 4.0, 5.0, 7.0]) {
        assert_near(x, left + (day - 0.5) * width / 7.0, 0.11);
        assert_near((top + height - y) / height * 75.0, 10.0 * day, 0.1);
    }
}

#[test]
fn what_is_hidden_leaves_its_place_and_the_colours_of_the_others() {
    let server = server_with_days(&DAYS);
    let all = Picture::of(&server, TWO);
    let one = Picture::of(&server, &format!("{TWO}&hidden=completed_count&hidden[]=completed_count&hidden="));
    assert_eq!(one.series("color"), all.series("color"));
    assert_eq!(one.series("key"), ["completed_count", "failed_count"]);
    assert!(one.bars(0).is_empty());
    assert_eq!(one.bars(1).len(), all.bars(1).len());
    assert!(one.words().contains(&"Failed Count".to_owned()) && !one.words().contains(&"Completed Count".to_owned()));
    // The axes stay: whoever switches something off compares with what was there before.
    let none = Picture::of(&server, &format!("{TWO}&hidden=completed_count&hidden=failed_count"));
    assert_eq!((none.bars(0).len(), none.bars(1).len()), (0, 0));
}

#[test]
fn what_is_hidden_has_to_be_a_series_of_the_picture() {
    let server = server_with_days(&DAYS);
    let picture = "/v6/metrics/job-types/plot.svg";
    // Values of one choice have no id, so neither has its series.
    for hidden in ["nope", "total_count", "completed_count:1", "Completed_count"] {
        let refused = server.get(&format!("{picture}?{TWO}&choice_id=1&hidden=failed_count&hidden={hidden}"));
        refused.assert_refused(400, &["hidden", &format!("{hidden:?}"), "completed_count, failed_count"]);
    }
}

#[test]
fn two_units_have_an_axis_each() {
    let server = TestServer::start();
    server.accept(&[strike(1, "north")]);
    for id in 1..=4 {
        let event = ingest(id, 1, "INGESTED", "2015-01-01T00:00:00Z");
        server.accept(&[with(event, json!({"file_size": 1_u64 << 30}))]);
    }
    let query = "column=total_count&column=file_size_sum&started=2015-01-01&ended=2015-01-02&kind=bar";
    let picture = Picture::at(&server, &format!("/v6/metrics/ingests/plot.svg?{query}"));
    let [left, top, width, height] = picture.plot();
    let right: Vec<_> = picture
        .texts()
        .into_iter()
        .filter(|(x, y, _)| *x > left + width && *y >= top)
        .map(|(_, _, text)| text)
        .collect();
    assert_eq!(right.first().map(String::as_str), Some("0"));
    let largest: f64 = right.last().unwrap().strip_suffix(" GiB").unwrap().parse().unwrap();
    assert_near(picture.value(picture.bars(0)[0][3]), 4.0, 0.05);
    assert_near(picture.bars(1)[0][3] / height * largest, 4.0, 0.05);
    assert!(picture.words().contains(&"File Size (Sum) (right)".to_owned()), "{:?}", picture.words());
}

#[test]
fn without_columns_the_first_group_is_drawn() {
    let server = server_with_days(&DAYS);
    let first = Picture::of(&server, "started=2015-01-01");
    assert_eq!(first.series("key"), ["completed_count", "failed_count", "canceled_count", "total_count"]);
    let errors = Picture::of(&server, "started=2015-01-01&group=errors");
    assert_eq!(errors.series("key"), ["error_system_count", "error_data_count", "error_algorithm_count"]);
}

#[test]
fn the_root_says_which_time_it_shows() {
    let server = server_with_days(&DAYS);
    for (query, from, to, bucket) in [
        ("started=2015-01-01T05:30:00Z&ended=2015-01-03", "2015-01-01T00:00:00Z", "2015-01-04T00:00:00Z", "86400"),
        (
            "started=2015-01-01T05:30:00Z&ended=2015-01-01T07:10:00Z&resolution=hour",
            "2015-01-01T05:00:00Z",
            "2015-01-01T08:00:00Z",
            "3600",
        ),
        // From the first value to now.
        ("", "2015-01-01T00:00:00Z", "2015-02-02T00:00:00Z", "86400"),
    ] {
        let picture = Picture::of(&server, &format!("column=total_count&{query}"));
        let found = ["data-from", "data-to", "data-bucket"].map(|name| picture.attribute(name));
        assert_eq!(found, [from, to, bucket], "{query}");
    }
}

#[test]
fn a_picture_of_nothing_says_so() {
    let server = TestServer::start();
    for kind in ["bar", "line", "stacked"] {
        let picture = Picture::of(&server, &format!("started=P30D&kind={kind}"));
        assert!(picture.words().contains(&"no values".to_owned()), "{:?}", picture.words());
    }
    let picture = Picture::of(&server, "");
    assert_eq!(picture.attribute("data-to"), "2015-02-02T00:00:00Z");
}

#[test]
fn choices_are_series_and_a_single_one_only_in_the_dialect_of_scale() {
    let events = [
        with(job_type(1, "one"), json!({"title": "One"})),
        with(job_type(2, "two"), json!({"title": "Two", "version": "2.0"})),
        job(1, 1, "COMPLETED", "2015-01-01T00:00:00Z"),
        job(2, 2, "COMPLETED", "2015-01-01T00:00:00Z"),
    ];
    let server = TestServer::start();
    server.accept(&events);
    let both =
        Picture::of(&server, "column=total_count&choice_id=1&choice_id=2&started=2015-01-01&hidden=total_count:1");
    assert_eq!(both.series("key"), ["total_count:1", "total_count:2"]);
    assert_eq!(both.series("title"), ["Total Count · One 1.0", "Total Count · Two 2.0"]);
    assert_eq!((both.bars(0).len(), both.bars(1).len()), (0, 1));
    let one = "column=total_count&choice_id=2&started=2015-01-01&resolution=day";
    assert_eq!(Picture::of(&server, one).series("key"), ["total_count"]);
    let scale = TestServer::start_with(|config| config.api.dialect = Dialect::Scale);
    scale.accept(&events);
    assert_eq!(Picture::of(&scale, one).series("key"), ["total_count:2"]);
}

#[test]
fn size_theme_and_legend_are_as_asked() {
    let server = server_with_days(&DAYS);
    let standard = Picture::of(&server, TWO);
    assert_eq!((standard.attribute("width"), standard.attribute("height")), ("800".to_owned(), "320".to_owned()));
    let small = Picture::of(&server, &format!("{TWO}&width=240&height=120&theme=dark&legend=false"));
    assert_eq!((small.attribute("width"), small.attribute("height")), ("240".to_owned(), "120".to_owned()));
    assert_ne!(small.series("color"), standard.series("color"));
    assert!(standard.words().contains(&"Job Types".to_owned()) && !small.words().contains(&"Job Types".to_owned()));
    let surfaces = |picture: &Picture| {
        picture.look(|root| root.children().filter(|node| node.tag_name().name() == "rect").count())
    };
    assert_eq!((surfaces(&standard), surfaces(&small)), (1, 0));
    for (x, y, text) in small.texts() {
        assert!((0.0..=240.0).contains(&x) && (0.0..=120.0).contains(&y), "{text} is outside");
    }
}

// What it is safe from.

#[test]
fn names_stay_text_whatever_they_are() {
    let server = TestServer::start();
    let hostile =
        ["<script>alert(1)</script>", "\"' onload=x", "&amp; ]]>", "\u{202e}turned", "a\u{0}\u{1b}b", &"x".repeat(200)];
    let day = "2015-01-01T00:00:00Z";
    for (name, id) in hostile.iter().zip(1..) {
        server.accept(&[
            with(job_type(id, "n"), json!({"title": name, "version": id.to_string()})),
            job(id, id, "COMPLETED", day),
        ]);
    }
    let query: Vec<_> = (1..=hostile.len()).map(|id| format!("&choice_id={id}")).collect();
    let picture = Picture::of(&server, &format!("column=total_count&started=2015-01-01{}", query.concat()));
    let names = ["svg", "title", "desc", "rect", "path", "g", "text"];
    picture.look(|root| {
        for node in root.descendants().filter(Node::is_element) {
            assert!(names.contains(&node.tag_name().name()), "{node:?}");
            assert!(
                node.attributes().all(|attribute| !attribute.name().starts_with("on") && attribute.name() != "style")
            );
        }
    });
    let titles = picture.series("title");
    assert_eq!(titles[0], "Total Count · <script>alert(1)</script> 1");
    assert_eq!(titles[3], "Total Count · turned 4");
    assert_eq!(titles[4], "Total Count · ab 5");
    assert!(picture.words().iter().all(|text| text.chars().count() <= 60), "{:?}", picture.words());
}

#[test]
fn a_year_by_the_hour_is_no_large_picture() {
    let server = TestServer::start();
    let mut events = vec![job_type(1, "one"), job_type(2, "two")];
    for hour in 0..8_760_u64 {
        let (day, hour_of_day) = (hour / 24, hour % 24);
        let (month, day) = (day / 31 + 1, day % 31 + 1);
        if day <= 28 {
            let time = format!("2014-{month:02}-{day:02}T{hour_of_day:02}:00:00Z");
            for number in 0..=(hour * 7_919) % 3 {
                events.push(job(hour * 4 + number + 1, hour % 2 + 1, "COMPLETED", &time));
            }
        }
    }
    assert_eq!(server.ndjson(&to_ndjson(&events)).status, 200);
    for kind in ["bar", "line", "stacked"] {
        for (width, most) in [(800, 60_000), (4_096, 300_000)] {
            let query =
                "column=total_count&column=completed_count&choice_id=1&choice_id=2&started=2014-01-01&ended=2014-12-31";
            let picture = Picture::of(&server, &format!("{query}&resolution=hour&kind={kind}&width={width}"));
            assert!(picture.0.len() < most, "{kind}, {width}: {} bytes", picture.0.len());
            assert!(picture.0.len() > 5_000, "{kind}, {width}: {} bytes", picture.0.len());
        }
    }
}

// What is refused.

#[test]
fn wrong_questions_are_refused_with_what_would_be_right() {
    let server = TestServer::start();
    let many: Vec<_> = (1..=25).map(|id| job_type(id, &format!("type-{id}"))).collect();
    server.accept(&many);
    let all: String = (1..=25).fold(String::new(), |all, id| format!("{all}&choice_id={id}"));
    for (query, words) in [
        ("kind=pie", vec!["kind", "pie", "bar", "line", "stacked"]),
        ("theme=blue", vec!["theme", "blue", "light", "dark"]),
        ("legend=yes", vec!["legend", "yes", "true", "false"]),
        ("width=239", vec!["width", "239", "240 to 4096"]),
        ("width=4097", vec!["width", "4097", "240 to 4096"]),
        ("width=-800", vec!["width", "-800", "240 to 4096"]),
        ("width=8e2", vec!["width", "8e2", "240 to 4096"]),
        ("height=119", vec!["height", "119", "120 to 2160"]),
        ("height=99999999999999999999", vec!["height", "99999999999999999999", "120 to 2160"]),
        ("column=speed", vec!["column", "speed"]),
        ("choice_id=99", vec!["choice_id", "99"]),
        ("started=tomorrow", vec!["started", "tomorrow"]),
        ("column=total_count&column=run_time_avg&kind=stacked", vec!["kind", "stacked", "one unit", "count, seconds"]),
        (
            &format!("column=total_count{all}"),
            vec!["at most 24 series", "1 columns of 25 choices", "column", "choice_id"],
        ),
        (
            "group=queue_time&group=errors&choice_id=1&choice_id=2&choice_id=3&choice_id=4",
            vec!["10 columns of 4 choices"],
        ),
    ] {
        server.get(&format!("{SVG}?{query}")).assert_refused(400, &words);
    }
    let three = "column=total_count&column=file_size_sum&column=ingest_time_avg";
    let refused = server.get(&format!("/v6/metrics/ingests/plot.svg?{three}"));
    refused.assert_refused(400, &["at most 2 units", "count, bytes, seconds", "column", "group"]);
    assert_eq!(server.get("/v6/metrics/jobs/plot.svg").status, 404);
    assert_eq!(server.get(&format!("{SVG}/")).status, 404);
}

#[test]
fn parameters_that_are_empty_count_as_not_given() {
    let server = server_with_days(&DAYS);
    let plain = Picture::of(&server, TWO).0;
    let empty =
        Picture::of(&server, &format!("{TWO}&kind=&width=&height=null&theme=&legend=&hidden=&format=pdf&page=7"));
    assert_eq!(empty.0, plain);
}

#[test]
fn a_picture_of_one_choice_says_which_and_equal_titles_have_ids() {
    let server = TestServer::start();
    server.accept(&[
        json!({"kind": "strike", "id": 1, "name": "one", "title": "North & South"}),
        json!({"kind": "strike", "id": 2, "name": "two", "title": "North & South"}),
        json!({"kind": "ingest", "id": 1, "strike": 1, "status": "INGESTED", "ingest_ended": "2015-01-01T00:00:00Z"}),
    ]);
    let picture = |query: &str| {
        let answer = server.get(&format!("/v6/metrics/ingests/plot.svg?column=total_count&{query}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    };
    let of_one = picture("choice_id=1");
    assert_eq!(of_one.matches(">Ingests · North &amp; South<").count(), 2, "the title, seen and heard: {of_one}");
    let of_all = picture("");
    assert_eq!(of_all.matches(">Ingests<").count(), 2, "{of_all}");
    let of_both = picture("choice_id=1&choice_id=2");
    for id in [1, 2] {
        assert!(
            of_both.contains(&format!("North &amp; South (id {id})")) || of_both.contains(&format!("… (id {id})")),
            "{of_both}"
        );
    }
}
