//! What the hermetic world is made of: a Debian bookworm whose updates come from the lab's own signed
//! repositories, so that their versions never change and every difficult case is there.
//!
//! As in Debian there are two suites: `bookworm` with everything that is installed, and
//! `bookworm-security` with the updates; one update is in the former only.

use crate::deb_package::SmallPackage;

/// The Debian suite that everything is made from, and that our own base suite is called.
pub const SUITE: &str = "bookworm";

/// Our suite of updates.
pub const SECURITY_SUITE: &str = "bookworm-security";

/// Which of our suites has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The big suite.
    Base,
    /// The small suite of updates.
    Security,
    /// The suite of updates of [`FAILING`] alone.
    Failing,
}

/// An update of a real package.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// The package.
    pub package: &'static str,
    /// The version in the image.
    pub installed: &'static str,
    /// The version in the repository.
    pub fixed: &'static str,
    /// The suite that has the update.
    pub place: Place,
    /// A text file to change in a package without programs.
    pub text_file: &'static str,
}

impl Update {
    /// An update in the small suite.
    const fn new(package: &'static str, installed: &'static str, fixed: &'static str) -> Self {
        Self { package, installed, fixed, place: Place::Security, text_file: "" }
    }
}

/// The updates of real packages. Each is made from what Debian has, whatever its version by now:
/// the versions are ours.
pub const UPDATES: [Update; 13] = [
    Update::new("apt", "2.6.1", "2.6.1+lab1"),
    Update::new("libapt-pkg6.0", "2.6.1", "2.6.1+lab1"),
    Update::new("libc-bin", "2.36-9+deb12u14", "2.36-9+deb12u14+lab1"),
    Update::new("libc6", "2.36-9+deb12u14", "2.36-9+deb12u14+lab1"),
    // The only one whose update is not urgent enough for the small suite.
    Update {
        place: Place::Base,
        ..Update::new("libgcrypt20", "1.10.1-3+deb12u1", "1.10.1-3+deb12u1+lab1")
    },
    // On hold in the image.
    Update::new(HELD, "3.7.9-2+deb12u7", "3.7.9-2+deb12u7+lab1"),
    Update::new("liblzma5", "5.4.1-1+deb12u1", "5.4.1-1+deb12u1+lab1"),
    Update::new("libpcre2-8-0", "10.42-1", "10.42-1+lab1"),
    Update::new("libssl3", "3.0.20-1~deb12u2", "3.0.20-1~deb12u2+lab1"),
    // Its manuals are not in the image.
    Update::new("openssl", "3.0.20-1~deb12u2", "3.0.20-1~deb12u2+lab1"),
    Update::new("perl-base", "5.36.0-7+deb12u3", "5.36.0-7+deb12u3+lab1"),
    Update {
        text_file: "usr/share/zoneinfo/tzdata.zi",
        ..Update::new("tzdata", "2026b-0+deb12u1", "2026b-0+deb12u1+lab1")
    },
    Update::new("zlib1g", "1:1.2.13.dfsg-1", "1:1.2.13.dfsg-1+lab1"),
];

/// The package that is on hold in the image.
pub const HELD: &str = "libgnutls30";

/// Packages that the image marks as installed for the sake of others.
pub const AUTOMATIC: [&str; 3] = ["libgcrypt20", "libssl3", "zlib1g"];

/// What the image's author deleted without telling the package manager.
pub const STRIPPED: [&str; 3] =
    ["usr/share/doc/openssl", "usr/share/locale/de/LC_MESSAGES/apt.mo", "usr/share/man/man1"];

/// The configuration file that the image's author changed, and what it says now.
pub const CHANGED_CONFIGURATION: (&str, &str) = ("etc/lab-conffile.conf", "colour = green\n");

/// Real packages that are installed beside the ones that are updated, without an update.
pub const INSTALLED_BESIDE: [&str; 1] = ["ca-certificates"];

/// The packages that only the lab has, with the suite of each. Those in the base suite are installed,
/// except [`NOT_INSTALLED`].
pub const SMALL_PACKAGES: [(Place, SmallPackage); 15] = [
    (Place::Base, small("lab-victim", "1.0")),
    (Place::Base, small("lab-removal", "1.0")),
    // An update that needs the removal of another package.
    (
        Place::Security,
        SmallPackage { fields: "Conflicts: lab-victim\n", ..small("lab-removal", "1.1") },
    ),
    (Place::Base, small("lab-newdep", "1.0")),
    // An update that needs a package more.
    (
        Place::Security,
        SmallPackage { fields: "Depends: lab-dependency\n", ..small("lab-newdep", "1.1") },
    ),
    (Place::Security, small("lab-dependency", "1.0")),
    (Place::Base, small("lab-second-rung", "1.0")),
    // An update in the small suite that needs a package that only the big one has.
    (
        Place::Security,
        SmallPackage {
            fields: "Depends: lab-base-dependency\n",
            ..small("lab-second-rung", "1.1")
        },
    ),
    (Place::Base, small("lab-base-dependency", "1.0")),
    (
        Place::Base,
        SmallPackage {
            files: &[("etc/lab-conffile.conf", "colour = blue\n")],
            ..small("lab-conffile", "1.0")
        },
    ),
    // An update that changes a configuration file which the image's author has changed too.
    (
        Place::Security,
        SmallPackage {
            files: &[("etc/lab-conffile.conf", "colour = red\n")],
            ..small("lab-conffile", "1.1")
        },
    ),
    (Place::Base, small("lab-logger", "1.0")),
    // An update whose script writes a log.
    (
        Place::Security,
        SmallPackage {
            script: Some("echo \"lab-logger: $1 after $2\" >> /var/log/lab-logger.log"),
            ..small("lab-logger", "1.1")
        },
    ),
    (Place::Base, small(FAILING, "1.0")),
    // An update that fails to install.
    (
        Place::Failing,
        SmallPackage {
            script: Some("echo 'lab-failing: cannot go on' >&2\nexit 1"),
            ..small(FAILING, "1.1")
        },
    ),
];

/// The package whose update fails in its script; only one image's sources have it.
pub const FAILING: &str = "lab-failing";

/// Packages of the base suite that are not in the image.
pub const NOT_INSTALLED: [&str; 1] = ["lab-base-dependency"];

/// A small package with nothing special.
const fn small(name: &'static str, version: &'static str) -> SmallPackage {
    SmallPackage { name, version, fields: "", files: &[], script: None }
}
