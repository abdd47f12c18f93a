//! The configuration of the rpm family's managers: where packages come from, and what the image's author wants
//! of them.
//!
//! Written from dnf.conf(5) of dnf 4 and dnf 5, libdnf5's `conf/const.hpp`, yum.conf(5), tdnf's wiki
//! («Configuration Options») and `client/defines.h`, zypp.conf(5) and libzypp's `RepoInfo.cc`. What is not
//! obvious:
//!
//! * `gpgcheck` is about packages for all but zypper, for which it is about the index: there packages are
//!   covered by the index's signature unless `pkg_gpgcheck` asks for their own.
//! * A repository that does not say whether it is enabled is; tdnf's is not.
//! * tdnf looks at a repository's `gpgcheck` only, which is on; elsewhere the main section's counts for it, and
//!   without that one it is off.
//! * Folders that the configuration itself names (`reposdir`, `varsdir`) are not followed.

mod ini;
mod locks;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use self::ini::Values;
use self::locks::Lock;
use crate::glob;
use crate::package::PackageName;
use crate::pkgdb::InstalledPackage;

pub use self::variables::Variables;

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

/// Every folder whose files one of the managers may be configured by, and how the names of these files end.
pub const FOLDERS: &[(&str, &str)] = &[
    ("/etc/distro.repos.d", ".repo"),
    ("/etc/dnf/libdnf5.conf.d", ".conf"),
    ("/etc/dnf/repos.override.d", ".repo"),
    ("/etc/dnf/vars", ""),
    ("/etc/rpm", ""),
    ("/etc/tdnf/locks.d", ".conf"),
    ("/etc/tdnf/vars", ""),
    ("/etc/yum.repos.d", ".repo"),
    ("/etc/yum/repos.d", ".repo"),
    ("/etc/yum/vars", ""),
    ("/etc/zypp/multiversion.d", ""),
    ("/etc/zypp/repos.d", ".repo"),
    ("/etc/zypp/vars.d", ""),
    ("/etc/zypp/zypp.conf.d", ".conf"),
    ("/usr/etc/zypp/zypp.conf.d", ".conf"),
    ("/usr/share/dnf5/libdnf.conf.d", ".conf"),
    ("/usr/share/dnf5/repos.d", ".repo"),
    ("/usr/share/dnf5/repos.override.d", ".repo"),
    ("/usr/share/dnf5/vars.d", ""),
];

/// The most repositories read from one image, and the most sections that change them; more are no
/// configuration that somebody wrote.
const REPOSITORY_LIMIT: usize = 1000;

/// The index of a repository, below its address, as `createrepo_c` makes it.
const INDEX: &str = "repodata/repomd.xml";

/// Whose rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// dnf 4.
    Dnf4,
    /// dnf 5.
    Dnf5,
    /// microdnf.
    Microdnf,
    /// tdnf.
    Tdnf,
    /// yum 3.
    Yum,
    /// zypper.
    Zypper,
}

/// Where a dialect says what. A path with a slash at its end is a folder.
struct Places {
    /// The main configuration, the weakest first. Of files with one name in one layer the last counts.
    main: &'static [&'static [&'static str]],
    /// The repositories; likewise one layer.
    repositories: &'static [&'static str],
    /// What outweighs the repositories' own values.
    overrides: &'static [&'static str],
    /// The image's own variables, a file each; likewise one layer.
    variables: &'static [&'static str],
    /// The packages that are kept as they are.
    locks: Locks,
    /// Lists of packages that are left alone.
    excludes: &'static [&'static str],
    /// Lists of the only packages that are not left alone.
    includes: &'static [&'static str],
    /// What is installed beside its other versions unless more is configured: names and what is provided.
    install_only: &'static [&'static str],
}

