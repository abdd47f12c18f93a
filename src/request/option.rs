//! The options of a build, in one table.
//!
//! Parsing, «did you mean», the errors and README's table all come from [`TABLE`].

/// An option by meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The image to patch.
    Image,
    /// The vulnerability reports.
    Report,
    /// The reports' format.
    ReportFormat,
    /// Packages to patch, without a report.
    Packages,
    /// Packages never to touch.
    Exclude,
    /// Kinds of packages.
    PkgTypes,
    /// How far a library may move.
    LibraryPatchLevel,
    /// What to do when a fix cannot be reached.
    OnUnmet,
    /// What to do when a repository cannot be used.
    OnUnreachable,
    /// What to do when there is nothing to do.
    OnUpToDate,
    /// What to do when the release is past its end of life.
    OnEol,
    /// What to do with an image that cannot be patched.
    OnUnsupported,
    /// The frontend that builds a Dockerfile.
    DockerfileSyntax,
    /// What to return.
    Output,
    /// The image that has the tools which the target lacks.
    ToolsImage,
    /// When cached work counts as stale.
    Refresh,
    /// Time of everything new in the result.
    SourceDateEpoch,
    /// What to patch the image for.
    Platform,
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// What it means.
    pub key: Key,
    /// The build argument's name.
    pub name: &'static str,
    /// The peer's spelling, as build argument or plain option.
    pub alias: Option<Alias>,
    /// What can be given.
    pub values: Values,
    /// What applies if nothing is given; empty is «nothing».
    pub default: &'static str,
    /// One line for people.
    pub help: &'static str,
}

/// Another spelling of an option.
#[derive(Debug)]
pub struct Alias {
    /// Its name.
    pub name: &'static str,
    /// Values that are spelled differently: (there, here).
    pub words: &'static [(&'static str, &'static str)],
}

/// What values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// One of these words.
    Words(&'static [&'static str]),
    /// Several of these words, separated by commas.
    SomeOf(&'static [&'static str]),
    /// Anything, described for people.
    Text(&'static str),
}

const fn alias(name: &'static str) -> Alias {
    Alias { name, words: &[] }
}

/// Every option.
pub static TABLE: &[Row] = &[
    Row {
        key: Key::Image,
        name: "IMAGE",
        alias: Some(alias("image")),
        values: Values::Text("reference"),
        default: "",
        help: "the image to patch; a named context `image` replaces it",
    },
    Row {
        key: Key::Report,
        name: "REPORT",
        alias: Some(alias("report")),
        values: Values::Text("file, directory or glob"),
        default: "",
        help: "vulnerability report(s) in the build context, or in a named context `report`; \
               without one, every available upgrade is applied",
    },
    Row {
        key: Key::ReportFormat,
        name: "REPORT_FORMAT",
        alias: Some(alias("scanner")),
        values: Values::Words(&["auto", "trivy", "grype", "cyclonedx", "copa", "sarif"]),
        default: "auto",
        help: "format of the reports, only `trivy` so far; `auto` detects it",
    },
    Row {
        key: Key::Packages,
        name: "PACKAGES",
        alias: None,
        values: Values::Text("name[=version],…"),
        default: "",
        help: "patch these packages, without a report; a version is the minimum",
    },
    Row {
        key: Key::Exclude,
        name: "EXCLUDE",
        alias: None,
        values: Values::Text("names or globs, separated by commas"),
        default: "",
        help: "never touch these packages",
    },
    Row {
        key: Key::PkgTypes,
        name: "PKG_TYPES",
        alias: Some(alias("pkg-types")),
        values: Values::SomeOf(&["os", "library"]),
        default: "os",
        help: "distribution packages; language libraries are not supported yet",
    },
    Row {
        key: Key::LibraryPatchLevel,
        name: "LIBRARY_PATCH_LEVEL",
        alias: Some(alias("library-patch-level")),
        values: Values::Words(&["patch", "minor", "major"]),
        default: "patch",
        help: "how far a library may be upgraded, once libraries are supported",
    },
    Row {
        key: Key::OnUnmet,
        name: "ON_UNMET",
        alias: Some(Alias {
            name: "ignore-errors",
            words: &[("true", "warn"), ("1", "warn"), ("false", "fail"), ("0", "fail")],
        }),
        values: Values::Words(&["fail", "warn"]),
        default: "fail",
        help: "if a fix is not available: fail the build, or warn and continue",
    },
    Row {
        key: Key::OnUnreachable,
        name: "ON_UNREACHABLE",
        alias: None,
        values: Values::Words(&["fail", "warn"]),
        default: "fail",
        help: "if a repository does not answer, or its key or index is out of date: fail the build, or warn \
               and continue without it",
    },
    Row {
        key: Key::OnUpToDate,
        name: "ON_UP_TO_DATE",
        alias: None,
        values: Values::Words(&["keep", "fail"]),
        default: "keep",
        help: "if there is nothing to do: return the original image unchanged, or fail the build",
    },
    Row {
        key: Key::OnEol,
        name: "ON_EOL",
        alias: None,
        values: Values::Words(&["warn", "fail", "ignore"]),
        default: "warn",
        help: "if the release is past its end of life: warn, fail the build, or ignore it",
    },
    Row {
        key: Key::OnUnsupported,
        name: "ON_UNSUPPORTED",
        alias: None,
        values: Values::Words(&["fail", "keep"]),
        default: "fail",
        help: "if an image has no packages or its distribution is unknown: fail the build, or return it \
               unchanged with a warning",
    },
    Row {
        key: Key::DockerfileSyntax,
        name: "DOCKERFILE_SYNTAX",
        alias: None,
        values: Values::Text("reference"),
        default: "",
        help: "the frontend that builds a Dockerfile with `FROM`, such as `docker/dockerfile:1-labs`; \
               without one, BuildKit's own",
    },
    Row {
        key: Key::Output,
        name: "OUTPUT",
        alias: None,
        values: Values::Words(&["image", "report", "plan", "layer"]),
        default: "image",
        help: "as `--target`: what to return, where `--target` names a stage of the Dockerfile",
    },
    Row {
        key: Key::ToolsImage,
        name: "TOOLS_IMAGE",
        alias: None,
        values: Values::Text("reference"),
        default: "",
        help: "for images without a package manager, which are not supported yet",
    },
    Row {
        key: Key::Refresh,
        name: "REFRESH",
        alias: None,
        values: Values::Text("auto, always, never, or a key of your own"),
        default: "auto",
        help: "when cached steps are considered stale",
    },
    Row {
        key: Key::SourceDateEpoch,
        name: "SOURCE_DATE_EPOCH",
        alias: None,
        values: Values::Text("seconds, image or context"),
        default: "",
        help: "timestamp for everything new in the layer and the configuration, for reproducible results; \
               `image` is the original image's own, `context` that of a build context from Git or the web \
               (both by the name `SUTURE_SOURCE_DATE_EPOCH`: daemons want the plain build argument in seconds)",
    },
    Row {
        key: Key::Platform,
        name: "PLATFORM",
        alias: Some(alias("platform")),
        values: Values::Text("os/architecture,… or all"),
        default: "",
        help: "as `--platform`: what to patch the image for; `all` is every platform of the image",
    },
];

