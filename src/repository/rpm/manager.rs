//! Where each manager looks for what, and what it does by default.

use serde::{Deserialize, Serialize};

use super::ini::{self, Form, Values};
use super::locks::{self, Lock};

/// Every file that one of the managers may be configured by.
pub const FILES: &[&str] = &[
    "/etc/dnf/dnf.conf",
    "/etc/dnf/plugins/versionlock.conf",
    "/etc/dnf/plugins/versionlock.list",
    "/etc/dnf/versionlock.toml",
    "/etc/tdnf/tdnf.conf",
    "/etc/yum.conf",
    "/etc/yum/pluginconf.d/versionlock.conf",
    "/etc/yum/pluginconf.d/versionlock.list",
    "/etc/yum/yum.conf",
    "/etc/zypp/locks",
    "/etc/zypp/zypp.conf",
    "/usr/etc/zypp/zypp.conf",
];

/// Suffix of the names of files that name repositories.
pub const REPOSITORIES: &str = ".repo";

/// Every folder whose files one of the managers may be configured by, and the suffix of these files.
pub const FOLDERS: &[(&str, &str)] = &[
    ("/etc/distro.repos.d", REPOSITORIES),
    ("/etc/dnf/libdnf5.conf.d", ".conf"),
    ("/etc/dnf/repos.override.d", REPOSITORIES),
    ("/etc/dnf/vars", ""),
    ("/etc/tdnf/locks.d", ".conf"),
    ("/etc/tdnf/vars", ""),
    ("/etc/yum.repos.d", REPOSITORIES),
    ("/etc/yum/repos.d", REPOSITORIES),
    ("/etc/yum/vars", ""),
    ("/etc/zypp/multiversion.d", ""),
    ("/etc/zypp/repos.d", REPOSITORIES),
    ("/etc/zypp/services.d", ".service"),
    ("/etc/zypp/vars.d", ""),
    ("/etc/zypp/zypp.conf.d", ".conf"),
    ("/usr/etc/zypp/zypp.conf.d", ".conf"),
    ("/usr/share/dnf5/libdnf.conf.d", ".conf"),
    ("/usr/share/dnf5/repos.d", REPOSITORIES),
    ("/usr/share/dnf5/repos.override.d", REPOSITORIES),
    ("/usr/share/dnf5/vars.d", ""),
];

/// The package managers on top of rpm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RpmManager {
    /// dnf 4: RHEL 8 and 9 and their kin.
    Dnf4,
    /// dnf 5: Fedora since 41, RHEL 11.
    Dnf5,
    /// dnf's small sibling in images without Python.
    Microdnf,
    /// Photon, Azure Linux and its predecessor Mariner.
    Tdnf,
    /// yum 3: RHEL 7, Amazon Linux 2. Later ones are links to dnf.
    Yum,
    /// SUSE.
    Zypper,
}

impl RpmManager {
    /// Its name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dnf4 => "dnf",
            Self::Dnf5 => "dnf5",
            Self::Microdnf => "microdnf",
            Self::Tdnf => "tdnf",
            Self::Yum => "yum",
            Self::Zypper => "zypper",
        }
    }
}

/// Where a manager looks for what. A path with a slash at its end is a folder.
pub(super) struct Places {
    /// How it reads them.
    pub(super) form: &'static Form,
    /// The main configuration, the weakest first. Of files with the same name in one layer the last counts.
    pub(super) main: &'static [&'static [&'static str]],
    /// The repositories, in the order in which they are read, unless the main configuration names other folders.
    pub(super) repositories: &'static [&'static str],
    /// What tells the manager of repositories when it asks.
    pub(super) services: &'static [&'static str],
    /// What outweighs the repositories' own values; one layer.
    pub(super) overrides: &'static [&'static str],
    /// The image's own variables, one file each; likewise one layer.
    pub(super) variables: &'static [&'static str],
    /// The packages that are kept as they are.
    pub(super) locks: Locks,
    /// Lists of packages that are left alone.
    pub(super) excludes: &'static [&'static str],
    /// Lists of the only packages that are not left alone.
    pub(super) includes: &'static [&'static str],
    /// Its `tsflags` that stay in force, and rpm's options for them.
    pub(super) flags: &'static [Flag],
    /// What is installed side by side with its other versions unless more is configured: names and what is provided.
    pub(super) install_only: &'static [&'static str],
}

/// A word of `tsflags`, and the option of rpm that does the same.
pub(super) type Flag = (&'static str, &'static str);

