//! What each rpm world is made of: Debian's packages under another distribution's names and versions,
//! so that real package managers work on real programs, and their versions never change.

/// A distribution of the lab.
#[derive(Debug)]
pub struct World {
    /// Its name, as folders and images have it.
    pub name: &'static str,
    /// The Debian suite that its packages are cut from.
    pub suite: &'static str,
    /// What it calls itself.
    pub identity: Identity,
    /// The Debian packages that it is made of, beside [`COMMON`]; what they need comes with them.
    pub packages: &'static [&'static str],
    /// The names of Debian packages here, where they differ.
    pub names: &'static [(&'static str, &'static str)],
    /// The release of every package that has no update.
    pub release: &'static str,
    /// The updates of real packages.
    pub updates: &'static [Update],
    /// The updates that a report of a scanner names.
    pub reported: [&'static str; 7],
    /// Where its rpm database is.
    pub database: &'static str,
    /// Further lines for rpm's configuration.
    pub macros: &'static str,
    /// Whether packages of one name can be there for two architectures; SUSE has another name for those
    /// of the second.
    pub has_second_architecture: bool,
    /// The package manager that installs it.
    pub manager: Manager,
    /// Debian's files that it is better off without.
    pub removed: &'static [&'static str],
    /// Links that it has beside Debian's: at, to.
    pub links: &'static [(&'static str, &'static str)],
}

/// What a distribution calls itself.
#[derive(Debug)]
pub struct Identity {
    /// `ID`.
    pub id: &'static str,
    /// `ID_LIKE`.
    pub like: &'static str,
    /// `VERSION_ID`.
    pub version: &'static str,
    /// `NAME`, and its packages' vendor.
    pub name: &'static str,
    /// The package that says so.
    pub package: &'static str,
    /// What package managers take for `$releasever`.
    pub release: &'static str,
}

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// dnf 4.
    Dnf,
    /// dnf 5.
    Dnf5,
    /// zypper.
    Zypper,
}

/// An update of a real package.
#[derive(Debug)]
pub struct Update {
    /// The package.
    pub package: &'static str,
    /// Its `[epoch:]version-release` in the image.
    pub installed: &'static str,
    /// The same in the repository of updates.
    pub fixed: &'static str,
    /// Another package that it needs in exactly its own version.
    pub exactly: &'static str,
}

/// An update of a package that stands alone.
const fn update(package: &'static str, installed: &'static str, fixed: &'static str) -> Update {
    Update { package, installed, fixed, exactly: "" }
}

impl Update {
    /// The same of a package that goes with another.
    const fn with(self, exactly: &'static str) -> Self {
        Self { exactly, ..self }
    }
}

/// Debian packages that every world is made of.
pub const COMMON: [&str; 25] = [
    "bash",
    "base-passwd",
    "ca-certificates",
    "coreutils",
    "curl",
    "diffutils",
    "findutils",
    "gpg",
    "gpg-agent",
    "gpgv",
    "grep",
    "gzip",
    "libc-bin",
    "libexpat1",
    "libgssapi-krb5-2",
    "libkrb5-3",
    "mawk",
    "openssl",
    "rpm",
    "sed",
    "tar",
    "xz-utils",
    "zlib1g",
    "zstd",
    "libpcre2-8-0",
];

/// Debian packages that no world has, whatever needs them: they are Debian's own, or big.
pub const WITHOUT: [&str; 42] = [
    "adduser",
    "apt",
    "base-files",
    "base-passwd",
    "dash",
    "debconf",
    "debconf-2.0",
    "debianutils",
    "debugedit",
    "dirmngr",
    "dpkg",
    "gnupg",
    "gnupg-l10n",
    "gnupg-utils",
    "gpg-wks-client",
    "gpg-wks-server",
    "gpgsm",
    "init-system-helpers",
    "install-info",
    "libdebconfclient0",
    "libfyaml0t64",
    "libpam-modules",
    "libpam-modules-bin",
    "libpam-runtime",
    "login",
    "logsave",
    "lsb-base",
    "media-types",
    "mount",
    "netbase",
    "passwd",
    "perl",
    "perl-base",
    "perl-modules-5.36",
    "perl-modules-5.40",
    "pinentry-curses",
    "python3-distutils",
    "python3-lib2to3",
    "sysvinit-utils",
    "tzdata",
    "usrmerge",
    "libperl5.36",
];

