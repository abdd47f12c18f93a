//! How the managers on top of rpm differ: one row each.
//!
//! Where the facts come from: `docs/rpm-managers.md`.

use crate::repository::rpm::RpmManager;

/// How a manager resolves and downloads.
pub(super) struct Row {
    /// The program.
    pub(super) program: &'static str,
    /// The words that make it fetch upgrades, before names; [`PACKAGES`] in them is the folder to
    /// download to. Without names everything is meant.
    pub(super) fetch: &'static [&'static str],
    /// How far that goes.
    pub(super) reach: Reach,
    /// One more word that makes it leave out what cannot be upgraded together with the rest.
    pub(super) lenient: Option<&'static str>,
    /// Folders of metadata that it would not refresh, even when told to.
    pub(super) stale: &'static [&'static str],
    /// How it is told what not to touch.
    pub(super) exclude: Exclude,
    /// Whether it checks the packages' signatures when it downloads.
    pub(super) checks_signatures: bool,
    /// Exit codes besides 0 that are no failure.
    pub(super) successes: &'static [i32],
    /// The words that make it list the repositories that answered, if it does not say which did not.
    pub(super) answering: Option<&'static [&'static str]>,
    /// What it says when no repository has a package.
    pub(super) absent: &'static [&'static str],
    /// Whether it may leave something out without a word.
    pub(super) is_silent: bool,
    /// The words that make it list the packages that have a newer version, one call or more: if one fails, its words
    /// may name some.
    pub(super) lists: &'static [&'static [&'static str]],
    /// The form of these lists.
    pub(super) listing: Listing,
}

/// Stands for the folder of downloaded packages.
pub(super) const PACKAGES: &str = "{packages}";

/// How far a manager goes when asked to fetch upgrades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// It downloads them.
    Download,
    /// It upgrades, since it has no other way; in fetch's root, which is thrown away.
    Upgrade,
}

/// How a manager is told what not to touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exclude {
    /// By `--exclude=PATTERN`.
    Option,
    /// By its configuration file, whose lists add up.
    Configuration(&'static str),
    /// By its list of locks.
    Locks(&'static str),
}

/// The form of a list of packages that have a newer version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// `name architecture`, as we ask for it.
    Words,
    /// A list of objects with `Name` and `Arch`.
    Json,
    /// `<update kind="package" name="…" arch="…">`.
    Xml,
    /// ` name-version-release.architecture` before more columns, for people.
    Table,
    /// `name.architecture` before more columns, for people.
    Columns,
}

impl Row {
    /// The row of a manager.
    pub(super) const fn of(manager: RpmManager) -> &'static Self {
        match manager {
            RpmManager::Dnf4 => &DNF4,
            RpmManager::Dnf5 => &DNF5,
            RpmManager::Microdnf => &MICRODNF,
            RpmManager::Tdnf => &TDNF,
            RpmManager::Yum => &YUM,
            RpmManager::Zypper => &ZYPPER,
        }
    }
}

const DNF4: Row = Row {
    program: "dnf",
    fetch: &[
        "upgrade",
        "-y",
        "--refresh",
        // `--downloadonly` ends before dnf refuses a package that may be of another module stream.
        "--setopt=tsflags=test",
        "--setopt=destdir={packages}",
        // It writes the names of all packages into a database, for shell completion.
        "--disableplugin=generate_completion_cache",
    ],
    reach: Reach::Download,
    lenient: Some("--nobest"),
    stale: &[],
    exclude: Exclude::Option,
    checks_signatures: true,
    successes: &[],
    answering: None,
    absent: &["No packages marked for upgrade"],
    is_silent: false,
    lists: &[&[
        "repoquery",
        "-q",
        "-C",
        "--upgrades",
        "--latest-limit=1",
        "--queryformat=%{name} %{arch}",
    ]],
    listing: Listing::Words,
};

