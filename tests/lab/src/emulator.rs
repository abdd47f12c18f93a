//! Programs of another architecture: an emulator that the kernel starts for them. The kernel is the
//! machine's, so all engines on it can then run them; an emulator that somebody else has registered will do.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, mount};

use crate::debian_packages::PackageSet;
use crate::folder::LabFolder;
use crate::program;

/// Where the kernel lists what it starts for programs that are not its own.
const REGISTRATIONS: &str = "/proc/sys/fs/binfmt_misc";

/// The name of our registration there.
const NAME: &str = "suture-lab-aarch64";

/// The emulators, without libraries of their own.
const EMULATORS: PackageSet<'_> =
    PackageSet { name: "emulators", suite: "bookworm", packages: &["qemu-user-static"] };

/// The emulator below [`EMULATORS`]; by this name it knows that it gets the program's first word too.
const PROGRAM: &str = "usr/libexec/qemu-binfmt/aarch64-binfmt-P";

/// How a program of arm64 begins, as the kernel lists it: ELF, 64 bits, executable, and the architecture.
const MAGIC: &str = "7f454c460201010000000000000000000200b700";

/// What of that counts: neither the kind of system nor whether the program can be anywhere in memory.
const MASK: &str = "ffffffffffffff00fffffffffffffffffeffffff";

/// Makes sure that programs of arm64 run on this machine.
pub fn ensure(folder: &LabFolder) -> Result<()> {
    if env::consts::ARCH == "aarch64" {
        return Ok(());
    }
    let _alone = folder.lock("emulator")?;
    if !Path::new(REGISTRATIONS).join("register").exists() {
        program::require_root("an emulator")?;
        mount(c"binfmt_misc", REGISTRATIONS, c"binfmt_misc", MountFlags::empty(), None)
            .context("the kernel starts no emulators")?;
    }
    if is_registered()? {
        return Ok(());
    }
    program::require_root("an emulator")?;
    let emulator = EMULATORS.unpacked(folder)?.join(PROGRAM);
    let path = emulator.to_str().filter(|path| !path.contains(':'));
    let path = path.context("a colon in the lab folder's path: set SUTURE_LAB_DIR")?;
    match fs::write(Path::new(REGISTRATIONS).join("register"), registration(path)) {
        // Another lab was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        written => written.context("the kernel takes no emulator")?,
    }
    ensure!(is_registered()?, "the kernel has not taken the emulator: {path}");
    Ok(())
}

/// Takes our registration back, if the emulator is of this lab folder. Says whether there was one.
pub fn remove(folder: &LabFolder) -> Result<bool> {
    let ours = Path::new(REGISTRATIONS).join(NAME);
    let Ok(entry) = fs::read_to_string(&ours) else { return Ok(false) };
    if !interpreter(&entry).is_some_and(|program| Path::new(program).starts_with(folder.root())) {
        return Ok(false);
    }
    fs::write(&ours, "-1").context("cannot take the emulator back")?;
    Ok(true)
}

/// The text that registers an emulator; Documentation/admin-guide/binfmt-misc.rst of the kernel. `P` keeps
/// a program's first word, `O` its open file, and with `F` the emulator is opened here and now, so
/// that containers need not have it.
fn registration(emulator: &str) -> String {
    let escaped = |digits: &str| {
        let pairs = digits.as_bytes().chunks(2).map(String::from_utf8_lossy);
        pairs.flat_map(|pair| ["\\x".into(), pair]).collect::<String>()
    };
    format!(":{NAME}:M::{}:{}:{emulator}:POF", escaped(MAGIC), escaped(MASK))
}

/// Whether the kernel has an emulator for arm64 that works in containers, whoever registered it.
fn is_registered() -> Result<bool> {
    for entry in fs::read_dir(REGISTRATIONS).context("cannot list the kernel's emulators")? {
        // What can only be written, or has just gone, is none.
        if fs::read_to_string(entry?.path()).is_ok_and(|entry| serves_arm64(&entry)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the kernel says of an entry that it is for arm64, enabled and opened already.
fn serves_arm64(entry: &str) -> bool {
    let field = |name: &str| entry.lines().find_map(|line| line.strip_prefix(name));
    entry.lines().next() == Some("enabled")
        && field("magic ") == Some(MAGIC)
        && field("flags: ").is_some_and(|flags| flags.contains('F'))
}

/// The emulator of an entry.
fn interpreter(entry: &str) -> Option<&str> {
    entry.lines().find_map(|line| line.strip_prefix("interpreter "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a kernel 6.18 lists it.
    const ENTRY: &str = "enabled\ninterpreter /lab/aarch64-binfmt-P\nflags: POF\noffset 0\n\
                         magic 7f454c460201010000000000000000000200b700\n\
                         mask ffffffffffffff00fffffffffffffffffeffffff\n";

    #[test]
    fn an_entry_serves_containers_only_if_it_is_enabled_and_opened() {
        assert!(serves_arm64(ENTRY));
        assert_eq!(interpreter(ENTRY), Some("/lab/aarch64-binfmt-P"));
        assert!(!serves_arm64(&ENTRY.replace("enabled", "disabled")));
        assert!(!serves_arm64(&ENTRY.replace("POF", "PO")));
        assert!(!serves_arm64(&ENTRY.replace("b700", "f300")));
        assert!(!serves_arm64("enabled\n"));
    }

    #[test]
    fn a_registration_is_one_line_of_fields() {
        let text = registration("/lab/emulator");
        let fields: Vec<&str> = text.split(':').collect();
        assert_eq!(fields[1..4], [NAME, "M", ""]);
        assert!(fields[4].starts_with(r"\x7f\x45\x4c\x46\x02"));
        assert_eq!(fields[5].len(), fields[4].len());
        assert_eq!(fields[6..], ["/lab/emulator", "POF"]);
    }
}
