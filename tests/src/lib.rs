//! Protocol, notebook, browser and peer tests.
