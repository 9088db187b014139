//! What the other tests rely on: that a page's faults are seen, that clicks, keys and moves arrive as a person's, and that
//! the page is shown on the screen that a test asks for.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use crate::server::Server;
use crate::support::{Accessible, Page, browser};

/// The address of a page with this body, which comes from nowhere.
fn page_of(body: &str) -> String {
    format!("data:text/html;charset=utf-8,<!doctype html><style>body {{ margin: 0 }}</style>{body}")
}

/// What went wrong in the page, as soon as anything did.
fn errors_of(page: &Page) -> Vec<String> {
    page.poll("an error", || Some(page.take_errors()).filter(|errors| !errors.is_empty()).ok_or("none"))
}

// What a page complains of.

#[test]
fn whatever_goes_wrong_in_a_page_is_a_complaint() {
    let Some(browser) = browser() else { return };
    for (body, expected) in [
        ("<script>console.error('bad', 7)</script>", "console, error: bad 7"),
        ("<script>console.warn('odd')</script>", "console, warning: odd"),
        ("<script>console.assert(1 > 2, 'less')</script>", "console, assert: less"),
        ("<script>missing()</script>", "uncaught: ReferenceError: missing is not defined"),
        ("<script>throw 'nothing'</script>", "uncaught: Uncaught \"nothing\""),
        ("<script>Promise.reject(new Error('lost'))</script>", "uncaught: Error: lost"),
        (
            "<meta http-equiv=Content-Security-Policy content=\"img-src 'none'\"><img src='data:,'>",
            "security: Loading the image 'data:,' violates",
        ),
        ("<img src='http://127.0.0.1:1/x.png'>", "network: Failed to load resource: net::ERR_UNSAFE_PORT"),
        ("<img src='http://elsewhere.example/x.png'>", "a request to http://elsewhere.example/x.png"),
        ("<iframe src='http://elsewhere.example/'></iframe>", "a request to http://elsewhere.example/"),
        ("<script>new WebSocket('ws://elsewhere.example/')</script>", "a request to ws://elsewhere.example/"),
    ] {
        let page = browser.open(&page_of(body));
        page.poll(expected, || {
            let complaints = page.complaints("http://127.0.0.1");
            complaints.iter().any(|one| one.starts_with(expected)).then_some(()).ok_or(format!("{complaints:?}"))
        });
    }
}

#[test]
fn an_address_that_only_begins_as_the_server_does_is_another() {
    let Some(browser) = browser() else { return };
    let server = Server::demo();
    let page = browser.open(&server.url("/healthz"));
    page.assert_clean(server.origin());
    assert_eq!(page.complaints(&server.origin()[..server.origin().len() - 1]).len(), 1);
}

#[test]
fn what_a_page_carries_along_is_no_complaint() {
    let Some(browser) = browser() else { return };
    let server = Server::demo();
    let page = browser.open(&page_of(
        "<img src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>\"><script>console.log('fine')</script>",
    ));
    let said = page.eval("fetch(URL.createObjectURL(new Blob(['carried']))).then((answer) => answer.text())");
    assert_eq!(said, "carried");
    page.assert_clean(server.origin());
}

#[test]
fn errors_that_are_taken_are_no_complaint_any_more() {
    let Some(browser) = browser() else { return };
    let server = Server::demo();
    let page = browser.open(&server.url("/v6/docs/"));
    assert_eq!(page.eval("fetch('/nothing').then((answer) => answer.status)"), 404);
    let errors = errors_of(&page);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("404") && errors[0].ends_with("/nothing"), "{errors:?}");
    page.assert_clean(server.origin());
}

// What is done in a page.

