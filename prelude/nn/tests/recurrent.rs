//! LSTM and GRU layers against PyTorch's; `goldens/recurrent.py` made the numbers.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use oxilab_nn::error::Result;
use oxilab_nn::layers::{Cell, Recurrent};
use rand::{SeedableRng as _, rngs::StdRng};
use serde::Deserialize;

#[derive(Deserialize)]
struct Goldens {
    shape: [usize; 4],
    lstm: Golden,
    gru: Golden,
}

#[derive(Deserialize)]
struct Golden {
    input: Vec<f32>,
    states: Vec<f32>,
    weights: BTreeMap<String, Vec<f32>>,
    gradients: BTreeMap<String, Vec<f32>>,
}

fn apart(ours: &Tensor, theirs: &[f32]) -> Result<f32> {
    let ours = ours.flatten_all()?.to_vec1::<f32>()?;
    assert_eq!(ours.len(), theirs.len());
    Ok(ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max))
}

#[test]
fn states_and_gradients_are_those_of_pytorch() -> Result<()> {
    let goldens: Goldens =
        serde_json::from_str(include_str!("goldens/recurrent.json")).expect("committed JSON");
    let [rows, time, inputs, hidden] = goldens.shape;
    for (cell, golden) in [(Cell::Lstm, goldens.lstm), (Cell::Gru, goldens.gru)] {
        let device = &Device::Cpu;
        let layer = Recurrent::new(cell, inputs, hidden, &mut StdRng::seed_from_u64(0), device)?;
        for (name, var) in layer.vars() {
            let values = golden.weights[&name].clone();
            var.set(&Tensor::from_vec(values, var.shape(), device)?)?;
        }
        let x = Tensor::from_vec(golden.input.clone(), (rows, time, inputs), device)?;
        let states = layer.forward(&x)?;
        let far = apart(&states, &golden.states)?;
        assert!(far < 1e-5, "{cell:?}: states are {far} apart");
        let gradients = states.sqr()?.sum_all()?.backward()?;
        for (name, var) in layer.vars() {
            let ours = gradients.get(&var).expect("a gradient");
            let far = apart(ours, &golden.gradients[&name])?;
            assert!(far < 1e-4, "{cell:?}: gradients of {name} are {far} apart");
        }
    }
    Ok(())
}
