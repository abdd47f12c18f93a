//! Programs from Debian's packages, unpacked into the lab folder instead of installed.

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
                    .args(["-qq", "-o", "APT::Sandbox::User=root"])
                    // Whatever version the machine's sources have will do.
                    .args(["-o", "Dir::State::Status=/dev/null", "-o", "APT::Default-Release="])
                    .args(["-o", "Dir::Etc::Preferences=/dev/null"])
                    .args(["-o", "Dir::Etc::PreferencesParts=/dev/null"])
                    // The machine's own cache is of its own status.
                    .args(["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="])
                    .args(["download", "debootstrap"])
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

/// What of the machine's apt configuration holds for us too: how it reaches the network.
const TRANSPORT: [&str; 4] =
    ["Acquire::http", "Acquire::Proxy-Auto-Detect", "Acquire::ForceIPv", "Acquire::Retries"];

/// A suite of Debian's archive, seen through an apt of our own. Its answers are the same whatever the
/// machine has installed, whatever its release, and whatever its apt configuration says.
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
        // A mirror that stands still still serves the testing suite whose Release has expired; its
        // signature is checked all the same.
        let source = format!(
            "deb [signed-by={ARCHIVE_KEYRING} check-valid-until=no] {} {suite} main\n",
            mirror.archive
        );
        Self::of_source(folder, suite, &source)
    }

    /// What a line of `sources.list` names.
    fn of_source(folder: &LabFolder, suite: &str, source: &str) -> Result<Self> {
        let archive = Self {
            folder: folder.folder(Path::new("packages").join(suite))?,
            _alone: folder.lock(&format!("archive-{suite}"))?,
        };
        for below in ["lists/partial", "cache/archives/partial", "downloads"] {
            let below = archive.folder.join(below);
            fs::create_dir_all(&below)
                .with_context(|| format!("cannot make a folder: {}", below.display()))?;
        }
        archive.write("sources.list", source)?;
        archive.write("nothing-installed", "")?;
        archive.write("apt.conf", &archive.settings()?)?;
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
        program::run(self.apt_get()?.arg("update"))?;
        program::run(
            self.apt_get()?
                .arg("-o")
                .arg(format!("Dir::Cache::Archives={}", downloads.display()))
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

    /// The file that makes any program of apt's ours: it is to be in the program's `APT_CONFIG`.
    pub fn configuration(&self) -> PathBuf {
        self.folder.join("apt.conf")
    }

    /// Our `apt.conf`. apt reads it first, and nothing of the machine's after it.
    fn settings(&self) -> Result<String> {
        let native = program::output(program::system("dpkg")?.arg("--print-architecture"))?;
        let machine = program::output(program::system("apt-config")?.arg("dump"))?;
        let folder = self.folder.display();
        Ok(format!(
            r#"Dir::Etc::Main "/dev/null";
Dir::Etc::Parts "/dev/null";
Dir::Etc::SourceList "{folder}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "{folder}";
Dir::State::Lists "{folder}/lists";
Dir::State::Status "{folder}/nothing-installed";
Dir::Cache "{folder}/cache";
APT::Architecture "{native}";
APT::Architectures {{ "{native}"; }};
Acquire::Languages "none";
// apt's own user cannot write into root's home, where the lab folder usually is.
APT::Sandbox::User "root";
{transport}"#,
            native = native.trim_end(),
            transport = transport(&machine),
        ))
    }

    /// Writes a file of our folder; another run of apt may be reading the old one.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(name);
        let unfinished = self.folder.join(format!("{name}.unfinished"));
        fs::write(&unfinished, text)
            .and_then(|()| fs::rename(&unfinished, &path))
            .with_context(|| format!("cannot write: {}", path.display()))
    }

    /// `apt-get` as we have set it.
    fn apt_get(&self) -> Result<Command> {
        self.apt("apt-get")
    }

    /// A program of apt's, likewise.
    fn apt(&self, program: &str) -> Result<Command> {
        let mut command = program::system(program)?;
        command.env("APT_CONFIG", self.configuration()).arg("-qq");
        Ok(command)
    }
}