#[test]
fn clicks_and_moves_arrive_as_a_persons() {
    let Some(browser) = browser() else { return };
    let page = browser.open(&page_of(
        "<div style='height: 3000px'></div><button style='width: 100px; height: 40px'>Go</button>
        <script>
            let seen = [];
            for (const kind of ['pointermove', 'pointerdown', 'pointerup', 'click']) {
                addEventListener(kind, ({type, isTrusted, clientX, clientY, buttons}) => {
                    seen.push([type, isTrusted, clientX, clientY, buttons]);
                });
            }
        </script>",
    ));
    page.click("button");
    let seen = page.eval("seen.map(([type, isTrusted, , , buttons]) => [type, isTrusted, buttons])");
    assert_eq!(
        seen,
        json!([["pointermove", true, 0], ["pointerdown", true, 1], ["pointerup", true, 0], ["click", true, 0]])
    );
    page.eval("scrollTo(0, 0); seen = []");
    page.hover(30.0, 40.0);
    assert_eq!(page.eval("seen"), json!([["pointermove", true, 30, 40, 0]]));
    page.eval("seen = []");
    page.drag((100.0, 50.0), (200.0, 70.0));
    let seen = page.eval("seen");
    let seen = seen.as_array().unwrap();
    assert_eq!(
        seen[..3],
        json!([
            ["pointermove", true, 100, 50, 0],
            ["pointerdown", true, 100, 50, 1],
            ["pointermove", true, 110, 52, 1]
        ])
        .as_array()
        .unwrap()[..]
    );
    assert!(seen.contains(&json!(["pointerup", true, 200, 70, 0])), "{seen:?}");
    assert_eq!(seen.iter().filter(|event| event[0] == "pointermove" && event[4] == 1).count(), 10, "{seen:?}");
}

#[test]
fn a_click_waits_until_nothing_covers_its_element() {
    let Some(browser) = browser() else { return };
    let page = browser.open(&page_of(
        "<button onclick='clicked = !document.querySelector(`div`)'>Go</button>
        <div style='position: fixed; inset: 0'></div>
        <script>setTimeout(() => document.querySelector('div').remove(), 300)</script>",
    ));
    page.click("button");
    assert_eq!(page.eval("clicked"), true);
}

#[test]
fn keys_arrive_as_a_persons() {
    let Some(browser) = browser() else { return };
    let page = browser.open(&page_of(
        "<input id=first><input id=second><input id=third type=checkbox>
        <script>
            const seen = [];
            addEventListener('keydown', ({key, code, shiftKey, ctrlKey}) => seen.push([key, code, shiftKey, ctrlKey]));
        </script>",
    ));
    let focused = || page.eval("document.activeElement.id");
    let value = |id: &str| page.eval(&format!("document.getElementById('{id}').value"));
    page.type_text("#first", "a B7 é");
    assert_eq!(value("first"), "a B7 é");
    page.press("Tab");
    assert_eq!(focused(), "second");
    page.type_text("#second", "abc");
    for key in ["ArrowLeft", "Backspace", "Home", "x"] {
        page.press(key);
    }
    assert_eq!(value("second"), "xac");
    page.press("Control+a");
    page.press("y");
    assert_eq!(value("second"), "y");
    page.press("Tab");
    page.press(" ");
    assert_eq!(page.eval("document.getElementById('third').checked"), true);
    page.press("Shift+Tab");
    assert_eq!(focused(), "second");
    let last = page.eval("seen.slice(-5)");
    assert_eq!(
        last,
        json!([
            ["a", "KeyA", false, true],
            ["y", "KeyY", false, false],
            ["Tab", "Tab", false, false],
            [" ", "Space", false, false],
            ["Tab", "Tab", true, false]
        ])
    );
}

#[test]
fn pages_share_nothing_and_each_has_the_focus() {
    let Some(browser) = browser() else { return };
    let server = Server::demo();
    let pages = [(); 2].map(|()| browser.open(&server.url("/healthz")));
    pages[0].eval("localStorage.setItem('mine', '1')");
    assert_eq!(pages[0].eval("localStorage.getItem('mine')"), "1");
    assert!(pages[1].eval("localStorage.getItem('mine')").is_null());
    for page in &pages {
        assert_eq!(page.eval("[document.hasFocus(), document.visibilityState]"), json!([true, "visible"]));
    }
}

