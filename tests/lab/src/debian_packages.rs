//! Programs from Debian's packages, unpacked into the lab folder instead of installed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use crate::folder::LabFolder;
use crate::program;

/// The keys Debian signs its archive with; apt itself depends on their package in Debian.
pub const ARCHIVE_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where this machine gets Debian's packages from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The archive itself, without a slash at its end.
    pub archive: String,
    /// The archive of security updates, without a slash at its end.
    pub security: String,
}

impl Mirror {
    /// The mirror that the machine's own apt configuration names, else debootstrap's default.
    pub fn of_this_machine() -> Result<Self> {
        static MIRROR: OnceLock<Mirror> = OnceLock::new();
        // apt takes its time, and the answer stays the same.
        if let Some(mirror) = MIRROR.get() {
            return Ok(mirror.clone());
        }
        let mirror = Self::look_up()?;
        Ok(MIRROR.get_or_init(|| mirror).clone())
    }

    /// Asks apt, then debootstrap.
    fn look_up() -> Result<Self> {
        let targets = program::output(program::system("apt-get")?.args([
            "indextargets",
            "--format",
            "$(ORIGIN) $(LABEL) $(REPO_URI)",
            "Created-By: Packages",
        ]))?;
        if let Some(mirror) = Self::from_index_targets(&targets) {
            return Ok(mirror);
        }
        // Without downloaded indexes apt knows no origins yet, only where it would look.
        let addresses =
            program::output(program::system("apt-get")?.args(["update", "--print-uris"]))?;
        if let Some(mirror) = Self::from_update_addresses(&addresses) {
            return Ok(mirror);
        }
        Self::default_of_debootstrap()
    }

    /// The mirror in the output of `apt-get indextargets`, one «origin label address» a line.
    fn from_index_targets(targets: &str) -> Option<Self> {
        let labelled = |label: &str| {
            targets.lines().find_map(|line| {
                let mut words = line.split(' ');
                (words.next() == Some("Debian") && words.next() == Some(label))
                    .then(|| words.next())
                    .flatten()
            })
        };
        Self::new(labelled("Debian")?, labelled("Debian-Security"))
    }

    /// The mirror in the output of `apt-get update --print-uris`. Only Debian itself has suites
    /// whose names end in `-updates` and `-security` beside the plain one.
    fn from_update_addresses(addresses: &str) -> Option<Self> {
        let with_suite = |mark: &str| {
            addresses.lines().find_map(|line| {
                let address = line.strip_prefix('\'')?.split('\'').next()?;
                let (base, suite) = address.strip_suffix("/InRelease")?.split_once("/dists/")?;
                (suite.ends_with(mark) && base.contains("debian")).then_some(base)
            })
        };
        Self::new(with_suite("-updates")?, with_suite("-security"))
    }

    /// The mirror that debootstrap takes when nobody names one; debootstrap is the machine's own or
    /// comes from whatever archive the machine's apt knows.
    fn default_of_debootstrap() -> Result<Self> {
        let script = if let Some(installed) = program::find("debootstrap") {
            installed
        } else {
            let folder = LabFolder::locate()?.folder("packages/machine")?;
            program::run(
                program::system("apt-get")?
                    .args(["-qq", "-o", "APT::Sandbox::User=root", "download", "debootstrap"])
                    .current_dir(&folder),
            )
            .context("no Debian mirror in apt's configuration, and no debootstrap to ask")?;
            let root = folder.join("root");
            for package in packages_in(&folder)? {
                unpack_one(&package, &root)?;
            }
            root.join("usr/sbin/debootstrap")
        };
        let text = fs::read_to_string(&script)
            .with_context(|| format!("cannot read: {}", script.display()))?;
        text.lines()
            .find_map(|line| line.strip_prefix("DEF_MIRROR=\"")?.strip_suffix('"'))
            .and_then(|archive| Self::new(archive, None))
            .with_context(|| format!("debootstrap names no default mirror: {}", script.display()))
    }

    /// A mirror, whose security updates lie beside the archive unless we know better.
    fn new(archive: &str, security: Option<&str>) -> Option<Self> {
        let archive = archive.trim_end_matches('/');
        // Mirrors carry the two side by side.
        let security = match security {
            Some(security) => security.trim_end_matches('/').to_owned(),
            None => format!("{archive}-security"),
        };
        (!archive.is_empty()).then(|| Self { archive: archive.to_owned(), security })
    }
}