/// What the output of `apt-config dump` says of the network; it is written as `apt.conf` is.
fn transport(dump: &str) -> String {
    dump.lines()
        .filter(|line| {
            TRANSPORT.iter().any(|prefix| {
                line.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            })
        })
        .flat_map(|line| [line, "\n"])
        .collect()
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
    use std::env;

    use super::*;
    use crate::apt_repository::Suite;
    use crate::deb_package::SmallPackage;

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

    #[test]
    fn of_the_machine_only_the_way_to_the_network_holds() {
        let dump = "APT::Default-Release \"trixie\";\nAcquire::Check-Date \"false\";\n\
                    Acquire::HTTP::Proxy \"http://proxy.example:3142\";\nDir::Etc \"elsewhere\";\n\
                    Acquire::http::Proxy::mirror.example \"DIRECT\";\nAcquire::Languages \"de\";\n\
                    Acquire::https::CaInfo \"/etc/ssl/own.pem\";\nAcquire::Retries \"3\";\n";
        assert_eq!(
            transport(dump),
            "Acquire::HTTP::Proxy \"http://proxy.example:3142\";\n\
             Acquire::http::Proxy::mirror.example \"DIRECT\";\n\
             Acquire::https::CaInfo \"/etc/ssl/own.pem\";\nAcquire::Retries \"3\";\n"
        );
    }

    /// Set in the process that sees another machine: the folder with the archive.
    const ON_ANOTHER_MACHINE: &str = "SUTURE_LAB_ON_ANOTHER_MACHINE";

    /// What is fetched, with what it needs.
    const FETCHED: [SmallPackage; 2] = [
        SmallPackage {
            name: "lab-fetched",
            version: "1",
            fields: "Depends: lab-needed\n",
            files: &[],
            script: None,
        },
        SmallPackage { name: "lab-needed", version: "1", fields: "", files: &[], script: None },
    ];

    /// Newer versions of everything are installed, and what apt is told would spoil each answer.
    const SPOILED: [(&str, &str); 5] = [
        (
            "status",
            "Package: lab-fetched\nStatus: install ok installed\nArchitecture: all\nVersion: 2\n\n\
             Package: lab-needed\nStatus: hold ok installed\nArchitecture: all\nVersion: 2\n",
        ),
        (
            "apt/apt.conf.d/99spoiled",
            "APT::Architectures { \"amd64\"; \"riscv64\"; };\n\
             Dir::State::Lists \"/nowhere/lists\";\nDir::Cache \"/nowhere/cache\";\n\
             Dir::Etc::SourceList \"/nowhere/sources.list\";\n\
             Acquire::IndexTargets::deb::Packages::MetaKey \"nothing\";\n\
             APT::Update::Pre-Invoke { \"false\"; };\nAPT::Install-Recommends \"true\";\n",
        ),
        ("apt/preferences.d/99spoiled", "Package: *\nPin: release *\nPin-Priority: -1\n"),
        (
            "apt/apt.conf",
            "APT::Default-Release \"elsewhere\";\nDir::State::Status \"/var/lib/dpkg/status\";\n",
        ),
        ("apt/sources.list", "this is no source\n"),
    ];

    #[test]
    fn the_machine_has_no_say() {
        if let Some(folder) = env::var_os(ON_ANOTHER_MACHINE) {
            return ask_everything(Path::new(&folder));
        }
        let folder = env::temp_dir().join(format!("suture-lab-archive-{}", std::process::id()));
        for (path, text) in SPOILED {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let packages = FETCHED.map(|package| package.build(&folder).unwrap());
        let suite = Suite { name: "own", label: "own", packages: &packages };
        suite.write(&folder.join("repository"), None).unwrap();
        let tests = env::current_exe().unwrap();
        program::run(
            program::system("unshare")
                .unwrap()
                .args(["--mount", "--", "sh", "-euc"])
                .arg(
                    "mount --bind \"$1/status\" /var/lib/dpkg/status\n\
                     mount --bind \"$1/apt\" /etc/apt\nshift\nexec \"$@\"",
                )
                .arg("sh")
                .arg(&folder)
                .arg(tests)
                .args(["--exact", "debian_packages::tests::the_machine_has_no_say"])
                .env(ON_ANOTHER_MACHINE, &folder),
        )
        .unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }

    /// Every question that the lab has, on the machine that says otherwise.
    fn ask_everything(folder: &Path) {
        let status = fs::read_to_string("/var/lib/dpkg/status").unwrap();
        assert_eq!(status, SPOILED[0].1, "the other machine is not there");
        let lab = LabFolder::at(&folder.join("lab")).unwrap();
        let source =
            format!("deb [trusted=yes] copy:{} own main\n", folder.join("repository").display());
        let archive = Archive::of_source(&lab, "own", &source).unwrap();
        let names = |files: Vec<PathBuf>| -> Vec<String> {
            files
                .iter()
                .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
                .collect()
        };
        let both = ["lab-fetched_1_all.deb", "lab-needed_1_all.deb"];
        assert_eq!(names(archive.download("some", &["lab-needed", "lab-fetched"]).unwrap()), both);
        let all = archive.download_with_dependencies("all", &["lab-fetched"]).unwrap();
        assert_eq!(names(all), both);
        let index = archive.index().unwrap();
        let versions: Vec<&str> =
            index.lines().filter(|line| line.starts_with("Version: ")).collect();
        assert_eq!(versions, ["Version: 1"; 2]);
    }
}
