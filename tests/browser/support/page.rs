//! A page: what is done in it, and what it tells.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::browser::{Browser, GIVE_UP};
use super::keys::key;

/// How often something is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// What a page tells unless it is given its name.
const DOMAINS: [&str; 5] = ["Page", "Runtime", "Log", "Network", "DOM"];

/// What a page told since it was opened.
#[derive(Default)]
pub(super) struct Seen {
    /// Which document the page shows: an id of the browser.
    document: String,
    errors: Vec<String>,
    /// The address of each request.
    requests: Vec<String>,
    /// The ids of those that nothing ended yet.
    running: HashSet<String>,
    bytes_received: u64,
}

impl Seen {
    /// Notes an event of the protocol.
    pub(super) fn note(&mut self, event: &str, params: &Value) {
        match event {
            "Page.frameNavigated" if params["frame"]["parentId"].is_null() => {
                self.document = text_of(&params["frame"]["loaderId"]);
                // The request of a document has the document's id. Nobody tells of those that the last one left behind.
                self.running.retain(|request| *request == self.document);
            }
            "Runtime.consoleAPICalled" => {
                let level = text_of(&params["type"]);
                if ["error", "warning", "assert"].contains(&level.as_str()) {
                    let said = params["args"].as_array().unwrap().iter().map(|said| {
                        if said["value"].is_null() { text_of(&said["description"]) } else { text_of(&said["value"]) }
                    });
                    self.errors.push(format!("console, {level}: {}", said.collect::<Vec<_>>().join(" ")));
                }
            }
            "Runtime.exceptionThrown" => self.errors.push(format!("uncaught: {}", thrown(&params["exceptionDetails"]))),
            "Log.entryAdded" if params["entry"]["level"] == "error" => {
                let entry = &params["entry"];
                let [source, said, url] = ["source", "text", "url"].map(|field| text_of(&entry[field]));
                self.errors.push(format!("{source}: {said} {url}"));
            }
            "Network.requestWillBeSent" => {
                self.requests.push(text_of(&params["request"]["url"]));
                self.running.insert(text_of(&params["requestId"]));
            }
            "Network.webSocketCreated" => self.requests.push(text_of(&params["url"])),
            "Network.loadingFinished" => {
                self.bytes_received += params["encodedDataLength"].as_u64().unwrap();
                self.running.remove(&text_of(&params["requestId"]));
            }
            "Network.loadingFailed" => _ = self.running.remove(&text_of(&params["requestId"])),
            _ => (),
        }
    }
}

/// What people hear who do not see the page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Accessible {
    pub(crate) role: String,
    pub(crate) name: String,
}

impl Accessible {
    pub(crate) fn new(role: &str, name: &str) -> Self {
        Self { role: role.to_owned(), name: name.to_owned() }
    }
}

/// A page of the browser that is closed at the end of the test. Whatever is waited for is waited for by looking again and
/// again; after ten minutes the test fails and says what did not come.
pub(crate) struct Page {
    browser: &'static Browser,
    /// What it shares with no other page: cookies, storage, cache.
    context: String,
    session: String,
    seen: Arc<Mutex<Seen>>,
    /// What the page is told of its reader's wishes; each time, all have to be told.
    media: RefCell<BTreeMap<&'static str, String>>,
}

