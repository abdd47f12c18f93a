//! What a user would check, and what a careful one would.

use std::collections::BTreeSet;

use serde_json::Value;
use suture_lab::started_image::name_of;
use suture_lab::stored_image::{Entry, EntryKind, StoredImage};

use super::observed::Observed;
use super::scenario::Expect;

/// Labels that a patched image has and its original has not.
const OUR_LABELS: [&str; 3] = [
    "suture.version",
    "org.opencontainers.image.base.name",
    "org.opencontainers.image.base.digest",
];

/// What is wrong with what the commands said.
pub(crate) fn output(expect: &Expect, said: &str) -> Vec<String> {
    let said = with_single_blanks(said);
    let mut complaints = Vec::new();
    for text in &expect.says {
        if !said.contains(&with_single_blanks(text)) {
            complaints.push(format!("the commands do not say: {text}"));
        }
    }
    for text in &expect.says_not {
        if said.contains(&with_single_blanks(text)) {
            complaints.push(format!("the commands say: {text}"));
        }
    }
    complaints
}

/// A text whose columns may have any width.
fn with_single_blanks(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

/// What is wrong with a result that should be its original.
pub(crate) fn unchanged(original: &StoredImage, result: &StoredImage) -> Vec<String> {
    let mut complaints = Vec::new();
    if original.config_digest != result.config_digest {
        complaints.push("the configuration has changed".to_owned());
    }
    if original.layers != result.layers {
        complaints.push("the layers have changed".to_owned());
    }
    complaints
}

/// What is wrong with a patched image.
pub(crate) fn patched(
    expect: &Expect,
    original: &Observed,
    result: &Observed,
    layer: &[Entry],
    said: &str,
) -> Vec<String> {
    let judge = Judge { expect, original, result, layer };
    [
        judge.packages(said),
        judge.database(),
        judge.starts(),
        judge.layers(),
        judge.config(),
        judge.entries(),
        judge.kept(),
    ]
    .concat()
}

/// A patched image beside its original.
struct Judge<'a> {
    expect: &'a Expect,
    original: &'a Observed,
    result: &'a Observed,
    /// What the new layer holds.
    layer: &'a [Entry],
}