// What a page is shown on.

#[test]
fn pictures_have_the_pixels_of_the_screen() {
    let Some(browser) = browser() else { return };
    let directory = TempDir::new().unwrap();
    let page = browser.open(&page_of("<div style='height: 1500px'></div>"));
    page.resize(400, 300, 2.0);
    for (full_page, width, height) in [(false, 800_u32, 600_u32), (true, 800, 3000)] {
        let path = directory.path().join("page.png");
        page.screenshot(&path, full_page);
        let picture = fs::read(&path).unwrap();
        assert_eq!(&picture[..8], b"\x89PNG\r\n\x1a\n");
        assert_eq!(picture[16..24], [width.to_be_bytes(), height.to_be_bytes()].concat());
    }
}

#[test]
fn a_readers_wishes_are_told_together() {
    let Some(browser) = browser() else { return };
    let page = browser.open(&page_of(""));
    let wishes =
        "['(prefers-color-scheme: dark)', '(prefers-reduced-motion: reduce)'].map((it) => matchMedia(it).matches)";
    page.theme("light");
    assert_eq!(page.eval(wishes), json!([false, false]));
    page.theme("dark");
    page.reduced_motion();
    assert_eq!(page.eval(wishes), json!([true, true]));
    assert_eq!(page.eval("(1234.5).toLocaleString()"), "1,234.5");
}

#[test]
fn names_and_roles_are_told_as_they_are_heard() {
    let Some(browser) = browser() else { return };
    let page = browser.open(&page_of("<h1>Jobs</h1><button aria-label=Close>x</button><b aria-hidden=true>quiet</b>"));
    let told = page.accessibility_tree();
    assert!(told.contains(&Accessible::new("heading", "Jobs")), "{told:?}");
    assert!(told.contains(&Accessible::new("button", "Close")), "{told:?}");
    assert!(!told.iter().any(|told| told.name == "quiet"), "{told:?}");
}

// Between a page and its server.

#[test]
fn a_page_that_is_cut_off_reads_nothing_until_it_is_connected_again() {
    let Some(browser) = browser() else { return };
    let server = Server::demo();
    let page = browser.open(&server.url("/v6/docs/"));
    page.wait("document.querySelector('summary')", "the document");
    page.rest();
    let before = page.bytes_received();
    let read = "fetch('/v6/openapi.json', {cache: 'no-store'}).then((answer) => answer.text()).catch(() => '')";
    page.offline(true);
    assert_eq!(page.eval(read), "");
    // The icon may be asked for late.
    let errors = errors_of(&page);
    let is_cut_off = |error: &String| error.starts_with("network: ") && error.contains("ERR_INTERNET_DISCONNECTED");
    assert!(errors.iter().all(is_cut_off) && errors.iter().any(|error| error.ends_with("openapi.json")), "{errors:?}");
    assert_eq!(page.bytes_received(), before);
    page.offline(false);
    // Its network is another process, which may hear of that after it was asked for something.
    page.wait(read, "an answer");
    let errors = page.take_errors();
    assert!(errors.iter().all(is_cut_off), "{errors:?}");
    page.assert_clean(server.origin());
    assert!(page.bytes_received() > before, "{before}");
}

#[test]
fn a_page_that_is_loaded_again_has_forgotten() {
    let Some(browser) = browser() else { return };
    let server = Server::demo();
    let page = browser.open(&server.url("/healthz"));
    page.eval("window.remembered = true");
    page.goto(&server.url("/healthz#part"));
    assert_eq!(page.eval("[window.remembered, location.hash]"), json!([true, "#part"]));
    page.reload();
    assert_eq!(page.eval("window.remembered ?? null"), json!(null));
    page.eval("window.remembered = true");
    page.goto(&server.url("/readyz"));
    assert_eq!(page.eval("[window.remembered ?? null, location.pathname]"), json!([null, "/readyz"]));
}
