//! What the families of systems differ in when an image is looked at: one row each.

/// A family of systems.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// How package URLs name its packages.
    pub purl_type: &'static str,
    /// Its package database: a system that has this file is of the family.
    pub database: &'static str,
    /// Writes what the package manager knows, one fact a line behind its kind, and the paths; a tab is
    /// `$tab` where nothing else makes one.
    pub(crate) look: &'static str,
    /// What an upgrade of any package may change: the books of the package manager and the linker.
    pub books: &'static [&'static str],
    /// What an upgrade may change that brings a new package.
    pub books_of_new_packages: &'static [&'static str],
    /// Folders whose files are named after packages: those of upgraded ones may change.
    pub books_by_package: &'static [&'static str],
    /// Folders of books that any package may change, and the names in them that stay.
    pub shared_books: &'static [(&'static str, &'static [&'static str])],
    /// What no upgrade changes.
    pub kept: &'static [&'static str],
    /// What may differ from a plain upgrade, and why: a path, a folder, or a beginning and an end around a `*`.
    pub may_differ: &'static [(&'static str, &'static str)],
    /// Folders that are links to those below `usr`, whatever the lists of packages call them.
    pub merged: &'static [&'static str],
}

/// All families.
pub const FAMILIES: [&Family; 3] = [&DEBIAN, &ALPINE, &RPM];

/// Debian with dpkg and apt.
pub const DEBIAN: Family = Family {
    name: "debian",
    purl_type: "deb",
    database: "/var/lib/dpkg/status",
    look: r#"
find / -xdev ! -path /etc/hosts ! -path /etc/hostname ! -path /etc/resolv.conf ! -path /.dockerenv \
    -printf "path\t%P\t%y\t%m\t%U:%G\t%l\n"
dpkg-query -W -f "package\t\${binary:Package}\t\${Version}\t\${db:Status-Abbrev}\n"
cd /var/lib/dpkg/info
for list in *.list; do sed "s|^|list\t${list%.list}\t|" "$list"; done
dpkg --audit | sed "s/^/audit\t/"
echo marks
apt-mark showauto | sed "s/^/automatic\t/"
apt-mark showhold | sed "s/^/held\t/"
sed "s/^/release\t/" /etc/debian_version
dpkg --print-architecture | sed "s/^/architecture\t/"
"#,
    books: &[
        "etc/ld.so.cache",
        "var/cache/debconf/config.dat",
        "var/cache/debconf/templates.dat",
        "var/lib/dpkg/status",
    ],
    books_of_new_packages: &["var/lib/apt/extended_states"],
    books_by_package: &["var/lib/dpkg/info/"],
    shared_books: &[("var/lib/dpkg/triggers/", &["Lock", "Unincorp"])],
    kept: &[],
    may_differ: &[
        ("etc/*-", "backups"),
        ("var/cache/apt", "apt's cache"),
        ("var/cache/ldconfig/aux-cache", "inode numbers"),
        ("var/cache/debconf/*-old", "a backup"),
        ("var/cache/debconf/tmp.ci", "a folder for scripts, empty afterwards"),
        ("var/lib/apt/extended_states", "marks, which are compared by themselves"),
        ("var/lib/apt/lists", "apt's indexes"),
        ("var/lib/dpkg/*-old", "a backup"),
        ("var/lib/dpkg/lock*", "a lock"),
        ("var/lib/dpkg/triggers/Lock", "a lock"),
        ("var/log", "logs"),
    ],
    merged: &["bin", "lib", "lib32", "lib64", "sbin"],
};

/// Alpine with apk. Its marks are the lines of `world`: whatever that does not name was installed for
/// the sake of others, and what it names with a version is pinned.
pub const ALPINE: Family = Family {
    name: "alpine",
    purl_type: "apk",
    database: "/lib/apk/db/installed",
    look: r#"
find / -xdev ! -path /etc/hosts ! -path /etc/hostname ! -path /etc/resolv.conf ! -path /.dockerenv \
    -print0 | xargs -0 stat -c "path${tab}%n${tab}%F${tab}%a${tab}%u:%g${tab}%N" \
    | sed "s/^path\t\//path\t/"
awk -v OFS="\t" '
    { fact = substr($0, 3) }
    /^P:/ { package = fact }
    /^V:/ { print "package", package, fact, "ii " }
    /^F:/ { folder = fact; print "list", package, folder }
    /^R:/ { print "list", package, (folder == "" ? "" : folder "/") fact }
    /^f:/ { print "audit", package " is broken: " fact }
' /lib/apk/db/installed
for list in /etc/busybox-paths.d/*; do
    [ ! -e "$list" ] || sed "s|^|list\t${list##*/}\t|" "$list"