/// How locks are written down.
pub(super) enum Locks {
    /// There are none.
    None,
    /// A plugin of this configuration, which names its list, where that mostly is, and whether the plugin is on by
    /// default.
    Plugin { configuration: &'static str, list: &'static str, is_on: bool },
    /// A file.
    File(&'static str, fn(&[u8]) -> Vec<Lock>),
}

const DNF_INSTALL_ONLY: &[&str] = &[
    "kernel",
    "kernel-PAE",
    "installonlypkg(kernel)",
    "installonlypkg(kernel-module)",
    "installonlypkg(vm)",
    "multiversion(kernel)",
];

const NO_DOCUMENTATION: Flag = ("nodocs", "--excludedocs");
const NO_SCRIPTS: Flag = ("noscripts", "--noscripts");
const NO_TRIGGERS: Flag = ("notriggers", "--notriggers");
const NO_CONTEXTS: Flag = ("nocontexts", "--nocontexts");
/// rpm has it from 4.14 on.
const NO_CAPABILITIES: Flag = ("nocaps", "--nocaps");

/// Those of `_TS_FLAGS_TO_RPM` and libdnf5's `string_tsflag_map` that leave something out of what is installed.
const DNF_FLAGS: &[Flag] =
    &[NO_DOCUMENTATION, NO_SCRIPTS, NO_TRIGGERS, NO_CONTEXTS, NO_CAPABILITIES];

const EXCLUDES: &[&str] = &["excludepkgs", "exclude"];
const INCLUDES: &[&str] = &["includepkgs"];

const DNF4: Places = Places {
    form: &ini::LIBDNF,
    main: &[&["/etc/dnf/dnf.conf"]],
    repositories: &["/etc/yum.repos.d/", "/etc/yum/repos.d/", "/etc/distro.repos.d/"],
    services: &[],
    overrides: &[],
    variables: &["/etc/yum/vars/", "/etc/dnf/vars/"],
    locks: Locks::Plugin {
        configuration: "/etc/dnf/plugins/versionlock.conf",
        list: "/etc/dnf/plugins/versionlock.list",
        is_on: true,
    },
    excludes: EXCLUDES,
    includes: INCLUDES,
    flags: DNF_FLAGS,
    install_only: DNF_INSTALL_ONLY,
};

const DNF5: Places = Places {
    form: &ini::LIBDNF,
    main: &[
        &["/usr/share/dnf5/libdnf.conf.d/", "/etc/dnf/libdnf5.conf.d/"],
        &["/etc/dnf/dnf.conf"],
    ],
    repositories: &["/etc/yum.repos.d/", "/etc/distro.repos.d/", "/usr/share/dnf5/repos.d/"],
    services: &[],
    overrides: &["/usr/share/dnf5/repos.override.d/", "/etc/dnf/repos.override.d/"],
    variables: &["/usr/share/dnf5/vars.d/", "/etc/dnf/vars/"],
    locks: Locks::File("/etc/dnf/versionlock.toml", locks::versionlock_toml),
    excludes: EXCLUDES,
    includes: INCLUDES,
    flags: DNF_FLAGS,
    install_only: DNF_INSTALL_ONLY,
};

/// Like dnf 4, without plugins. `tsflags` is an option of its command line only, as with tdnf; an author who wants no
/// documentation gets none anyway.
const MICRODNF: Places = Places { locks: Locks::None, flags: &[NO_DOCUMENTATION], ..DNF4 };

const TDNF: Places = Places {
    form: &ini::LINES,
    main: &[&["/etc/tdnf/tdnf.conf"]],
    repositories: &["/etc/yum.repos.d/"],
    services: &[],
    overrides: &[],
    variables: &["/etc/yum/vars/", "/etc/dnf/vars/", "/etc/tdnf/vars/"],
    locks: Locks::File("/etc/tdnf/locks.d/", locks::tdnf_locks),
    excludes: &["excludepkgs"],
    includes: &[],
    flags: &[NO_DOCUMENTATION],
    install_only: &[],
};

const YUM: Places = Places {
    form: &ini::INIPARSE,
    // The first only where there is no other (`_getConfig`).
    main: &[&["/etc/yum.conf", "/etc/yum/yum.conf"]],
    repositories: &["/etc/yum/repos.d/", "/etc/yum.repos.d/"],
    services: &[],
    overrides: &[],
    variables: &["/etc/yum/vars/"],
    locks: Locks::Plugin {
        configuration: "/etc/yum/pluginconf.d/versionlock.conf",
        list: "/etc/yum/pluginconf.d/versionlock.list",
        is_on: false,
    },
    excludes: EXCLUDES,
    includes: INCLUDES,
    flags: &[NO_DOCUMENTATION, NO_SCRIPTS, NO_TRIGGERS, NO_CONTEXTS],
    install_only: &[
        "kernel",
        "kernel-bigmem",
        "kernel-debug",
        "kernel-devel",
        "kernel-enterprise",
        "kernel-PAE",
        "kernel-PAE-debug",
        "kernel-smp",
        "kernel-source",
        "kernel-unsupported",
        "installonlypkg(kernel)",
        "installonlypkg(kernel-module)",
        "installonlypkg(vm)",
    ],
};

/// Of the first layer's two files the first is the distro's (libzypp from 17.38 on).
const ZYPPER: Places = Places {
    form: &ini::LINES,
    main: &[
        &["/usr/etc/zypp/zypp.conf", "/etc/zypp/zypp.conf"],
        &["/usr/etc/zypp/zypp.conf.d/", "/etc/zypp/zypp.conf.d/"],
    ],
    repositories: &["/etc/zypp/repos.d/"],
    services: &["/etc/zypp/services.d/"],
    overrides: &[],
    variables: &["/etc/zypp/vars.d/"],
    locks: Locks::File("/etc/zypp/locks", locks::zypp_locks),
    excludes: &[],
    includes: &[],
    flags: &[],
    install_only: &[],
};

/// More of zypp.conf's `multiversion`, one per line.
pub(super) const MULTIVERSION: &[&str] = &["/etc/zypp/multiversion.d/"];

impl RpmManager {
    pub(super) fn places(self) -> &'static Places {
        match self {
            Self::Dnf4 => &DNF4,
            Self::Dnf5 => &DNF5,
            Self::Microdnf => &MICRODNF,
            Self::Tdnf => &TDNF,
            Self::Yum => &YUM,
            Self::Zypper => &ZYPPER,
        }
    }

