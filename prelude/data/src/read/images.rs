//! Folders of pictures as tables of paths and labels.

use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::source;
use crate::error::{DataError, Result, While};

const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "gif", "bmp", "webp"];

pub(super) fn is_image(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| EXTENSIONS.contains(&e.to_string_lossy().to_lowercase().as_str()))
}

/// The pictures below a folder: `path`, `label` (the name of the folder a picture lies in; null in
/// `folder` itself), `width` and `height` in pixels. Pictures are not decoded, only their size is
/// read.
///
/// # Errors
/// When there are no pictures, or one of them is damaged: the message names it.
pub fn read_images(folder: impl AsRef<Path>) -> Result<DataFrame> {
    read_folder(folder.as_ref())
}

/// Not generic, so that the decoders of pictures are compiled here and not in the cell that calls.
#[inline(never)]
fn read_folder(folder: &Path) -> Result<DataFrame> {
    let mut files: Vec<PathBuf> = Vec::new();
    source::walk(folder, source::Hidden::Skipped, &mut files)?;
    files.retain(|file| is_image(file));
    if files.is_empty() {
        return Err(DataError::NotFound {
            path: folder.to_string_lossy().into_owned(),
            problem: "the folder holds no pictures".to_owned(),
            hint: format!("pictures end in {}", EXTENSIONS.join(", ")),
        });
    }
    let (mut paths, mut labels, mut widths, mut heights) = (vec![], vec![], vec![], vec![]);
    for file in &files {
        oxilab_runtime::cancel::poll();
        let name = file.to_string_lossy().into_owned();
        let (width, height) = image::ImageReader::open(file)
            .and_then(image::ImageReader::with_guessed_format)
            .map_err(|e| DataError::io("reading", &name, e))?
            .into_dimensions()
            .map_err(|e| DataError::read(&name, format!("not a picture that can be read: {e}")))?;
        let parent = file.parent().filter(|parent| *parent != folder);
        labels.push(
            parent.and_then(Path::file_name).map(|label| label.to_string_lossy().into_owned()),
        );
        paths.push(name);
        widths.push(width);
        heights.push(height);
    }
    df!("path" => paths, "label" => labels, "width" => widths, "height" => heights)
        .doing("listing pictures")
}
