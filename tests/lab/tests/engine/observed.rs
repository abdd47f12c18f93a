//! Everything a user can see of an image.

use anyhow::Result;
use suture_lab::engine::Engine;
use suture_lab::started_image::{Said, System, run};
use suture_lab::stored_image::StoredImage;

/// Everything a user can see of an image.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    /// As the engine stores it.
    pub(crate) stored: StoredImage,
    /// As it looks from the inside.
    pub(crate) system: System,
    /// What it says when it is started as it is.
    pub(crate) started: Said,
    /// What it says about itself when it is started with a command: environment, user, folder.
    pub(crate) environment: Said,
}

impl Observed {
    /// Looks at an image from all sides.
    pub(crate) fn of(engine: &Engine, image: &str) -> Result<Self> {
        Ok(Self {
            stored: StoredImage::read(engine, image)?,
            system: System::look(engine, image)?,
            started: run(engine, &[image])?,
            environment: run(engine, &[image, "sh", "-c", "env; id; pwd"])?,
        })
    }
}
