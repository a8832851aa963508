//! Functions of one value that the compiler turns into vector code, unlike std's.

/// `exp(x)` with a relative error below 2e-7; 0 below -87, `inf` never (x is cut at 88).
#[inline]
pub(super) fn exp(x: f32) -> f32 {
    // exp(x) = 2^n · exp(r) with |r| ≤ ln(2) / 2; the polynomial is Taylor's up to r^7.
    const LOW: f32 = -87.3;
    let x = if x < LOW { LOW } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let n = (x * std::f32::consts::LOG2_E).round_ties_even();
    let r = n.mul_add(-0.693_145_75, x);
    let r = n.mul_add(-1.428_606_8e-6, r);
    let p = r.mul_add(1.0 / 5040.0, 1.0 / 720.0);
    let p = r.mul_add(p, 1.0 / 120.0);
    let p = r.mul_add(p, 1.0 / 24.0);
    let p = r.mul_add(p, 1.0 / 6.0);
    let p = r.mul_add(p, 0.5);
    let p = r.mul_add(p, 1.0);
    let p = r.mul_add(p, 1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "n is in -126..=127"
    )]
    let scale = f32::from_bits((((n as i32) + 127) as u32) << 23);
    p * scale
}

/// The error function with an absolute error below 2e-7 (Abramowitz and Stegun, 7.1.26).
#[inline]
pub(super) fn erf(x: f32) -> f32 {
    let t = 1.0 / x.abs().mul_add(0.327_591_1, 1.0);
    let p = t.mul_add(1.061_405_4, -1.453_152_1);
    let p = t.mul_add(p, 1.421_413_8);
    let p = t.mul_add(p, -0.284_496_72);
    let p = t.mul_add(p, 0.254_829_6);
    let value = (-p * t).mul_add(exp(-x * x), 1.0);
    value.copysign(x)
}

/// `x · Φ(x)` with the normal distribution function Φ.
#[inline]
pub(super) fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The derivative of [`gelu`].
#[inline]
pub(super) fn gelu_slope(x: f32) -> f32 {
    const INVERSE_ROOT: f32 = 0.398_942_3;
    let share = 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
    (x * INVERSE_ROOT).mul_add(exp(-0.5 * x * x), share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_erf_are_near_the_true_ones() {
        for i in -8000..8000 {
            let x = f64::from(i) / 100.0;
            #[expect(clippy::cast_possible_truncation, reason = "the argument is exact enough")]
            let ours = f64::from(exp(x as f32));
            #[expect(clippy::cast_possible_truncation, reason = "the argument is exact enough")]
            let truth = f64::from(x as f32).exp();
            assert!((ours / truth - 1.0).abs() < 3e-7, "{x}: {ours} {truth}");
        }
        // Known values of the error function.
        for (x, truth) in [(0.0, 0.0), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (2.0, 0.995_322_3)] {
            assert!((erf(x) - truth).abs() < 4e-7, "{x}");
            assert!((erf(-x) + truth).abs() < 4e-7, "{x}");
        }
        assert!(exp(-1e30) < 1e-37 && exp(f32::NEG_INFINITY) < 1e-37);
    }
}
