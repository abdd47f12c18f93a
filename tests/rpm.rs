//! rpm's versions and databases against what the real rpm says, and against damage.
//!
//! With `UPDATE=1`, on a machine that has `rpm`, `rpmbuild`, `gpg` and `db5.3_load`, the files in
//! `tests/data/rpm` and the table of versions are made anew: packages of our own are built, installed into a
//! database without their files, and listed by rpm.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod rpm_database;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use proptest::collection::vec;
use proptest::prelude::*;

use suture::pkgdb::Database;
use suture::pkgdb::rpm::header::{Header, Tag};
use suture::pkgdb::rpm::{self, Format, RpmDatabaseError};
use suture::version::rpm::RpmVersion;
use suture::version::{Scheme, Version};

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Whether the recorded files are to be made anew, and can be.
fn is_update() -> bool {
    env::var_os("UPDATE").is_some() && Command::new("rpmbuild").arg("--version").output().is_ok()
}

/// What a command writes; it must succeed.
fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("the command can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    output.stdout
}

/// Versions: the order of rpm's `rpm.vercmp`, which compares epoch, version and release.
mod versions {
    use super::*;

    /// As many as make the table say something about every rule.
    const PAIRS: usize = 4000;

    /// A small generator of numbers (Knuth's MMIX constants): the same sequence everywhere and for ever.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from((self.0 >> 33) % limit as u64).unwrap_or_default()
        }

        fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
            choices[self.below(choices.len())]
        }
    }

    const PIECES: &[&str] = &[
        "0",
        "1",
        "9",
        "10",
        "00",
        "01",
        "100",
        "2026",
        "a",
        "b",
        "z",
        "A",
        "Z",
        "rc",
        "beta",
        "git",
        "el9",
        "fc43",
        ".",
        ".",
        ".",
        "_",
        "+",
        "~",
        "~~",
        "^",
        "^",
        "-",
        "^20260101git",
        "~rc1",
        ".el9_4",
        "bp150.",
    ];

    /// What rpmbuild would not take.
    const ODD_PIECES: &[&str] = &["/", ":", "!", "=", "@", "--", "-.", "^~", "~^", "%", "{", "a:"];

    const EPOCHS: &[&str] =
        &["0:", "1:", "2:", "00:", "01:", "10:", ":", "a:", "-1:", "4294967295:"];

    fn made_version(numbers: &mut Numbers) -> String {
        let mut version = String::new();
        if numbers.below(8) == 0 {
            version.push_str(numbers.one_of(EPOCHS));
        }
        if numbers.below(12) != 0 {
            version.push_str(numbers.one_of(&["0", "1", "2", "10", "007"]));
        }
        for _ in 0..numbers.below(5) {
            let pieces = if numbers.below(30) == 0 { ODD_PIECES } else { PIECES };
            version.push_str(numbers.one_of(pieces));
        }
        if numbers.below(2) == 0 {
            version.push('-');
            for _ in 0..=numbers.below(3) {
                version.push_str(
                    numbers.one_of(&["0", "1", "2", "10", "01", ".1", ".el9", "_4", "~bpo", "^2"]),
                );
            }
        }
        version
    }

    /// Another version that differs from `version` in little.
    fn changed_version(version: &str, numbers: &mut Numbers) -> String {
        let characters: Vec<char> = version.chars().collect();
        let (before, after) = characters.split_at(numbers.below(characters.len() + 1));
        let skipped = numbers.below(2);
        let inserted = if numbers.below(3) == 0 { "" } else { numbers.one_of(PIECES) };
        before
            .iter()
            .copied()
            .chain(inserted.chars())
            .chain(after.iter().skip(skipped).copied())
            .collect()
    }

    /// Pairs of versions that we take as recorded; rpm compares anything but an empty text.
    fn made_pairs() -> Vec<(String, String)> {
        let mut numbers = Numbers(20_261_121);
        let mut pairs = BTreeSet::new();
        while pairs.len() < PAIRS {
            let left = made_version(&mut numbers);
            let right = if numbers.below(3) == 0 {
                made_version(&mut numbers)
            } else {
                changed_version(&left, &mut numbers)
            };
            if [&left, &right].iter().all(|text| RpmVersion::parse_recorded(text).is_ok()) {
                pairs.insert((left, right));
            }
        }
        pairs.into_iter().collect()
    }

    fn table(pairs: &[(String, String)], orders: impl Iterator<Item = &'static str>) -> String {
        let mut text = String::new();
        for ((left, right), order) in pairs.iter().zip(orders) {
            writeln!(text, "{left}\t{order}\t{right}").expect("a string takes everything");
        }
        text
    }

    fn rpm_orders(pairs: &[(String, String)]) -> Vec<&'static str> {
        let mut orders = Vec::new();
        for pairs in pairs.chunks(200) {
            // rpm expands macros before Lua sees the text, so every character is written as its number.
            let quoted = |text: &str| {
                let codes: Vec<_> = text.bytes().map(|byte| format!("\\{byte:03}")).collect();
                let codes = codes.concat();
                format!("\"{codes}\"")
            };
            let calls: Vec<String> = pairs
                .iter()
                .map(|(left, right)| {
                    format!("print(rpm.vercmp({}, {}), \" \")", quoted(left), quoted(right))
                })
                .collect();
            let script = format!("%{{lua: {}}}", calls.join(" "));
            let answer = output(Command::new("rpm").args(["--eval", &script]));
            let answer = String::from_utf8(answer).expect("numbers");
            orders.extend(answer.split_whitespace().map(|number| match number {
                "-1" => "<",
                "0" => "=",
                _ => ">",
            }));
        }
        assert_eq!(orders.len(), pairs.len());
        orders
    }

    #[test]
    fn as_rpm() {
        let path = data("versions/rpm.tsv");
        let pairs = made_pairs();
        if is_update() {
            let recorded = table(&pairs, rpm_orders(&pairs).into_iter());
            fs::write(&path, recorded).expect("the table can be written");
        }
        let recorded = fs::read_to_string(&path).expect("the table can be read");
        let read = |text| RpmVersion::parse_recorded(text).expect("as it was made");
        let ours = table(
            &pairs,
            pairs.iter().map(|(left, right)| match read(left).cmp(&read(right)) {
                Ordering::Less => "<",
                Ordering::Equal => "=",
                Ordering::Greater => ">",
            }),
        );
        let both = recorded.lines().zip(ours.lines());
        let differences: Vec<_> = both.filter(|(theirs, ours)| theirs != ours).take(20).collect();
        assert!(differences.is_empty(), "(rpm, suture): {differences:#?}");
        assert_eq!(recorded.lines().count(), ours.lines().count());
    }

    /// Versions close to each other, where the rules meet.
    fn close_version() -> impl Strategy<Value = RpmVersion> {
        "(0:|1:)?[01a][01a.~^]{0,4}(-[01a~^]{1,2})?"
            .prop_map(|text| RpmVersion::parse(&text).expect("a version"))
    }

    proptest! {
        #[test]
        fn the_order_is_an_order(left in close_version(), middle in close_version(), right in close_version()) {
            prop_assert_eq!(left.cmp(&middle), middle.cmp(&left).reverse());
            prop_assert_eq!(left == middle, left.cmp(&middle).is_eq());
            if left <= middle && middle <= right {
                prop_assert!(left <= right);
            }
            if left == middle {
                prop_assert_eq!(left.cmp(&right), middle.cmp(&right));
            }
        }

        #[test]
        fn shown_as_given(version in close_version()) {
            let text = version.to_string();
            let again = Version::parse(Scheme::Rpm, &text).expect("valid");
            prop_assert_eq!(again.as_str(), &text);
            let release = version.release().map(|release| format!("-{release}")).unwrap_or_default();
            let end = [version.version(), &release].concat();
            prop_assert!(text.ends_with(&end));
        }

        #[test]
        fn a_tilde_is_older_and_a_caret_newer(version in "[0-9][0-9a-z.]{0,6}", suffix in "[0-9a-z]{1,3}") {
            let read = |text: String| RpmVersion::parse(&text).expect("a version");
            let (older, newer) = (format!("{version}~{suffix}"), format!("{version}^{suffix}"));
            let (older, newer, plain) = (read(older), read(newer), read(version.clone()));
            prop_assert!(older < plain && plain < newer);
            let newest = read(format!("{version}.{suffix}"));
            prop_assert!(newer < newest);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _unused = RpmVersion::parse(&text);
            let _unused = RpmVersion::parse_recorded(&text);
        }
    }
}

