//! What is done to a picture before it reaches a net.

use rand::{Rng, RngExt as _};

use super::pixels::Pixels;

/// Means and deviations of ImageNet's colours, which pretrained nets expect.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// See [`IMAGENET_MEAN`].
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// A step. Those that are random happen only while training.
///
/// ```
/// use oxilab_nn::image::Transform;
/// let augmentation = [Transform::HorizontalFlip, Transform::Shift(2), Transform::Rotate(10.0)];
/// assert!(augmentation.iter().all(Transform::is_random));
/// assert_eq!(Transform::imagenet(224)[0], Transform::CenterCrop(224));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Transform {
    /// Another size, whatever the shape.
    Resize {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// The shorter side to this size, then the middle square of it.
    CenterCrop(usize),
    /// Random: a part of the same size, moved by up to so many pixels each way, with zeros beyond the
    /// edge.
    Shift(usize),
    /// Random: left and right exchanged in one of two.
    HorizontalFlip,
    /// Random: turned by up to so many degrees each way.
    Rotate(f32),
    /// Random: larger or smaller by up to this share, for example 0.1.
    Zoom(f32),
    /// Random: brightness and contrast changed by up to these shares.
    Jitter {
        /// For example 0.2.
        brightness: f32,
        /// For example 0.2.
        contrast: f32,
    },
    /// Random: a rectangle of up to this share of each side set to zero, in one of two.
    Erase(f32),
    /// The mean of the channels.
    Grey,
    /// `(value - mean) / std` for each channel.
    Normalize {
        /// By channel.
        mean: Vec<f32>,
        /// By channel.
        std: Vec<f32>,
    },
}

impl Transform {
    /// Size and colours as nets trained on ImageNet expect them.
    #[must_use]
    pub fn imagenet(size: usize) -> Vec<Self> {
        vec![
            Self::CenterCrop(size),
            Self::Normalize { mean: IMAGENET_MEAN.to_vec(), std: IMAGENET_STD.to_vec() },
        ]
    }

    /// Whether the step happens only while training.
    #[must_use]
    pub fn is_random(&self) -> bool {
        matches!(
            self,
            Self::Shift(_)
                | Self::HorizontalFlip
                | Self::Rotate(_)
                | Self::Zoom(_)
                | Self::Jitter { .. }
                | Self::Erase(_)
        )
    }

    /// The changed picture.
    #[must_use]
    pub fn apply(&self, picture: Pixels, rng: &mut impl Rng) -> Pixels {
        match self {
            Self::Resize { height, width } => picture.resize(*height, *width),
            Self::CenterCrop(size) => center_crop(&picture, *size),
            Self::Shift(by) => {
                let by = i32::try_from(*by).unwrap_or(0);
                let mut moved = || isize::try_from(rng.random_range(-by..=by)).unwrap_or(0);
                let (down, right) = (moved(), moved());
                picture.crop(down, right, picture.height, picture.width)
            }
            Self::HorizontalFlip => {
                let mut picture = picture;
                if rng.random_bool(0.5) {
                    picture.data.chunks_exact_mut(picture.width.max(1)).for_each(<[f32]>::reverse);
                }
                picture
            }
            Self::Rotate(degrees) => {
                let angle = within(rng, *degrees).to_radians();
                warp(&picture, angle, 1.0)
            }
            Self::Zoom(share) => warp(&picture, 0.0, 1.0 + within(rng, *share)),
            Self::Jitter { brightness, contrast } => {
                let (add, times) = (within(rng, *brightness), 1.0 + within(rng, *contrast));
                jitter(picture, add, times)
            }
            Self::Erase(share) => erase(picture, *share, rng),
            Self::Grey => picture.to_grey(),
            Self::Normalize { mean, std } => normalize(picture, mean, std),
        }
    }
}

fn within(rng: &mut impl Rng, limit: f32) -> f32 {
    (rng.random::<f32>() * 2.0 - 1.0) * limit
}

fn center_crop(picture: &Pixels, size: usize) -> Pixels {
    let short = picture.height.min(picture.width).max(1);
    let scaled = |side: usize| ((side * size + short / 2) / short).max(size);
    let resized = picture.resize(scaled(picture.height), scaled(picture.width));
    let middle = |side: usize| isize::try_from((side - size) / 2).unwrap_or(0);
    resized.crop(middle(resized.height), middle(resized.width), size, size)
}

fn normalize(mut picture: Pixels, mean: &[f32], std: &[f32]) -> Pixels {
    let size = (picture.height * picture.width).max(1);
    for ((plane, mean), std) in picture.data.chunks_exact_mut(size).zip(mean).zip(std) {
        plane.iter_mut().for_each(|value| *value = (*value - mean) / std);
    }
    picture
}

