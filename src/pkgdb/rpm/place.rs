//! Where rpm keeps its database.

/// The folder, then the files of its formats with their paths. The second folder is the older one, elsewhere
/// a link to the first.
pub const DATABASES: [(&str, [(&str, &str); 3]); 2] = [
    (
        "/usr/lib/sysimage/rpm",
        [
            ("rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite"),
            ("Packages.db", "/usr/lib/sysimage/rpm/Packages.db"),
            ("Packages", "/usr/lib/sysimage/rpm/Packages"),
        ],
    ),
    (
        "/var/lib/rpm",
        [
            ("rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite"),
            ("Packages.db", "/var/lib/rpm/Packages.db"),
            ("Packages", "/var/lib/rpm/Packages"),
        ],
    ),
];

/// Suffix of the name of the log of a database in sqlite's format. If the log is not empty, the database's own bytes do
/// not tell everything.
pub const LOG: &str = "-wal";
