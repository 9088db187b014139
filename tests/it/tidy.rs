//! Rules that the source keeps and no compiler checks: who may know redb, actix and bincode, and which layer may call which.

use std::collections::{BTreeMap, BTreeSet};
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
fn the_protocol_of_postgresql_is_used_where_rows_are_kept_on_a_server_only() {
    assert_only_in("tokio_postgres", &["src/store/rows/postgres"]);
}

#[test]
fn tls_is_used_where_it_is_set_up_and_where_sockets_are_only() {
    assert_only_in("rustls_graviola::", &["src/tls/mod.rs"]);
    assert_only_in(
        "rustls::",
        &["src/tls", "src/api/connection", "src/app.rs", "src/commands/client", "src/store/rows/postgres"],
    );
}

#[test]
fn bincode_is_used_by_the_codec_only() {
    assert_only_in("bincode::", &["src/store/codec.rs"]);
}

/// The paths that a statement `use …;` names, groups taken apart: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn used_paths(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((prefix, group)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap().trim().to_owned()];
    };
    let group = group.rsplit_once('}').unwrap().0;
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (place, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    let paths = parts.into_iter().filter(|part| !part.trim().is_empty()).flat_map(used_paths);
    paths.map(|path| format!("{}{path}", prefix.trim())).collect()
}

/// The modules of the crate: the path of each, such as `store::rows::redb`, and its file.
fn modules() -> BTreeMap<String, PathBuf> {
    let source = root().join("src");
    let files = files_below(&source).into_iter().filter(|file| file.extension().is_some_and(|end| end == "rs"));
    let modules = files.map(|file| {
        let path = file.strip_prefix(&source).unwrap().with_extension("");
        let names: Vec<_> = path.iter().map(|name| name.to_str().unwrap()).filter(|name| *name != "mod").collect();
        (names.join("::"), file)
    });
    modules.collect()
}

/// The modules that a module imports from, by the paths in its code outside of tests.
fn imports(module: &str, file: &Path, modules: &BTreeMap<String, PathBuf>) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: String = text.lines().map(|line| line.split("//").next().unwrap().to_owned() + "\n").collect();
    let mut paths = Vec::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let line = line.trim_start();
        let behind = line.split_once("use ").filter(|(before, _)| {
            before.is_empty() || *before == "pub " || (before.starts_with("pub(") && before.ends_with(") "))
        });
        if let Some((_, behind)) = behind {
            let mut statement = behind.to_owned();
            while !statement.contains(';') {
                statement += lines.next().unwrap();
            }
            paths.extend(used_paths(statement.split(';').next().unwrap()));
        }
    }
    // Paths in the code itself.
    for start in ["crate::", "super::"] {
        for (place, _) in code.match_indices(start) {
            let is_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
            let end = code[place..].find(|letter| !is_path(letter)).unwrap_or(code.len() - place);
            paths.push(code[place..place + end].to_owned());
        }
    }
    let parent = |module: &str| module.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.to_owned());
    let mut found = BTreeSet::new();
    for path in paths {
        let (mut base, mut rest) = match path.split_once("::") {
            Some(("crate", rest)) => (String::new(), rest),
            Some(("super", rest)) => (parent(module), rest),
            // A child, or another crate.
            _ => (module.to_owned(), path.as_str()),
        };
        while let Some(above) = rest.strip_prefix("super::") {
            (base, rest) = (parent(&base), above);
        }
        for name in rest.split("::") {
            let next = if base.is_empty() { name.to_owned() } else { format!("{base}::{name}") };
            if !modules.contains_key(&next) {
                break;
            }
            base = next;
        }
        // What a module shares with those that it consists of is its own business.
        let is_within =
            |inner: &str, outer: &str| outer.is_empty() || inner == outer || inner.starts_with(&format!("{outer}::"));
        if modules.contains_key(&base) && !is_within(&base, module) && !is_within(module, &base) {
            found.insert(base);
        }
    }
    found
}

/// The layers in the order of `src/lib.rs`, the highest first, with the modules of each.
fn layers() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let layers = text.lines().filter_map(|line| line.strip_prefix("//! - ")).map(|line| {
        let names = line.split(": ").next().unwrap();
        names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    });
    layers.collect()
}

#[test]
fn a_layer_imports_from_layers_below_it_only() {
    let layers = layers();
    let layer_of = |module: &str| {
        let top = module.split("::").next().unwrap();
        let layer = layers.iter().position(|layer| layer.iter().any(|name| name == top));
        layer.unwrap_or_else(|| panic!("{top} is in no layer of src/lib.rs"))
    };
    let modules = modules();
    // What starts the program, what consists of all layers, and what only tests use.
    let is_outside = |module: &str| matches!(module, "main" | "lib") || module.split("::").any(|name| name == "fuzz");
    let mut seen = 0;
    for (module, file) in modules.iter().filter(|(module, _)| !is_outside(module)) {
        for import in imports(module, file, &modules) {
            if import.split("::").next() != module.split("::").next() {
                assert!(layer_of(module) < layer_of(&import), "{module} imports from {import}, a layer above it");
                seen += 1;
            }
        }
    }
    assert_ne!(seen, 0, "imports are found");
}

/// Where files import from each other in a ring, none can be read, tested or replaced without the others.
#[test]
fn no_files_import_from_each_other_in_a_ring() {
    let modules = modules();
    let imports: BTreeMap<_, _> =
        modules.iter().map(|(module, file)| (module.clone(), imports(module, file, &modules))).collect();
    assert!(
        imports["api::post_events"].contains("worker") || imports["api::post_events"].contains("store"),
        "they are found"
    );
    for module in imports.keys() {
        let mut reached: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
        let mut next: Vec<_> = imports[module].iter().map(|import| (import, vec![module, import])).collect();
        while let Some((import, way)) = next.pop() {
            assert_ne!(import, module, "a ring: {way:?}");
            if reached.insert(import, way.clone()).is_none() {
                next.extend(imports[import].iter().map(|further| (further, [way.clone(), vec![further]].concat())));
            }
        }
    }
}
