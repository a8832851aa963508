//! How values show themselves.
