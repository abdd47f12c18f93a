//! dpkg's database and apt's marks.

#![no_main]

use libfuzzer_sys::fuzz_target;
use suture::pkgdb::{dpkg, extended_states};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(database) = dpkg::parse_status(bytes) {
        for package in database.packages() {
            assert_eq!(database.get(&package.name, &package.architecture), Some(package));
        }
        let _native = dpkg::native_architecture(&database);
    }
    let _architectures = dpkg::parse_foreign_architectures(bytes);
    let marked = extended_states::parse(bytes);
    assert_eq!(extended_states::merge(bytes, marked), bytes);
});