/// Red Hat's names for Debian's packages.
const RED_HAT_NAMES: &[(&str, &str)] = &[
    ("gpg", "gnupg2"),
    ("libarchive13", "libarchive"),
    ("libarchive13t64", "libarchive"),
    ("libbz2-1.0", "bzip2-libs"),
    ("libc-bin", "glibc-common"),
    ("libc6", "glibc"),
    ("libcurl3-gnutls", "libcurl-gnutls"),
    ("libcurl4", "libcurl"),
    ("libcurl4-gnutls", "libcurl-gnutls"),
    ("libcurl4t64", "libcurl"),
    ("libdnf2", "libdnf"),
    ("libdnf5-2", "libdnf5"),
    ("libdnf5-cli3", "libdnf5-cli"),
    ("libexpat1", "expat"),
    ("libgcc-s1", "libgcc"),
    ("libgcrypt20", "libgcrypt"),
    ("libglib2.0-0", "glib2"),
    ("libglib2.0-0t64", "glib2"),
    ("libgnutls30", "gnutls"),
    ("libgnutls30t64", "gnutls"),
    ("libkrb5-3", "krb5-libs"),
    ("libldap-2.5-0", "openldap"),
    ("libldap2", "openldap"),
    ("liblzma5", "xz-libs"),
    ("libnghttp2-14", "libnghttp2"),
    ("libpcre2-8-0", "pcre2"),
    ("librepo0", "librepo"),
    ("librpm10", "rpm-libs"),
    ("librpm9", "rpm-libs"),
    ("libsolv1", "libsolv"),
    ("libsqlite3-0", "sqlite-libs"),
    ("libssh2-1", "libssh2"),
    ("libssh2-1t64", "libssh2"),
    ("libssl3", "openssl-libs"),
    ("libssl3t64", "openssl-libs"),
    ("libstdc++6", "libstdc++"),
    ("libtasn1-6", "libtasn1"),
    ("libtinfo6", "ncurses-libs"),
    ("libxml2-16", "libxml2"),
    ("libzstd1", "libzstd"),
    ("mawk", "gawk"),
    ("xz-utils", "xz"),
    ("zlib1g", "zlib"),
];

/// SUSE's names for Debian's packages.
const SUSE_NAMES: &[(&str, &str)] = &[
    ("gpg", "gpg2"),
    ("libarchive13", "libarchive13"),
    ("libbz2-1.0", "libbz2-1"),
    ("libc-bin", "glibc-extra"),
    ("libc6", "glibc"),
    ("libgcc-s1", "libgcc_s1"),
    ("libkrb5-3", "krb5"),
    ("libssl3", "libopenssl3"),
    ("libtinfo6", "libncurses6"),
    ("libzypp1722", "libzypp"),
    ("libxml2", "libxml2-2"),
    ("mawk", "gawk"),
    ("openssl", "openssl-3"),
    ("xz-utils", "xz"),
    ("zlib1g", "libz1"),
];

/// Every world.
pub static WORLDS: [&World; 3] = [&ALMALINUX, &FEDORA, &OPENSUSE];

