//! os-release files.

#![no_main]

use libfuzzer_sys::fuzz_target;
use suture::distro::{self, OsRelease};

fuzz_target!(|bytes: &[u8]| {
    let os_release = OsRelease::parse(bytes);
    assert!(!os_release.id().is_empty());
    if let Ok(distro) = distro::identify(&os_release) {
        let _suites = distro::base_suites(&os_release, distro);
    }
    let _date = distro::end_of_life(&os_release);
});