/// A set of packages that the lab needs unpacked, all from one suite.
#[derive(Debug)]
pub struct PackageSet<'names> {
    /// The folder's name, below `programs` in the lab folder.
    pub name: &'names str,
    /// The Debian suite.
    pub suite: &'names str,
    /// The packages' names; their dependencies are not followed.
    pub packages: &'names [&'names str],
}

impl PackageSet<'_> {
    /// The folder with the unpacked packages; fetches and unpacks them unless it was done before.
    pub fn unpacked(&self, folder: &LabFolder) -> Result<PathBuf> {
        let _alone = folder.lock(&format!("programs-{}", self.name))?;
        let root = folder.join("programs").join(self.name);
        let marker = folder.join("programs").join(format!("{}.complete", self.name));
        let recipe = format!("{} {}\n", self.suite, self.packages.join(" "));
        if fs::read_to_string(&marker).is_ok_and(|unpacked| unpacked == recipe) {
            return Ok(root);
        }
        if root.exists() {
            fs::remove_dir_all(&root)
                .with_context(|| format!("cannot remove: {}", root.display()))?;
        }
        eprintln!("fetching {} from Debian {}", self.name, self.suite);
        for package in Archive::of_suite(folder, self.suite)?.download(self.name, self.packages)? {
            unpack_one(&package, &root)?;
        }
        fs::write(&marker, recipe)
            .with_context(|| format!("cannot write: {}", marker.display()))?;
        Ok(root)
    }
}

/// A suite of Debian's archive, seen through an apt of our own: the machine's sources, lists and
/// caches stay as they are, its proxy settings hold.
#[derive(Debug)]
pub struct Archive {
    folder: PathBuf,
    /// Two runs of apt would be in each other's way.
    _alone: File,
}

impl Archive {
    /// The main component of a suite.
    pub fn of_suite(folder: &LabFolder, suite: &str) -> Result<Self> {
        let mirror = Mirror::of_this_machine()?;
        ensure!(
            Path::new(ARCHIVE_KEYRING).exists(),
            "Debian's archive keys are missing: install the package debian-archive-keyring"
        );
        let archive = Self {
            folder: folder.folder(Path::new("packages").join(suite))?,
            _alone: folder.lock(&format!("archive-{suite}"))?,
        };
        for below in ["lists/partial", "cache/archives/partial", "downloads"] {
            let below = archive.folder.join(below);
            fs::create_dir_all(&below)
                .with_context(|| format!("cannot make a folder: {}", below.display()))?;
        }
        // A mirror that stands still still serves the testing suite whose Release has expired; its
        // signature is checked all the same.
        let source = format!(
            "deb [signed-by={ARCHIVE_KEYRING} check-valid-until=no] {} {suite} main\n",
            mirror.archive
        );
        fs::write(archive.folder.join("sources.list"), source)
            .with_context(|| format!("cannot write below: {}", archive.folder.display()))?;
        Ok(archive)
    }

    /// Downloads the newest version of each package and returns the files.
    pub fn download(&self, purpose: &str, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let downloads = self.folder.join("downloads").join(purpose);
        if downloads.exists() {
            fs::remove_dir_all(&downloads)
                .with_context(|| format!("cannot remove: {}", downloads.display()))?;
        }
        fs::create_dir_all(&downloads)
            .with_context(|| format!("cannot make a folder: {}", downloads.display()))?;
        program::run(self.apt_get()?.arg("update"))?;
        program::run(self.apt_get()?.arg("download").args(packages).current_dir(&downloads))?;
        let files = packages_in(&downloads)?;
        ensure!(files.len() == packages.len(), "apt-get left out some of: {}", packages.join(" "));
        Ok(files)
    }