    /// Whether a file or folder of [`FILES`] or [`FOLDERS`] says anything in this manager.
    pub fn reads(self, path: &str) -> bool {
        let places = self.places();
        let locks: &[&str] = match &places.locks {
            Locks::None => &[],
            Locks::Plugin { configuration, list, .. } => &[configuration, list],
            Locks::File(place, _) => &[place],
        };
        let multiversion = if self == Self::Zypper { MULTIVERSION } else { &[] };
        let layers = [places.repositories, places.services, places.overrides, places.variables];
        let mut places = places.main.iter().copied().chain(layers).flatten();
        places.any(|place| is_place(place, path))
            || [locks, multiversion].iter().copied().flatten().any(|place| is_place(place, path))
    }

    /// Where people configure its repositories.
    pub(super) fn repositories_folder(self) -> &'static str {
        match self {
            Self::Zypper => "/etc/zypp/repos.d",
            _ => "/etc/yum.repos.d",
        }
    }

    /// Whether packages of a repository must be signed themselves. If the manager does not check what it downloads,
    /// they must unless the configuration plainly says no.
    pub(super) fn demands_signatures(self, repository: &Values, main: &Values) -> bool {
        let own = |key| repository.is_on(key);
        match self {
            Self::Dnf4 | Self::Microdnf => {
                own("gpgcheck").or_else(|| main.is_on("gpgcheck")).unwrap_or(false)
            }
            Self::Yum => {
                let said = [repository, main];
                // We do not know what the files say that these name.
                said.iter().any(|values| values.get("include").is_some())
                    || said.iter().find_map(|values| values.is_on_in_doubt("gpgcheck"))
                        == Some(true)
            }
            // The second name is the older one of the same option.
            Self::Dnf5 => own("pkg_gpgcheck")
                .or_else(|| own("gpgcheck"))
                .or_else(|| main.is_on("pkg_gpgcheck"))
                .or_else(|| main.is_on("gpgcheck"))
                .unwrap_or(false),
            Self::Tdnf => repository.is_on_in_doubt("gpgcheck").unwrap_or(true),
            // A repository that says anything about signatures is not asked for more by the main section.
            Self::Zypper => match (own("pkg_gpgcheck"), own("gpgcheck")) {
                (Some(demanded), _) => demanded,
                (None, Some(_)) => false,
                (None, None) => main.is_on("pkg_gpgcheck").unwrap_or(false),
            },
        }
    }
}

/// Whether a place is this file, or this folder.
fn is_place(place: &str, path: &str) -> bool {
    place.strip_suffix('/').unwrap_or(place) == path
}
