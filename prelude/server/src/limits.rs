//! Who may come and how often: API keys and rates.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};

/// The SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The key that a request presents: `Authorization: Bearer KEY` or `X-API-Key: KEY`.
pub(crate) fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    match headers.get("x-api-key") {
        Some(key) => Some(key.as_bytes()),
        None => headers.get(header::AUTHORIZATION)?.as_bytes().strip_prefix(b"Bearer "),
    }
}

/// Whether a request presents one of the keys.
pub(crate) fn allowed(headers: &HeaderMap, hashes: &[[u8; 32]]) -> bool {
    key(headers, hashes).is_some()
}

/// The hash of the key that a request presents, if it is one of these. Hashes are compared, which tells
/// nothing about the key.
pub(crate) fn key(headers: &HeaderMap, hashes: &[[u8; 32]]) -> Option<[u8; 32]> {
    if hashes.is_empty() {
        return None;
    }
    presented(headers).map(sha256).filter(|hash| hashes.contains(hash))
}

/// A bucket of tokens for each key of the server (`None` where it has none: all requests share one),
/// filled at a fixed rate; it holds one second's worth. What strangers present gets no bucket of its own.
#[derive(Debug)]
pub(crate) struct Rates {
    per_second: f64,
    buckets: Mutex<Buckets>,
}

/// By the key's hash: tokens, and when that was.
type Buckets = HashMap<Option<[u8; 32]>, (f64, Instant)>;

impl Rates {
    /// `per_second` 0 lets everything pass.
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second), buckets: Mutex::default() }
    }

    /// Takes a token of a key that was found to be one of the server's; `false` if there is none.
    pub(crate) fn take(&self, key: Option<[u8; 32]>) -> bool {
        self.per_second == 0.0 || self.take_at(key, Instant::now())
    }

    fn take_at(&self, key: Option<[u8; 32]>, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, seen) = buckets.entry(key).or_insert((self.per_second, now));
        let new = now.saturating_duration_since(*seen).as_secs_f64() * self.per_second;
        *tokens = (*tokens + new).min(self.per_second);
        *seen = now;
        let enough = *tokens >= 1.0;
        if enough {
            *tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_empties_and_fills() {
        let rates = Rates::new(2);
        let now = Instant::now();
        let (a, b) = (Some([1; 32]), Some([2; 32]));
        assert!(rates.take_at(a, now) && rates.take_at(a, now) && !rates.take_at(a, now));
        assert!(rates.take_at(b, now), "another key has its own");
        let later = now + Duration::from_millis(600);
        assert!(rates.take_at(a, later) && !rates.take_at(a, later));
    }

    #[test]
    fn keys_are_hashed() {
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex::encode(sha256(b"abc")), digest);
        let mut headers = HeaderMap::new();
        assert!(!allowed(&headers, &[sha256(b"k")]));
        headers.insert("authorization", header::HeaderValue::from_static("Bearer k"));
        assert!(allowed(&headers, &[sha256(b"k")]) && !allowed(&headers, &[sha256(b"l")]));
        assert_eq!(key(&headers, &[sha256(b"l"), sha256(b"k")]), Some(sha256(b"k")));
        assert_eq!(key(&headers, &[]), None, "where there are no keys, all are the same");
    }
}
