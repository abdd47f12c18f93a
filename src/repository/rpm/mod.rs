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
//! * yum and tdnf do not refuse what is unsigned when they download, so for them a `gpgcheck` that is not a plain no
//!   is on (`BoolOption` in yum's `config.py` knows no word that we do not; other words of tdnf's are off).
//! * Repositories are read from all of their folders; files of the same name do not hide each other, as other
//!   files do. Of repositories of the same name the first counts.
//! * `varsdir`, folders of variables that the configuration itself names, is not followed.

mod ini;
mod locks;
mod manager;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use self::ini::{Form, Values};
use self::locks::Lock;
use self::manager::{Locks, MULTIVERSION};
use crate::glob;
use crate::package::PackageName;
use crate::pkgdb::InstalledPackage;

pub use self::manager::{FILES, FOLDERS, REPOSITORIES, RpmManager};
pub use self::variables::Variables;

/// Maximum number of repositories read from one image, and of sections that change them; nobody
/// writes a configuration with more.
const REPOSITORY_LIMIT: usize = 1000;

/// Maximum number of folders of repositories that the configuration may name.
const NAMED_LIMIT: usize = 16;

/// The index of a repository, below its address, as `createrepo_c` makes it.
const INDEX: &str = "repodata/repomd.xml";

/// What zypp.conf's `multiversion` begins with when it is not a name.
const PROVIDES: &str = "provides:";

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

    /// Nothing if it takes more than a plain HTTP request: a certificate, a password or a token, the choice of one of
    /// several servers, the value of a variable that we do not know, or another transport.
    fn index_url(&self, expand: impl Fn(&str) -> Option<String>) -> Option<String> {
        let needs_more = ["mirrorlist", "metalink", "username", "sslclientcert"];
        if needs_more.iter().any(|key| self.says(key)) {
            return None;
        }
        let addresses = self.addresses();
        let [address] = addresses.as_slice() else { return None };
        let address = expand(address)?;
        let Some(("http" | "https", rest)) = address.split_once(":/") else { return None };
        let authority = rest.trim_start_matches('/').split('/').next().unwrap_or_default();
        // What follows a question mark is a token, or zypper's settings of the transport.
        if authority.contains('@') || address.contains('?') {
            return None;
        }
        // zypper's alone, and mostly `/`.
        let below = self.values.get("path").unwrap_or_default().trim_matches('/');
        let separator = if below.is_empty() { "" } else { "/" };
        Some(format!("{}{separator}{below}/{INDEX}", address.trim_end_matches('/')))
    }
}

/// What an image's package manager is configured to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpmConfiguration {
    manager: RpmManager,
    main: Values,
    named_folders: Vec<String>,
    repositories: Vec<RpmRepository>,
    services: Vec<String>,
    locks: Vec<Lock>,
    variables: BTreeMap<String, String>,
    multiversion: Vec<String>,
}

impl RpmConfiguration {
    /// Reads files, given by their absolute path in any order; those of other managers are skipped. If
    /// [`Self::named_folders`] then says something, these folders' files are needed too.
    pub fn parse<'a>(
        manager: RpmManager,
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, RpmConfigurationError> {
        let places = manager.places();
        let files = Files(files.into_iter().collect());
        let parse = |bytes: &[u8]| ini::parse(bytes, places.form);
        let mut main = Values::default();
        let mut repositories = Repositories::default();
        for (file, bytes) in places.main.iter().flat_map(|layer| files.layer(layer)) {
            let mut sections = parse(bytes);
            main.push(Arc::new(sections.remove("main").unwrap_or_default()));
            // dnf and yum take repositories from here too.
            let is_repository =
                |section: &ini::Section| ADDRESSES.iter().any(|key| section.contains_key(*key));
            sections.retain(|_, section| is_repository(section));
            repositories.add(file, sections)?;
        }
        let named_folders = named_folders(&main);
        let folders: Vec<&str> = match named_folders.as_slice() {
            [] => places.repositories.to_vec(),
            named => named.iter().map(String::as_str).collect(),
        };
        for (file, bytes) in folders.iter().flat_map(|folder| files.layer(&[folder])) {
            let mut sections = parse(bytes);
            sections.remove("main");
            repositories.add(file, sections)?;
        }
        for (file, bytes) in files.layer(places.overrides) {
            repositories.change(file, parse(bytes))?;
        }
        let mut services = Repositories::default();
        for (file, bytes) in files.layer(places.services) {
            services.add(file, parse(bytes))?;
        }
        let services = services.enabled(manager, &main).into_iter().map(|service| service.id);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let variables = files.layer(places.variables).into_iter().map(|(file, bytes)| {
            let value = text(bytes).lines().next().unwrap_or_default().trim().to_owned();
            (name_of(file).to_owned(), value)
        });
        let multiversion = files.layer(MULTIVERSION).into_iter();
        let multiversion = multiversion.flat_map(|(_, bytes)| locks::entries(bytes));
        Ok(Self {
            manager,
            locks: places.locks.read(&files, &main, places.form),
            repositories: repositories.enabled(manager, &main),
            services: services.collect(),
            main,
            named_folders,
            variables: variables.collect(),
            multiversion: multiversion.map(ToOwned::to_owned).collect(),
        })
    }

