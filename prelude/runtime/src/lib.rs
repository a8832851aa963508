//! What generated cell code links: variable store, display, streams, progress, cancel flag.
