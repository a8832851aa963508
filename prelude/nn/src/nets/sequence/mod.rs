//! Nets for series: [`SequenceClassifier`] and [`Forecaster`], on LSTM or GRU.

mod classifier;
mod file;
mod forecaster;
mod net;
mod scale;
mod settings;

pub use classifier::SequenceClassifier;
pub use forecaster::{FittedForecaster, Forecaster};

#[cfg(test)]
mod tests {
    use oxilab_model::FittedModel;
    use polars::prelude::{DataFrame, NamedFrom as _, Series, df};

    use super::*;
    use crate::error::NnError;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    /// Rising or falling, 5 to 12 steps.
    fn courses() -> polars::prelude::PolarsResult<DataFrame> {
        let lists: Vec<Series> = (0..60u32)
            .map(|row| {
                let length = 5 + row % 8;
                let step = |t: u32| f64::from(if row % 2 == 0 { t } else { length - t }) + 3.0;
                Series::new("".into(), (0..length).map(step).collect::<Vec<f64>>())
            })
            .collect();
        let course: Vec<&str> = (0..60).map(|row| ["up", "down"][row % 2]).collect();
        df!("series" => lists, "course" => course)
    }

    fn wave(t: u32) -> f64 {
        10.0 + 2.0 * (f64::from(t) * 0.3).sin()
    }

    #[test]
    fn lists_of_any_length_are_told_apart_by_a_model_like_any_other() -> Test {
        let df = courses()?;
        let model = SequenceClassifier::lstm().with_epochs(20).quiet().fit(&df, "course")?;
        assert!(model.evaluate(&df)?.get("accuracy").is_some_and(|share| share > 0.95));
        assert_eq!(
            (model.learner(), model.classes()),
            ("SequenceClassifier", &["down", "up"].map(str::to_owned)[..])
        );
        let losses = model.history()?;
        assert_eq!(losses.height(), 20);
        let folder = tempfile::tempdir()?;
        model.save(folder.path().join("net.oxm"))?;
        let again = FittedModel::load(folder.path().join("net.oxm"))?;
        assert!(again.predict_proba(&df)?.equals(&model.predict_proba(&df)?));
        // A series longer than any of the training frame is told from its end.
        let long = Series::new("".into(), (0..40).map(f64::from).collect::<Vec<f64>>());
        assert_eq!(again.predict(&df!("series" => [long])?)?.str()?.get(0), Some("up"));
        assert!(matches!(
            FittedForecaster::load(folder.path().join("net.oxm")),
            Err(NnError::Weights { .. })
        ));
        Ok(())
    }

