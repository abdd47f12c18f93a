//! What the lab's Alpine is made of: a real root file system, whose packages get updates from the lab's own
//! signed repository, and a few packages of ours for what those do not show.

/// The version of the root file system.
pub const RELEASE: &str = "3.20.3";

/// The updates of real packages: package, installed version, fixed version. Alpine builds what belongs
/// together at once, so busybox's and openssl's packages need each other's very version.
pub const UPDATES: [(&str, &str, &str); 10] = [
    // The package manager itself.
    ("apk-tools", "2.14.4-r0", "2.14.4-r1"),
    ("busybox", "1.36.1-r29", "1.36.1-r31"),
    // All it has is one link, `/bin/sh`.
    ("busybox-binsh", "1.36.1-r29", "1.36.1-r31"),
    ("libcrypto3", "3.3.2-r0", "3.3.6-r0"),
    ("libssl3", "3.3.2-r0", "3.3.6-r0"),
    ("musl", "1.2.5-r0", "1.2.5-r3"),
    ("musl-utils", "1.2.5-r0", "1.2.5-r3"),
    // Pinned in the image.
    ("scanelf", "1.3.7-r2", "1.3.7-r3"),
    ("ssl_client", "1.36.1-r29", "1.36.1-r31"),
    ("zlib", "1.3.1-r1", "1.3.2-r0"),
];

/// What the image's `world` says of a package that it wants in one version.
pub const PINNED: &str = "scanelf=1.3.7-r2";

/// What the image's author deleted without telling the package manager.
pub const STRIPPED: [&str; 2] = ["etc/ssl/ct_log_list.cnf.dist", "usr/share/udhcpc/default.script"];

/// The configuration file that the image's author changed, and what it says now.
pub const CHANGED_CONFIGURATION: (&str, &str) = ("etc/lab-conffile.conf", "colour = green\n");

/// A package that only the lab has. Each has a file that tells its version.
#[derive(Clone, Copy, Debug)]
pub struct SmallPackage {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it needs.
    pub depends: &'static str,
    /// Its files with their text.
    pub files: &'static [(&'static str, &'static str)],
    /// What it does, and after what: `post-install` or `post-upgrade`.
    pub script: Option<(&'static str, &'static str)>,
}

/// The packages of ours that are in the image.
pub const INSTALLED: [SmallPackage; 3] = [
    SmallPackage {
        files: &[("etc/lab-conffile.conf", "colour = blue\n")],
        ..small("lab-conffile", "1.0-r0")
    },
    small("lab-logger", "1.0-r0"),
    small("lab-newdep", "1.0-r0"),
];

/// The packages of ours that the repository has.
pub const SERVED: [SmallPackage; 6] = [
    // An update that changes a configuration file which the image's author has changed too.
    SmallPackage {
        files: &[("etc/lab-conffile.conf", "colour = red\n")],
        ..small("lab-conffile", "1.1-r0")
    },
    small("lab-dependency", "1.0-r0"),
    // An update whose script writes a log.
    SmallPackage {
        script: Some((
            "post-upgrade",
            "echo \"lab-logger: $1 after $2\" >> /var/log/lab-logger.log",
        )),
        ..small("lab-logger", "1.1-r0")
    },
    // Installed by a single scenario: its script moved a file away and made a program setuid, which the update's
    // does not; and a file that every build step has its own of.
    SmallPackage {
        files: &[
            ("etc/lab-own.conf", "colour = blue\n"),
            ("etc/lab-own.tool", "one\n"),
            ("etc/resolv.conf", "nameserver 192.0.2.1\n"),
        ],
        script: Some((
            "post-install",
            "cd /etc\nmv lab-own.conf lab-own.moved\nchmod u+s lab-own.tool",
        )),
        ..small("lab-own", "1.0-r0")
    },
    SmallPackage {
        files: &[
            ("etc/lab-own.conf", "colour = red\n"),
            ("etc/lab-own.tool", "two\n"),
            ("etc/resolv.conf", "nameserver 192.0.2.2\n"),
        ],
        ..small("lab-own", "1.1-r0")
    },
    // An update that needs a package more.
    SmallPackage { depends: "lab-dependency", ..small("lab-newdep", "1.1-r0") },
];

/// A small package with nothing special.
const fn small(name: &'static str, version: &'static str) -> SmallPackage {
    SmallPackage { name, version, depends: "", files: &[], script: None }
}