/// Databases: the same packages in all three formats.
mod databases {
    use super::rpm_database::{header, ndb};
    use super::*;

    const SQLITE: &str = "rpm/rpmdb.sqlite";
    const BDB: &str = "rpm/Packages";
    const BDB_BIG_ENDIAN: &str = "rpm/Packages-big-endian";
    const TABLE: &str = "rpm/packages.tsv";

    /// The columns of the table; of a package without a value, rpm writes `(none)`.
    const COLUMNS: &str =
        "%{NAME}\\t%{EPOCHNUM}\\t%{VERSION}\\t%{RELEASE}\\t%{ARCH}\\t%{SOURCERPM}\\n";

    /// Name, epoch, version, release, architecture, number of files, and what else is in the spec.
    const PACKAGES: &[(&str, u32, &str, &str, &str, usize, &str)] = &[
        (
            "openssl",
            1,
            "3.0.7",
            "27.el9",
            "x86_64",
            2,
            "%package libs\nSummary: x\n%description libs\nx\n%files libs",
        ),
        ("kernel-core", 0, "5.14.0", "427.9.1.el9_4", "x86_64", 30, "Vendor: Lab"),
        ("kernel-core", 0, "5.14.0", "427.13.1.el9_4", "x86_64", 1, "Vendor: Lab"),
        ("glibc", 0, "2.34", "100.el9", "x86_64", 150, ""),
        ("glibc", 0, "2.34", "100.el9", "i686", 3, ""),
        ("tzdata", 0, "2024a", "1.el9", "noarch", 1, "BuildArch: noarch"),
        (
            "nodejs",
            1,
            "20.12.2~rc1",
            "2.module+el9",
            "x86_64",
            1,
            "ModularityLabel: nodejs:20:9040020240507:rhel9",
        ),
        ("python3.11-pip_a+b", 0, "22.3^20240101git0", "5.el9", "noarch", 1, "BuildArch: noarch"),
        ("removed", 0, "1", "1", "x86_64", 40, ""),
    ];