const DNF5: Row = Row {
    program: "dnf5",
    fetch: &[
        "upgrade",
        "-y",
        "--refresh",
        // With `--downloadonly` it looks at no signature, and so imports no key.
        "--setopt=tsflags=test",
        "--setopt=keepcache=1",
        "--setopt=cachedir={packages}",
        // A package that no repository has any more is no reason to upgrade nothing.
        "--skip-unavailable",
    ],
    reach: Reach::Download,
    lenient: Some("--no-best"),
    stale: &[],
    exclude: Exclude::Option,
    checks_signatures: true,
    successes: &[],
    answering: None,
    absent: &["No match for argument", "matches only excluded packages"],
    is_silent: false,
    // Without `-C`: its cache has gone with the downloads.
    lists: &[&[
        "repoquery",
        "-q",
        "--upgrades",
        "--latest-limit=1",
        "--queryformat=%{name} %{arch}\n",
    ]],
    listing: Listing::Words,
};

const MICRODNF: Row = Row {
    program: "microdnf",
    fetch: &["upgrade", "-y", "--refresh", "--setopt=cachedir={packages}"],
    reach: Reach::Upgrade,
    lenient: Some("--nobest"),
    stale: &[],
    exclude: Exclude::Configuration("/etc/dnf/dnf.conf"),
    checks_signatures: true,
    successes: &[],
    answering: None,
    absent: &["No package matches"],
    is_silent: true,
    // It has no list: the first shows what is possible, the second fails on the rest and says on what.
    lists: &[&["upgrade", "--assumeno", "--nobest"], &["upgrade", "--assumeno", "--best"]],
    listing: Listing::Table,
};

const TDNF: Row = Row {
    program: "tdnf",
    fetch: &["update", "-y", "--refresh", "--downloadonly", "--downloaddir={packages}"],
    reach: Reach::Download,
    lenient: Some("--skip-broken"),
    stale: &[],
    exclude: Exclude::Option,
    // It treats a package without a signature as one that needs none (`TDNFGPGCheckPackage`).
    checks_signatures: false,
    successes: &[],
    answering: None,
    absent: &["No matching packages"],
    is_silent: true,
    lists: &[&["check-update", "--json"]],
    listing: Listing::Json,
};

const YUM: Row = Row {
    program: "yum",
    fetch: &[
        "update",
        "-y",
        // It has no `--refresh`.
        "--setopt=metadata_expire=0",
        // Otherwise it uses the packages of a repository that is a folder in place.
        "--setopt=keepcache=1",
        "--downloadonly",
        "--downloaddir={packages}",
    ],
    reach: Reach::Download,
    lenient: Some("--skip-broken"),
    // It makes do with them where a repository does not answer or sets a `metadata_expire` of its own.
    stale: &["/var/cache/yum"],
    exclude: Exclude::Option,
    checks_signatures: false,
    successes: &[],
    answering: Some(&["repolist", "-q", "-C"]),
    absent: &["No packages marked for", "No matching Packages"],
    is_silent: true,
    lists: &[&["list", "updates", "-q", "-C"]],
    listing: Listing::Columns,
};

const ZYPPER: Row = Row {
    program: "zypper",
    fetch: &[
        "--non-interactive",
        "--ignore-unknown",
        "--pkg-cache-dir={packages}",
        "update",
        "--download-only",
    ],
    reach: Reach::Download,
    lenient: None,
    // Without `autorefresh` it takes what is there.
    stale: &["/var/cache/zypp/raw", "/var/cache/zypp/solv"],
    exclude: Exclude::Locks("/etc/zypp/locks"),
    checks_signatures: true,
    // A reboot, or a restart of zypper itself, is advised (zypper(8), «EXIT CODES»).
    successes: &[102, 103],
    answering: None,
    absent: &["No update candidate"],
    is_silent: false,
    lists: &[&["--non-interactive", "--no-refresh", "--xmlout", "list-updates", "--all"]],
    listing: Listing::Xml,
};
