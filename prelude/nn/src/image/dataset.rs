//! [`ImageDataset`]: pictures with their classes.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use polars::prelude::{DataFrame, DataType};
use rand::{SeedableRng as _, rngs::StdRng};
use rayon::prelude::*;

use super::pixels::Pixels;
use super::transform::Transform;
use crate::check;
use crate::error::{NnError, Result};
use crate::loader::{Batch, Dataset, frame_to_tensor};

#[derive(Clone, Debug)]
enum Source {
    Files(Vec<PathBuf>),
    Held(Vec<Pixels>),
}

/// Pictures and classes for a [`DataLoader`](crate::DataLoader): batches are
/// `(rows, channels, height, width)` with `u32` classes. Pictures of files are read when their batch is
/// made, on all threads.
///
/// ```no_run
/// use oxilab_nn::image::{ImageDataset, Transform};
/// // flowers/rose/1.jpg, flowers/tulip/1.jpg, …
/// let flowers = ImageDataset::from_folder("flowers")?
///     .with_transforms(Transform::imagenet(224))
///     .with_augmentation([Transform::HorizontalFlip, Transform::Rotate(15.0)]);
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageDataset {
    source: Source,
    labels: Vec<u32>,
    classes: Vec<String>,
    before: Vec<Transform>,
    after: Vec<Transform>,
    seed: u64,
}

impl ImageDataset {
    /// All pictures of a folder that has one folder for each class, in the order of their names.
    ///
    /// # Errors
    /// When the folder cannot be read or holds no pictures in folders.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self> {
        const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "gif", "bmp", "webp"];
        let folder = folder.as_ref();
        let (mut files, mut labels, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        for class in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
            let name = class.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let pictures = entries(&class)?.into_iter().filter(|path| {
                let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
                ENDINGS.contains(&ending.as_str())
            });
            let before = files.len();
            files.extend(pictures);
            let number = u32::try_from(classes.len()).unwrap_or(u32::MAX);
            labels.resize(files.len(), number);
            if files.len() > before {
                classes.push(name);
            }
        }
        if files.is_empty() {
            return Err(NnError::Image {
                path: folder.to_owned(),
                reason: "it holds no folders with PNG, JPEG, GIF, BMP or WebP files; each class \
                         wants a folder of its own"
                    .to_owned(),
            });
        }
        Ok(Self::new(Source::Files(files), labels, classes))
    }

    /// Pictures whose files stand in the column `path`, with the classes of the column `label`.
    ///
    /// # Errors
    /// When a column is missing or has missing values.
    pub fn from_frame(df: &DataFrame, path: &str, label: &str) -> Result<Self> {
        let files = texts(df, path)?.into_iter().map(PathBuf::from).collect();
        let (labels, classes) = classes_of(&texts(df, label)?);
        Ok(Self::new(Source::Files(files), labels, classes))
    }

    /// Grey pictures whose pixels stand in columns of numbers, row after row, with the classes of the
    /// column `label`; values are divided by `max`, for example 255.
    ///
    /// # Errors
    /// When there are not `height · width` columns of numbers.
    #[expect(clippy::cast_possible_truncation, reason = "pixel values are f32")]
    pub fn from_pixels(
        df: &DataFrame,
        pixels: &[&str],
        label: &str,
        (height, width): (usize, usize),
        max: f64,
    ) -> Result<Self> {
        if pixels.len() != height * width {
            return Err(NnError::Setting {
                setting: "the number of pixel columns",
                value: pixels.len().to_string(),
                expected: "it must be height · width",
            });
        }
        check::positive("the largest pixel value", max)?;
        let rows = frame_to_tensor(df, pixels)?.to_vec2::<f32>()?;
        let scaled = |row: Vec<f32>| row.into_iter().map(|value| value / max as f32).collect();
        let pictures = rows
            .into_iter()
            .map(|row| Pixels { channels: 1, height, width, data: scaled(row) })
            .collect();
        let (labels, classes) = classes_of(&texts(df, label)?);
        Ok(Self::new(Source::Held(pictures), labels, classes))
    }

    fn new(source: Source, labels: Vec<u32>, classes: Vec<String>) -> Self {
        Self { source, labels, classes, before: Vec::new(), after: Vec::new(), seed: 0 }
    }

    /// What is done to every picture, in this order, behind the augmentation.
    #[must_use]
    pub fn with_transforms(mut self, steps: impl IntoIterator<Item = Transform>) -> Self {
        self.after = steps.into_iter().collect();
        self
    }

    /// What is done at random to pictures of training batches, before everything else.
    #[must_use]
    pub fn with_augmentation(mut self, steps: impl IntoIterator<Item = Transform>) -> Self {
        self.before = steps.into_iter().collect();
        self
    }

    /// The seed of the augmentation.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The classes, in the order of their numbers.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Numbers the classes as another data set does, for example the one trained on.
    ///
    /// # Errors
    /// When this one has a class that the other has not.
    pub fn with_classes(mut self, classes: &[String]) -> Result<Self> {
        let numbers = self
            .classes
            .iter()
            .map(|class| {
                let number = classes.iter().position(|other| other == class);
                number.and_then(|number| u32::try_from(number).ok()).ok_or_else(|| {
                    NnError::Column {
                        column: "label".to_owned(),
                        reason: format!("class {class:?} is none of {classes:?}"),
                    }
                })
            })
            .collect::<Result<Vec<u32>>>()?;
        self.labels.iter_mut().for_each(|label| *label = numbers[*label as usize]);
        self.classes = classes.to_vec();
        Ok(self)
    }

    /// The class of each row.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// A picture as the net sees it in an epoch, or as in evaluation for `None`.
    ///
    /// # Errors
    /// When there is no such row or its file cannot be read.
    pub fn picture(&self, row: usize, epoch: Option<usize>) -> Result<Pixels> {
        let missing = || NnError::Row { row, rows: self.labels.len() };
        let mut picture = match &self.source {
            Source::Files(files) => Pixels::open(files.get(row).ok_or_else(missing)?)?,
            Source::Held(pictures) => pictures.get(row).ok_or_else(missing)?.clone(),
        };
        let place = (epoch.unwrap_or(0) as u64) << 32 | row as u64;
        let seed = self.seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        let mut rng = StdRng::seed_from_u64(seed);
        for step in self.before.iter().chain(&self.after) {
            if epoch.is_some() || !step.is_random() {
                picture = step.apply(picture, &mut rng);
            }
        }
        Ok(picture)
    }
}