    /// Downloads the newest version of each package and of everything they depend on, as if nothing
    /// were installed, and returns the files.
    pub fn download_with_dependencies(
        &self,
        purpose: &str,
        packages: &[&str],
    ) -> Result<Vec<PathBuf>> {
        let downloads = self.folder.join("downloads").join(purpose);
        if downloads.exists() {
            fs::remove_dir_all(&downloads)
                .with_context(|| format!("cannot remove: {}", downloads.display()))?;
        }
        fs::create_dir_all(downloads.join("partial"))
            .with_context(|| format!("cannot make a folder: {}", downloads.display()))?;
        let nothing = self.folder.join("nothing-installed");
        fs::write(&nothing, "").with_context(|| format!("cannot write: {}", nothing.display()))?;
        program::run(self.apt_get()?.arg("update"))?;
        let set = |name: &str, value: &Path| format!("{name}={}", value.display());
        program::run(
            self.apt_get()?
                .args(["-o", &set("Dir::State::Status", &nothing)])
                .args(["-o", &set("Dir::Cache::Archives", &downloads)])
                .args(["-o", "APT::Install-Recommends=false", "--yes", "--download-only"])
                .arg("install")
                .args(packages),
        )?;
        packages_in(&downloads)
    }

    /// All that the suite's index says of its packages, a stanza each.
    pub fn index(&self) -> Result<String> {
        program::run(self.apt_get()?.arg("update"))?;
        program::output(self.apt("apt-cache")?.arg("dumpavail"))
    }

    /// `apt-get` with everything of its own kept in our folder.
    fn apt_get(&self) -> Result<Command> {
        self.apt("apt-get")
    }

    /// A program of apt's, likewise.
    fn apt(&self, program: &str) -> Result<Command> {
        let mut command = program::system(program)?;
        let set = |name: &str, value: &Path| {
            let mut option = OsString::from(format!("{name}="));
            option.push(value);
            option
        };
        for option in [
            set("Dir::Etc::SourceList", &self.folder.join("sources.list")),
            set("Dir::Etc::SourceParts", Path::new("-")),
            set("Dir::Etc::Preferences", Path::new("/dev/null")),
            set("Dir::Etc::PreferencesParts", Path::new("-")),
            set("Dir::State::Lists", &self.folder.join("lists")),
            set("Dir::Cache", &self.folder.join("cache")),
            "Acquire::Languages=none".into(),
            // apt's own user cannot write into root's home, where the lab folder usually is.
            "APT::Sandbox::User=root".into(),
        ] {
            command.arg("-o").arg(option);
        }
        command.arg("-qq");
        Ok(command)
    }
}

/// The package files in a folder, in the order of their names.
fn packages_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut packages = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot list: {}", folder.display()))?
    {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            packages.push(path);
        }
    }
    packages.sort();
    Ok(packages)
}

/// Unpacks one package's files, without its scripts.
fn unpack_one(package: &Path, root: &Path) -> Result<()> {
    fs::create_dir_all(root)
        .with_context(|| format!("cannot make a folder: {}", root.display()))?;
    program::run(program::system("dpkg-deb")?.arg("-x").arg(package).arg(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(archive: &str, security: &str) -> Mirror {
        Mirror { archive: archive.to_owned(), security: security.to_owned() }
    }

    #[test]
    fn mirror_from_index_targets_skips_other_origins() {
        let targets = "Docker Docker-CE https://packages.example/linux/debian/\n\
                       Debian Debian http://mirror.example/debian/\n\
                       Debian Debian-Security http://security.example/debian-security/\n";
        assert_eq!(
            Mirror::from_index_targets(targets),
            Some(mirror("http://mirror.example/debian", "http://security.example/debian-security"))
        );
        assert_eq!(Mirror::from_index_targets("Ubuntu Ubuntu http://mirror.example/ubuntu/"), None);
    }

    #[test]
    fn mirror_without_a_security_source_lies_beside_the_archive() {
        assert_eq!(
            Mirror::from_index_targets("Debian Debian http://mirror.example/debian/"),
            Some(mirror("http://mirror.example/debian", "http://mirror.example/debian-security"))
        );
    }

    #[test]
    fn mirror_from_update_addresses_needs_a_suite_only_debian_has() {
        let addresses = "'https://packages.example/linux/debian/dists/bookworm/InRelease' a 0 \n\
                         'http://mirror.example/debian/dists/bookworm-updates/InRelease' b 0 \n\
                         'http://mirror.example/debian/dists/bookworm/main/Packages.xz' c 0 \n";
        assert_eq!(
            Mirror::from_update_addresses(addresses),
            Some(mirror("http://mirror.example/debian", "http://mirror.example/debian-security"))
        );
        assert_eq!(
            Mirror::from_update_addresses(
                "'http://mirror.example/ubuntu/dists/noble-updates/InRelease' a 0"
            ),
            None
        );
    }
}