/// How locks are written down.
enum Locks {
    /// There are none.
    None,
    /// A plugin of this configuration, which names its list, and where that mostly is. Without a word it is on
    /// or not.
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

const EXCLUDES: &[&str] = &["excludepkgs", "exclude"];
const INCLUDES: &[&str] = &["includepkgs"];

const DNF4: Places = Places {
    main: &[&["/etc/dnf/dnf.conf"]],
    repositories: &["/etc/distro.repos.d/", "/etc/yum/repos.d/", "/etc/yum.repos.d/"],
    overrides: &[],
    variables: &["/etc/yum/vars/", "/etc/dnf/vars/"],
    locks: Locks::Plugin {
        configuration: "/etc/dnf/plugins/versionlock.conf",
        list: "/etc/dnf/plugins/versionlock.list",
        is_on: true,
    },
    excludes: EXCLUDES,
    includes: INCLUDES,
    install_only: DNF_INSTALL_ONLY,
};

const DNF5: Places = Places {
    main: &[
        &["/usr/share/dnf5/libdnf.conf.d/", "/etc/dnf/libdnf5.conf.d/"],
        &["/etc/dnf/dnf.conf"],
    ],
    repositories: &["/usr/share/dnf5/repos.d/", "/etc/distro.repos.d/", "/etc/yum.repos.d/"],
    overrides: &["/usr/share/dnf5/repos.override.d/", "/etc/dnf/repos.override.d/"],
    variables: &["/usr/share/dnf5/vars.d/", "/etc/dnf/vars/"],
    locks: Locks::File("/etc/dnf/versionlock.toml", locks::versionlock_toml),
    excludes: EXCLUDES,
    includes: INCLUDES,
    install_only: DNF_INSTALL_ONLY,
};

/// As dnf 4, without plugins.
const MICRODNF: Places = Places { locks: Locks::None, ..DNF4 };

const TDNF: Places = Places {
    main: &[&["/etc/tdnf/tdnf.conf"]],
    repositories: &["/etc/yum.repos.d/"],
    overrides: &[],
    variables: &["/etc/yum/vars/", "/etc/dnf/vars/", "/etc/tdnf/vars/"],
    locks: Locks::File("/etc/tdnf/locks.d/", locks::tdnf_locks),
    excludes: &["excludepkgs"],
    includes: &[],
    install_only: &[],
};

const YUM: Places = Places {
    main: &[&["/etc/yum/yum.conf", "/etc/yum.conf"]],
    repositories: &["/etc/yum/repos.d/", "/etc/yum.repos.d/"],
    overrides: &[],
    variables: &["/etc/yum/vars/"],
    locks: Locks::Plugin {
        configuration: "/etc/yum/pluginconf.d/versionlock.conf",
        list: "/etc/yum/pluginconf.d/versionlock.list",
        is_on: false,
    },
    excludes: EXCLUDES,
    includes: INCLUDES,
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
    main: &[
        &["/usr/etc/zypp/zypp.conf", "/etc/zypp/zypp.conf"],
        &["/usr/etc/zypp/zypp.conf.d/", "/etc/zypp/zypp.conf.d/"],
    ],
    repositories: &["/etc/zypp/repos.d/"],
    overrides: &[],
    variables: &["/etc/zypp/vars.d/"],
    locks: Locks::File("/etc/zypp/locks", locks::zypp_locks),
    excludes: &[],
    includes: &[],
    install_only: &[],
};

/// More of zypp.conf's `multiversion`, a line each.
const MULTIVERSION: &[&str] = &["/etc/zypp/multiversion.d/"];
/// What zypp.conf's `multiversion` begins with when it is not a name.
const PROVIDES: &str = "provides:";

/// Where rpm's own settings are, in files named `macros` or `macros.*` (rpm-macros(7)).
const MACROS: &[&str] = &["/etc/rpm/"];
/// The setting that leaves out documentation.
const EXCLUDE_DOCUMENTATION: &str = "%_excludedocs";

impl Dialect {
    fn places(self) -> &'static Places {
        match self {
            Self::Dnf4 => &DNF4,
            Self::Dnf5 => &DNF5,
            Self::Microdnf => &MICRODNF,
            Self::Tdnf => &TDNF,
            Self::Yum => &YUM,
            Self::Zypper => &ZYPPER,
        }
    }