impl Dataset for ImageDataset {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn batch(&self, rows: &[usize]) -> Result<Batch> {
        self.batch_at(rows, 0, false)
    }

    fn batch_at(&self, rows: &[usize], epoch: usize, train: bool) -> Result<Batch> {
        let pictures = rows
            .par_iter()
            .map(|row| self.picture(*row, train.then_some(epoch)))
            .collect::<Result<Vec<Pixels>>>()?;
        let Some(first) = pictures.first() else { return Err(NnError::NoData) };
        let size = (first.channels, first.height, first.width);
        for (picture, row) in pictures.iter().zip(rows) {
            let other = (picture.channels, picture.height, picture.width);
            if other != size {
                return Err(NnError::Image {
                    path: match &self.source {
                        Source::Files(files) => files[*row].clone(),
                        Source::Held(_) => PathBuf::from(format!("row {row}")),
                    },
                    reason: format!(
                        "it is {other:?}, another of the batch is {size:?}; add \
                         `Transform::CenterCrop(size)` or `Transform::Resize`"
                    ),
                });
            }
        }
        let data: Vec<f32> = pictures.into_iter().flat_map(|picture| picture.data).collect();
        let shape = (rows.len(), size.0, size.1, size.2);
        let labels: Vec<u32> = rows.iter().map(|row| self.labels[*row]).collect();
        Ok(Batch {
            input: Tensor::from_vec(data, shape, &Device::Cpu)?,
            target: Tensor::from_vec(labels, rows.len(), &Device::Cpu)?,
            rows: rows.to_vec(),
        })
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| NnError::File { action: "read", path: folder.to_owned(), source };
    let mut paths = std::fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(failed)?;
    paths.sort();
    Ok(paths)
}

fn texts(df: &DataFrame, name: &str) -> Result<Vec<String>> {
    let column = df.column(name)?;
    if column.null_count() > 0 {
        return Err(NnError::Column {
            column: name.to_owned(),
            reason: format!("{} values are missing; drop these rows first", column.null_count()),
        });
    }
    let text = column.cast(&DataType::String)?;
    Ok(text.str()?.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
}

/// Numbers by class; numbers are sorted as numbers.
fn classes_of(labels: &[String]) -> (Vec<u32>, Vec<String>) {
    let mut classes = labels.to_vec();
    classes.sort_by(|a, b| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    });
    classes.dedup();
    let number = |label: &String| classes.iter().position(|class| class == label).unwrap_or(0);
    let numbers = labels.iter().map(|label| u32::try_from(number(label)).unwrap_or(u32::MAX));
    (numbers.collect(), classes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::DataLoader;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (class, level) in [("dark", 10u8), ("light", 240)] {
            std::fs::create_dir(folder.path().join(class)).expect("writable");
            for number in 0..3u32 {
                let picture = image::RgbImage::from_pixel(8 + number, 8, image::Rgb([level; 3]));
                picture
                    .save(folder.path().join(class).join(format!("{number}.png")))
                    .expect("saved");
            }
        }
        folder
    }

    #[test]
    fn a_folder_of_classes_is_a_data_set() -> Result<()> {
        let folder = folder();
        let pictures = ImageDataset::from_folder(folder.path())?;
        assert_eq!(pictures.classes(), ["dark", "light"]);
        assert_eq!(pictures.labels(), [0, 0, 0, 1, 1, 1]);
        let error = pictures.picture(99_999, None).expect_err("no such row").to_string();
        assert!(error.contains("99999") && error.contains('6'), "{error}");
        let error = pictures.batch(&[0, 1]).expect_err("two sizes").to_string();
        assert!(error.contains("CenterCrop") && error.contains("1.png"), "{error}");
        let pictures = pictures.with_transforms([Transform::CenterCrop(6)]);
        let batch = DataLoader::new(pictures, 6).epoch(0, 0).next().expect("a batch")?;
        assert_eq!(batch.input.dims(), [6, 3, 6, 6]);
        let means = batch.input.flatten_from(1)?.mean(1)?.to_vec1::<f32>()?;
        assert!(means[0] < 0.1 && means[5] > 0.9, "{means:?}");
        Ok(())
    }

    #[test]
    fn augmentation_follows_epoch_and_row_and_spares_evaluation() -> Result<()> {
        let folder = folder();
        let pictures = ImageDataset::from_folder(folder.path())?
            .with_augmentation([Transform::Jitter { brightness: 0.5, contrast: 0.0 }])
            .with_transforms([Transform::CenterCrop(4)]);
        let values = |epoch| -> Result<Vec<f32>> { Ok(pictures.picture(4, epoch)?.data) };
        assert_eq!(values(Some(3))?, values(Some(3))?);
        assert_ne!(values(Some(3))?, values(Some(4))?);
        assert_eq!(values(None)?, values(None)?);
        assert!((values(None)?[0] - 240.0 / 255.0).abs() < 1e-3);
        Ok(())
    }

    #[test]
    fn a_damaged_picture_is_named() -> Result<()> {
        let folder = folder();
        let path = folder.path().join("dark/1.png");
        std::fs::write(&path, b"\x89PNG\r\n\x1a\nnothing").expect("written");
        let error = Pixels::open(&path).expect_err("damaged").to_string();
        assert!(error.contains("1.png"), "{error}");
        Ok(())
    }
}