    /// Builds the packages and makes the database files and the table of them.
    fn record() {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rpm-oracle");
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("the folder can be removed");
        }
        fs::create_dir_all(&folder).expect("the folder can be made");
        let define = |name: &str, value: &Path| format!("{name} {}", value.display());
        for (number, (name, epoch, version, release, architecture, files, more)) in
            PACKAGES.iter().enumerate()
        {
            let (tags, sections) = if more.starts_with('%') { ("", *more) } else { (*more, "") };
            let spec = format!(
                "Name: {name}\n{}Version: {version}\nRelease: {release}\nSummary: x\nLicense: MIT\n{tags}\n\
                 %description\nx\n%install\nmkdir -p %{{buildroot}}/opt/{name}\n\
                 for i in $(seq {files}); do touch %{{buildroot}}/opt/{name}/$i; done\n\
                 %files\n/opt/{name}\n{sections}\n",
                if *epoch == 0 { String::new() } else { format!("Epoch: {epoch}\n") },
            );
            let path = folder.join(format!("{number}.spec"));
            fs::write(&path, spec).expect("the spec can be written");
            output(
                Command::new("rpmbuild")
                    .args(["-bb", "--quiet", "--target", architecture, "--define"])
                    .arg(define("_topdir", &folder))
                    .args([
                        "--define",
                        "_buildhost localhost",
                        "--define",
                        "_builddir /",
                        "--define",
                    ])
                    .arg(define("_rpmdir", &folder.join(number.to_string())))
                    .arg(&path),
            );
        }
        let database = folder.join("database");
        let rpm = |arguments: &[&str]| {
            let mut command = Command::new("rpm");
            output(command.arg("--dbpath").arg(&database).args(arguments))
        };
        rpm(&["--import", &make_key(&folder)]);
        for number in 0..PACKAGES.len() {
            let listing = Command::new("find")
                .arg(folder.join(number.to_string()))
                .args(["-name", "*.rpm"])
                .output()
                .expect("find runs");
            let listing = String::from_utf8(listing.stdout).expect("paths");
            let install = ["-i", "--justdb", "--nodeps", "--nosignature", "--ignorearch"];
            rpm(&[&install[..], &listing.lines().collect::<Vec<_>>()].concat());
        }
        rpm(&["-e", "--justdb", "removed"]);
        let table = sorted(&rpm(&["-qa", "--qf", COLUMNS]));
        fs::copy(database.join("rpmdb.sqlite"), data(SQLITE)).expect("the database can be copied");
        fs::write(data(TABLE), &table).expect("the table can be written");