#[expect(clippy::cast_precision_loss, reason = "pictures are far below 2^24 pixels a side")]
fn jitter(mut picture: Pixels, add: f32, times: f32) -> Pixels {
    let mean = picture.data.iter().sum::<f32>() / picture.data.len().max(1) as f32;
    for value in &mut picture.data {
        *value = ((*value - mean) * times + mean + add).clamp(0.0, 1.0);
    }
    picture
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sides are small"
)]
fn erase(mut picture: Pixels, share: f32, rng: &mut impl Rng) -> Pixels {
    if !rng.random_bool(0.5) || picture.data.is_empty() {
        return picture;
    }
    let mut span = |side: usize| {
        let length = (rng.random::<f32>() * share.clamp(0.0, 1.0) * side as f32) as usize;
        let start = rng.random_range(0..=side - length.min(side));
        start..start + length.min(side)
    };
    let (rows, columns) = (span(picture.height), span(picture.width));
    for channel in 0..picture.channels {
        for row in rows.clone() {
            let start = (channel * picture.height + row) * picture.width;
            picture.data[start + columns.start..start + columns.end].fill(0.0);
        }
    }
    picture
}

/// Turned around its middle and enlarged, by bilinear samples; zeros beyond the edge.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "coordinates of small pictures"
)]
fn warp(picture: &Pixels, angle: f32, zoom: f32) -> Pixels {
    let (height, width) = (picture.height, picture.width);
    let (middle_y, middle_x) = ((height as f32 - 1.0) / 2.0, (width as f32 - 1.0) / 2.0);
    let (sin, cos) = angle.sin_cos();
    let scale = zoom.max(0.05).recip();
    let mut data = vec![0f32; picture.data.len()];
    for y in 0..height {
        for x in 0..width {
            let (dy, dx) = ((y as f32 - middle_y) * scale, (x as f32 - middle_x) * scale);
            let (from_y, from_x) = (middle_y + cos * dy - sin * dx, middle_x + sin * dy + cos * dx);
            let (floor_y, floor_x) = (from_y.floor(), from_x.floor());
            let (part_y, part_x) = (from_y - floor_y, from_x - floor_x);
            for channel in 0..picture.channels {
                let at = |y: f32, x: f32| {
                    let inside = y >= 0.0 && x >= 0.0 && y < height as f32 && x < width as f32;
                    let place = (channel * height + y as usize) * width + x as usize;
                    if inside { picture.data[place] } else { 0.0 }
                };
                let top =
                    at(floor_y, floor_x) * (1.0 - part_x) + at(floor_y, floor_x + 1.0) * part_x;
                let low = at(floor_y + 1.0, floor_x) * (1.0 - part_x)
                    + at(floor_y + 1.0, floor_x + 1.0) * part_x;
                data[(channel * height + y) * width + x] = top * (1.0 - part_y) + low * part_y;
            }
        }
    }
    Pixels { data, ..*picture }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng as _, rngs::StdRng};

    fn picture() -> Pixels {
        let data = (0..12u8).map(|i| f32::from(i) / 12.0).collect();
        Pixels { channels: 1, height: 3, width: 4, data }
    }

    #[test]
    fn steps_keep_the_size_and_follow_the_seed() {
        let steps = [
            Transform::Shift(1),
            Transform::HorizontalFlip,
            Transform::Rotate(20.0),
            Transform::Zoom(0.2),
            Transform::Jitter { brightness: 0.2, contrast: 0.2 },
            Transform::Erase(0.5),
        ];
        for step in steps {
            let run = |seed| step.apply(picture(), &mut StdRng::seed_from_u64(seed));
            assert!(step.is_random());
            assert_eq!(run(1), run(1), "{step:?}");
            assert!((2..12).any(|seed| run(seed) != picture()), "{step:?} never changes a picture");
            assert_eq!((run(1).height, run(1).width), (3, 4), "{step:?}");
        }
    }

    #[test]
    fn sizes_and_values_are_right() {
        let rng = &mut StdRng::seed_from_u64(0);
        let square = Transform::CenterCrop(6).apply(picture(), rng);
        assert_eq!((square.height, square.width, square.data.len()), (6, 6, 36));
        let mean = Transform::Normalize { mean: vec![0.5], std: vec![0.5] }.apply(picture(), rng);
        assert!((mean.data[6] - 0.0).abs() < 1e-6);
        let moved = picture().crop(1, -1, 3, 4);
        assert_eq!(moved.data[..4], [0.0, picture().data[4], picture().data[5], picture().data[6]]);
        assert!((warp(&picture(), 0.0, 1.0).data[7] - picture().data[7]).abs() < 1e-6);
        let half_turn = warp(&picture(), std::f32::consts::PI, 1.0);
        assert!((half_turn.data[0] - picture().data[11]).abs() < 1e-4, "{half_turn:?}");
    }
}
