//! Pictures: the image crate's types, and tensors as pictures.

use std::io::Cursor;

use candle_core::{DType, Device, Tensor};
use image::{
    DynamicImage, GenericImageView as _, GrayImage, ImageFormat, RgbImage, RgbaImage, imageops,
};
use oxilab_runtime::MimeBundle;

use crate::error::DisplayError;
use crate::render::Render;

/// Pictures with a longer side are scaled down for display, so that a notebook stays small.
const LONGEST_SIDE: u32 = 2048;

impl Render for DynamicImage {
    fn render(&self) -> MimeBundle {
        let (width, height) = self.dimensions();
        let text = format!("DynamicImage {width}×{height} {:?}", self.color());
        if width == 0 || height == 0 {
            return MimeBundle::text(text);
        }
        let encoded = if width.max(height) > LONGEST_SIDE {
            png(&self.resize(LONGEST_SIDE, LONGEST_SIDE, imageops::FilterType::Triangle))
        } else {
            png(self)
        };
        match encoded {
            Ok(bytes) => MimeBundle::text(text).with_png(&bytes),
            Err(error) => MimeBundle::text(format!("{text} ({error})")),
        }
    }
}

/// Buffers of the usual pixel types show as the picture they hold.
macro_rules! render_buffer {
    ($($buffer:ty => $variant:ident),*) => {$(
        impl Render for $buffer {
            fn render(&self) -> MimeBundle {
                DynamicImage::$variant(self.clone()).render()
            }
        }
    )*};
}
render_buffer!(GrayImage => ImageLuma8, RgbImage => ImageRgb8, RgbaImage => ImageRgba8);

/// The picture as the bytes of a PNG file; floating-point pixels are rounded to 8 bits.
///
/// # Errors
/// When the encoder refuses the picture, for example one without pixels.
pub fn png(picture: &DynamicImage) -> Result<Vec<u8>, DisplayError> {
    let mut bytes = Cursor::new(Vec::new());
    match picture {
        DynamicImage::ImageRgb32F(_) => {
            DynamicImage::ImageRgb8(picture.to_rgb8()).write_to(&mut bytes, ImageFormat::Png)?;
        }
        DynamicImage::ImageRgba32F(_) => {
            DynamicImage::ImageRgba8(picture.to_rgba8()).write_to(&mut bytes, ImageFormat::Png)?;
        }
        _ => picture.write_to(&mut bytes, ImageFormat::Png)?,
    }
    Ok(bytes.into_inner())
}

/// A tensor as a picture: (height, width) or (channels, height, width) with 1, 3 or 4 channels.
///
/// `u8` values are taken as they are. Other types hold either 0 to 1 or, when a value is above 1,
/// 0 to 255; values outside are clamped and NaN is black.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use oxilab_display::image_of;
///
/// let gradient = Tensor::arange(0f32, 64.0, &Device::Cpu)?.reshape((8, 8))?;
/// let picture = image_of(&gradient)?;
/// assert_eq!((picture.width(), picture.height()), (8, 8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the tensor has another shape or its values cannot be read.
pub fn image_of(tensor: &Tensor) -> Result<DynamicImage, DisplayError> {
    let refuse = || DisplayError::NotAPicture { shape: tensor.dims().to_vec() };
    let planes = match tensor.dims() {
        [_, _] => tensor.unsqueeze(0)?,
        [1 | 3 | 4, _, _] => tensor.clone(),
        _ => return Err(refuse()),
    };
    let (channels, height, width) = planes.dims3()?;
    let pixels = planes.detach().to_device(&Device::Cpu)?.permute((1, 2, 0))?.flatten_all()?;
    let pixels = if pixels.dtype() == DType::U8 {
        pixels.to_vec1::<u8>()?
    } else {
        bytes_of(&pixels.to_dtype(DType::F32)?.to_vec1::<f32>()?)
    };
    let side = |length: usize| u32::try_from(length).map_err(|_| refuse());
    let (width, height) = (side(width)?, side(height)?);
    match channels {
        1 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
        3 => RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
        _ => RgbaImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgba8),
    }
    .ok_or_else(refuse)
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    let scale = if values.iter().any(|value| *value > 1.0) { 1.0 } else { 255.0 };
    values
        .iter()
        .map(|value| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to 0..=255; NaN becomes 0"
            )]
            let byte = (value * scale).round().clamp(0.0, 255.0) as u8;
            byte
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_shows_as_png_of_its_own_size() {
        let mut picture = RgbImage::new(3, 2);
        picture.put_pixel(1, 1, image::Rgb([9, 8, 7]));
        let bytes = png(&DynamicImage::ImageRgb8(picture.clone())).expect("encodes");
        let back = image::load_from_memory(&bytes).expect("decodes").to_rgb8();
        assert_eq!(back, picture);
        let bundle = picture.render();
        assert_eq!(bundle.plain(), "DynamicImage 3×2 Rgb8");
        assert!(bundle.data["image/png"].as_str().expect("png").starts_with("iVBOR"));
    }

    #[test]
    fn tensors_of_either_layout_and_scale_become_pictures() {
        let grey = Tensor::new(&[[0u8, 128], [255, 1]], &Device::Cpu).expect("tensor");
        assert_eq!(image_of(&grey).expect("grey").to_luma8().into_raw(), [0, 128, 255, 1]);
        let unit = Tensor::new(&[[0f32, 0.5], [1.0, f32::NAN]], &Device::Cpu).expect("tensor");
        assert_eq!(image_of(&unit).expect("grey").to_luma8().into_raw(), [0, 128, 255, 0]);
        let colour = Tensor::new(&[[[255f32]], [[10.0]], [[-3.0]]], &Device::Cpu).expect("tensor");
        assert_eq!(image_of(&colour).expect("colour").to_rgb8().into_raw(), [255, 10, 0]);
    }

    #[test]
    fn other_shapes_are_refused_with_a_way_out() {
        let batch = Tensor::zeros((2, 3, 4, 4), DType::F32, &Device::Cpu).expect("tensor");
        let message = image_of(&batch).expect_err("a batch").to_string();
        assert!(message.contains("[2, 3, 4, 4]") && message.contains(".i(0)?"), "{message}");
    }
}
