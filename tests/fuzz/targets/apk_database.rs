//! apk's database and world: the first empty line parts them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use suture::pkgdb::apk::{self, Installed, World};

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let (world, database) = bytes.split_at(end);
    let world = World::parse(world).unwrap_or_default();
    if let Ok(installed) = Installed::parse(database, &world) {
        for name in &installed.pinned {
            assert_eq!(installed.database.find(name).count(), 1);
        }
    }
    let _files = apk::parse_files(database);
});
