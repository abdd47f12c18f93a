//! The packages that only the lab has, one for each difficulty an upgrade of rpm packages can meet.
//! They are the same in every rpm world.

use crate::rpm_package::Architecture;
use crate::rpm_package::Kind;

/// Where a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the repository of what is installed, and in the image.
    Installed,
    /// In the same repository, but not in the image.
    Base,
    /// In the repository of updates.
    Updates,
}

/// A package from nothing.
#[derive(Clone, Copy, Debug)]
pub struct SmallPackage {
    /// Where it is.
    pub place: Place,
    /// Its name.
    pub name: &'static str,
    /// Its `[epoch:]version-release`.
    pub version: &'static str,
    /// For which machines it is.
    pub architecture: Architecture,
    /// What it provides, requires and so on.
    pub tags: &'static str,
    /// Its files with their text, beside one that tells its version.
    pub files: &'static [(&'static str, Kind, &'static str)],
    /// What it does once it is installed.
    pub script: &'static str,
}

impl SmallPackage {
    /// The file that tells its version: one for all versions, unless they are installed side by side.
    pub fn version_file(&self) -> String {
        if self.name == KERNEL {
            format!("/usr/lib/modules/{}/version", self.version)
        } else {
            format!("/usr/share/{}/version", self.name)
        }
    }
}

/// The package that several versions of are installed, and to which an upgrade adds one.
pub const KERNEL: &str = "lab-kernel";

/// The package whose update conflicts with another package. Only one repository has it: where it is, an
/// upgrade of everything fails with dnf 4's usual settings.
pub const CONFLICTING: &str = "lab-removal";

/// The package that the image's configuration excludes from everything.
pub const EXCLUDED: &str = "lab-excluded";

/// The package whose version the image locks, where its manager can.
pub const LOCKED: &str = "lab-locked";

/// The package that a report may name a fix for, and no repository has one.
pub const UNFIXED: &str = "lab-unfixed";

/// The configuration files that the image's author changed, with what they say now: the first stays,
/// the second is moved aside by an upgrade.
pub const CHANGED_CONFIGURATION: [(&str, &str); 2] =
    [("/etc/lab-kept.conf", "colour = green\n"), ("/etc/lab-replaced.conf", "colour = green\n")];

/// The documentation that the image's author deleted without telling the package manager.
pub const STRIPPED: &str = "/usr/share/doc/lab-documented";

