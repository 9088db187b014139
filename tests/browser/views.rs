//! Pictures of all views, to be looked at: `cargo test --test browser -- --ignored` writes them to `target/views/`.

use std::fs;
use std::path::Path;

use crate::common::settled;
use crate::server::Server;
use crate::support::{Browser, browser};

/// What the views are called, and where they are.
const VIEWS: [(&str, &str); 6] = [
    ("overview", "/"),
    ("overview-hours", "/?range=PT24H"),
    ("explorer", "/explorer/?table=open"),
    ("explorer-two-units", "/explorer/?column=run_time_avg&column=total_count&kind=line&range=PT72H"),
    ("explorer-choices", "/explorer/?column=total_count&choice_id=1&choice_id=2&choice_id=3&kind=bar&range=P7D"),
    ("interface", "/v6/docs/"),
];

const WIDTHS: [u32; 3] = [360, 1400, 2560];

#[test]
#[ignore = "it is for people to look at"]
fn pictures_of_all_views() {
    let Some(browser) = browser() else { return };
    let (demo, empty) = (Server::demo(), Server::empty());
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/views");
    fs::create_dir_all(&target).unwrap();
    for theme in ["light", "dark"] {
        for width in WIDTHS {
            for (name, path) in VIEWS {
                picture(browser, &demo.url(path), theme, width, &target.join(format!("{name}-{width}-{theme}.png")));
            }
            picture(browser, &empty.url("/"), theme, width, &target.join(format!("empty-{width}-{theme}.png")));
        }
    }
}

fn picture(browser: &'static Browser, url: &str, theme: &str, width: u32, path: &Path) {
    let page = browser.open("about:blank");
    page.resize(width, 800, 1.0);
    page.theme(theme);
    page.goto(url);
    if url.ends_with("docs/") {
        page.wait("document.querySelector('summary')", "the document");
    } else {
        settled(&page);
    }
    page.screenshot(path, true);
    assert_eq!(page.take_errors(), Vec::<String>::new(), "{url}");
}