done
apk audit --system | sort | sed "s/^/audit\t/"
echo marks
apk info --quiet | sort | while read -r package; do
    grep -q "^$package\([<>=~@]\|\$\)" /etc/apk/world || printf "automatic\t%s\n" "$package"
done
grep "[<>=~]" /etc/apk/world | sed "s/^/held\t/"
sed -n "s/^VERSION_ID=/release\t/p" /etc/os-release
apk --print-arch | sed "s/^/architecture\t/"
"#,
    books: &["lib/apk/db/installed", "lib/apk/db/scripts.tar", "lib/apk/db/triggers"],
    books_of_new_packages: &[],
    books_by_package: &[],
    shared_books: &[],
    kept: &["etc/apk/world", "lib/apk/db/lock"],
    may_differ: &[
        ("etc/*-", "backups"),
        ("lib/apk/db/lock", "a lock"),
        ("lib/apk/exec", "a folder for scripts, empty afterwards"),
        ("var/cache/apk", "apk's cache"),
        ("var/log/apk.log", "a log"),
    ],
    // Only where an author has done so.
    merged: &["lib"],
};

/// What is made of rpm packages, whichever manager they have. The database is in this folder everywhere, by a link
/// where it is elsewhere.
///
/// What rpm complains about: files that differ from what packages say, but for their times, and
/// dependencies. Files that others write belong to no package here, though rpm lists them. Marks are in
/// books of the managers: those of dnf 5 and zypper are texts, that of dnf 4 is a database which only dnf
/// itself writes.
pub const RPM: Family = Family {
    name: "rpm",
    purl_type: "rpm",
    database: "/var/lib/rpm",
    look: r#"
find / -xdev ! -path /etc/hosts ! -path /etc/hostname ! -path /etc/resolv.conf ! -path /.dockerenv \
    -printf "path\t%P\t%y\t%m\t%U:%G\t%l\n"
rpm --query --all --queryformat \
    "package\t%{NAME}:%{ARCH}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\tii \n" \
    | grep -v "^package${tab}gpg-pubkey:"
rpm --query --all --queryformat \
    "[list\t%{=NAME}:%{=ARCH}\t%{FILENAMES}\t%{FILEFLAGS:fflags}\n]" \
    | awk -F "$tab" -v OFS="$tab" '$4 !~ /g/ { print $1, $2, $3 }'
rpm --verify --all --nomtime | sort | sed "s/$tab/ /g; s/^/audit\t/"
for manager in /usr/bin/dnf /usr/libexec/lab/dnf; do
    [ ! -x "$manager" ] || "$manager" -q -C repoquery --installed --qf "%{name} %{reason}\n" \
        | awk -v OFS="$tab" 'tolower($2) ~ /^(dependency|weak)/ { print "automatic", $1 }'
done
for book in /usr/lib/sysimage/libdnf5/packages.toml /var/lib/zypp/AutoInstalled; do
    [ ! -e "$book" ] || echo marks
done
[ ! -e /var/lib/zypp/AutoInstalled ] || sed "/^#/d; s/^/automatic\t/" /var/lib/zypp/AutoInstalled
for file in /etc/dnf/dnf.conf /etc/dnf/plugins/versionlock.list /etc/dnf/versionlock.toml \
    /etc/tdnf/tdnf.conf /etc/tdnf/locks.d/* /etc/yum.conf /etc/yum/pluginconf.d/* /etc/zypp/locks
do
    [ ! -e "$file" ] || sed "s|^|held\t$file: |" "$file"
done
. /etc/os-release
case "$ID" in almalinux) ID=alma ;; esac
printf "distribution\t%s\nrelease\t%s\n" "$ID" "$VERSION_ID"
rpm --eval "architecture$tab%{_arch}"
"#,
    books: &["etc/ld.so.cache", "usr/lib/sysimage/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite"],
    books_of_new_packages: &[
        "usr/lib/sysimage/libdnf5/packages.toml",
        "var/lib/zypp/AutoInstalled",
    ],
    books_by_package: &[],
    shared_books: &[],
    kept: &[],
    may_differ: &[
        ("run", "what programs leave while they run"),
        ("usr/lib/sysimage/libdnf5", "the managers' books, which have times"),
        (
            "usr/lib/sysimage/rpm",
            "rpm's database, which has times and is compared by what it lists",
        ),
        ("var/cache", "metadata, and the linker's cache of inode numbers"),
        ("var/lib/YaST2", "zypper's name for the machine"),
        ("var/lib/dnf", "the managers' books, which have times"),
        ("var/lib/rpm", "rpm's database, which has times and is compared by what it lists"),
        ("var/lib/yum", "the managers' books, which have times"),
        ("var/lib/zypp", "the managers' books, which have times"),
        ("var/log", "logs"),
    ],
    merged: &["bin", "lib", "lib32", "lib64", "sbin"],
};
