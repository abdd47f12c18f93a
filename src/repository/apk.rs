//! apk's repositories: `/etc/apk/repositories` and, from apk 3 on, `repositories.d/*.list`
//! (apk-repositories(5)).
//!
//! What is not obvious:
//!
//! * A repository's index is at `URL/ARCHITECTURE/APKINDEX.tar.gz`; apk builds that even if the URL ends with
//!   a slash, which it then leaves out.
//! * What does not begin with the scheme of a URL, in lower case, is the path of a folder.
//! * A repository with a tag is only asked for the packages that `world` wants from there.
//! * apk 3 knows types, variables and components, which apk 2 takes for parts of a path. A file that has
//!   them was written for apk 3, and is read that way here.

use std::collections::{BTreeMap, BTreeSet};
use std::str;

use crate::package::{Architecture, Excerpt};

/// Maximum number of repositories read from one image; nobody writes a configuration with more.
const REPOSITORY_LIMIT: usize = 10_000;

/// How long a line may become when its variables are filled in.
const LENGTH_LIMIT: usize = 4096;

/// The variable that stands for the architecture of the system.
const ARCHITECTURE: &str = "${APK_ARCH}";

/// All repositories of an image, in the order in which its files name them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApkRepositories {
    repositories: Vec<Repository>,
}

/// How a repository's index is found and what it is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IndexKind {
    /// `APKINDEX.tar.gz`, in the folder of the architecture.
    Version2,
    /// `Packages.adb`, in the folder of the architecture.
    Version3,
    /// The URL is that of the index itself.
    File,
}

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its URL or path, with the component if it has one.
    pub url: String,
    /// How its index is found.
    pub kind: IndexKind,
}

/// Why apk's repositories cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApkRepositoriesError {
    /// A line that is not a comment is not UTF-8.
    #[error("apk repositories `{file}`: line {line} is not text: {text}")]
    NotText {
        /// The file.
        file: String,
        /// The line.
        line: usize,
        /// The line's text.
        text: Excerpt,
    },
    /// Its variables make a line too long.
    #[error("apk repositories `{file}`: line {line} is longer than {LENGTH_LIMIT} characters")]
    TooLong {
        /// The file.
        file: String,
        /// The line.
        line: usize,
    },
    /// More than ten thousand repositories.
    #[error("apk repositories `{file}`: more than {REPOSITORY_LIMIT} repositories")]
    TooMany {
        /// The file that passes the limit.
        file: String,
    },
}

impl ApkRepositories {
    /// Reads repository files, given as path and content in apk's own order: `/etc/apk/repositories`, then
    /// the files of `/etc/apk/repositories.d` and `/lib/apk/repositories.d` by name.
    pub fn parse<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, ApkRepositoriesError> {
        let mut reader = Reader::default();
        let mut names = BTreeSet::new();
        for (file, bytes) in files {
            // A file of the second folder does not count if the first has one of that name.
            let name = file.rsplit_once("repositories.d/").map(|(_, name)| name);
            if name.is_none_or(|name| names.insert(name)) {
                reader.read(file, bytes)?;
            }
        }
        Ok(Self { repositories: reader.repositories })
    }

    /// The repositories, the tagged ones too.
    pub fn repositories(&self) -> &[Repository] {
        &self.repositories
    }

    /// Where the signed index of each repository is for a system of this architecture, sorted, each once;
    /// nothing if one cannot be asked for with a plain HTTP request.
    pub fn index_addresses(&self, architecture: &Architecture) -> Option<Vec<String>> {
        let addresses = self.repositories.iter().map(|found| found.index_address(architecture));
        let addresses: BTreeSet<String> = addresses.collect::<Option<_>>()?;
        Some(addresses.into_iter().collect())
    }
}

impl Repository {
    fn index_address(&self, architecture: &Architecture) -> Option<String> {
        let url = self.url.replace(ARCHITECTURE, architecture.as_str());
        if !is_addressable(&url) {
            return None;
        }
        let folder = url.strip_suffix('/').unwrap_or(&url);
        Some(match self.kind {
            IndexKind::Version2 => format!("{folder}/{architecture}/APKINDEX.tar.gz"),
            IndexKind::Version3 => format!("{folder}/{architecture}/Packages.adb"),
            IndexKind::File => url,
        })
    }
}

