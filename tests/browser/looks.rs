//! What holds of each page: it fits telephones and walls, in both themes, with a keyboard, and for those who listen.

use serde_json::{Value, json};

use crate::common::{assert_fits, settled};
use crate::server::Server;
use crate::support::{Accessible, Page, browser};

const PAGES: [&str; 3] =
    ["/", "/explorer/?table=open", "/explorer/?column=run_time_avg&column=total_count&kind=line&range=PT72H"];

/// Opens each of the pages, with some of a table open where there is one.
fn each(look: impl Fn(&Page, &'static Server, &str)) {
    let Some(browser) = browser() else { return };
    let server = Server::demo();
    for path in PAGES {
        let page = browser.open(&server.url(path));
        settled(&page);
        look(&page, server, path);
        page.assert_clean(server.origin());
    }
}

#[test]
fn telephones_and_walls_show_it_without_scrolling_sideways() {
    each(|page, _, _| {
        for width in [360, 768, 1400, 2560] {
            page.resize(width, 800, 1.0);
            page.wait(
                "[...document.querySelectorAll('.plot')].every((plot) => {
                    const drawn = Number(plot.querySelector('svg')?.getAttribute('width'));
                    return drawn === Math.max(240, Math.floor(plot.clientWidth));
                })",
                "pictures as wide as their places",
            );
            assert_fits(page);
        }
    });
}

#[test]
fn pictures_follow_the_theme() {
    each(|page, _, path| {
        let colours = |theme: &str| {
            page.theme(theme);
            page.wait(
                &format!("performance.getEntriesByType('resource').some(({{name}}) => name.includes('theme={theme}'))"),
                "pictures in the theme",
            );
            settled(page);
            page.eval(
                "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('.picture svg text')).fill,
                 getComputedStyle(document.querySelector('.swatch')).backgroundColor]",
            )
        };
        let (light, dark) = (colours("light"), colours("dark"));
        for part in 0..3 {
            assert_ne!(light[part], dark[part], "{path}");
        }
    });
}

/// Texts that stand out less from what is behind them than WCAG 2 demands (AA): 4.5, and 3 for large ones.
const FAINT: &str = "(() => {
    const parse = (colour) => {
        const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
        return { r, g, b, a };
    };
    const light = ({ r, g, b }) => {
        const [x, y, z] = [r, g, b].map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const ground = (element) => {
        for (let at = element; at !== null; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.a === 1) return colour;
        }
        return { r: 255, g: 255, b: 255 };
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const faint = [];
    let seen = 0;
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (walker.currentNode.data.trim() === '' || !element.checkVisibility() || element.closest('title, desc, .spoken, :disabled')) continue;
        const style = getComputedStyle(element);
        const text = parse(element.namespaceURI.endsWith('svg') ? style.fill : style.color);
        const [one, other] = [light(text), light(ground(element))].sort((a, b) => b - a);
        const ratio = (one + 0.05) / (other + 0.05);
        seen += 1;
        const enough = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
        if (ratio < enough) faint.push(`${walker.currentNode.data.trim()}: ${ratio.toFixed(2)}`);
    }
    return [seen, faint];
})()";

#[test]
fn texts_stand_out_in_both_themes() {
    each(|page, _, path| {
        for theme in ["light", "dark"] {
            page.theme(theme);
            page.wait(
                &format!("performance.getEntriesByType('resource').some(({{name}}) => name.includes('theme={theme}'))"),
                "pictures in the theme",
            );
            settled(page);
            let found = page.eval(FAINT);
            assert!(found[0].as_u64().unwrap() > 40, "{path}: {found}");
            assert_eq!(found[1], json!([]), "{path}, {theme}");
        }
    });
}

/// What can be worked with and has to say what it does.
const CONTROLS: [&str; 9] =
    ["button", "link", "textbox", "searchbox", "combobox", "checkbox", "radio", "listbox", "DisclosureTriangle"];

#[test]
fn whatever_can_be_used_says_what_it_is() {
    each(|page, _, path| {
        let told = page.accessibility_tree();
        let nameless: Vec<_> =
            told.iter().filter(|it| CONTROLS.contains(&it.role.as_str()) && it.name.trim().is_empty()).collect();
        assert!(nameless.is_empty(), "{path}: {nameless:?}");
        assert!(told.iter().filter(|it| CONTROLS.contains(&it.role.as_str())).count() > 10, "{path}: {told:?}");
        assert!(
            told.contains(&Accessible::new("heading", if path == "/" { "Overview" } else { "Explorer" })),
            "{path}"
        );
        let pictures: Vec<_> = told.iter().filter(|it| ["image", "img"].contains(&it.role.as_str())).collect();
        assert!(!pictures.is_empty() && pictures.iter().all(|it| !it.name.is_empty()), "{path}: {pictures:?}");
        let levels =
            page.eval("[...document.querySelectorAll('h1, h2, h3')].map((heading) => Number(heading.tagName[1]))");
        let levels: Vec<i64> = serde_json::from_value(levels).unwrap();
        assert!(levels[0] == 1 && levels.windows(2).all(|pair| pair[1] - pair[0] <= 1), "{path}: {levels:?}");
        let ids = page.eval("[...document.querySelectorAll('[id]')].map(({id}) => id)");
        let mut ids: Vec<String> = serde_json::from_value(ids).unwrap();
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all, "{path}: an id twice");
    });
}

#[test]
fn the_tabulator_reaches_everything_and_shows_where_it_is() {
    each(|page, _, path| {
        let expected = page.eval(
            "[...document.querySelectorAll('a[href], button:not(:disabled), input, select, summary, [tabindex=\"0\"]')]
                .filter((it) => it.checkVisibility() && it.type !== 'radio').length",
        );
        let expected = expected.as_u64().unwrap();
        page.eval("document.activeElement.blur(); window.reached = new Set()");
        let mut unseen = Vec::new();
        for _ in 0..expected + 40 {
            page.press("Tab");
            let outline = page.eval(
                "(() => {
                    const at = document.activeElement;
                    if (at.type !== 'radio') reached.add(at);
                    const shown = at.matches('input[type=radio]') ? at.closest('label') : at;
                    return [at === document.body || getComputedStyle(shown).outlineStyle !== 'none', at.outerHTML.slice(0, 200)];
                })()",
            );
            if outline[0] != true {
                unseen.push(outline[1].clone());
            }
        }
        assert_eq!(unseen, Vec::<Value>::new(), "{path}");
        let missed = page.eval(
            "[...document.querySelectorAll('a[href], button:not(:disabled), input, select, summary, [tabindex=\"0\"]')]
                .filter((it) => it.checkVisibility() && it.type !== 'radio' && !reached.has(it)).map((it) => it.outerHTML.slice(0, 200))",
        );
        assert_eq!(missed, json!([]), "{path}");
    });
}
