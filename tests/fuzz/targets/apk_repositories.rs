//! apk's repositories.

#![no_main]

use libfuzzer_sys::fuzz_target;
use suture::repository::apk::ApkRepositories;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = ApkRepositories::parse([("/etc/apk/repositories", bytes)])
        && let Ok(architecture) = "x86_64".parse()
    {
        let addresses = read.index_addresses(&architecture);
        assert!(addresses.is_none_or(|found| found.len() <= read.repositories().len()));
    }
});