        let headers = stored(&fs::read(data(SQLITE)).expect("it was just written"));
        for (file, order, page_size) in [(BDB, 1234, 4096), (BDB_BIG_ENDIAN, 4321, 16384)] {
            let folder = folder.join(order.to_string());
            fs::create_dir_all(&folder).expect("the folder can be made");
            let dump = folder.join("dump");
            fs::write(&dump, bdb_dump(&headers, order, page_size)).expect("it can be written");
            output(Command::new("db5.3_load").arg("-f").arg(dump).arg(folder.join("Packages")));
            let mut rpm = Command::new("rpm");
            rpm.arg("--dbpath").arg(&folder).args(["--define", "_db_backend bdb_ro"]);
            let theirs = output(rpm.args(["-qa", "--qf", COLUMNS]));
            assert_eq!(sorted(&theirs), table, "rpm reads the same in {file}");
            fs::copy(folder.join("Packages"), data(file)).expect("the database can be copied");
        }
    }

    /// A key for rpm to trust: an entry of the database that is not a package.
    fn make_key(folder: &Path) -> String {
        let home = folder.join("gpg");
        fs::create_dir_all(&home).expect("the folder can be made");
        let gpg = |arguments: &[&str]| {
            let mut command = Command::new("gpg");
            output(command.arg("--homedir").arg(&home).args(["--batch", "--quiet"]).args(arguments))
        };
        gpg(&["--passphrase", "", "--quick-generate-key", "lab@example.org", "rsa2048", "sign"]);
        let path = folder.join("key.asc");
        fs::write(&path, gpg(&["--armor", "--export"])).expect("the key can be written");
        path.display().to_string()
    }

    /// What `db5.3_load` makes a hash of: numbered headers, and under 0 the highest number.
    fn bdb_dump(headers: &[Vec<u8>], order: u32, page_size: usize) -> String {
        let number = |value: usize| {
            let value = u32::try_from(value).expect("few");
            if order == 1234 { value.to_le_bytes() } else { value.to_be_bytes() }
        };
        let mut text = format!(
            "VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize={page_size}\ndb_lorder={order}\nHEADER=END\n"
        );
        let mut line = |bytes: &[u8]| {
            text.push(' ');
            text.extend(bytes.iter().map(|byte| format!("{byte:02x}")));
            text.push('\n');
        };
        line(&number(0));
        line(&number(headers.len()));
        for (index, header) in headers.iter().enumerate() {
            line(&number(index + 1));
            line(header);
        }
        text.push_str("DATA=END\n");
        text
    }

    fn stored(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut headers = Vec::new();
        let visit = |header: &Header<'_>| {
            headers.push(header.as_bytes().to_vec());
            Ok(())
        };
        rpm::for_each_header(bytes, visit).expect("a sound database");
        headers
    }

    fn sorted(table: &[u8]) -> String {
        let table = String::from_utf8_lossy(table);
        let lines: BTreeSet<&str> = table.split_inclusive('\n').collect();
        lines.into_iter().collect()
    }

    /// The table, as we read the headers.
    fn our_table(bytes: &[u8]) -> String {
        let mut table = String::new();
        let visit = |header: &Header<'_>| {
            let text = |tag| Ok::<_, RpmDatabaseError>(header.text(tag)?.unwrap_or("(none)"));
            let epoch = header.number(Tag::Epoch)?.unwrap_or(0);
            writeln!(
                table,
                "{}\t{epoch}\t{}\t{}\t{}\t{}",
                text(Tag::Name)?,
                text(Tag::Version)?,
                text(Tag::Release)?,
                text(Tag::Architecture)?,
                text(Tag::SourceRpm)?,
            )
            .expect("a string takes everything");
            Ok(())
        };
        rpm::for_each_header(bytes, visit).expect("a sound database");
        sorted(table.as_bytes())
    }

    /// The table as a database has it.
    fn rows(database: &Database) -> BTreeSet<String> {
        let packages = database.packages().iter().map(|package| {
            let (Version::Rpm(version), Version::Rpm(source)) =
                (&package.version, &package.source.version)
            else {
                panic!("versions of {} are not rpm's", package.name);
            };
            assert_eq!(version.epoch(), source.epoch());
            format!(
                "{}\t{}\t{}\t{}\t{}\t{}-{}-{}.src.rpm",
                package.name,
                version.epoch(),
                version.version(),
                version.release().unwrap_or_default(),
                package.architecture,
                package.source.name,
                source.version(),
                source.release().unwrap_or_default(),
            )
        });
        packages.collect()
    }

    /// All files, by format; `record` runs at most once.
    fn files() -> [(Format, Vec<u8>); 4] {
        static RECORDED: std::sync::Once = std::sync::Once::new();
        RECORDED.call_once(|| {
            if is_update() {
                record();
            }
        });
        let read = |name| fs::read(data(name)).expect("the database can be read");
        let sqlite = read(SQLITE);
        let ndb = ndb(&stored(&sqlite));
        [
            (Format::Sqlite, sqlite),
            (Format::Bdb, read(BDB)),
            (Format::Bdb, read(BDB_BIG_ENDIAN)),
            (Format::Ndb, ndb),
        ]
    }

    #[test]
    fn as_rpm_lists_them() {
        for (format, bytes) in files() {
            let table = fs::read_to_string(data(TABLE)).expect("the table can be read");
            assert_eq!(Format::of(&bytes), Some(format));
            assert_eq!(our_table(&bytes), table, "{format}");
            let packages = table.lines().filter(|line| !line.starts_with("gpg-pubkey\t"));
            let expected: BTreeSet<_> = packages.map(ToOwned::to_owned).collect();
            assert_eq!(rows(&rpm::parse(&bytes).expect("a sound database")), expected, "{format}");
            assert_eq!(expected.len(), 9);
        }
    }

    #[test]
    fn several_of_a_name() {
        let [(_, bytes), ..] = files();
        let database = rpm::parse(&bytes).expect("a sound database");
        let found = |name: &str| -> Vec<_> {
            let name = name.parse().expect("a name");
            let packages = database.find(&name);
            packages.map(|found| format!("{}.{}", found.version, found.architecture)).collect()
        };
        assert_eq!(
            found("kernel-core"),
            ["5.14.0-427.9.1.el9_4.x86_64", "5.14.0-427.13.1.el9_4.x86_64"]
        );
        assert_eq!(found("glibc"), ["2.34-100.el9.i686", "2.34-100.el9.x86_64"]);
        assert_eq!(found("gpg-pubkey"), [""; 0]);
        let (name, architecture) = ("kernel-core".parse(), "x86_64".parse());
        let newest = database.get(&name.expect("a name"), &architecture.expect("an architecture"));
        assert_eq!(newest.expect("it is there").version.as_str(), "5.14.0-427.13.1.el9_4");
    }

    #[test]
    fn errors_say_what() {
        let [(_, sqlite), (_, bdb), (_, bdb_big), (_, ndb)] = files();
        let with = |bytes: &[u8], offset: usize, change: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes[offset..offset + change.len()].copy_from_slice(change);
            bytes
        };
        // The pages that sqlite has left hold the table's name too.
        let names = 0..sqlite.len() - 13;
        let other = names.fold(sqlite.clone(), |bytes, start| {
            let is_name = bytes[start..].starts_with(b"tablePackages");
            if is_name { with(&bytes, start, b"tablePackagez") } else { bytes }
        });
        for (bytes, message) in [
            (Vec::new(), "not an rpm database: it begins with ``"),
            (b"Package: a".to_vec(), "not an rpm database: it begins with `Package: a`"),
            (sqlite[..50].to_vec(), "rpm database (sqlite): the file has only 50 bytes"),
            (
                with(&sqlite, 16, &[0, 3]),
                "rpm database (sqlite): impossible page size: 3, of which 0 reserved",
            ),
            (with(&sqlite, 100, &[10]), "rpm database (sqlite): page 1 has the unexpected type 10"),
            (other, "rpm database (sqlite): there is no table `Packages`"),
            (with(&bdb, 20, &[1, 0, 0, 0]), "rpm database (bdb): impossible page size: 1"),
            (with(&bdb, 24, &[1]), "rpm database (bdb): it is encrypted"),
            (
                bdb[..4096].to_vec(),
                "rpm database (bdb): page 1 is missing: the file has 4096 bytes",
            ),
            (
                with(&bdb_big, 16384 + 25, &[5]),
                "rpm database (bdb): page 1 has the unexpected type 5",
            ),
            (with(&ndb, 4, &[1]), "rpm database (ndb): unknown version 1"),
            (
                ndb[..4095].to_vec(),
                "rpm database (ndb): the file has 4095 bytes, too few for 1 pages of slots",
            ),
            (with(&ndb, 32, b"slot"), "rpm database (ndb): slot 2 is damaged"),
            (
                with(&ndb, 4096, b"x"),
                "rpm database (ndb): slot 2 refers to no package at block 256",
            ),
        ] {
            assert_eq!(rpm::parse(&bytes).expect_err(message).to_string(), message);
        }
        let cut = rpm::parse(&sqlite[..4096]).expect_err("pages are missing").to_string();
        assert!(cut.ends_with(" is missing: the file has 4096 bytes"), "{cut}");
    }

    /// A slot of an ndb database may name a package that another one names.
    #[test]
    fn packages_may_not_overlap() {
        let headers = stored(&files()[0].1);
        let one = ndb(&headers[..1]);
        let mut many = one.clone();
        for slot in 3..256 {
            many.copy_within(32..48, slot * 16);
        }
        let error = rpm::parse(&many).expect_err("they overlap").to_string();
        let length = one.len();
        assert_eq!(
            error,
            format!(
                "rpm database (ndb): its packages overlap: they have more bytes than the file, {length}"
            )
        );
    }

    #[test]
    fn packages_that_are_none() {
        let sound = [(1000, "a"), (1001, "1"), (1002, "2"), (1022, "x86_64")];
        let with = |tag: u32, text: &'static str| {
            let tags = sound.map(|pair| if pair.0 == tag { (tag, text) } else { pair });
            header(&tags)
        };
        let without = |tag: u32| {
            let tags: Vec<_> = sound.into_iter().filter(|(other, _)| *other != tag).collect();
            header(&tags)
        };
        for (bytes, message) in [
            (without(1000), "rpm database: a package has no NAME"),
            (without(1002), "rpm database: package `a` has no RELEASE"),
            (without(1022), "rpm database: package `a` has no ARCH"),
            (
                with(1000, "-e"),
                "rpm database: package name does not begin with a letter or a digit: `-e`",
            ),
            (
                with(1001, "1 2"),
                "rpm database: package `a`: version has an invalid character ' ': `1 2-2`",
            ),
            (
                with(1022, "$x"),
                "rpm database: package `a`: architecture does not begin with a letter or a digit: `$x`",
            ),
            (vec![0; 7], "rpm database: package header has only 7 bytes"),
        ] {
            assert_eq!(rpm::parse(&ndb(&[bytes])).expect_err(message).to_string(), message);
        }
        assert_eq!(rpm::parse(&ndb(&[header(&[(1000, "gpg-pubkey")])])), Ok(Database::default()));
        assert_eq!(rpm::parse(&ndb(&[])), Ok(Database::default()));
    }

    #[test]
    fn sources() {
        for (file, name, version) in [
            ("glibc-2.34-1.src.rpm", "glibc", "2.34-1"),
            ("python-pip-22-1.nosrc.rpm", "python-pip", "22-1"),
            ("(none)", "a", "1-2"),
            ("-1-2.src.rpm", "a", "1-2"),
            ("glibc-1.src.rpm", "a", "1-2"),
        ] {
            let tags = [(1000, "a"), (1001, "1"), (1002, "2"), (1022, "noarch"), (1044, file)];
            let database = rpm::parse(&ndb(&[header(&tags)])).expect("a sound database");
            let source = &database.packages()[0].source;
            assert_eq!((source.name.as_str(), source.version.as_str()), (name, version), "{file}");
        }
    }

    /// A database with bytes changed here and there, and perhaps cut.
    fn damaged() -> impl Strategy<Value = Vec<u8>> {
        let files = files();
        let change =
            (any::<prop::sample::Index>(), prop_oneof![Just(0_u8), Just(0xff), any::<u8>()]);
        // Half of the changes are made where pages describe themselves.
        let place = (any::<prop::sample::Index>(), 0..64_usize, any::<bool>());
        (
            0..files.len(),
            vec((place, change), 1..12),
            proptest::option::of(any::<prop::sample::Index>()),
        )
            .prop_map(move |(file, changes, end)| {
                let mut bytes = files[file].1.clone();
                for ((page, within, is_head), (anywhere, value)) in changes {
                    let head = page.index(bytes.len() / 4096) * 4096 + within;
                    let position = if is_head { head } else { anywhere.index(bytes.len()) };
                    bytes[position] = value;
                }
                bytes.truncate(end.map_or(bytes.len(), |end| end.index(bytes.len())));
                bytes
            })
    }

    proptest! {
        #[test]
        fn damage_does_not_panic(bytes in damaged()) {
            let mut read = 0;
            let visited = rpm::for_each_header(&bytes, |header| {
                read += header.as_bytes().len();
                Ok(())
            });
            prop_assert!(read <= bytes.len());
            if let Ok(database) = rpm::parse(&bytes) {
                prop_assert!(visited.is_ok());
                prop_assert!(database.packages().len() <= bytes.len() / 64);
            }
        }

        #[test]
        fn no_bytes_panic(
            start in proptest::sample::select(vec![&b"SQLite format 3\0"[..], b"RpmP", b"0123456789ab\x61\x15\x06\0"]),
            bytes in vec(any::<u8>(), 0..2000),
        ) {
            let _unused = rpm::parse(&bytes);
            let _unused = rpm::parse(&[start, &bytes].concat());
            let _unused = Header::parse(&bytes);
        }

        #[test]
        fn ndb_holds_what_was_written(headers in vec(vec((1000..1050_u32, "[a-z]{0,3}"), 0..3), 0..140)) {
            let headers: Vec<Vec<u8>> = headers
                .iter()
                .map(|tags| header(&tags.iter().map(|(tag, text)| (*tag, text.as_str())).collect::<Vec<_>>()))
                .collect();
            prop_assert_eq!(stored(&ndb(&headers)), headers);
        }
    }
}