/// `AlmaLinux` 9.4: dnf 4, also as `yum`.
pub static ALMALINUX: World = World {
    name: "almalinux-9.4",
    suite: "bookworm",
    identity: Identity {
        id: "almalinux",
        like: "rhel centos fedora",
        version: "9.4",
        name: "AlmaLinux",
        package: "almalinux-release",
        release: "9.4",
    },
    packages: &["dnf", "dnf-plugins-core", "libxml2"],
    names: RED_HAT_NAMES,
    release: "1.el9",
    updates: &[
        update("bash", "5.1.8-9.el9", "5.1.8-10.el9_4"),
        update("curl", "7.76.1-29.el9_4", "7.76.1-29.el9_4.1").with("libcurl"),
        update("expat", "2.5.0-2.el9_4", "2.5.0-2.el9_4.1"),
        update("glibc", "2.34-100.el9_4.2", "2.34-100.el9_4.4"),
        update("glibc-common", "2.34-100.el9_4.2", "2.34-100.el9_4.4").with("glibc"),
        update("krb5-libs", "1.21.1-1.el9", "1.21.1-2.el9_4"),
        update("libcurl", "7.76.1-29.el9_4", "7.76.1-29.el9_4.1"),
        update("libnghttp2", "1.43.0-5.el9_3.1", "1.43.0-5.el9_4.3"),
        update("libxml2", "2.9.13-6.el9_4", "2.9.13-6.el9_4.1"),
        update("openssl", "1:3.0.7-27.el9", "1:3.0.7-28.el9_4").with("openssl-libs"),
        update("openssl-libs", "1:3.0.7-27.el9", "1:3.0.7-28.el9_4"),
        update("pcre2", "10.40-5.el9", "10.40-6.el9"),
        update("sqlite-libs", "3.34.1-7.el9_3", "3.34.1-8.el9_4"),
        update("xz-libs", "5.2.5-8.el9_0", "5.2.5-10.el9"),
        update("zlib", "1.2.11-40.el9", "1.2.11-41.el9"),
    ],
    reported: ["bash", "expat", "glibc", "krb5-libs", "openssl-libs", "xz-libs", "zlib"],
    database: "/var/lib/rpm",
    macros: "%rhel 9\n%dist .el9\n",
    has_second_architecture: true,
    manager: Manager::Dnf,
    // A plugin that Red Hat has in a package of its own, and that wants a folder of local packages.
    removed: &["etc/dnf/plugins/local.conf", "usr/lib/python3/dist-packages/dnf-plugins/local.py"],
    links: &[("/usr/bin/yum", "dnf-3")],
};

/// Fedora 43: dnf 5, also as `dnf`.
pub static FEDORA: World = World {
    name: "fedora-43",
    suite: "forky",
    identity: Identity {
        id: "fedora",
        like: "",
        version: "43",
        name: "Fedora Linux",
        package: "fedora-release",
        release: "43",
    },
    packages: &["dnf5", "libxml2-16"],
    names: RED_HAT_NAMES,
    release: "1.fc43",
    updates: &[
        update("bash", "5.3.0-2.fc43", "5.3.8-1.fc43"),
        update("curl", "8.15.0-2.fc43", "8.15.0-3.fc43").with("libcurl"),
        update("expat", "2.7.1-3.fc43", "2.7.2-1.fc43"),
        update("glibc", "2.42-4.fc43", "2.42-5.fc43"),
        update("glibc-common", "2.42-4.fc43", "2.42-5.fc43").with("glibc"),
        update("krb5-libs", "1.21.3-6.fc43", "1.21.3-7.fc43"),
        update("libcurl", "8.15.0-2.fc43", "8.15.0-3.fc43"),
        update("libnghttp2", "1.66.0-1.fc43", "1.66.0-2.fc43"),
        update("libxml2", "2.12.10-4.fc43", "2.12.10-5.fc43"),
        update("openssl", "1:3.5.1-2.fc43", "1:3.5.4-1.fc43").with("openssl-libs"),
        update("openssl-libs", "1:3.5.1-2.fc43", "1:3.5.4-1.fc43"),
        update("pcre2", "10.45-1.fc43", "10.46-1.fc43"),
        update("sqlite-libs", "3.50.2-1.fc43", "3.50.2-2.fc43"),
        update("xz-libs", "1:5.8.1-2.fc43", "1:5.8.1-3.fc43"),
        update("zlib", "1.3.1-3.fc43", "1.3.1-4.fc43"),
    ],
    reported: ["bash", "expat", "glibc", "krb5-libs", "openssl-libs", "xz-libs", "zlib"],
    database: "/usr/lib/sysimage/rpm",
    // The plugin that unshares scripts' namespaces cannot do so in a container.
    macros: "%fedora 43\n%dist .fc43\n%__transaction_unshare %{nil}\n",
    has_second_architecture: true,
    manager: Manager::Dnf5,
    // The same plugin as above.
    removed: &[
        "etc/dnf/libdnf5-plugins/local.conf",
        "usr/lib/x86_64-linux-gnu/libdnf5/plugins/local.so",
    ],
    links: &[("/usr/bin/dnf", "dnf5"), ("/var/lib/rpm", "../../usr/lib/sysimage/rpm")],
};