    /// Whether a file or folder of [`FILES`] or [`FOLDERS`] says anything in this dialect.
    pub fn reads(self, path: &str) -> bool {
        let places = self.places();
        let locks: &[&str] = match &places.locks {
            Locks::None => &[],
            Locks::Plugin { configuration, list, .. } => &[configuration, list],
            Locks::File(place, _) => &[place],
        };
        let multiversion = if self == Self::Zypper { MULTIVERSION } else { &[] };
        let layers = [places.repositories, places.overrides, places.variables];
        let mut places = places.main.iter().copied().chain(layers).flatten();
        places.any(|place| is_place(place, path))
            || [locks, multiversion, MACROS]
                .iter()
                .copied()
                .flatten()
                .any(|place| is_place(place, path))
    }

    /// Where its repositories are configured, for messages.
    pub fn repositories_folder(self) -> &'static str {
        let folder = self.places().repositories.last().copied().unwrap_or_default();
        folder.trim_end_matches('/')
    }

    /// Whether packages of a repository must be signed themselves.
    fn demands_signatures(self, repository: &Values, main: &Values) -> bool {
        let own = |key| repository.is_on(key);
        match self {
            Self::Dnf4 | Self::Microdnf | Self::Yum => {
                own("gpgcheck").or_else(|| main.is_on("gpgcheck")).unwrap_or(false)
            }
            // The second name is the older one of the same option.
            Self::Dnf5 => own("pkg_gpgcheck")
                .or_else(|| own("gpgcheck"))
                .or_else(|| main.is_on("pkg_gpgcheck"))
                .or_else(|| main.is_on("gpgcheck"))
                .unwrap_or(false),
            Self::Tdnf => own("gpgcheck").unwrap_or(true),
            // A repository that says anything about signatures is not asked for more by the main section.
            Self::Zypper => match (own("pkg_gpgcheck"), own("gpgcheck")) {
                (Some(demanded), _) => demanded,
                (None, Some(_)) => false,
                (None, None) => main.is_on("pkg_gpgcheck").unwrap_or(false),
            },
        }
    }
}

/// Why a configuration cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RpmConfigurationError {
    /// More than a thousand repositories, or sections that change them.
    #[error(
        "configuration of the package manager `{file}`: more than {REPOSITORY_LIMIT} repositories or changes to them"
    )]
    TooMany {
        /// The file that passes the limit.
        file: String,
    },
}

/// Whether packages must carry a signature of a trusted key, as far as the configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signatures {
    /// Every package of every enabled repository.
    Demanded,
    /// Those of some repositories.
    Mixed,
    /// None: they are not checked, or covered by the index that the manager checks.
    ByManager,
}

/// Why a repository's index cannot be asked for with a plain HTTP request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotAddressable {
    /// It is in a folder, as a `file:` URL says.
    Path,
    /// Another way of transport, such as `ftp:`.
    Scheme,
    /// A user name, a certificate or a token is needed.
    Credentials,
    /// The URL has a variable whose value we do not know.
    Variable,
    /// Any of several servers may be asked.
    Mirrors,
    /// It has no address.
    NoAddress,
}

/// Where the signed index of a repository is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum IndexAddress {
    /// Its URL.
    Url(String),
    /// It has none that could be fetched.
    NotAddressable {
        /// The repository.
        id: String,
        /// Why.
        reason: NotAddressable,
    },
}

/// A repository that is enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpmRepository {
    /// Its name for the manager.
    pub id: String,
    /// The file that names it.
    pub file: String,
    /// Whether its packages must be signed themselves.
    pub demands_signatures: bool,
    values: Values,
}

impl RpmRepository {
    /// Where it is, variables not filled in.
    pub fn addresses(&self) -> Vec<String> {
        self.values.list("baseurl")
    }

    fn says(&self, key: &str) -> bool {
        self.values.get(key).is_some_and(|value| !value.is_empty())
    }

