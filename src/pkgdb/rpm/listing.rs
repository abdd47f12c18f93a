//! Packages as the real rpm lists them: for databases that are not read from their bytes, and for
//! package files.

use super::{Facts, KEY, RpmDatabaseError};
use crate::package::Excerpt;
use crate::pkgdb::{Database, InstalledPackage};

/// The `--queryformat` of rpm(8) for the lines that [`parse`] reads, without the end of the line. All
/// of rpm 4 and 6 know it.
pub const FIELDS: &str = "%{NAME}\\t%{EPOCHNUM}\\t%{VERSION}\\t%{RELEASE}\\t%{ARCH}\\t%{SOURCERPM}";

/// What rpm writes for a value that a package lacks.
const NONE: &str = "(none)";

/// Reads lines in the form of [`FIELDS`]. Keys are left out.
pub fn parse(text: &str) -> Result<Database, RpmDatabaseError> {
    let packages = text.lines().filter(|line| !line.is_empty()).map(parse_line);
    let packages: Result<Vec<_>, _> = packages.collect();
    Ok(Database::new(packages?.into_iter().flatten()))
}

/// Reads the fields of one line, and leaves what follows them; nothing if it is about a key.
pub fn parse_line(line: &str) -> Result<Option<InstalledPackage>, RpmDatabaseError> {
    let malformed = || RpmDatabaseError::Line { line: Excerpt::of(line) };
    let mut fields = line.split('\t');
    let mut next = || fields.next().ok_or_else(malformed);
    let (name, epoch) = (next()?, next()?);
    if name == KEY {
        return Ok(None);
    }
    let facts = Facts {
        epoch: epoch.parse().map_err(|_| malformed())?,
        version: next()?,
        release: next()?,
        architecture: next()?,
        source: Some(next()?).filter(|source| *source != NONE),
    };
    facts.package(name.parse().map_err(RpmDatabaseError::Name)?).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let database = parse(
            "openssl\t1\t3.0.7\t27.el9\tx86_64\topenssl-3.0.7-27.el9.src.rpm\n\
             gpg-pubkey\t0\tf782ffa6\t65f5\t(none)\t(none)\n\
             made-here\t0\t1\t1\tnoarch\t(none)\n",
        );
        let seen: Vec<String> = database
            .unwrap()
            .packages()
            .iter()
            .map(|it| {
                let source = &it.source;
                format!("{}.{} {} ({})", it.name, it.architecture, it.version, source.name)
            })
            .collect();
        assert_eq!(
            seen,
            ["made-here.noarch 1-1 (made-here)", "openssl.x86_64 1:3.0.7-27.el9 (openssl)"]
        );
    }

    #[test]
    fn malformed_lines() {
        for (line, message) in [
            ("a\tb", "listing of rpm packages: not a package: `a\\tb`"),
            (
                "a\tb\t1\t1\tnoarch\t",
                "listing of rpm packages: not a package: `a\\tb\\t1\\t1\\tnoarch\\t`",
            ),
        ] {
            assert_eq!(parse(line).unwrap_err().to_string(), message);
        }
        assert!(parse("--root\t0\t1\t1\tnoarch\t(none)").is_err());
    }
}
