//! Image references: both forms are read back as the same reference.

#![no_main]

use libfuzzer_sys::fuzz_target;
use suture::reference::ImageReference;

fuzz_target!(|text: &str| {
    let Ok(reference) = text.parse::<ImageReference>() else { return };
    assert_eq!(reference.canonical().parse(), Ok(reference.clone()));
    assert_eq!(reference.familiar().parse(), Ok(reference));
});
