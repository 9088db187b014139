//! The pages behind a proxy that has a prefix before all paths and takes it off: whatever they ask for is asked below it.

use crate::common::settled;
use crate::nginx::Nginx;
use crate::server::Server;
use crate::support::{Page, browser};

const PREFIX: &str = "/metrics-app/";

/// nginx before the server with sample events, and the root of the pages there.
fn front() -> Option<(Nginx, String)> {
    let upstream = Server::demo().origin();
    // Whoever forgets the prefix meets nothing.
    let locations = format!("location {PREFIX} {{ proxy_pass {upstream}/; }} location / {{ return 404; }}");
    let nginx = Nginx::start("", &locations)?;
    let origin = format!("http://{}", nginx.address());
    Some((nginx, origin))
}

/// Waits for a picture that shows something.
fn wait_for_chart(page: &Page) {
    page.wait("document.querySelector('.chart svg [data-series], .chart svg[data-series]')", "a picture");
}

#[test]
fn all_pages_work_below_a_prefix() {
    let Some(browser) = browser() else { return };
    let Some((_nginx, origin)) = front() else { return };
    let page = browser.open(&format!("{origin}{PREFIX}"));
    settled(&page);
    wait_for_chart(&page);
    assert_eq!(page.texts(".top nav a[aria-current]"), ["Overview"]);
    page.click("#job-types .choices tbody a");
    page.wait(&format!("location.pathname === '{PREFIX}explorer/'"), "the explorer");
    settled(&page);
    wait_for_chart(&page);
    assert_eq!(page.texts(".top nav a[aria-current]"), ["Explorer"]);
    // What is copied from the page leads below the prefix, too.
    for address in ["document.querySelector('#call').value", "document.querySelector('.links a').href"] {
        let address = page.eval(address);
        assert!(address.as_str().unwrap().starts_with(&format!("{origin}{PREFIX}v6/metrics/")), "{address}");
    }
    page.click(".top nav a:nth-child(3)");
    page.wait("document.querySelector('#document summary')", "the document");
    assert_eq!(page.eval("location.pathname"), format!("{PREFIX}v6/docs/"));
    let example = page.eval("document.querySelector('#listMetricsTypes pre').textContent");
    assert!(example.as_str().unwrap().contains(&format!("{origin}{PREFIX}v6/metrics/")), "{example}");
    page.click(".top nav a:nth-child(1)");
    page.wait(&format!("location.pathname === '{PREFIX}'"), "the overview");
    settled(&page);
    page.assert_clean(&origin);
    // Without the slash, it is the same page.
    page.goto(&format!("{origin}{PREFIX}explorer"));
    settled(&page);
    wait_for_chart(&page);
    page.assert_clean(&origin);
}