/// Whether it is not a path, and needs no other transport, no password and no variable that is set
/// nowhere.
fn is_addressable(url: &str) -> bool {
    let Some(("http" | "https", rest)) = url.split_once("://") else { return false };
    !url.contains("${") && !rest.split('/').next().unwrap_or_default().contains('@')
}

/// What follows a word that a line begins with.
fn after_word<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let rest = text.strip_prefix(word)?;
    rest.starts_with(|sign: char| sign.is_ascii_whitespace()).then(|| rest.trim_ascii_start())
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    repositories: Vec<Repository>,
    variables: BTreeMap<String, String>,
}

impl Reader {
    fn read(&mut self, file: &str, bytes: &[u8]) -> Result<(), ApkRepositoriesError> {
        for (bytes, line) in bytes.split(|byte| *byte == b'\n').zip(1_usize..) {
            let bytes = bytes.trim_ascii();
            if bytes.is_empty() || bytes.starts_with(b"#") {
                continue;
            }
            let text = str::from_utf8(bytes).map_err(|_| ApkRepositoriesError::NotText {
                file: file.to_owned(),
                line,
                text: Excerpt::of_bytes(bytes),
            })?;
            self.read_line(file, line, text)?;
        }
        Ok(())
    }

    fn read_line(
        &mut self,
        file: &str,
        line: usize,
        text: &str,
    ) -> Result<(), ApkRepositoriesError> {
        let too_long = || ApkRepositoriesError::TooLong { file: file.to_owned(), line };
        if let Some(rest) = after_word(text, "set") {
            let default = after_word(rest, "-default");
            // The value is all that follows.
            if let Some((name, value)) = default.unwrap_or(rest).split_once('=') {
                let value = self.expand(value).ok_or_else(too_long)?;
                if default.is_none() || !self.variables.contains_key(name) {
                    self.variables.insert(name.to_owned(), value);
                }
            }
            return Ok(());
        }
        let mut words = text.split_ascii_whitespace().peekable();
        let kind =
            words.next_if(|word| matches!(*word, "ndx" | "v2" | "v3")).map(|word| match word {
                "v2" => IndexKind::Version2,
                "v3" => IndexKind::Version3,
                _ => IndexKind::File,
            });
        // Its tag.
        words.next_if(|word| word.starts_with('@'));
        let Some(url) = words.next() else { return Ok(()) };
        let kind = kind.unwrap_or(if url.ends_with(".adb") || url.ends_with(".tar.gz") {
            IndexKind::File
        } else {
            IndexKind::Version2
        });
        let url = self.expand(url).ok_or_else(too_long)?;
        // A variable may be several of them.
        let components: Vec<&str> = words.collect();
        let components = self.expand(&components.join(" ")).ok_or_else(too_long)?;
        let folder = url.strip_suffix('/').unwrap_or(&url);
        let components = components.split_ascii_whitespace();
        let mut urls: Vec<String> =
            components.map(|component| format!("{folder}/{component}")).collect();
        if urls.is_empty() {
            urls.push(url);
        }
        for url in urls {
            if self.repositories.len() >= REPOSITORY_LIMIT {
                return Err(ApkRepositoriesError::TooMany { file: file.to_owned() });
            }
            self.repositories.push(Repository { url, kind });
        }
        Ok(())
    }

