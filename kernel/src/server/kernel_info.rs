//! The answer to `kernel_info_request`, which needs neither worker nor prelude.

use serde_json::{Value, json};

use crate::server::message::PROTOCOL_VERSION;

/// Content of a `kernel_info_reply`; `rust` is rustc's version, `1.95.0`.
pub(crate) fn content(rust: &str) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    json!({
        "status": "ok",
        "protocol_version": PROTOCOL_VERSION,
        "implementation": "oxilab",
        "implementation_version": version,
        "language_info": {
            "name": "rust",
            "version": rust,
            "mimetype": "text/x-rustsrc",
            "file_extension": ".rs",
            "pygments_lexer": "rust",
            "codemirror_mode": "rust",
            "nbconvert_exporter": "script",
        },
        "banner": format!("oxilab {version}, Rust {rust}. %help lists the magics."),
        "debugger": false,
        "help_links": [
            { "text": "Rust standard library", "url": "https://doc.rust-lang.org/std/" },
            { "text": "The Rust book", "url": "https://doc.rust-lang.org/book/" },
            { "text": "polars", "url": "https://docs.rs/polars/latest/polars/" },
            { "text": "candle", "url": "https://docs.rs/candle-core/latest/candle_core/" },
            { "text": "plotters", "url": "https://docs.rs/plotters/latest/plotters/" },
        ],
        "supported_features": [],
    })
}