/// openSUSE Leap 15.6: zypper.
pub static OPENSUSE: World = World {
    name: "opensuse-15.6",
    suite: "bookworm",
    identity: Identity {
        id: "opensuse-leap",
        like: "suse opensuse",
        version: "15.6",
        name: "openSUSE Leap",
        package: "openSUSE-release",
        release: "15.6",
    },
    packages: &["zypper"],
    names: SUSE_NAMES,
    release: "150600.1.1",
    updates: &[
        update("bash", "4.4-150400.25.22", "4.4-150400.27.3.2"),
        update("curl", "8.6.0-150600.2.2", "8.6.0-150600.4.6.1").with("libcurl4"),
        update("glibc", "2.38-150600.12.1", "2.38-150600.14.5.1"),
        update("glibc-extra", "2.38-150600.12.1", "2.38-150600.14.5.1").with("glibc"),
        update("krb5", "1.20.1-150600.9.2", "1.20.1-150600.11.3.1"),
        update("libcurl4", "8.6.0-150600.2.2", "8.6.0-150600.4.6.1"),
        update("libexpat1", "2.4.4-150400.3.17.1", "2.4.4-150400.3.22.1"),
        update("liblzma5", "5.4.1-150600.1.2", "5.4.1-150600.3.3.1"),
        update("libnghttp2-14", "1.40.0-150600.23.2", "1.40.0-150600.25.2.1"),
        update("libopenssl3", "3.1.4-150600.2.1", "3.1.4-150600.5.15.1"),
        update("libpcre2-8-0", "10.42-150600.1.26", "10.42-150600.3.3.1"),
        update("libsqlite3-0", "3.44.0-150000.3.23.1", "3.49.1-150000.3.27.1"),
        update("libxml2-2", "2.10.3-150500.5.14.1", "2.10.3-150500.5.17.1"),
        update("libz1", "1.2.13-150500.4.3.1", "1.2.13-150500.4.6.1"),
        update("openssl-3", "3.1.4-150600.2.1", "3.1.4-150600.5.15.1").with("libopenssl3"),
    ],
    reported: ["bash", "glibc", "krb5", "libexpat1", "liblzma5", "libopenssl3", "libz1"],
    database: "/usr/lib/sysimage/rpm",
    macros: "%suse_version 1500\n%sle_version 150600\n",
    has_second_architecture: false,
    manager: Manager::Zypper,
    removed: &[],
    links: &[("/var/lib/rpm", "../../usr/lib/sysimage/rpm")],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_needs_are_updated_too() {
        for world in WORLDS {
            for update in world.updates {
                let partner = world.updates.iter().find(|one| one.package == update.exactly);
                assert_eq!(partner.is_some(), !update.exactly.is_empty(), "{}", update.package);
                assert_ne!(update.installed, update.fixed);
            }
            for reported in world.reported {
                assert!(world.updates.iter().any(|one| one.package == reported), "{reported}");
            }
        }
    }
}
