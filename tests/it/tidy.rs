//! Rules that the source keeps and no compiler checks: who may know redb, actix, bincode and plotters.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `directory`.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Asserts that of all files under `src`, only those below one of `allowed` have `word` in their code, and that at
/// least one does, so that a rule about nothing is noticed. Comments may speak of anything.
#[track_caller]
fn assert_only_in(word: &str, allowed: &[&str]) {
    let mut users = 0;
    for path in files_below(&root().join("src")) {
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let place = path.strip_prefix(root()).unwrap();
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            let code = line.split("//").next().unwrap();
            // Behind another `::`, it is a module of ours.
            if code.match_indices(word).any(|(at, _)| !code[..at].ends_with("::")) {
                users += 1;
                let may = allowed.iter().any(|allowed| place.starts_with(allowed));
                assert!(may, "{word} in {}:{}, but it belongs in {allowed:?} only", place.display(), number + 1);
            }
        }
    }
    assert_ne!(users, 0, "nothing under src has {word}");
}

#[test]
fn redb_is_used_where_rows_are_kept_in_a_file_only() {
    assert_only_in("redb::", &["src/store/rows/redb"]);
}

#[test]
fn actix_is_used_by_api_dashboard_and_app_only() {
    assert_only_in("actix_", &["src/api", "src/dashboard", "src/app.rs"]);
}

#[test]
fn routes_are_added_where_they_are_described_and_pages_by_the_dashboard() {
    assert_only_in(".service(", &["src/api/mod.rs", "src/dashboard"]);
    assert_only_in("web::resource(", &["src/api/mod.rs"]);
    let api = fs::read_to_string(root().join("src/api/mod.rs")).unwrap();
    assert_eq!(
        api.matches(".service(").count(),
        2,
        "one adds what answers on each path of the list, one the redirects"
    );
}

#[test]
fn bincode_is_used_by_the_codec_only() {
    assert_only_in("bincode::", &["src/store/codec.rs"]);
}

#[test]
fn plotters_is_used_by_pictures_only() {
    assert_only_in("plotters::", &["src/picture"]);
    assert_only_in("plotters_backend::", &["src/picture/paths.rs"]);
}