    /// The folders of repositories that the main configuration names in place of the usual ones, each with a slash
    /// at its end.
    pub fn named_folders(&self) -> &[String] {
        &self.named_folders
    }

    /// Where repositories are configured, for messages.
    pub fn repositories_folder(&self) -> &str {
        let named = self.named_folders.first();
        named.map_or(self.manager.repositories_folder(), |folder| folder.trim_end_matches('/'))
    }

    /// Whether anything says where packages come from: a repository, or zypper's service.
    pub fn names_repositories(&self) -> bool {
        !self.repositories.is_empty() || !self.services.is_empty()
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

    /// What the manager is to leave out of packages when it installs them, as options of rpm; rpm's own settings are
    /// rpm's to heed.
    pub fn install_options(&self) -> Vec<&'static str> {
        let flags = self.main.appended(&["tsflags"]);
        let excludes = self.manager == RpmManager::Zypper
            && self.main.is_on("rpm.install.excludedocs").unwrap_or(false);
        let known = self.manager.places().flags.iter();
        let known = known.filter(|(flag, _)| flags.iter().any(|found| found == flag));
        known.map(|(_, option)| *option).chain(excludes.then_some("--excludedocs")).collect()
    }

    /// The keys of enabled repositories that are files of the image, as absolute paths, sorted, each once. A
    /// path with a variable that is not known is left out.
    pub fn local_keys(&self, variables: &Variables) -> Vec<String> {
        self.local_paths(|found| found.values.list("gpgkey"), variables)
    }

    /// The enabled repositories that are folders of the image, likewise.
    pub fn local_folders(&self, variables: &Variables) -> Vec<String> {
        self.local_paths(RpmRepository::addresses, variables)
    }

    fn local_paths(
        &self,
        addresses: impl Fn(&RpmRepository) -> Vec<String>,
        variables: &Variables,
    ) -> Vec<String> {
        let addresses = self.repositories.iter().flat_map(addresses);
        let paths = addresses
            .filter_map(|address| variables.expand(super::local_path(&address)?, &self.variables));
        paths.collect::<BTreeSet<String>>().into_iter().collect()
    }

    /// Whether versions of this package are installed side by side. `provides` is what the package provides, each with
    /// or without a version.
    pub fn is_install_only(&self, name: &PackageName, provides: &[String]) -> bool {
        let provided = |wanted: &str| {
            let names = provides.iter().filter_map(|text| text.split_ascii_whitespace().next());
            names.into_iter().any(|provided| glob::matches(wanted, provided))
        };
        if self.manager == RpmManager::Zypper {
            let configured = self.main.list("multiversion");
            return configured.iter().chain(&self.multiversion).any(|wanted| {
                match wanted.strip_prefix(PROVIDES) {
                    Some(wanted) => provided(wanted),
                    None => wanted == name.as_str(),
                }
            });
        }
        let configured = self.main.appended(&["installonlypkgs"]);
        let defaults = self.manager.places().install_only.iter().copied();
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
        let places = self.manager.places();
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

    /// Where the signed index of each enabled repository is, sorted, each once; nothing if one cannot be asked
    /// for with a plain HTTP request. Nobody knows what a service will tell when the manager asks.
    pub fn index_addresses(&self, variables: &Variables) -> Option<Vec<String>> {
        if !self.services.is_empty() {
            return None;
        }
        let expand = |text: &str| variables.expand(text, &self.variables);
        let addresses = self.repositories.iter().map(|found| found.index_url(expand));
        let addresses: BTreeSet<String> = addresses.collect::<Option<_>>()?;
        Some(addresses.into_iter().collect())
    }
}

/// The folders that `reposdir` names; tdnf knows `repodir` too.
fn named_folders(main: &Values) -> Vec<String> {
    let named = ["reposdir", "repodir"].into_iter().flat_map(|key| main.list(key));
    let absolute = named.filter(|folder| folder.starts_with('/')).take(NAMED_LIMIT);
    absolute.map(|folder| format!("{}/", folder.trim_end_matches('/'))).collect()
}

/// The keys that say where a repository is.
const ADDRESSES: [&str; 3] = ["baseurl", "mirrorlist", "metalink"];

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The files of an image, by path.
struct Files<'a>(BTreeMap<&'a str, &'a [u8]>);

impl<'a> Files<'a> {
    /// The files of a layer by their names; one in a later place hides one of the same name in an earlier place.
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
}

impl Locks {
    fn read(&self, files: &Files<'_>, main: &Values, form: &Form) -> Vec<Lock> {
        match self {
            Self::None => Vec::new(),
            Self::File(place, parse) => {
                let files = files.layer(&[place]).into_iter();
                files.flat_map(|(_, bytes)| parse(bytes)).collect()
            }
            Self::Plugin { configuration, is_on, .. } => {
                let Some(bytes) = files.0.get(configuration) else { return Vec::new() };
                let mut plugin = Values::default();
                let mut sections = ini::parse(bytes, form);
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

    fn enabled(self, manager: RpmManager, main: &Values) -> Vec<RpmRepository> {
        let is_enabled =
            |values: &Values| values.is_on("enabled").unwrap_or(manager != RpmManager::Tdnf);
        let enabled = self.found.into_iter().filter(|(.., values)| is_enabled(values));
        enabled
            .map(|(id, file, values)| RpmRepository {
                demands_signatures: manager.demands_signatures(&values, main),
                id,
                file,
                values,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
