//! [`Pixels`]: a picture in memory.

use std::path::Path;

use candle_core::{Device, Tensor};
use image::imageops::FilterType;
use image::{DynamicImage, ImageBuffer, ImageReader, Limits, Rgb, Rgb32FImage};
use oxilab_display::{MimeBundle, Render};

use crate::error::{NnError, Result};

/// A picture: values from 0 to 1, channel after channel, row after row.
///
/// ```
/// use oxilab_nn::image::Pixels;
/// let picture = Pixels::new(1, 2, 2, vec![0.0, 1.0, 1.0, 0.0])?;
/// assert_eq!(picture.resize(4, 4).to_tensor()?.dims(), [1, 4, 4]);
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels {
    /// 1 for grey, 3 for colour.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `channels · height · width` values.
    pub data: Vec<f32>,
}

/// A picture that would take more when decoded is refused, and one wider or higher than this.
const MEMORY: u64 = 512 << 20;
const SIDE: u32 = 32_768;

impl Pixels {
    /// Values in the order of the fields.
    ///
    /// # Errors
    /// When their number is not `channels · height · width`.
    pub fn new(channels: usize, height: usize, width: usize, data: Vec<f32>) -> Result<Self> {
        if channels * height * width != data.len() {
            return Err(NnError::Setting {
                setting: "the number of pixel values",
                value: data.len().to_string(),
                expected: "it must be channels · height · width",
            });
        }
        Ok(Self { channels, height, width, data })
    }

    /// Reads a PNG, JPEG, GIF, BMP or WebP file in colour.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or is larger than 32,768 pixels a side or 512 MB.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let fail = |reason: String| NnError::Image { path: path.to_owned(), reason };
        let mut reader = ImageReader::open(path)
            .and_then(ImageReader::with_guessed_format)
            .map_err(|e| fail(e.to_string()))?;
        let mut limits = Limits::default();
        limits.max_alloc = Some(MEMORY);
        limits.max_image_width = Some(SIDE);
        limits.max_image_height = Some(SIDE);
        reader.limits(limits);
        Ok(Self::of(&reader.decode().map_err(|e| fail(e.to_string()))?))
    }

    /// A decoded picture in colour.
    #[must_use]
    pub fn of(picture: &DynamicImage) -> Self {
        let colours = picture.to_rgb32f();
        let (width, height) = (colours.width() as usize, colours.height() as usize);
        let mut data = vec![0f32; 3 * height * width];
        for (place, pixel) in colours.pixels().enumerate() {
            for channel in 0..3 {
                data[channel * height * width + place] = pixel[channel];
            }
        }
        Self { channels: 3, height, width, data }
    }

    /// The mean of the channels.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a handful of channels")]
    pub fn to_grey(&self) -> Self {
        let size = self.height * self.width;
        let mut data = vec![0f32; size];
        for plane in self.data.chunks_exact(size.max(1)) {
            data.iter_mut().zip(plane).for_each(|(sum, value)| *sum += value);
        }
        data.iter_mut().for_each(|value| *value /= self.channels as f32);
        Self { channels: 1, data, ..*self }
    }

    /// Another size: bilinear, with all pixels weighed in when it becomes smaller.
    #[must_use]
    pub fn resize(&self, height: usize, width: usize) -> Self {
        if (height, width) == (self.height, self.width) {
            return self.clone();
        }
        let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let resized = image::imageops::resize(
            &self.to_image(),
            size(width),
            size(height),
            FilterType::Triangle,
        );
        let colours = Self::of(&DynamicImage::ImageRgb32F(resized));
        let data = colours.data[..self.channels * height * width].to_vec();
        Self { channels: self.channels, height, width, data }
    }

    /// The part that starts at `top` and `left`, which may lie beyond the edges, where zeros are.
    #[must_use]
    #[expect(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "sides are small")]
    pub fn crop(&self, top: isize, left: isize, height: usize, width: usize) -> Self {
        let mut data = vec![0f32; self.channels * height * width];
        for channel in 0..self.channels {
            for y in 0..height {
                let from_y = top + y as isize;
                if from_y < 0 || from_y >= self.height as isize {
                    continue;
                }
                let row = (channel * self.height + from_y as usize) * self.width;
                for x in 0..width {
                    let from_x = left + x as isize;
                    if from_x >= 0 && from_x < self.width as isize {
                        data[(channel * height + y) * width + x] = self.data[row + from_x as usize];
                    }
                }
            }
        }
        Self { channels: self.channels, height, width, data }
    }

    /// As a tensor `(channels, height, width)`.
    ///
    /// # Errors
    /// When it cannot be allocated.
    pub fn to_tensor(&self) -> Result<Tensor> {
        let shape = (self.channels, self.height, self.width);
        Ok(Tensor::from_slice(&self.data, shape, &Device::Cpu)?)
    }

    fn to_image(&self) -> Rgb32FImage {
        let size = self.height * self.width;
        let length = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        ImageBuffer::from_fn(length(self.width), length(self.height), |x, y| {
            let place = y as usize * self.width + x as usize;
            Rgb(std::array::from_fn(|channel| {
                self.data[channel.min(self.channels - 1) * size + place]
            }))
        })
    }
}

impl Render for Pixels {
    fn render(&self) -> MimeBundle {
        let text = format!("Pixels({} × {}, {} channels)", self.height, self.width, self.channels);
        if self.data.is_empty() {
            return MimeBundle::text(text);
        }
        let picture = DynamicImage::ImageRgb32F(self.to_image()).to_rgb8();
        // Small pictures are enlarged so that one sees their pixels.
        let factor = (160 / picture.width().max(picture.height()).max(1)).max(1);
        let size = (picture.width() * factor, picture.height() * factor);
        let large = image::imageops::resize(&picture, size.0, size.1, FilterType::Nearest);
        let mut png = std::io::Cursor::new(Vec::new());
        match large.write_to(&mut png, image::ImageFormat::Png) {
            Ok(()) => MimeBundle::text(text).with_png(png.get_ref()),
            Err(_) => MimeBundle::text(text),
        }
    }
}
