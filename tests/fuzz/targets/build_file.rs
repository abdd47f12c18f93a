//! Patch Dockerfiles.

#![no_main]

use libfuzzer_sys::fuzz_target;
use suture::request::build_file::{BuildFile, Values};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = BuildFile::parse(bytes) {
        for argument in &file.arguments {
            assert!(file.line_of(&argument.name) >= Some(argument.line));
        }
        let _values = file.values(&Values::new());
    }
});
