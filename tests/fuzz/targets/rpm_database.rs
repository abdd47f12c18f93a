//! rpm's databases in all three formats, and their headers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use suture::pkgdb::rpm;
use suture::pkgdb::rpm::header::Header;

fuzz_target!(|bytes: &[u8]| {
    let mut read = 0;
    let visited = rpm::for_each_header(bytes, |header| {
        read += header.as_bytes().len();
        assert_eq!(Header::parse(header.as_bytes()).as_ref(), Ok(header));
        Ok(())
    });
    assert!(read <= bytes.len());
    if let Ok(database) = rpm::parse(bytes) {
        assert!(visited.is_ok());
        for package in database.packages() {
            let newest = database.get(&package.name, &package.architecture).expect("it is there");
            assert!(newest.version >= package.version);
        }
    }
});
