//! `cargo lab`: the offline world of the tests, for people as much as for tests.

use std::env;
use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use suture_lab::background;
use suture_lab::bench;
use suture_lab::demo;
use suture_lab::emulator;
use suture_lab::engine::{self, Engine};
use suture_lab::folder::LabFolder;
use suture_lab::frontend_image;
use suture_lab::lab_image;
use suture_lab::source_image;
use suture_lab::test_stages;

/// What `cargo lab` says when it is asked for nothing, or for something it does not know.
const USAGE: &str = "\
usage: cargo lab VERB

  demo                       patch a real image, as a user does it
  test                       run everything that must hold, ending with scenarios on the engines
  engine [--engine VERSION]  print the environment of a usable engine, starting one if needed:
                             eval \"$(cargo lab engine)\"
  image [-t NAME]            build the frontend image into the engine, by default as suture:lab
  image --from-source [-t NAME]
                             build it with the project's Dockerfile, by default as suture:source
  load [IMAGE...]            make the images that the tests patch, by default all of them
  bench [--runs N] [ROW...]  measure suture beside a Dockerfile that does the same; rows: report,
                             everything, again, nothing, alpine, almalinux, almalinux-tiny,
                             platforms, dockerfile, image, reading
  down                       stop every engine and server that the lab has started

VERSION is 28.5 or 26.1; SUTURE_LAB_ENGINE names one too. SUTURE_LAB_DIR is where the lab keeps its
state, by default suture-lab in the user's cache folder.";

/// Runs a verb; an error is told in one paragraph.
fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does what one verb says.
fn run(arguments: &[&str]) -> Result<()> {
    if let Some(done) = background::run(arguments) {
        return done;
    }
    let folder = LabFolder::locate()?;
    match arguments {
        ["demo"] => demo::run(&usable_engine(&folder, None)?),
        ["test"] => test_stages::run(|| usable_engine(&folder, None)),
        ["engine"] => print_environment(&usable_engine(&folder, None)?),
        ["engine", "--engine", version] => {
            print_environment(&usable_engine(&folder, Some(version))?)
        }
        ["image"] => {
            frontend_image::build(&usable_engine(&folder, None)?, frontend_image::DEFAULT_NAME)
        }
        ["image", "-t" | "--tag", name] => {
            frontend_image::build(&usable_engine(&folder, None)?, name)
        }
        ["image", "--from-source"] => {
            source_image::build(&usable_engine(&folder, None)?, source_image::DEFAULT_NAME)
        }
        ["image", "--from-source", "-t" | "--tag", name] => {
            source_image::build(&usable_engine(&folder, None)?, name)
        }
        ["bench", arguments @ ..] => bench::run(&folder, chosen_version().as_deref(), arguments),
        ["load", names @ ..] => {
            let engine = usable_engine(&folder, None)?;
            let all = lab_image::IMAGES.map(|(name, _)| name);
            let names = if names.is_empty() { &all } else { names };
            lab_image::ensure_all(&engine, names)
        }
        ["down"] => {
            let ran = engine::stop_all(&folder)? | emulator::remove(&folder)?;
            eprintln!("{}", if ran { "stopped" } else { "nothing was running" });
            Ok(())
        }
        [] | ["help" | "--help" | "-h"] => {
            eprintln!("{USAGE}");
            Ok(())
        }
        _ => bail!("unknown arguments: {}\n\n{USAGE}", arguments.join(" ")),
    }
}

/// A usable engine: of the version on the command line, else of the one in the environment, else
/// any.
fn usable_engine(folder: &LabFolder, version: Option<&str>) -> Result<Engine> {
    Engine::usable(folder, version.or(chosen_version().as_deref()))
}

/// The version of the lab's engine that the environment names.
fn chosen_version() -> Option<String> {
    env::var("SUTURE_LAB_ENGINE").ok().filter(|version| !version.is_empty())
}

/// Prints the engine's environment for a shell to take over.
fn print_environment(engine: &Engine) -> Result<()> {
    let mut output = stdout().lock();
    for (name, value) in engine.environment()? {
        let value = value.into_string().ok().context("a path is not UTF-8")?;
        writeln!(output, "export {name}={}", quoted(&value))?;
    }
    Ok(())
}

/// A word as a shell takes it literally.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/:._-+=,@%".contains(&byte);
    if word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_takes_words_literally() {
        assert_eq!(quoted("unix:///a/b-c.sock"), "unix:///a/b-c.sock");
        assert_eq!(quoted("a b$(c)"), "'a b$(c)'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