impl Judge<'_> {
    /// Versions inside the started container, and whether the user was told of each.
    fn packages(&self, said: &str) -> Vec<String> {
        let (before, after) = (&self.original.system, &self.result.system);
        let mut complaints = Vec::new();
        let gone: BTreeSet<&str> = after.gone_since(before).into_iter().map(name_of).collect();
        let expected: BTreeSet<&str> = self.expect.replaced.keys().map(String::as_str).collect();
        for package in gone.difference(&expected) {
            complaints.push(format!("a package is gone: {package}"));
        }
        for package in expected.difference(&gone) {
            complaints.push(format!("a package is not gone: {package}"));
        }
        for (package, versions) in before.packages.iter().filter(|(_, known)| known.len() > 1) {
            let merged = self.expect.merged.iter().any(|merged| merged == name_of(package));
            let stay = after.packages.get(package).is_some_and(|known| known.is_superset(versions));
            if stay == merged {
                let what = if stay { "all" } else { "not all" };
                complaints.push(format!("{package} has {what} of its versions"));
            }
        }
        let changed = after.changed_since(before);
        if self.expect.some_packages && changed.is_empty() {
            complaints.push("no package is newer".to_owned());
        }
        for (package, version) in &self.expect.packages {
            if after.version(package).is_none() {
                complaints.push(format!("there is no {package}"));
            }
            for versions in after.versions(package).filter(|known| !known.contains(version)) {
                complaints.push(format!("{package} is {versions:?}, not {version}"));
            }
        }
        let said = with_single_blanks(said);
        for (package, version) in changed {
            let name = name_of(package);
            if !self.expect.some_packages && !self.expect.packages.contains_key(name) {
                complaints.push(format!("{package} has changed to {version}"));
            }
            let old = before.packages.get(package).and_then(BTreeSet::last);
            let old = old.map_or("(new)", String::as_str);
            // With its architecture where it is installed for several.
            let told = |name: &str| said.contains(&format!("{name} {old} {version}"));
            if !told(name) && !told(package) {
                complaints.push(format!("the summary lacks {package} {old} {version}"));
            }
        }
        complaints
    }

    /// The database's own opinion, marks and holds.
    fn database(&self) -> Vec<String> {
        let (before, after) = (&self.original.system, &self.result.system);
        let mut complaints = Vec::new();
        for words in after.audit.iter().filter(|words| !before.audit.contains(words)) {
            complaints.push(format!("the package manager complains: {words}"));
        }
        let mut automatic = before.automatic.clone();
        if before.marks_new_packages {
            let new = after.changed_since(before).into_keys();
            let new = new.filter(|package| !before.packages.contains_key(*package)).map(name_of);
            // What takes another package's place is there for its reason.
            let is_wanted = |package: &&str| {
                let mut replaced = self.expect.replaced.iter();
                replaced.any(|(old, new)| new == package && !before.automatic.contains(old))
            };
            automatic.extend(new.filter(|package| !is_wanted(package)).map(str::to_owned));
            automatic.retain(|package| !self.expect.replaced.contains_key(package));
        }
        if automatic != after.automatic {
            let differ: Vec<_> = automatic.symmetric_difference(&after.automatic).collect();
            complaints.push(format!("marks of automatic packages differ: {differ:?}"));
        }
        if before.held != after.held {
            complaints.push(format!("holds differ: {:?}, {:?}", before.held, after.held));
        }
        complaints
    }

    /// Entrypoint, command, environment, user and folder of a started container.
    fn starts(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.original.started != self.result.started {
            complaints.push(format!(
                "started, it says {:?} instead of {:?}",
                self.result.started, self.original.started
            ));
        }
        complaints
    }

    /// One layer more, and those below untouched.
    fn layers(&self) -> Vec<String> {
        let (before, after) = (&self.original.stored, &self.result.stored);
        let mut complaints = Vec::new();
        if after.layers.len() != before.layers.len() + 1 {
            let (was, is) = (before.layers.len(), after.layers.len());
            complaints.push(format!("there are {is} layers, there were {was}"));
        }
        if !after.layers.starts_with(&before.layers) {
            complaints.push("the original's layers have changed".to_owned());
        }
        let (old, new) = (before.diff_ids(), after.diff_ids());
        if !new.starts_with(&old) || new.len() != old.len() + 1 {
            complaints.push(format!("diff ids do not match: {old:?}, {new:?}"));
        }
        complaints
    }

    /// The configuration, equal but for what must differ.
    fn config(&self) -> Vec<String> {
        let (before, after) = (&self.original.stored, &self.result.stored);
        let mut complaints = Vec::new();
        let labels = |config: &Value| config.pointer("/config/Labels").cloned();
        let label = |name: &str| {
            let label = after.config.pointer("/config/Labels").and_then(|labels| labels.get(name));
            label.and_then(Value::as_str).map(str::to_owned)
        };
        for (name, value) in &self.expect.labels {
            if label(name).as_ref() != Some(value) {
                complaints.push(format!("label {name} is {:?}, not {value}", label(name)));
            }
        }
        if label("suture.version").is_none() {
            complaints.push("the label suture.version is missing".to_owned());
        }
        let history = |config: &Value| {
            config.get("history").and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let (old, new) = (history(&before.config), history(&after.config));
        let ours = new.get(old.len()..).unwrap_or_default();
        if !new.starts_with(&old) || ours.len() != 1 {
            complaints.push(format!("the history is not one entry longer: {ours:?}"));
        }
        if ours.iter().any(|entry| entry.get("empty_layer").is_some()) {
            complaints.push("our history entry has no layer".to_owned());
        }

        let mut config = after.config.clone();
        let added: Vec<String> = OUR_LABELS
            .iter()
            .map(|&name| name.to_owned())
            .chain(self.expect.labels.keys().cloned())
            .collect();
        if let Some(Value::Object(labels)) = config.pointer_mut("/config/Labels") {
            labels.retain(|name, _| !added.contains(name));
        }
        if labels(&before.config).is_none()
            && let Some(Value::Object(inner)) = config.get_mut("config")
        {
            inner.retain(|name, _| name != "Labels");
        }
        for pointer in ["/history", "/created", "/rootfs/diff_ids"] {
            if let (Some(place), Some(value)) =
                (config.pointer_mut(pointer), before.config.pointer(pointer))
            {
                *place = value.clone();
            }
        }
        // As text, because the order of the keys counts.
        let (config, original) = (config.to_string(), before.config.to_string());
        if config != original {
            complaints
                .push(format!("the configuration differs:\n{config}\ninstead of\n{original}"));
        }
        complaints
    }

    /// The files of the new layer.
    fn entries(&self) -> Vec<String> {
        let (before, after) = (&self.original.system, &self.result.system);
        let changed: BTreeSet<&str> = after.changed_since(before).into_keys().collect();
        let touched: BTreeSet<&str> =
            changed.iter().copied().chain(after.gone_since(before)).map(name_of).collect();
        // What the old and the new versions of the upgraded packages own.
        let owned: BTreeSet<String> = [before, after]
            .into_iter()
            .flat_map(|system| &system.lists)
            .filter(|(package, _)| touched.contains(name_of(package)))
            .flat_map(|(_, paths)| paths)
            .map(|path| before.merged(path))
            .collect();
        let entries = self.layer;
        let mut complaints = Vec::new();
        for entry in entries {
            let path = entry.path.as_str();
            let (old, new) = (before.paths.get(path), after.paths.get(path));
            let folder = format!("{path}/");
            let holds_more = || entries.iter().any(|other| other.path.starts_with(&folder));
            // rpm's packages need not own the folders of their files.
            let is_new_of_owned =
                || old.is_none() && owned.iter().any(|path| path.starts_with(&folder));
            let same = old.is_some() && old == new;
            if entry.kind == EntryKind::Folder && same && (path.is_empty() || holds_more()) {
                continue;
            }
            if entry.kind == EntryKind::Folder && is_new_of_owned() {
                continue;
            }
            if same {
                complaints.push(format!("the layer has what is as it was: {path}"));
            } else if !owned.contains(&before.merged(path)) && !self.may_have(entry, &changed) {
                let what = match (entry.kind, old) {
                    (EntryKind::Removed, _) => "removes",
                    (_, Some(_)) => "changes",
                    (_, None) => "adds",
                };
                complaints.push(format!("the layer {what} what no upgraded package has: {path}"));
            }
        }
        complaints
    }

    /// What the image's author has removed or changed.
    fn kept(&self) -> Vec<String> {
        let (before, after) = (&self.original.system, &self.result.system);
        let mut complaints = Vec::new();
        let stripped: BTreeSet<&String> = before
            .lists
            .values()
            .flatten()
            .filter(|path| !path.is_empty() && !before.exists(path) && after.exists(path))
            .collect();
        let returns: BTreeSet<&String> = self.expect.returns.iter().collect();
        for path in stripped.difference(&returns) {
            complaints.push(format!("what the author had removed is back: {path}"));
        }
        for path in returns.difference(&stripped) {
            complaints.push(format!("this has not come back: {path}"));
        }
        let keeps = self.expect.keeps.iter().map(String::as_str);
        for path in keeps.chain(before.family.kept.iter().copied()) {
            if !before.exists(path) || before.paths.get(path) != after.paths.get(path) {
                complaints.push(format!("this is not as it was: {path}"));
            }
        }
        complaints
    }

    /// Whether an entry that belongs to no package is there by rights.
    fn may_have(&self, entry: &Entry, changed: &BTreeSet<&str>) -> bool {
        let path = entry.path.as_str();
        let before = &self.original.system;
        let family = before.family;
        let is_new = |package: &&str| !before.packages.contains_key(*package);
        let is_of_changed = |file: &str| {
            let package = file.rsplit_once('.').map_or(file, |(package, _)| package);
            changed.iter().any(|changed| name_of(changed) == name_of(package))
        };
        let is_by_package = |folder: &&str| path.strip_prefix(*folder).is_some_and(is_of_changed);
        let is_shared = |(folder, stay): &(&str, &[&str])| {
            path.strip_prefix(*folder).is_some_and(|file| !stay.contains(&file))
        };
        self.expect.layer_may_have.iter().any(|may| may == path)
            || family.books.contains(&path)
            || family.books_of_new_packages.contains(&path) && changed.iter().any(is_new)
            || family.books_by_package.iter().any(is_by_package)
            || family.shared_books.iter().any(is_shared)
    }
}