    fn index_url(&self, expand: impl Fn(&str) -> Option<String>) -> Result<String, NotAddressable> {
        if self.says("mirrorlist") || self.says("metalink") {
            return Err(NotAddressable::Mirrors);
        }
        if ["username", "sslclientcert"].iter().any(|key| self.says(key)) {
            return Err(NotAddressable::Credentials);
        }
        let addresses = self.addresses();
        let address = match addresses.as_slice() {
            [] => return Err(NotAddressable::NoAddress),
            [address] => expand(address).ok_or(NotAddressable::Variable)?,
            _ => return Err(NotAddressable::Mirrors),
        };
        let (scheme, rest) = address.split_once(":/").ok_or(NotAddressable::Path)?;
        match scheme {
            "http" | "https" => {}
            "file" | "dir" => return Err(NotAddressable::Path),
            _ => return Err(NotAddressable::Scheme),
        }
        let authority = rest.trim_start_matches('/').split('/').next().unwrap_or_default();
        // What follows a question mark is a token, or zypper's settings of the transport.
        if authority.contains('@') || address.contains('?') {
            return Err(NotAddressable::Credentials);
        }
        // zypper's alone, and mostly `/`.
        let below = self.values.get("path").unwrap_or_default().trim_matches('/');
        let separator = if below.is_empty() { "" } else { "/" };
        Ok(format!("{}{separator}{below}/{INDEX}", address.trim_end_matches('/')))
    }
}

/// What an image's package manager is configured to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpmConfiguration {
    dialect: Dialect,
    main: Values,
    repositories: Vec<RpmRepository>,
    locks: Vec<Lock>,
    variables: BTreeMap<String, String>,
    multiversion: Vec<String>,
    macros_exclude_documentation: bool,
}

