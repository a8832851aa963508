//! Deep learning: trainer, optimisers, differentiable layers, nets.