    #[test]
    fn a_fitted_model_says_what_the_trained_net_said() -> Test {
        use candle_core::{Device, Tensor};
        use oxilab_model::recurrent::fit_recurrent;

        use crate::model::{Mode, Trainable as _};

        let df = courses()?;
        for gru in [false, true] {
            let settings =
                settings::Settings { layers: 2, hidden: 9, ..settings::Settings::new(gru) };
            let mut said = Vec::new();
            let params = serde_json::json!({});
            let model = fit_recurrent("Net", &params, true, &df, "course", |problem| {
                let net = net::RecurrentNet::new(&settings, problem.channels, 2).expect("a net");
                let shape = (problem.rows, problem.time, problem.channels);
                let input = Tensor::from_slice(&problem.values, shape, &Device::Cpu).expect("fits");
                let input = input.to_device(&net.device()).expect("moved");
                let logits = net.forward(&input, Mode::eval()).expect("forward");
                let shares = candle_nn::ops::softmax(&logits, 1).and_then(|p| p.to_vec2::<f32>());
                said = shares.expect("shares");
                Ok(net.weights().expect("weights"))
            })?;
            let proba = model.predict_proba(&df)?;
            let up = proba.column("up")?.f64()?;
            for (ours, theirs) in up.into_no_null_iter().zip(&said) {
                assert!((ours - f64::from(theirs[1])).abs() < 1e-5, "{ours} {theirs:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn folds_and_seeds_work_as_with_any_learner() -> Test {
        let df = courses()?;
        let net = SequenceClassifier::gru().with_epochs(12).quiet();
        assert!(oxilab_model::cross_validate(&net, &df, "course", 3)?.mean("accuracy") > 0.9);
        let bytes = |net: &SequenceClassifier| net.fit(&df, "course")?.to_bytes();
        let short = net.with_epochs(2);
        assert_eq!(bytes(&short)?, bytes(&short.clone())?);
        assert_ne!(bytes(&short)?, bytes(&short.clone().with_seed(1))?);
        Ok(())
    }

    #[test]
    fn forecasters_of_both_cells_go_on_with_a_wave_and_survive_a_file() -> Test {
        let df = df!("y" => (0..200).map(wave).collect::<Vec<f64>>())?;
        for forecaster in [Forecaster::gru(12), Forecaster::lstm(12)] {
            let model = forecaster.with_horizon(3).with_epochs(15).quiet().fit(&df, "y")?;
            let found = model.evaluate(&df)?;
            assert!(found.score() > 0.97, "{model:?}: {found:?}");
            assert_eq!(found.rows, 200 - 12 - 3 + 1);
            assert!(found.get("rmse_3").is_some() && found.get("rmse_4").is_none(), "{found:?}");
            let next = model.predict(&df)?;
            for (step, said) in next.column("prediction")?.f64()?.into_no_null_iter().enumerate() {
                let truth = wave(200 + u32::try_from(step)?);
                assert!((said - truth).abs() < 0.5, "{model:?}, {step}: {said} {truth}");
            }
            let short = model.predict(&df.head(Some(5))).expect_err("too short").to_string();
            assert!(short.contains("window"), "{short}");
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("wave.safetensors");
            model.save(&path)?;
            let again = FittedForecaster::load(&path)?;
            assert!(again.predict(&df)?.equals(&next));
            assert_eq!(again.evaluate(&df)?, found);
            // From bytes, and what a model says of itself.
            let again = FittedForecaster::from_bytes(&model.to_bytes()?)?;
            assert!(again.predict(&df)?.equals(&next));
            assert_eq!(
                (again.learner(), again.task()),
                ("Forecaster", oxilab_model::Task::Regression)
            );
            let params = again.params();
            assert_eq!((&params["window"], &params["horizon"]), (&12.into(), &3.into()));
            assert_eq!((&params["epochs"], again.columns()), (&15.into(), &["y".to_owned()][..]));
        }
        let error = FittedForecaster::from_bytes(b"short").expect_err("damaged").to_string();
        assert!(error.contains("memory"), "{error}");
        Ok(())
    }

    #[test]
    fn a_forecasters_file_that_was_cut_or_changed_is_refused() -> Test {
        let df = df!("y" => (0..40).map(wave).collect::<Vec<f64>>())?;
        let model = Forecaster::lstm(4).with_hidden(4).with_epochs(1).quiet().fit(&df, "y")?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("wave.safetensors");
        model.save(&path)?;
        let whole = std::fs::read(&path)?;
        for length in [0, 7, 100, whole.len() - 1] {
            std::fs::write(&path, &whole[..length])?;
            assert!(
                matches!(FittedForecaster::load(&path), Err(NnError::Weights { .. })),
                "{length}"
            );
        }
        // Settings that the tensors in the file are too small for. (The header is as long as before.)
        let change = |from: &str, to: &str| -> Vec<u8> {
            let (from, to) = (from.as_bytes(), to.as_bytes());
            assert_eq!(from.len(), to.len());
            let at = whole.windows(from.len()).position(|part| part == from).expect("there");
            [&whole[..at], to, &whole[at + from.len()..]].concat()
        };
        let huge = change(
            r#"4,\"layers\":1,\"epochs\":1,\"batch_size\":32,\"learning_rate\":0.01,"#,
            r#"99999,\"layers\":1,\"epochs\":1,\"batch_size\":1,\"learning_rate\":1,"#,
        );
        for changed in [
            huge,
            change("hidden\\\":4,", "hidden\\\":9,"),
            change("\\\"layers\\\":1,", "\\\"layers\\\":0,"),
            change("\\\"layers\\\":1,", "\\\"layers\\\":9,"),
            change("\\\"horizon\\\":1}", "\\\"horizon\\\":8}"),
        ] {
            std::fs::write(&path, changed)?;
            assert!(FittedForecaster::load(&path).is_err());
        }
        Ok(())
    }
}
