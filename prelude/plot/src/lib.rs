//! Plots: Vega-Lite in the notebook, PNG beside it.
