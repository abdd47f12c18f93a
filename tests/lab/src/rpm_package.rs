//! Packages of the rpm worlds as one spec file describes them: many at once, because each run of
//! rpmbuild takes its time.

use std::fmt::Write as _;

/// For which machines a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    /// For all of them.
    Any,
    /// For ours.
    X86_64,
    /// For its ancestor, whose packages can be installed beside ours.
    I686,
}

impl Architecture {
    /// Its name in rpm's words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "noarch",
            Self::X86_64 => "x86_64",
            Self::I686 => "i686",
        }
    }
}

/// What a file is to rpm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing special.
    Plain,
    /// A folder.
    Folder,
    /// Documentation, which many images leave out.
    Documentation,
    /// Configuration that stays when its owner has changed it.
    Configuration,
    /// Configuration that is moved aside when its owner has changed it.
    ReplacedConfiguration,
    /// A file that others write.
    Ghost,
}

/// A file of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its absolute path.
    pub path: String,
    /// What it is.
    pub kind: Kind,
}

/// One package in a spec file.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its `[epoch:]version-release`.
    pub version: Version,
    /// For which machines it is.
    pub architecture: Architecture,
    /// What it is, in a line.
    pub summary: String,
    /// Further lines: what it provides, requires and so on.
    pub tags: String,
    /// Its scripts as spec files write them.
    pub scripts: String,
    /// Its files.
    pub files: Vec<File>,
    /// Whether rpmbuild may find out what it provides and requires.
    pub finds_dependencies: bool,
}

/// A version as rpm takes it apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// What comes before everything else, if anything.
    pub epoch: Option<String>,
    /// What upstream calls it.
    pub version: String,
    /// What the distribution calls it.
    pub release: String,
}

impl Version {
    /// Takes `[epoch:]version-release` apart.
    pub fn parse(text: &str) -> Self {
        let (epoch, text) = match text.split_once(':') {
            Some((epoch, text)) => (Some(epoch.to_owned()), text),
            None => (None, text),
        };
        let (version, release) = text.split_once('-').unwrap_or((text, "1"));
        Self { epoch, version: version.to_owned(), release: release.to_owned() }
    }

    /// The whole, as dependencies write it.
    pub fn text(&self) -> String {
        let epoch = self.epoch.as_ref().map(|epoch| format!("{epoch}:")).unwrap_or_default();
        format!("{epoch}{}-{}", self.version, self.release)
    }
}

impl Package {
    /// The name of its file in a repository, which has no epoch.
    pub fn file_name(&self) -> String {
        format!("{}.rpm", self.file_stem())
    }

    /// The same without its end: how package managers name one version of one architecture.
    pub fn file_stem(&self) -> String {
        let Version { version, release, .. } = &self.version;
        format!("{}-{version}-{release}.{}", self.name, self.architecture.name())
    }
}

/// What holds for every package of the lab: nothing is stripped, changed or guessed that was not made
/// here, and dependencies on what Debian's packages need beyond the system's own libraries are not
/// made up.
const SETTINGS: &str = "\
%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none
%global _binary_payload w3.zstdio
%global _buildhost lab.example.org
%global use_source_date_epoch_as_buildtime 1
%global _unpackaged_files_terminate_build 0
%global __requires_exclude ^(perl|pkgconfig|python|/usr/bin/python|/usr/bin/perl|/bin/sh|/usr/bin/sh|/bin/bash|/bin/dash|/usr/bin/env|/usr/local/)
";

/// A spec file that makes packages from what `install` puts into the build root.
pub fn spec(vendor: &str, install: &str, packages: &[Package]) -> String {
    let mut text = format!(
        "{SETTINGS}Name: lab\nVersion: 1\nRelease: 1\nSummary: Packages of the lab\n\
         License: Various\nVendor: {vendor}\n%description\nThe lab.\n%install\n{install}\n"
    );
    for package in packages {
        text.push_str(&package.in_spec(vendor));
    }
    text
}

impl Package {
    /// What a spec file says of it.
    fn in_spec(&self, vendor: &str) -> String {
        let Version { epoch, version, release } = &self.version;
        let name = &self.name;
        let mut text = format!(
            "%package -n {name}\nSummary: {}\nVersion: {version}\nRelease: {release}\n\
             Vendor: {vendor}\n",
            escaped(&self.summary)
        );
        if let Some(epoch) = epoch {
            text.push_str(&format!("Epoch: {epoch}\n"));
        }
        if self.architecture == Architecture::Any {
            text.push_str("BuildArch: noarch\n");
        }
        if !self.finds_dependencies {
            text.push_str("AutoReqProv: no\n");
        }
        text.push_str(&format!(
            "{}%description -n {name}\n{name} of the lab.\n{}%files -n {name}\n%defattr(-,root,root,-)\n",
            self.tags, self.scripts
        ));
        for file in &self.files {
            let kind = match file.kind {
                Kind::Plain => "",
                Kind::Folder => "%dir ",
                Kind::Documentation => "%doc ",
                Kind::Configuration => "%config(noreplace) ",
                Kind::ReplacedConfiguration => "%config ",
                Kind::Ghost => "%ghost ",
            };
            // A string cannot fail to take more.
            let _ = writeln!(text, "{kind}\"{}\"", escaped(&file.path));
        }
        text
    }
}

/// A text in which rpm finds no macros.
fn escaped(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_taken_apart() {
        let version = Version::parse("1:3.0.7-27.el9");
        assert_eq!(version.epoch.as_deref(), Some("1"));
        assert_eq!((version.version.as_str(), version.release.as_str()), ("3.0.7", "27.el9"));
        assert_eq!(version.text(), "1:3.0.7-27.el9");
        assert_eq!(Version::parse("2.0~rc1-1").version, "2.0~rc1");
    }

    #[test]
    fn a_package_in_a_spec_file() {
        let package = Package {
            name: "lab-one".to_owned(),
            version: Version::parse("1:1.0-1"),
            architecture: Architecture::Any,
            summary: "100 % ours".to_owned(),
            tags: "Requires: lab-two\n".to_owned(),
            scripts: String::new(),
            files: vec![File { path: "/etc/one.conf".to_owned(), kind: Kind::Configuration }],
            finds_dependencies: false,
        };
        assert_eq!(package.file_name(), "lab-one-1.0-1.noarch.rpm");
        let spec = spec("Lab", "true", &[package]);
        assert!(spec.ends_with(
            "%package -n lab-one\nSummary: 100 %% ours\nVersion: 1.0\nRelease: 1\nVendor: Lab\n\
             Epoch: 1\nBuildArch: noarch\nAutoReqProv: no\nRequires: lab-two\n\
             %description -n lab-one\nlab-one of the lab.\n%files -n lab-one\n\
             %defattr(-,root,root,-)\n%config(noreplace) \"/etc/one.conf\"\n"
        ));
    }
}