impl RpmConfiguration {
    /// Reads files, given by their absolute path in any order; those of other managers are passed over.
    pub fn parse<'a>(
        manager: impl Into<Dialect>,
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, RpmConfigurationError> {
        let dialect = manager.into();
        let places = dialect.places();
        let files = Files(files.into_iter().collect());
        let mut main = Values::default();
        let mut repositories = Repositories::default();
        for (file, bytes) in places.main.iter().flat_map(|layer| files.layer(layer)) {
            let mut sections = ini::parse(bytes);
            main.push(Arc::new(sections.remove("main").unwrap_or_default()));
            // dnf and yum take repositories from here too.
            let is_repository =
                |section: &ini::Section| ADDRESSES.iter().any(|key| section.contains_key(*key));
            sections.retain(|_, section| is_repository(section));
            repositories.add(file, sections)?;
        }
        for (file, bytes) in files.layer(places.repositories) {
            let mut sections = ini::parse(bytes);
            sections.retain(|id, _| !["", "main"].contains(&id.as_str()));
            repositories.add(file, sections)?;
        }
        for (file, bytes) in files.layer(places.overrides) {
            repositories.change(file, ini::parse(bytes))?;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let variables = files.layer(places.variables).into_iter().map(|(file, bytes)| {
            let value = text(bytes).lines().next().unwrap_or_default().trim().to_owned();
            (name_of(file).to_owned(), value)
        });
        let multiversion = files.layer(MULTIVERSION).into_iter();
        let multiversion = multiversion.flat_map(|(_, bytes)| locks::entries(bytes));
        Ok(Self {
            dialect,
            locks: places.locks.read(&files, &main),
            repositories: repositories.enabled(dialect, &main),
            main,
            variables: variables.collect(),
            multiversion: multiversion.map(ToOwned::to_owned).collect(),
            macros_exclude_documentation: files.macros_exclude_documentation(),
        })
    }

    /// The enabled repositories, sorted by file and name.
    pub fn repositories(&self) -> impl Iterator<Item = &RpmRepository> {
        self.repositories.iter()
    }

    /// Whether packages must carry a signature of a trusted key.
    pub fn signatures(&self) -> Signatures {
        let demanded = self.repositories.iter().filter(|found| found.demands_signatures).count();
        if demanded == 0 {
            Signatures::ByManager
        } else if demanded == self.repositories.len() {
            Signatures::Demanded
        } else {
            Signatures::Mixed
        }
    }

    /// Whether packages are to be installed without their documentation.
    pub fn leaves_out_documentation(&self) -> bool {
        let by_manager = match self.dialect {
            Dialect::Zypper => self.main.is_on("rpm.install.excludedocs").unwrap_or(false),
            _ => self.main.appended(&["tsflags"]).iter().any(|flag| flag == "nodocs"),
        };
        by_manager || self.macros_exclude_documentation
    }

    /// The keys of enabled repositories that are files of the image, as absolute paths, sorted, each once. A
    /// path with a variable that is not known is left out.
    pub fn local_keys(&self, variables: &Variables) -> Vec<String> {
        let keys = self.repositories.iter().flat_map(|found| found.values.list("gpgkey"));
        let paths = keys.filter_map(|key| {
            let path = key.strip_prefix("file:").unwrap_or(&key);
            let path = path.strip_prefix("//").unwrap_or(path);
            path.starts_with('/').then(|| variables.expand(path, &self.variables)).flatten()
        });
        paths.collect::<BTreeSet<String>>().into_iter().collect()
    }

    /// Whether versions of this package are installed beside each other. `provides` is what the package
    /// provides, each with or without a version.
    pub fn is_install_only(&self, name: &PackageName, provides: &[String]) -> bool {
        let provided = |wanted: &str| {
            let names = provides.iter().filter_map(|text| text.split_ascii_whitespace().next());
            names.into_iter().any(|provided| glob::matches(wanted, provided))
        };
        if self.dialect == Dialect::Zypper {
            let configured = self.main.list("multiversion");
            return configured.iter().chain(&self.multiversion).any(|wanted| {
                match wanted.strip_prefix(PROVIDES) {
                    Some(wanted) => provided(wanted),
                    None => wanted == name.as_str(),
                }
            });
        }
        let configured = self.main.appended(&["installonlypkgs"]);
        let defaults = self.dialect.places().install_only.iter().copied();
        defaults
            .chain(configured.iter().map(String::as_str))
            .any(|wanted| glob::matches(wanted, name.as_str()) || provided(wanted))
    }

    /// Whether the image's author keeps this package as it is: by a lock, or because no enabled repository may
    /// offer it.
    pub fn holds(&self, package: &InstalledPackage) -> bool {
        let offers = |repository: &RpmRepository| {
            self.lets(&repository.values, package) && self.lets(&self.main, package)
        };
        self.locks.iter().any(|lock| lock.holds(package))
            || (!self.repositories.is_empty() && !self.repositories.iter().any(offers))
    }

    /// Whether these lists let a package through.
    fn lets(&self, values: &Values, package: &InstalledPackage) -> bool {
        let places = self.dialect.places();
        let full = format!("{}.{}", package.name, package.architecture);
        let names = |keys: &[&str]| {
            let patterns = values.appended(keys);
            let fits = patterns.iter().any(|pattern| {
                glob::matches(pattern, package.name.as_str()) || glob::matches(pattern, &full)
            });
            (fits, patterns.is_empty())
        };
        let (excluded, _) = names(places.excludes);
        let (included, includes_all) = names(places.includes);
        !excluded && (included || includes_all)
    }

    /// Where the signed index of each enabled repository is, sorted, each once.
    pub fn index_addresses(&self, variables: &Variables) -> Vec<IndexAddress> {
        let expand = |text: &str| variables.expand(text, &self.variables);
        let address = |found: &RpmRepository| match found.index_url(expand) {
            Ok(url) => IndexAddress::Url(url),
            Err(reason) => IndexAddress::NotAddressable { id: found.id.clone(), reason },
        };
        let addresses: BTreeSet<IndexAddress> = self.repositories.iter().map(address).collect();
        addresses.into_iter().collect()
    }
}

/// The keys that say where a repository is.
const ADDRESSES: [&str; 3] = ["baseurl", "mirrorlist", "metalink"];

/// Whether a place is this file, or this folder.
fn is_place(place: &str, path: &str) -> bool {
    place.strip_suffix('/').unwrap_or(place) == path
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The files of an image, by path.
struct Files<'a>(BTreeMap<&'a str, &'a [u8]>);

impl<'a> Files<'a> {
    /// The files of a layer by their names; one of a later place hides one of that name of an earlier place.
    fn layer(&self, places: &[&str]) -> Vec<(&'a str, &'a [u8])> {
        let mut found = BTreeMap::new();
        for place in places {
            for (path, bytes) in self.below(place) {
                found.insert(name_of(path), (path, bytes));
            }
        }
        found.into_values().collect()
    }

    /// The file at a path, or the files of a folder.
    fn below<'b>(&'b self, place: &'b str) -> impl Iterator<Item = (&'a str, &'a [u8])> + 'b {
        let start = (Bound::Included(place), Bound::Unbounded);
        let files = self.0.range::<str, _>(start).map(|(path, bytes)| (*path, *bytes));
        files.take_while(move |(path, _)| path.starts_with(place)).filter(move |(path, _)| {
            let name = path.strip_prefix(place).unwrap_or_default();
            if place.ends_with('/') { !name.contains('/') } else { name.is_empty() }
        })
    }

    fn macros_exclude_documentation(&self) -> bool {
        let files = self.layer(MACROS).into_iter();
        let files = files.filter(|(path, _)| name_of(path).starts_with("macros"));
        let mut lines = files.flat_map(|(_, bytes)| locks::entries(bytes));
        lines.any(|line| {
            let value = line.strip_prefix(EXCLUDE_DOCUMENTATION);
            value.is_some_and(|value| !matches!(value.trim(), "" | "0"))
        })
    }
}

impl Locks {
    fn read(&self, files: &Files<'_>, main: &Values) -> Vec<Lock> {
        match self {
            Self::None => Vec::new(),
            Self::File(place, parse) => {
                let files = files.layer(&[place]).into_iter();
                files.flat_map(|(_, bytes)| parse(bytes)).collect()
            }
            Self::Plugin { configuration, is_on, .. } => {
                let Some(bytes) = files.0.get(configuration) else { return Vec::new() };
                let mut plugin = Values::default();
                let mut sections = ini::parse(bytes);
                plugin.push(Arc::new(sections.remove("main").unwrap_or_default()));
                let runs = main.is_on("plugins").unwrap_or(*is_on)
                    && plugin.is_on("enabled").unwrap_or(*is_on);
                let list = plugin.get("locklist").and_then(|path| files.0.get(path));
                let list = list.filter(|_| runs);
                list.map(|bytes| locks::versionlock_list(bytes)).unwrap_or_default()
            }
        }
    }
}

/// The repositories that have been read so far, in their order.
#[derive(Default)]
struct Repositories {
    found: Vec<(String, String, Values)>,
    known: BTreeSet<String>,
    changes: usize,
}

impl Repositories {
    /// Adds the sections of a file; of two repositories with one name the first counts.
    fn add(
        &mut self,
        file: &str,
        sections: BTreeMap<String, ini::Section>,
    ) -> Result<(), RpmConfigurationError> {
        for (id, section) in sections {
            if self.known.len() >= REPOSITORY_LIMIT {
                return Err(RpmConfigurationError::TooMany { file: file.to_owned() });
            }
            if self.known.insert(id.clone()) {
                let mut values = Values::default();
                values.push(Arc::new(section));
                self.found.push((id, file.to_owned(), values));
            }
        }
        Ok(())
    }

    /// Changes values of the repositories that the sections' names stand for.
    fn change(
        &mut self,
        file: &str,
        sections: BTreeMap<String, ini::Section>,
    ) -> Result<(), RpmConfigurationError> {
        self.changes += sections.len();
        if self.changes > REPOSITORY_LIMIT {
            return Err(RpmConfigurationError::TooMany { file: file.to_owned() });
        }
        for (pattern, section) in sections {
            let section = Arc::new(section);
            for (id, _, values) in &mut self.found {
                if glob::matches(&pattern, id) {
                    values.push(Arc::clone(&section));
                }
            }
        }
        Ok(())
    }

    fn enabled(self, dialect: Dialect, main: &Values) -> Vec<RpmRepository> {
        let is_enabled =
            |values: &Values| values.is_on("enabled").unwrap_or(dialect != Dialect::Tdnf);
        let enabled = self.found.into_iter().filter(|(.., values)| is_enabled(values));
        enabled
            .map(|(id, file, values)| RpmRepository {
                demands_signatures: dialect.demands_signatures(&values, main),
                id,
                file,
                values,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