/// Prefix of an option's name where the plain name belongs to somebody else's Dockerfile.
pub const PREFIX: &str = "SUTURE_";

/// The option that has this name, with or without our prefix, or this alias.
pub fn find(name: &str) -> Option<&'static Row> {
    let own = name.strip_prefix(PREFIX).unwrap_or(name);
    let is_alias = |row: &Row| row.alias.as_ref().is_some_and(|alias| alias.name == name);
    TABLE.iter().find(|row| row.name == own || is_alias(row))
}

/// The option name that a wrong one probably meant: at most a third of it differs.
pub fn nearest(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    TABLE
        .iter()
        .flat_map(|row| [Some(row.name), row.alias.as_ref().map(|alias| alias.name)])
        .flatten()
        .map(|known| {
            let (name, lower) = (name.to_ascii_lowercase(), known.to_ascii_lowercase());
            (strsim::damerau_levenshtein(&name, &lower), known)
        })
        .filter(|(distance, known)| distance * 3 <= known.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

impl Values {
    /// What can be given, for people.
    pub fn describe(self) -> String {
        match self {
            Self::Text(text) => text.to_owned(),
            Self::Words(words) => words.join(", "),
            Self::SomeOf(words) => format!("some of {}", words.join(", ")),
        }
    }
}

/// The table as README shows it.
pub fn markdown() -> String {
    let mut text = "| option | values | default | meaning |\n|---|---|---|---|\n".to_owned();
    for row in TABLE {
        let default =
            if row.default.is_empty() { String::new() } else { format!("`{}`", row.default) };
        let also = row
            .alias
            .as_ref()
            .map_or_else(String::new, |alias| format!(" (also `{}`)", alias.name));
        text.push_str(&format!(
            "| `{}`{also} | {} | {default} | {} |\n",
            row.name,
            row.values.describe(),
            row.help
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_recognised() {
        for (wrong, right) in [
            ("REPROT", Some("REPORT")),
            ("IMAGES", Some("IMAGE")),
            ("imgae", Some("IMAGE")),
            ("ON_UNMETT", Some("ON_UNMET")),
            ("PACKAGE", Some("PACKAGES")),
            ("GIT_SHA", None),
            ("X", None),
        ] {
            assert_eq!(nearest(wrong), right, "{wrong}");
        }
    }

    #[test]
    fn names_are_unique_and_defaults_are_values() {
        let mut names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
        names.extend(TABLE.iter().filter_map(|row| row.alias.as_ref().map(|alias| alias.name)));
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for row in TABLE {
            if let Values::Words(words) | Values::SomeOf(words) = row.values {
                assert!(words.contains(&row.default), "{}", row.name);
            }
        }
    }
}
