//! Nets for series: [`SequenceClassifier`] and [`Forecaster`], on LSTM or GRU.

mod classifier;
mod file;
mod forecaster;
mod net;
mod scale;
mod series;
mod settings;

pub use classifier::SequenceClassifier;
pub use forecaster::Forecaster;

#[cfg(test)]
mod tests {
    use polars::prelude::{NamedFrom as _, Series, df};

    use super::*;
    use crate::error::{NnError, Result};

    #[test]
    fn lists_of_any_length_are_told_apart_and_the_net_survives_a_file() -> Result<()> {
        // Rising or falling, 5 to 12 steps.
        let lists: Vec<Series> = (0..60u32)
            .map(|row| {
                let length = 5 + row % 8;
                let step = |t: u32| f64::from(if row % 2 == 0 { t } else { length - t }) + 3.0;
                Series::new("".into(), (0..length).map(step).collect::<Vec<f64>>())
            })
            .collect();
        let course: Vec<&str> = (0..60).map(|row| ["up", "down"][row % 2]).collect();
        let df = df!("series" => lists, "course" => course)?;
        let net = SequenceClassifier::lstm().with_epochs(20).quiet().fit(&df, "course")?;
        assert!(net.score(&df, "course")? > 0.95);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("net.safetensors");
        net.save(&path)?;
        let again = SequenceClassifier::load(&path)?;
        assert!(again.predict_proba(&df)?.equals(&net.predict_proba(&df)?));
        assert!(matches!(Forecaster::load(&path), Err(NnError::Weights { .. })));
        Ok(())
    }

    #[test]
    fn a_forecaster_goes_on_with_a_wave() -> Result<()> {
        let wave = |t: u32| 10.0 + 2.0 * (f64::from(t) * 0.3).sin();
        let df = df!("y" => (0..200).map(wave).collect::<Vec<f64>>())?;
        let net = Forecaster::gru(12).with_horizon(3).with_epochs(15).quiet().fit(&df, "y")?;
        assert!(net.score(&df)? > 0.97, "{}", net.score(&df)?);
        let next = net.predict(&df)?;
        for (step, said) in next.column("prediction")?.f64()?.into_no_null_iter().enumerate() {
            let truth = wave(200 + u32::try_from(step).unwrap_or(0));
            assert!((said - truth).abs() < 0.5, "{step}: {said} {truth}");
        }
        let short = net.predict(&df.head(Some(5))).expect_err("too short").to_string();
        assert!(short.contains("window"), "{short}");
        Ok(())
    }
}
