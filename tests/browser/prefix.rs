//! The pages behind a proxy that puts a prefix before all paths. Everything that a page asks for is below the prefix, whether the proxy
//! takes it off or leaves it.

use std::path::Path;

use crate::common::settled;
use crate::nginx::Nginx;
use crate::server::Server;
use crate::support::{Browser, Page, browser};

const PREFIX: &str = "/metrics-app/";

/// nginx before the server with sample events, which takes the prefix off; and the root of the pages there.
fn front() -> Option<(Nginx, String)> {
    let upstream = Server::demo().origin();
    // Whoever forgets the prefix meets nothing.
    let locations = format!("location {PREFIX} {{ proxy_pass {upstream}/; }} location / {{ return 404; }}");
    let nginx = Nginx::start("", &locations)?;
    let origin = format!("http://{}", nginx.address());
    Some((nginx, origin))
}

/// nginx with TLS before a server with a base path; nginx leaves the prefix, and the server speaks TLS, too.
fn front_with_tls() -> Option<(Nginx, Server, String)> {
    let fixture = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/tls").join(name);
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = (fixture("server.pem"), fixture("server.key"));
    let server = Server::demo_with(&[
        ("SCALE_METRICS_BASE_PATH", PREFIX),
        ("SCALE_METRICS_TLS_CERTIFICATE", &certificate),
        ("SCALE_METRICS_TLS_KEY", &key),
    ]);
    let upstream = server.origin().replace("http://", "https://");
    let locations = format!(
        "ssl_certificate {certificate}; ssl_certificate_key {key};
         location {PREFIX} {{
             proxy_pass {upstream}; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;
         }}
         location / {{ return 404; }}"
    );
    let nginx = Nginx::listen("ssl", "", &locations)?;
    let origin = format!("https://{}", nginx.address());
    Some((nginx, server, origin))
}

/// Waits for a picture that shows something.
fn wait_for_chart(page: &Page) {
    page.wait("document.querySelector('.chart svg [data-series], .chart svg[data-series]')", "a picture");
}

#[test]
fn all_pages_work_below_a_prefix() {
    let Some(browser) = browser() else { return };
    let Some((_nginx, origin)) = front() else { return };
    visit_all(browser, &origin);
}

#[test]
fn all_pages_work_below_a_base_path_with_tls_before_the_proxy_and_behind_it() {
    let Some(browser) = browser() else { return };
    let Some((_nginx, _server, origin)) = front_with_tls() else { return };
    visit_all(browser, &origin);
}

/// Goes through all pages below the prefix.
fn visit_all(browser: &'static Browser, origin: &str) {
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
    page.assert_clean(origin);
    // Without the slash, it is the same page.
    page.goto(&format!("{origin}{PREFIX}explorer"));
    settled(&page);
    wait_for_chart(&page);
    page.assert_clean(origin);
}