impl Page {
    #[track_caller]
    pub(super) fn open(browser: &'static Browser, url: &str) -> Self {
        let ask = |method, params: Value| browser.command(None, method, &params).unwrap();
        let context = text_of(&ask("Target.createBrowserContext", json!({}))["browserContextId"]);
        let target = ask("Target.createTarget", json!({"url": "about:blank", "browserContextId": context}));
        let attached = ask("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}));
        let session = text_of(&attached["sessionId"]);
        let seen = Arc::default();
        browser.listen(&session, &seen);
        let page = Self { browser, context, session, seen, media: RefCell::default() };
        for domain in DOMAINS {
            page.ask(&format!("{domain}.enable"), &json!({}));
        }
        // Of all pages only one is in front; each shall take keys as if it were.
        page.ask("Emulation.setFocusEmulationEnabled", &json!({"enabled": true}));
        // A picture of all that can be scrolled to has none either.
        page.ask("Emulation.setScrollbarsHidden", &json!({"hidden": true}));
        page.resize(1280, 800, 1.0);
        page.goto(url);
        page
    }

    // Where it is.

    /// Shows `url` and waits until all is loaded that the document names.
    #[track_caller]
    pub(crate) fn goto(&self, url: &str) {
        let answer = self.ask("Page.navigate", &json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {}", answer["errorText"]);
        // There is none if the address differs behind the `#` only.
        if let Some(document) = answer["loaderId"].as_str() {
            self.loaded(url, |shown| shown == document);
        }
    }

    /// Loads the page once more, as a person does.
    #[track_caller]
    pub(crate) fn reload(&self) {
        let before = self.seen.lock().document.clone();
        self.ask("Page.reload", &json!({}));
        self.loaded("the page once more", |shown| shown != before);
    }

    #[track_caller]
    fn loaded(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        self.poll(what, || is_it(&self.seen.lock().document).then_some(()).ok_or("another document"));
        self.wait("document.readyState === 'complete'", what);
    }

    // What it says.

    /// The value of a JavaScript expression, as JSON; a promise is waited for.
    #[track_caller]
    pub(crate) fn eval(&self, js: &str) -> Value {
        self.try_eval(js).unwrap_or_else(|error| panic!("`{js}`: {error}"))
    }

    fn try_eval(&self, js: &str) -> Result<Value, String> {
        let params = json!({"expression": js, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let mut answer = self.browser.command(Some(&self.session), "Runtime.evaluate", &params)?;
        match answer.get("exceptionDetails") {
            Some(details) => Err(thrown(details)),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// Waits until a JavaScript expression has a value that counts as true, and returns it. Until then it may throw.
    #[track_caller]
    pub(crate) fn wait(&self, js: &str, what: &str) -> Value {
        let js = format!("(async () => (await ({js})) || null)()");
        self.poll(what, || {
            self.try_eval(&js).and_then(|value| if value.is_null() { Err("not yet".to_owned()) } else { Ok(value) })
        })
    }

    /// The text of the first element that `selector` finds, as it is shown; waits until there is one.
    #[track_caller]
    pub(crate) fn text(&self, selector: &str) -> String {
        let wanted = format!("document.querySelector({}) !== null", quoted(selector));
        self.wait(&wanted, selector);
        self.texts(selector).swap_remove(0)
    }

    /// The texts of all elements that `selector` finds now.
    #[track_caller]
    pub(crate) fn texts(&self, selector: &str) -> Vec<String> {
        let elements = format!("[...document.querySelectorAll({})]", quoted(selector));
        let texts = self.eval(&format!("{elements}.map((found) => (found.innerText ?? found.textContent).trim())"));
        texts.as_array().unwrap().iter().map(text_of).collect()
    }

    /// All that is told to people who do not see the page, in its order.
    #[track_caller]
    pub(crate) fn accessibility_tree(&self) -> Vec<Accessible> {
        let tree = self.ask("Accessibility.getFullAXTree", &json!({}));
        let told = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] == false);
        told.map(|node| Accessible { role: text_of(&node["role"]["value"]), name: text_of(&node["name"]["value"]) })
            .collect()
    }

    /// Writes a picture of the window, or of all that can be scrolled to, as PNG.
    #[track_caller]
    pub(crate) fn screenshot(&self, path: &Path, full_page: bool) {
        let mut params = json!({"format": "png"});
        if full_page {
            let mut clip = self.ask("Page.getLayoutMetrics", &json!({}))["cssContentSize"].take();
            clip["scale"] = 1.into();
            params = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        }
        let picture = self.ask("Page.captureScreenshot", &params);
        fs::write(path, BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    // What is done in it.

    /// Clicks in the middle of the first element that `selector` finds, once it is there and nothing covers it.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        let js = format!(
            "(() => {{
                const found = document.querySelector({});
                found.scrollIntoView({{block: 'center', inline: 'center', behavior: 'instant'}});
                const {{x, y, width, height}} = found.getClientRects()[0];
                const middle = [x + width / 2, y + height / 2];
                return found.contains(document.elementFromPoint(...middle)) && middle;
            }})()",
            quoted(selector)
        );
        let middle = self.wait(&js, &format!("{selector} to click on"));
        let middle = (middle[0].as_f64().unwrap(), middle[1].as_f64().unwrap());
        self.mouse("mouseMoved", middle, false);
        self.mouse("mousePressed", middle, true);
        self.mouse("mouseReleased", middle, false);
    }

    /// Moves the mouse to a place in the window, in pixels from its left upper corner.
    #[track_caller]
    pub(crate) fn hover(&self, x: f64, y: f64) {
        self.mouse("mouseMoved", (x, y), false);
    }

    /// Presses the left button in one place of the window, moves to the other in steps, and lets it go there.
    #[track_caller]
    pub(crate) fn drag(&self, from: (f64, f64), to: (f64, f64)) {
        const STEPS: u32 = 10;
        self.mouse("mouseMoved", from, false);
        self.mouse("mousePressed", from, true);
        for step in 1..=STEPS {
            let part = f64::from(step) / f64::from(STEPS);
            let place = (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part);
            self.mouse("mouseMoved", place, true);
        }
        self.mouse("mouseReleased", to, false);
    }

    #[track_caller]
    fn mouse(&self, event: &str, (x, y): (f64, f64), is_down: bool) {
        let button = if event == "mouseMoved" && !is_down { "none" } else { "left" };
        let params =
            json!({"type": event, "x": x, "y": y, "button": button, "buttons": u32::from(is_down), "clickCount": 1});
        self.ask("Input.dispatchMouseEvent", &params);
    }

    /// Presses a key and lets it go: `Tab`, `ArrowLeft`, ` `, `x`, `Shift+Tab`, `Control+a`.
    #[track_caller]
    pub(crate) fn press(&self, described: &str) {
        let mut params = key(described);
        params["type"] = "keyDown".into();
        self.ask("Input.dispatchKeyEvent", &params);
        params["type"] = "keyUp".into();
        params["text"] = "".into();
        self.ask("Input.dispatchKeyEvent", &params);
    }

    /// Clicks on an element and types into it, key by key.
    #[track_caller]
    pub(crate) fn type_text(&self, selector: &str, text: &str) {
        self.click(selector);
        for typed in text.chars() {
            self.press(&typed.to_string());
        }
    }

    // What surrounds it.

    /// Gives the page a window of that many pixels, of which each is `scale` pixels of the screen wide.
    #[track_caller]
    pub(crate) fn resize(&self, width: u32, height: u32, scale: f64) {
        let params = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": false});
        self.ask("Emulation.setDeviceMetricsOverride", &params);
    }

    /// The reader prefers `light` or `dark` colours.
    #[track_caller]
    pub(crate) fn theme(&self, scheme: &str) {
        self.prefer("prefers-color-scheme", scheme);
    }

    /// The reader prefers that nothing moves.
    #[track_caller]
    pub(crate) fn reduced_motion(&self) {
        self.prefer("prefers-reduced-motion", "reduce");
    }

    #[track_caller]
    fn prefer(&self, feature: &'static str, value: &str) {
        self.media.borrow_mut().insert(feature, value.to_owned());
        let features = self.media.borrow().iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        self.ask("Emulation.setEmulatedMedia", &json!({"features": Value::Array(features)}));
    }

    /// Cuts the page off from the network, or connects it again.
    #[track_caller]
    pub(crate) fn offline(&self, is_offline: bool) {
        let params = json!({"offline": is_offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        self.ask("Network.emulateNetworkConditions", &params);
    }

    // What it told meanwhile.

    /// Waits until no request is under way.
    #[track_caller]
    pub(crate) fn rest(&self) {
        self.poll("all requests to end", || {
            let seen = self.seen.lock();
            seen.running.is_empty().then_some(()).ok_or_else(|| format!("{:?} of {:?}", seen.running, seen.requests))
        });
    }

    /// Bytes that all answers took on their way, packed as they came and with their heads.
    pub(crate) fn bytes_received(&self) -> u64 {
        self.seen.lock().bytes_received
    }

    /// What went wrong until now, to be expected by the test: it is told once.
    #[track_caller]
    pub(crate) fn take_errors(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().errors)
    }

    /// What should not be in a page of the server at `origin`: errors and warnings on the console, exceptions that nothing
    /// caught, loads that failed, requests to anybody else. Errors that were taken do not count.
    #[track_caller]
    pub(crate) fn complaints(&self, origin: &str) -> Vec<String> {
        let seen = self.seen.lock();
        let is_its_own = |url: &&String| {
            let own = url.strip_prefix(origin).is_some_and(|path| path.starts_with('/'));
            own || url.starts_with("data:") || url.starts_with("blob:")
        };
        let elsewhere = seen.requests.iter().filter(|url| !is_its_own(url)).map(|url| format!("a request to {url}"));
        seen.errors.iter().cloned().chain(elsewhere).collect()
    }

    /// Asserts that there are no [`Page::complaints`] once all requests have ended.
    #[track_caller]
    pub(crate) fn assert_clean(&self, origin: &str) {
        self.rest();
        let complaints = self.complaints(origin);
        assert!(complaints.is_empty(), "of a page of {origin}: {complaints:#?}");
    }

    // How it is asked.

    /// Sends a command to the page, which takes it.
    #[track_caller]
    fn ask(&self, method: &str, params: &Value) -> Value {
        self.browser.command(Some(&self.session), method, params).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Looks until there is something, and returns it. An error says what is there instead.
    #[track_caller]
    pub(crate) fn poll<T, E: Display>(&self, what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
        let begun = Instant::now();
        loop {
            match look() {
                Ok(found) => return found,
                Err(instead) => {
                    let errors = &self.seen.lock().errors;
                    assert!(begun.elapsed() < GIVE_UP, "waited {GIVE_UP:?} for {what}: {instead}; errors: {errors:?}");
                }
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.browser.forget(&self.session);
        let params = json!({"browserContextId": self.context});
        let closed = self.browser.command(None, "Target.disposeBrowserContext", &params);
        assert!(closed.is_ok() || thread::panicking(), "the page was not closed: {closed:?}");
    }
}

/// What an exception says.
fn thrown(details: &Value) -> String {
    let exception = &details["exception"];
    if exception["description"].is_null() {
        format!("{} {}", text_of(&details["text"]), exception["value"])
    } else {
        text_of(&exception["description"])
    }
}

/// A string as it is, nothing as nothing, and all else as JSON.
fn text_of(value: &Value) -> String {
    if value.is_null() { String::new() } else { value.as_str().map_or_else(|| value.to_string(), str::to_owned) }
}

/// `text` as JavaScript writes it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
