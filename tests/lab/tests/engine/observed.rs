//! Everything a user can see of an image.

use std::sync::Arc;

use anyhow::Result;
use suture_lab::started_image::{Said, System, run};
use suture_lab::stored_image::StoredImage;

use super::stage::Stage;

/// Everything a user can see of an image.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    /// As the engine stores it.
    pub(crate) stored: StoredImage,
    /// As it looks from the inside.
    pub(crate) system: Arc<System>,
    /// What it says when it is started with a command: entrypoint, environment, user, folder.
    pub(crate) started: Said,
}

impl Observed {
    /// Looks at an image from all sides.
    pub(crate) fn of(stage: &Stage, image: &str) -> Result<Self> {
        let engine = stage.engine()?;
        let stored = StoredImage::read(engine, image)?;
        let system = stage.system(image, &stored)?;
        let started = run(engine, &[image, "sh", "-c", "env; id; pwd"])?;
        Ok(Self { stored, system, started })
    }
}
