//! What a compiler does not hold: layers, generated pages and tables, where the outside is touched.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The layers of ARCHITECTURE.md, top to bottom. A module uses its own layer and those below.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["frontend", "agent"],
    &["apply", "call", "deliver", "fetch", "notices", "own_image", "policy", "reports"],
    &["failure"],
    &["context", "freshness", "note", "probe", "subject"],
    &["gateway"],
    &["evidence", "fixes", "patch", "plan", "request", "result", "threshold", "verify"],
    &["distro", "image", "pkgdb", "report", "repository"],
    &["llb"],
    &["code", "digest", "glob", "ignore", "package", "platform", "reference", "version"],
    &["pb"],
];

/// Modules that may use the generated messages.
const USERS_OF_MESSAGES: &[&str] = &["llb", "gateway"];

/// Files and folders that may touch the outside.
const EDGES: &[&str] =
    &["src/main.rs", "src/gateway/stdio.rs", "src/request/environment.rs", "src/agent/"];

/// What touching the outside looks like.
const OUTSIDE: &[&str] = &[
    "std::env::",
    "std::fs",
    "std::process",
    "std::net",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "File::open",
    "Zoned::now",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Path below the project, top module and text of every source file; tests in it cut off.
fn modules() -> Vec<(String, String, String)> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let name = file.strip_prefix(root()).unwrap().display().to_string();
            let module = name["src/".len()..].split(['/', '.']).next().unwrap().to_owned();
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
            (name, module, code)
        })
        .collect()
}

/// The modules of this crate that a text names: `crate::x` and, in `main`, `suture::x`.
fn used(code: &str) -> impl Iterator<Item = &str> {
    ["crate::", "suture::"].into_iter().flat_map(move |prefix| {
        code.match_indices(prefix).map(move |(start, _)| {
            let rest = &code[start + prefix.len()..];
            let end = rest.find(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
            &rest[..end.unwrap_or(rest.len())]
        })
    })
}

#[test]
fn arrows_point_down() {
    let layers: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(number, modules)| modules.iter().map(move |module| (*module, number)))
        .collect();
    let mut wrong = Vec::new();
    for (file, module, code) in modules() {
        if module == "lib" {
            continue;
        }
        let layer = layers.get(module.as_str());
        let layer = layer.unwrap_or_else(|| panic!("{file}: module `{module}` is in no layer"));
        for name in used(&code) {
            let Some(other) = layers.get(name) else { continue };
            if other < layer || (name == "pb" && !USERS_OF_MESSAGES.contains(&module.as_str())) {
                wrong.push(format!("{file} uses {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point up: {wrong:#?}");
}

#[test]
fn every_module_is_on_the_map() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for module in LAYERS.iter().flat_map(|layer| layer.iter()) {
        let spelled = [format!("`{module}.rs`"), format!("`{module}/`")];
        assert!(spelled.iter().any(|name| map.contains(name)), "{module} is not in the map");
    }
}

#[test]
fn the_outside_is_touched_at_the_edges_only() {
    let mut wrong = Vec::new();
    for (file, _, code) in modules() {
        if EDGES.iter().any(|edge| file.starts_with(edge)) {
            continue;
        }
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            if OUTSIDE.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{file}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "the outside is touched: {wrong:#?}");
}

#[test]
fn no_check_of_authenticity_is_switched_off() {
    let switches = [
        "allow-unauthenticated",
        "AllowUnauthenticated",
        "AllowInsecureRepositories",
        "AllowDowngradeToInsecure",
        "allow-untrusted",
        "nogpgcheck",
        "no-gpg-checks",
        "Check-Valid-Until",
        "force-all",
        "force-depends",
        "autoremove",
    ];
    for (file, _, code) in modules() {
        for switch in switches {
            assert!(!code.contains(switch), "{file} has {switch}");
        }
    }
}

/// Puts a table between its marks in README, and fails when it was another one.
fn assert_in_readme(name: &str, table: &str) {
    let path = root().join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (begin, end) =
        (format!("<!-- {name}: begin (generated) -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = readme.split_once(&begin).expect("README has the beginning's mark");
    let (inside, after) = rest.split_once(&end).expect("README has the end's mark");
    if inside != table {
        std::fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
        panic!("README's table of {name} was out of date and is written anew: commit it");
    }
}

/// README and the answers to `--call=check` lead there.
#[test]
fn every_code_has_a_section() {
    let mut page =
        "# Codes\n\nEvery failure and every warning ends or begins with one of these.\n".to_owned();
    for (code, meaning) in suture::code::Code::TABLE {
        page.push_str(&format!("\n## `{code}`\n\n{}\n", meaning.trim()));
    }
    let path = root().join("docs/codes.md");
    if std::fs::read_to_string(&path).is_ok_and(|known| known == page) {
        return;
    }
    std::fs::write(&path, page).unwrap();
    panic!("docs/codes.md was out of date and is written anew: commit it");
}

#[test]
fn readme_has_the_options() {
    assert_in_readme("options", &suture::request::option::markdown());
}
