//! Pictures: reading, changing at random, and data sets of them.
//!
//! * [`Pixels`]: a picture as `f32` values from 0 to 1, channel after channel.
//! * [`Transform`]: what is done to each picture, some of it at random while training.
//! * [`ImageDataset`]: pictures of a folder with one folder for each class, of a frame with a column of
//!   files, or of a frame with a column for each pixel.
//! * [`Backbone`] and [`TransferClassifier`]: pretrained ResNet, EfficientNet and ViT for classes of
//!   your own.

mod backbone;
mod dataset;
mod pixels;
mod transform;

pub use backbone::{Backbone, TransferClassifier};
pub use dataset::ImageDataset;
pub use pixels::Pixels;
pub use transform::{IMAGENET_MEAN, IMAGENET_STD, Transform};
