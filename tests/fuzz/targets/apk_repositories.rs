//! apk's repositories.

#![no_main]

use libfuzzer_sys::fuzz_target;
use suture::repository::apk::ApkRepositories;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = ApkRepositories::parse([("/etc/apk/repositories", bytes)])
        && let Ok(architecture) = "x86_64".parse()
    {
        assert!(read.index_addresses(&architecture).len() <= read.repositories().len());
    }
});