    /// Fills in the variables that are set; `None` if the text becomes too long.
    fn expand(&self, text: &str) -> Option<String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            expanded.push_str(before);
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            match self.variables.get(name) {
                Some(value) => expanded.push_str(value),
                // Including the architecture, which is not known yet.
                None => expanded.push_str(&format!("${{{name}}}")),
            }
            rest = after;
            if expanded.len() > LENGTH_LIMIT {
                return None;
            }
        }
        expanded.push_str(rest);
        (expanded.len() <= LENGTH_LIMIT).then_some(expanded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/etc/apk/repositories";

    fn parse(text: &str) -> ApkRepositories {
        ApkRepositories::parse([(FILE, text.as_bytes())]).unwrap()
    }

    fn addresses(text: &str) -> Option<Vec<String>> {
        parse(text).index_addresses(&"x86_64".parse().unwrap())
    }

    #[test]
    fn repositories() {
        let repositories = parse(
            "# caf\u{e9}\n\nhttps://e.org/v3.20/main\r\n  https://e.org/v3.20/community/\n\
             @edge https://e.org/edge/main\n/media/cdrom/apks",
        );
        let urls: Vec<_> = repositories.repositories().iter().map(|found| &found.url).collect();
        assert_eq!(
            urls,
            [
                "https://e.org/v3.20/main",
                "https://e.org/v3.20/community/",
                "https://e.org/edge/main",
                "/media/cdrom/apks",
            ]
        );
        assert_eq!(repositories.index_addresses(&"aarch64".parse().unwrap()), None);
        assert_eq!(
            addresses("https://e.org/b\nhttp://e.org/a/\nhttps://e.org/b\n").unwrap(),
            ["http://e.org/a/x86_64/APKINDEX.tar.gz", "https://e.org/b/x86_64/APKINDEX.tar.gz"]
        );
    }

    #[test]
    fn what_cannot_be_addressed() {
        for text in [
            "/repo",
            "repo",
            "file:///repo",
            "HTTP://e.org",
            "ftp://e.org/repo",
            "https://user:secret@e.org/repo",
            "https://${mirror}/repo",
        ] {
            assert_eq!(addresses(text), None, "{text}");
            assert_eq!(addresses(&format!("https://e.org\n{text}")), None, "{text}");
        }
        assert_eq!(addresses("@lonely\nset x\n"), Some(Vec::new()));
    }

    #[test]
    fn what_apk_3_adds() {
        let text = "set -default mirror=https://e.org/d\nset mirror=https://e.net/${APK_ARCH}\n\
                    set -default mirror=https://e.com\nv3 @t ${mirror} main community\nv2 ${mirror}/x\n\
                    ndx https://e.org/index.gz\nhttps://e.org/Packages.adb\n";
        assert_eq!(
            addresses(text).unwrap(),
            [
                "https://e.net/x86_64/community/x86_64/Packages.adb",
                "https://e.net/x86_64/main/x86_64/Packages.adb",
                "https://e.net/x86_64/x/x86_64/APKINDEX.tar.gz",
                "https://e.org/Packages.adb",
                "https://e.org/index.gz",
            ]
        );
        assert_eq!(
            addresses("set of=main community\nv3 https://e.org/d ${of}").unwrap(),
            [
                "https://e.org/d/community/x86_64/Packages.adb",
                "https://e.org/d/main/x86_64/Packages.adb",
            ]
        );
        let files: [(&str, &[u8]); 3] = [
            ("/etc/apk/repositories.d/a.list", b"https://e.org/a"),
            ("/lib/apk/repositories.d/a.list", b"https://e.org/hidden"),
            ("/lib/apk/repositories.d/b.list", b"https://e.org/b"),
        ];
        let repositories = ApkRepositories::parse(files).unwrap();
        let urls: Vec<_> = repositories.repositories().iter().map(|found| &found.url).collect();
        assert_eq!(urls, ["https://e.org/a", "https://e.org/b"]);
    }

    #[test]
    fn errors_say_where() {
        let error = |bytes: &[u8]| ApkRepositories::parse([(FILE, bytes)]).unwrap_err().to_string();
        assert_eq!(
            error(b"# \xff\nhttp://\xff"),
            "apk repositories `/etc/apk/repositories`: line 2 is not text: `http://\u{fffd}`"
        );
        let mut doubling = "set a0=xxxxxxxxxxxxxxxx\n".to_owned();
        for index in 0..64 {
            doubling.push_str(&format!("set a{}=${{a{index}}}${{a{index}}}\n", index + 1));
        }
        assert_eq!(
            error(doubling.as_bytes()),
            "apk repositories `/etc/apk/repositories`: line 10 is longer than 4096 characters"
        );
        let many = "http://e.org\n".repeat(REPOSITORY_LIMIT + 1);
        assert_eq!(
            error(many.as_bytes()),
            "apk repositories `/etc/apk/repositories`: more than 10000 repositories"
        );
    }
}