/// All of them.
pub const SMALL_PACKAGES: [SmallPackage; 39] = [
    // Versions whose order only rpm's own rules tell.
    small("lab-tilde", "2.0~rc1-1", Place::Installed),
    small("lab-tilde", "2.0-1", Place::Updates),
    small("lab-caret", "1.0-1", Place::Installed),
    small("lab-caret", "1.0^20240601git1-1", Place::Updates),
    small("lab-epoch", "1:1.0-1", Place::Installed),
    small("lab-epoch", "2:0.9-1", Place::Updates),
    // Installed in several versions.
    kernel("5.14.0-427.13.1", Place::Installed),
    kernel("5.14.0-427.16.1", Place::Installed),
    kernel("5.14.0-427.18.1", Place::Updates),
    // Installed for two architectures.
    multilib("1.0-1", Architecture::X86_64, Place::Installed),
    multilib("1.0-1", Architecture::I686, Place::Installed),
    multilib("1.1-1", Architecture::X86_64, Place::Updates),
    multilib("1.1-1", Architecture::I686, Place::Updates),
    // An upgrade that renames a package.
    small("lab-old-name", "1.0-1", Place::Installed),
    SmallPackage {
        tags: "Obsoletes: lab-old-name < 1.1\nProvides: lab-old-name = 1.1-1\n",
        ..small("lab-new-name", "1.1-1", Place::Updates)
    },
    small(EXCLUDED, "1.0-1", Place::Installed),
    small(EXCLUDED, "1.1-1", Place::Updates),
    small(LOCKED, "1.0-1", Place::Installed),
    small(LOCKED, "1.1-1", Place::Updates),
    small(UNFIXED, "1.0-1", Place::Installed),
    // An update that needs the removal of another package.
    small("lab-victim", "1.0-1", Place::Installed),
    small(CONFLICTING, "1.0-1", Place::Installed),
    SmallPackage { tags: "Conflicts: lab-victim\n", ..small(CONFLICTING, "1.1-1", Place::Updates) },
    // An update that needs a package more.
    small("lab-newdep", "1.0-1", Place::Installed),
    SmallPackage {
        tags: "Requires: lab-dependency\n",
        ..small("lab-newdep", "1.1-1", Place::Updates)
    },
    small("lab-dependency", "1.0-1", Place::Updates),
    // An update that needs a package that only the repository of what is installed has.
    small("lab-second-rung", "1.0-1", Place::Installed),
    SmallPackage {
        tags: "Requires: lab-base-dependency\n",
        ..small("lab-second-rung", "1.1-1", Place::Updates)
    },
    small("lab-base-dependency", "1.0-1", Place::Base),
    // An update whose script writes a log, with a folder of its own.
    SmallPackage {
        files: &[("/var/lib/lab-logger", Kind::Folder, "")],
        ..small("lab-logger", "1.0-1", Place::Installed)
    },
    SmallPackage {
        files: &[("/var/lib/lab-logger", Kind::Folder, "")],
        script: "echo \"lab-logger: $1\" >> /var/log/lab-logger.log",
        ..small("lab-logger", "1.1-1", Place::Updates)
    },
    // Installed by a single scenario: its script moved a file away and made a program setuid, which the update's
    // does not; a file of which the package has only the name; and one that every build step has its own of.
    SmallPackage {
        files: &[
            ("/etc/resolv.conf", Kind::Configuration, "nameserver 192.0.2.1\n"),
            ("/usr/share/lab-own/data", Kind::Plain, "one\n"),
            ("/usr/share/lab-own/removed", Kind::Plain, "one\n"),
            ("/usr/share/lab-own/tool", Kind::Plain, "one\n"),
            ("/usr/share/lab-own/state", Kind::Ghost, ""),
        ],
        script: "cd /usr/share/lab-own\nmv data moved\nchmod u+s tool",
        ..small("lab-own", "1.0-1", Place::Base)
    },
    SmallPackage {
        files: &[
            ("/etc/resolv.conf", Kind::Configuration, "nameserver 192.0.2.2\n"),
            ("/usr/share/lab-own/data", Kind::Plain, "two\n"),
            ("/usr/share/lab-own/removed", Kind::Plain, "two\n"),
            ("/usr/share/lab-own/tool", Kind::Plain, "two\n"),
            ("/usr/share/lab-own/state", Kind::Ghost, ""),
        ],
        script: "echo new > /usr/share/lab-own/state",
        ..small("lab-own", "1.1-1", Place::Updates)
    },
    // Two updates that change what the image's author has changed too.
    SmallPackage {
        files: &[("/etc/lab-kept.conf", Kind::Configuration, "colour = blue\n")],
        ..small("lab-kept-configuration", "1.0-1", Place::Installed)
    },
    SmallPackage {
        files: &[("/etc/lab-kept.conf", Kind::Configuration, "colour = red\n")],
        ..small("lab-kept-configuration", "1.1-1", Place::Updates)
    },
    SmallPackage {
        files: &[("/etc/lab-replaced.conf", Kind::ReplacedConfiguration, "colour = blue\n")],
        ..small("lab-replaced-configuration", "1.0-1", Place::Installed)
    },
    SmallPackage {
        files: &[("/etc/lab-replaced.conf", Kind::ReplacedConfiguration, "colour = red\n")],
        ..small("lab-replaced-configuration", "1.1-1", Place::Updates)
    },
    // An update with documentation, which the image's author has deleted.
    SmallPackage {
        files: &[("/usr/share/doc/lab-documented/README", Kind::Documentation, "Version one.\n")],
        ..small("lab-documented", "1.0-1", Place::Installed)
    },
    SmallPackage {
        files: &[
            ("/usr/share/doc/lab-documented/README", Kind::Documentation, "Version two.\n"),
            ("/usr/share/doc/lab-documented/NEWS", Kind::Documentation, "There are news.\n"),
        ],
        ..small("lab-documented", "1.1-1", Place::Updates)
    },
];

/// A small package with nothing special.
const fn small(name: &'static str, version: &'static str, place: Place) -> SmallPackage {
    SmallPackage {
        place,
        name,
        version,
        architecture: Architecture::Any,
        tags: "",
        files: &[],
        script: "",
    }
}

/// A version of the package that is installed in several. dnf and zypper each have a word for such.
const fn kernel(version: &'static str, place: Place) -> SmallPackage {
    SmallPackage {
        architecture: Architecture::X86_64,
        tags: "Provides: installonlypkg(kernel)\nProvides: multiversion(kernel)\n",
        ..small(KERNEL, version, place)
    }
}

/// A package that is installed for two architectures.
const fn multilib(version: &'static str, architecture: Architecture, place: Place) -> SmallPackage {
    SmallPackage { architecture, ..small("lab-multilib", version, place) }
}
